// A question before something that cannot be undone, in the browser's own dialog: it keeps the focus, and Escape closes it.

import type { ComponentChildren, VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function Confirm({ title, action, children, onYes, onNo }: { title: string; action: string; children: ComponentChildren; onYes(): void; onNo(): void }): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="question" onClose={onNo}>
      <h2 id="question">{title}</h2>
      {children}
      <div class="row">
        <button type="button" onClick={onNo}>Keep it</button>
        <button type="button" class="danger" onClick={onYes}>{action}</button>
      </div>
    </dialog>
  );
}
