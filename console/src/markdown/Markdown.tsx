// Shows Markdown as elements, never as markup: a text can become a text node, and nothing else.

import { Component, type ComponentChildren, type VNode } from "preact";
import { useState } from "preact/hooks";
import { type Block, type Item, pieces } from "./blocks.ts";
import { type Inline, inline } from "./inline.ts";

export function Markdown({ text }: { text: string }): VNode {
  return (
    <div class="markdown">
      {pieces(text).map((piece, index) => (
        <Piece key={index} source={piece.source} block={piece.block} />
      ))}
    </div>
  );
}

/** Of an answer being written only the last piece changes: the others are not drawn again. */
class Piece extends Component<{ source: string; block: Block }> {
  override shouldComponentUpdate(next: { source: string; block: Block }): boolean {
    return next.source !== this.props.source || next.block.kind !== this.props.block.kind;
  }

  override render(): ComponentChildren {
    return show(this.props.block);
  }
}

function show(block: Block): ComponentChildren {
  switch (block.kind) {
    case "paragraph":
      return <p>{words(block.text)}</p>;
    case "heading": {
      // The page's own headings are above those of an answer.
      const Heading = `h${Math.min(6, block.level + 2)}` as "h3";
      return <Heading>{words(block.text)}</Heading>;
    }
    case "code":
      return <Code language={block.language} text={block.text} />;
    case "quote":
      return <blockquote>{block.blocks.map(show)}</blockquote>;
    case "list":
      return block.start === undefined
        ? <ul>{block.items.map(item)}</ul>
        : <ol start={block.start}>{block.items.map(item)}</ol>;
    case "table":
      return <Table {...block} />;
    case "rule":
      return <hr />;
  }
}

function item({ done, tight, blocks }: Item): VNode {
  const inside = blocks.map((block, index) => (tight && index === 0 && block.kind === "paragraph" ? words(block.text) : show(block)));
  if (done === undefined) return <li>{inside}</li>;
  return (
    <li class="task">
      <input type="checkbox" checked={done} disabled aria-label={done ? "done" : "to do"} /> {inside}
    </li>
  );
}

function Table({ align, head, rows }: Extract<Block, { kind: "table" }>): VNode {
  const at = (column: number): string => (align[column] ? `align-${align[column]}` : "");
  return (
    <div class="table" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead>
          <tr>{head.map((cell, column) => <th class={at(column)} scope="col">{words(cell)}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => <tr>{row.map((cell, column) => <td class={at(column)}>{words(cell)}</td>)}</tr>)}
        </tbody>
      </table>
    </div>
  );
}

function Code({ language, text }: { language: string; text: string }): VNode {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <div class="code">
      <div class="code-head">
        <span>{language || "text"}</span>
        <button type="button" class="quiet small" onClick={() => void copy().catch(() => setCopied(false))}>
          {copied ? "Copied" : "Copy"}
        </button>
      </div>
      <pre tabIndex={0}><code>{text}</code></pre>
    </div>
  );
}

function words(text: string): ComponentChildren {
  return inline(text).map(word);
}

function word(node: Inline): ComponentChildren {
  if (typeof node === "string") return node;
  switch (node.kind) {
    case "code":
      return <code>{node.text}</code>;
    case "strong":
      return <strong>{node.inside.map(word)}</strong>;
    case "em":
      return <em>{node.inside.map(word)}</em>;
    case "del":
      return <del>{node.inside.map(word)}</del>;
    case "break":
      return <br />;
    case "link":
      return (
        <a href={node.href} target="_blank" rel="noopener noreferrer nofollow">
          {node.image ? <>Image: {node.inside.map(word)}</> : node.inside.map(word)}
        </a>
      );
  }
}
