// Notifications: how many are unread, the list of them, and each as it arrives.

import type { Notification, Notifications } from "agent-websocket";
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Glyph } from "../Glyph.tsx";
import { short, whole } from "../when.ts";
import { words } from "./service.ts";
import { useObservable } from "./useObservable.ts";

/** How long one stays in sight by itself, in milliseconds; an urgent one stays until it is closed. */
const SHOWN_MS = 8_000;

export interface InboxProps {
  notifications: Notifications;
  onOpen(session: string): void;
  onTold(text: string): void;
}

export function Inbox({ notifications, onOpen, onTold }: InboxProps): VNode {
  const items = useObservable(notifications.items);
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLElement>(null);
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!open) return;
    panel.current?.focus();
    const outside = (event: Event): void => {
      const inside = event.target instanceof Node && (panel.current?.contains(event.target) || button.current?.contains(event.target));
      if (!inside) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const ack = (work: Promise<void>): void => void work.catch((error: unknown) => onTold(words(error)));
  const count = items.length;
  const name = count === 0 ? "Notifications: none unread" : `Notifications: ${count} unread`;
  return (
    <>
      <button type="button" ref={button} class="quiet icon bell" aria-label={name} title={name} aria-expanded={open} onClick={() => setOpen(!open)}>
        <Glyph name="bell" />
        {count > 0 ? <span class="count" aria-hidden="true">{count > 99 ? "99+" : count}</span> : null}
      </button>
      {open ? (
        <section class="panel" ref={panel} tabIndex={-1} role="dialog" aria-label="Notifications" onKeyDown={(event) => event.key === "Escape" && close()}>
          <div class="panel-head">
            <h2>Notifications</h2>
            {count > 0 ? <button type="button" class="quiet small" onClick={() => ack(notifications.ackAll())}>Mark all as read</button> : null}
            <button type="button" class="quiet small icon" aria-label="Close" onClick={close}><Glyph name="close" /></button>
          </div>
          {count === 0 ? <p class="nothing">You have read them all.</p> : (
            <ul>
              {items.toReversed().map((item) => (
                <li key={item.id}>
                  <div>
                    <Words notification={item} />
                    <p class="when">
                      <time dateTime={item.createdAt} title={whole(item.createdAt)}>{short(item.createdAt)}</time>
                      {item.kind === "message" ? "" : ` · ${item.kind}`}
                    </p>
                    {item.sessionId ? <button type="button" class="small" onClick={() => { setOpen(false); onOpen(item.sessionId!); }}>Open the conversation</button> : null}
                  </div>
                  <button type="button" class="quiet small icon" aria-label="Mark as read" title="Mark as read" onClick={() => ack(notifications.ack(item.id))}><Glyph name="check" /></button>
                </li>
              ))}
            </ul>
          )}
        </section>
      ) : null}
    </>
  );
}

function Words({ notification: { title, content, priority } }: { notification: Notification }): VNode {
  return (
    <>
      {title ? <p class={priority === "high" ? "what urgent" : "what"}>{title}</p> : null}
      <p>{content}</p>
    </>
  );
}

/** Those that arrive while somebody looks. What waited from before is in the list, and does not pop up. */
export function Toasts({ notifications, isLive, onTold }: { notifications: Notifications; isLive(): boolean; onTold(text: string): void }): VNode {
  const [shown, setShown] = useState<Notification[]>([]);
  const held = useObservable(notifications.items);
  useEffect(() => {
    const timers = new Set<ReturnType<typeof setTimeout>>();
    const leave = notifications.onNew((item) => {
      if (!isLive()) return;
      setShown((before) => [...before, item].slice(-3));
      if (item.priority !== "high") timers.add(setTimeout(() => setShown((before) => before.filter(({ id }) => id !== item.id)), SHOWN_MS));
    });
    return () => {
      leave();
      timers.forEach(clearTimeout);
    };
  }, [notifications]);
  // What was read on another device is no news here either.
  const visible = shown.filter(({ id }) => held.some((item) => item.id === id));
  return (
    <div class="toasts" role="region" aria-label="New notifications" aria-live="polite">
      {visible.map((item) => (
        <div key={item.id} class={`toast ${item.priority}`}>
          <Glyph name="bell" />
          <div><Words notification={item} /></div>
          <button
            type="button"
            class="quiet small icon"
            aria-label="Mark as read"
            title="Mark as read"
            onClick={() => void notifications.ack(item.id).catch((error: unknown) => onTold(words(error)))}
          >
            <Glyph name="check" />
          </button>
        </div>
      ))}
    </div>
  );
}
