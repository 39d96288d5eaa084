// Markdown's inline marks: emphasis, code and links in a text, as a tree of plain values.
//
// Pure. Nothing in the tree can become markup: it holds texts, and addresses that were checked to be http, https or mailto.
// An image is a link to it: a picture from elsewhere would tell its server who reads.

export type Inline =
  | string
  | { kind: "code"; text: string }
  | { kind: "strong" | "em" | "del"; inside: Inline[] }
  | { kind: "link"; href: string; inside: Inline[]; image: boolean }
  | { kind: "break" };

/** Marks in marks: deeper ones are shown as text. */
const MAX_DEPTH = 8;

/** A longer text has no marks: it is data rather than prose, and stays readable. */
const MAX_CHARS = 50_000;

const DELIMITERS = [
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "del"],
  ["*", "em"],
  ["_", "em"],
] as const;

const PUNCTUATION = /[!-/:-@[-`{-~]/;
const BARE_URL = /^https?:\/\/[^\s<>`"]+/;
const WORD = /[\p{L}\p{N}]/u;

/** The address if a browser may be sent there by an answer; else nothing. */
export function safeAddress(address: string): string | undefined {
  try {
    const url = new URL(address);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

export function inline(text: string, depth = 0): Inline[] {
  if (depth > MAX_DEPTH || text.length > MAX_CHARS) return text === "" ? [] : [text];
  return new Reader(text, depth).read();
}

class Reader {
  private at = 0;
  private plain = "";
  private readonly found: Inline[] = [];
  /** Marks that are not closed any more from here on: looked for once, so that a row of them costs no more than its length. */
  private readonly hopeless = new Set<string>();

  constructor(
    private readonly text: string,
    private readonly depth: number,
  ) {}

  read(): Inline[] {
    while (this.at < this.text.length) {
      const node = this.mark();
      if (node === undefined) {
        this.plain += this.text[this.at];
        this.at += 1;
      } else {
        this.flush();
        this.found.push(node);
      }
    }
    this.flush();
    return this.found;
  }

  private flush(): void {
    if (this.plain !== "") this.found.push(this.plain);
    this.plain = "";
  }

  /** The node that begins here, which is then passed; or nothing. */
  private mark(): Inline | undefined {
    const { text, at } = this;
    switch (text[at]) {
      case "\\":
        return this.escape();
      case "\n":
        return this.lineBreak();
      case "`":
        return this.code();
      case "!":
        return text[at + 1] === "[" ? this.link(true) : undefined;
      case "[":
        return this.link(false);
      case "<":
        return this.autolink();
      case "h":
        return this.bareUrl();
      case "*":
      case "_":
      case "~":
        return this.emphasis();
      default:
        return undefined;
    }
  }

  private escape(): Inline | undefined {
    const next = this.text[this.at + 1];
    if (next === "\n") {
      this.at += 2;
      return { kind: "break" };
    }
    if (next === undefined || !PUNCTUATION.test(next)) return undefined;
    this.plain += next;
    this.at += 2;
    this.flush();
    return "";
  }

  private lineBreak(): Inline | undefined {
    if (!this.plain.endsWith("  ")) return undefined;
    this.plain = this.plain.trimEnd();
    this.at += 1;
    return { kind: "break" };
  }

  /** Where this closes from a place on, if it does. */
  private close(mark: string, from: number): number {
    if (this.hopeless.has(mark)) return -1;
    const end = this.text.indexOf(mark, from);
    if (end < 0) this.hopeless.add(mark);
    return end;
  }

  private code(): Inline | undefined {
    let length = 1;
    while (this.text[this.at + length] === "`") length += 1;
    const marks = "`".repeat(length);
    let end = this.close(marks, this.at + length);
    while (end >= 0 && (this.text[end + length] === "`" || this.text[end - 1] === "`")) {
      while (this.text[end] === "`") end += 1;
      end = this.close(marks, end);
    }
    if (end < 0) {
      this.plain += marks;
      this.at += length;
      this.flush();
      return "";
    }
    const raw = this.text.slice(this.at + length, end).replaceAll("\n", " ");
    this.at = end + length;
    return { kind: "code", text: /^ .*[^ ].* $/.test(raw) ? raw.slice(1, -1) : raw };
  }

  private link(image: boolean): Inline | undefined {
    const open = this.at + (image ? 2 : 1);
    const middle = this.endOfLabel(open);
    if (middle < 0 || this.text[middle + 1] !== "(") return undefined;
    const target = /^\(\s*<?([^\s<>]*?)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/.exec(this.text.slice(middle + 1, middle + 2100));
    const address = target ? balanced(target[0], target[1]!) : undefined;
    if (!target || address === undefined) return undefined;
    const href = safeAddress(address.href);
    if (href === undefined) return undefined;
    const label = this.text.slice(open, middle);
    this.at = middle + 1 + address.length;
    const inside = image ? [label || address.href] : inline(label, this.depth + 1);
    return { kind: "link", href, inside, image };
  }

  /** The bracket that closes a label, brackets in it being paired. */
  private endOfLabel(from: number): number {
    if (this.close("](", from) < 0) return -1;
    let depth = 1;
    for (let at = from; at < Math.min(this.text.length, from + 1000); at += 1) {
      const char = this.text[at];
      if (char === "\\") at += 1;
      else if (char === "[") depth += 1;
      else if (char === "]" && (depth -= 1) === 0) return at;
    }
    return -1;
  }

  private autolink(): Inline | undefined {
    const match = /^<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/.exec(this.text.slice(this.at, this.at + 2010));
    const href = match ? safeAddress(match[1]!) : undefined;
    if (!match || href === undefined) return undefined;
    this.at += match[0].length;
    return { kind: "link", href, inside: [match[1]!.replace(/^mailto:/, "")], image: false };
  }

  private bareUrl(): Inline | undefined {
    if (this.at > 0 && WORD.test(this.text[this.at - 1]!)) return undefined;
    const match = BARE_URL.exec(this.text.slice(this.at, this.at + 2000));
    if (!match) return undefined;
    // What ends a sentence does not belong to the address, nor a bracket that was opened before it.
    let url = match[0].replace(/[.,;:!?'*_~]+$/, "");
    while (url.endsWith(")") && count(url, ")") > count(url, "(")) url = url.slice(0, -1).replace(/[.,;:!?'*_~]+$/, "");
    const href = safeAddress(url);
    if (href === undefined) return undefined;
    this.at += url.length;
    return { kind: "link", href, inside: [url], image: false };
  }

  private emphasis(): Inline | undefined {
    for (const [mark, kind] of DELIMITERS) {
      if (!this.text.startsWith(mark, this.at)) continue;
      const end = this.closing(mark);
      if (end < 0) continue;
      const inside = this.text.slice(this.at + mark.length, end);
      this.at = end + mark.length;
      return { kind, inside: inline(inside, this.depth + 1) };
    }
    // A run of marks that closes nowhere is text as a whole.
    return undefined;
  }

  /** Where an emphasis that begins here ends: not next to a space inside, and `_` not within a word. */
  private closing(mark: string): number {
    const { text, at } = this;
    const from = at + mark.length;
    const before = text[at - 1];
    if (/\s/.test(text[from] ?? " ") || (mark[0] === "_" && before !== undefined && WORD.test(before))) return -1;
    if (mark.length === 1 && text[from] === mark) return -1;
    let end = this.close(mark, from + 1);
    for (let tries = 0; end >= 0 && tries < 50; tries += 1) {
      const after = text[end + mark.length];
      const single = mark.length === 1 && (after === mark || text[end - 1] === mark);
      const inWord = mark[0] === "_" && after !== undefined && WORD.test(after);
      // "***" closes the inner mark first: the outer one takes the last two.
      const longer = mark.length === 2 && after === mark[0] && text[end - 1] !== mark[0];
      if (longer) return end + 1;
      if (!single && !inWord && !/\s/.test(text[end - 1]!)) return end;
      end = this.close(mark, single && after === mark ? end + 2 : end + 1);
    }
    return -1;
  }
}

function count(text: string, char: string): number {
  return text.split(char).length - 1;
}

/** An address in brackets may hold pairs of brackets itself, as Wikipedia's do. */
function balanced(whole: string, address: string): { href: string; length: number } | undefined {
  if (count(address, "(") === count(address, ")")) return { href: address, length: whole.length };
  let depth = 0;
  for (let at = 0; at < whole.length; at += 1) {
    if (whole[at] === "(") depth += 1;
    else if (whole[at] === ")" && (depth -= 1) === 0) return { href: whole.slice(1, at).trim(), length: at + 1 };
  }
  return undefined;
}
