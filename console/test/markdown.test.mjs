import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { pieces } = await load("markdown/blocks.ts");
const { inline, safeAddress } = await load("markdown/inline.ts");

const blocks = (text) => pieces(text).map(({ block }) => block);

/** All addresses in a tree. */
function addresses(nodes) {
  return nodes.flatMap((node) => (typeof node === "string" ? [] : [...(node.href ? [node.href] : []), ...addresses(node.inside ?? [])]));
}

/** All words in a tree. */
function plain(nodes) {
  return nodes.map((node) => (typeof node === "string" ? node : node.text ?? (node.inside ? plain(node.inside) : "\n"))).join("");
}

test("markup is text, wherever it stands", () => {
  for (const text of ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a <b>bold</b> word", "<!-- a remark -->"]) {
    assert.deepEqual(blocks(text), [{ kind: "paragraph", text }]);
    assert.equal(plain(inline(text)), text);
    assert.deepEqual(addresses(inline(text)), []);
  }
});

test("an address that could run or read something is no link", () => {
  for (const address of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:x", "/relative", "//host/x", "#s=1", ""]) {
    assert.equal(safeAddress(address), undefined, address);
    assert.deepEqual(addresses(inline(`[here](${address}) and ![there](${address})`)), [], address);
  }
  for (const address of ["https://example.com/", "http://example.com/a?b=c#d", "mailto:ada@example.com"]) assert.equal(safeAddress(address), address);
});

test("a picture is a link to it", () => {
  assert.deepEqual(inline("![a cat](https://example.com/cat.png)"), [{ kind: "link", href: "https://example.com/cat.png", inside: ["a cat"], image: true }]);
});

test("addresses in running text end where the sentence does", () => {
  const found = (text) => addresses(inline(text));
  assert.deepEqual(found("See https://example.com/a."), ["https://example.com/a"]);
  assert.deepEqual(found("(see https://example.com/a)"), ["https://example.com/a"]);
  assert.deepEqual(found("https://en.wikipedia.org/wiki/Log_(disambiguation)"), ["https://en.wikipedia.org/wiki/Log_(disambiguation)"]);
  assert.deepEqual(found("<https://example.com/b>"), ["https://example.com/b"]);
  assert.deepEqual(found("[wiki](https://en.wikipedia.org/wiki/Log_(x)) on"), ["https://en.wikipedia.org/wiki/Log_(x)"]);
});

test("emphasis, code and escapes", () => {
  assert.deepEqual(inline("**a** *b* ~~c~~ `d`"), [
    { kind: "strong", inside: ["a"] }, " ", { kind: "em", inside: ["b"] }, " ", { kind: "del", inside: ["c"] }, " ", { kind: "code", text: "d" },
  ]);
  assert.equal(plain(inline("2 * 3 * 4 and snake_case_name and 5 \\* 6")), "2 * 3 * 4 and snake_case_name and 5 * 6");
  assert.deepEqual(inline("`` a ` b ``"), [{ kind: "code", text: "a ` b" }]);
  assert.deepEqual(inline("`**not bold**`"), [{ kind: "code", text: "**not bold**" }]);
  assert.deepEqual(inline("***both***"), [{ kind: "strong", inside: [{ kind: "em", inside: ["both"] }] }]);
});

test("blocks: headings, lists, code, quotes, tables and rules", () => {
  assert.deepEqual(blocks("# One\n\ntext\n\n---\n"), [{ kind: "heading", level: 1, text: "One" }, { kind: "paragraph", text: "text" }, { kind: "rule" }]);
  const [list] = blocks("1. one\n   - inner\n2. two\n\n   more of two\n");
  assert.deepEqual([list.kind, list.start, list.items.length, list.items[0].blocks[1].kind, list.items[1].blocks.length], ["list", 1, 2, "list", 2]);
  assert.deepEqual(blocks("- [x] done\n- [ ] open")[0].items.map(({ done }) => done), [true, false]);
  assert.deepEqual(blocks("```js\na\n\nb\n```\nafter"), [{ kind: "code", language: "js", text: "a\n\nb" }, { kind: "paragraph", text: "after" }]);
  assert.deepEqual(blocks("> a\n> - b")[0].blocks.map(({ kind }) => kind), ["paragraph", "list"]);
  assert.deepEqual(blocks("| a | b |\n|:-:|--:|\n| 1 | 2 \\| 3 |\n| 4 |"), [
    { kind: "table", align: ["center", "right"], head: ["a", "b"], rows: [["1", "2 | 3"], ["4", ""]] },
  ]);
  assert.deepEqual(blocks("It was in\n1986. A great year."), [{ kind: "paragraph", text: "It was in\n1986. A great year." }]);
});

const WHOLE = `# Title

A paragraph with **bold**, \`code\` and [a link](https://example.com).

1. one
   \`\`\`sh
   ls
   \`\`\`
2. two

> quoted
> twice

| a | b |
|---|---|
| 1 | 2 |

\`\`\`rust
fn main() {}
\`\`\`

The end.`;

test("a text that is still being written is shown at every point, and what is above its last block stays as it is", () => {
  const whole = pieces(WHOLE);
  for (let end = 0; end <= WHOLE.length; end += 1) {
    const part = pieces(WHOLE.slice(0, end));
    for (const { block } of part) if (block.kind === "paragraph") inline(block.text);
    // The last but one can still change with its next line: a paragraph becomes a table.
    for (const [index, { source }] of part.slice(0, -1).entries()) assert.equal(source, whole[index].source, `after ${end} characters`);
  }
});

test("what is made to take long does not", () => {
  const rows = ["*", "_", "`", "[", "![", "](", "<", "~~", "**a ", "> ", "- ", "|", "`` ` ", "\\", "[a](", "https://", "***"];
  for (const row of rows) {
    const text = row.repeat(20_000);
    const began = process.cpuUsage();
    for (const { block } of pieces(text)) if ("text" in block) inline(block.text);
    const { user } = process.cpuUsage(began);
    // Linear work on 20,000 marks takes milliseconds; quadratic work, minutes.
    assert.ok(user < 5_000_000, `${row}: ${user} µs`);
  }
});

test("nesting has an end", () => {
  assert.equal(blocks("> ".repeat(5_000) + "deep").length, 1);
  assert.equal(blocks(Array.from({ length: 500 }, (_, depth) => `${"  ".repeat(depth)}- x`).join("\n")).length > 0, true);
  assert.equal(plain(inline("**_".repeat(500) + "x" + "_**".repeat(500))).includes("x"), true);
});
