// Markdown's blocks: a text into paragraphs, lists, tables and code, each with the lines that it came from.
//
// Pure. Text that is still being written is fine at every point: what is not closed yet reaches to the end. There is no
// block of raw HTML: markup in an answer is text. Inline marks are read later, by `inline.ts`, when a block is shown.

export type Align = "left" | "center" | "right" | undefined;

export type Block =
  | { kind: "paragraph"; text: string }
  | { kind: "heading"; level: number; text: string }
  | { kind: "code"; language: string; text: string }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "list"; start: number | undefined; items: Item[] }
  | { kind: "table"; align: Align[]; head: string[]; rows: string[][] }
  | { kind: "rule" };

export type Item = { done: boolean | undefined; tight: boolean; blocks: Block[] };

/** A block of the top level and its own text: equal text means an equal block, so that it need not be drawn again. */
export type Piece = { source: string; block: Block };

/** Quotes and lists in each other: deeper ones are shown as text. */
const MAX_DEPTH = 12;

const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}>\s?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)/;
const DELIMITERS = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const TASK = /^\[([ xX])\]\s+/;

export function pieces(text: string): Piece[] {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  return parse(lines, 0).map(({ block, from, to }) => ({ source: lines.slice(from, to).join("\n"), block }));
}

type Placed = { block: Block; from: number; to: number };

function parse(lines: string[], depth: number): Placed[] {
  const found: Placed[] = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at]!)) {
      at += 1;
      continue;
    }
    const { block, to } = next(lines, at, depth);
    found.push({ block, from: at, to });
    at = to;
  }
  return found;
}

function next(lines: string[], at: number, depth: number): { block: Block; to: number } {
  const line = lines[at]!;
  const fence = FENCE.exec(line);
  if (fence) return code(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return { block: { kind: "heading", level: heading[1]!.length, text: heading[2] ?? "" }, to: at + 1 };
  if (RULE.test(line)) return { block: { kind: "rule" }, to: at + 1 };
  if (depth < MAX_DEPTH && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < MAX_DEPTH && ITEM.test(line)) return list(lines, at, depth);
  if (isTable(lines, at)) return table(lines, at);
  return paragraph(lines, at);
}

function isBlank(line: string): boolean {
  return line.trim() === "";
}

function code(lines: string[], at: number, fence: RegExpExecArray): { block: Block; to: number } {
  const [, indent, marks, language] = fence as unknown as [string, string, string, string];
  const text: string[] = [];
  let to = at + 1;
  for (; to < lines.length; to += 1) {
    const closing = lines[to]!.trim();
    if (closing.length >= marks.length && closing === marks[0]!.repeat(closing.length)) {
      to += 1;
      break;
    }
    text.push(lines[to]!.replace(new RegExp(`^ {0,${indent.length}}`), ""));
  }
  return { block: { kind: "code", language, text: text.join("\n") }, to };
}

function quote(lines: string[], at: number, depth: number): { block: Block; to: number } {
  const inside: string[] = [];
  let to = at;
  for (; to < lines.length && QUOTE.test(lines[to]!); to += 1) inside.push(lines[to]!.replace(QUOTE, ""));
  return { block: { kind: "quote", blocks: parse(inside, depth + 1).map(({ block }) => block) }, to };
}

function list(lines: string[], at: number, depth: number): { block: Block; to: number } {
  const first = ITEM.exec(lines[at]!)!;
  const ordered = /\d/.test(first[2]!);
  const items: Item[] = [];
  let to = at;
  while (to < lines.length) {
    const mark = ITEM.exec(lines[to]!);
    if (!mark || /\d/.test(mark[2]!) !== ordered || RULE.test(lines[to]!)) break;
    const end = endOfItem(lines, to, mark[0].length);
    items.push(item(lines.slice(to, end), mark[0].length, depth));
    to = end;
  }
  const start = ordered ? Number.parseInt(first[2]!, 10) : undefined;
  return { block: { kind: "list", start, items }, to };
}

/** An item goes on while lines are indented, or continue its paragraph; blank lines count only before such a line. */
function endOfItem(lines: string[], from: number, width: number): number {
  let end = from + 1;
  for (let at = from + 1; at < lines.length; at += 1) {
    const line = lines[at]!;
    if (isBlank(line)) continue;
    const indented = line.search(/\S/) >= Math.min(width, 2);
    const lazy = at === end && !startsBlock(line);
    if (!indented && !lazy) break;
    if (!indented && ITEM.test(line)) break;
    end = at + 1;
  }
  // Blank lines between items belong to neither.
  let after = end;
  while (after < lines.length && isBlank(lines[after]!)) after += 1;
  return after < lines.length && ITEM.test(lines[after]!) ? after : end;
}

function item(lines: string[], width: number, depth: number): Item {
  const inside = lines.map((line, index) =>
    index === 0 ? line.slice(width) : line.slice(Math.min(width, Math.max(0, line.search(/\S/)))));
  while (inside.length > 1 && isBlank(inside.at(-1)!)) inside.pop();
  const task = TASK.exec(inside[0] ?? "");
  if (task) inside[0] = inside[0]!.slice(task[0].length);
  const blocks = parse(inside, depth + 1).map(({ block }) => block);
  return { done: task ? task[1] !== " " : undefined, tight: !inside.some(isBlank) || blocks.length < 2, blocks };
}

function startsBlock(line: string): boolean {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
}

function isTable(lines: string[], at: number): boolean {
  const line = lines[at]!;
  const below = lines[at + 1];
  return line.includes("|") && below !== undefined && below.includes("-") && DELIMITERS.test(below)
    && cells(line).length === cells(below).length;
}

function table(lines: string[], at: number): { block: Block; to: number } {
  const head = cells(lines[at]!);
  const align = cells(lines[at + 1]!).map((cell): Align => {
    const left = cell.startsWith(":");
    const right = cell.endsWith(":");
    return left && right ? "center" : right ? "right" : left ? "left" : undefined;
  });
  const rows: string[][] = [];
  let to = at + 2;
  for (; to < lines.length && !isBlank(lines[to]!) && !startsBlock(lines[to]!); to += 1) {
    const row = cells(lines[to]!);
    rows.push(head.map((_, column) => row[column] ?? ""));
  }
  return { block: { kind: "table", align, head, rows }, to };
}

function cells(line: string): string[] {
  const text = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return text.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function paragraph(lines: string[], at: number): { block: Block; to: number } {
  let to = at + 1;
  while (to < lines.length && !isBlank(lines[to]!) && !endsParagraph(lines, to)) to += 1;
  return { block: { kind: "paragraph", text: lines.slice(at, to).join("\n") }, to };
}

function endsParagraph(lines: string[], at: number): boolean {
  const line = lines[at]!;
  const mark = ITEM.exec(line);
  // "1986. A great year" in the middle of a paragraph begins no list.
  const isList = mark !== null && mark[3] !== "" && !/^\d/.test(mark[2]!) || /^ {0,3}1[.)]\s/.test(line);
  return isList || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || isTable(lines, at);
}
