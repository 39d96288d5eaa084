// Where a person writes: Enter sends, Shift and Enter begin a line, Escape stops the answer.

import type { Message, Session } from "agent-websocket";
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Glyph } from "../Glyph.tsx";
import { words } from "./service.ts";

/** The longest question, in bytes of UTF-8: the server's own limit. */
const MAX_BYTES = 32 * 1024;

export interface ComposerProps {
  session: Session;
  /** The answer that is being written. */
  running: Message | null;
  picker: VNode;
  children: ComponentChildren;
  onSend(text: string): void;
  onTold(text: string): void;
}

export function Composer({ session, running, picker, children, onSend, onTold }: ComposerProps): VNode {
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const bytes = new TextEncoder().encode(text).length;
  const sendable = text.trim() !== "" && bytes <= MAX_BYTES;
  useEffect(() => {
    // On phones the keyboard would cover what is to be read first.
    if (matchMedia("(hover: hover)").matches) field.current?.focus();
  }, [session]);
  useLayoutEffect(() => {
    const box = field.current!;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }, [text]);
  const send = (): void => {
    if (!sendable) return;
    onSend(text.trim());
    setText("");
  };
  const stop = (): void => void session.cancel().catch((error: unknown) => onTold(words(error)));
  const keys = (event: KeyboardEvent): void => {
    // Enter also ends the composition of a character.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && running) stop();
  };
  return (
    <>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        {children}
        <label class="hidden" for="ask">Your message</label>
        <textarea
          id="ask"
          ref={field}
          rows={1}
          placeholder={running ? "Ask the next question" : "Ask anything"}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={keys}
        />
        {running && text.trim() === ""
          ? <button type="button" class="icon stop" aria-label="Stop" title="Stop (Escape)" onClick={stop}><Glyph name="stop" /></button>
          : <button type="submit" class="primary icon" aria-label="Send" title="Send (Enter)" disabled={!sendable}><Glyph name="send" /></button>}
      </form>
      <div class="hint">
        {picker}
        <span class="keys">Enter sends · Shift+Enter begins a line{running ? " · Escape stops" : ""}</span>
        <span role="status">{bytes > MAX_BYTES ? `Too long by ${bytes - MAX_BYTES} bytes` : ""}</span>
      </div>
    </>
  );
}
