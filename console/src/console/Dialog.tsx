// Questions that come before everything else, in the browser's own dialog: it keeps the focus, and Escape closes it.

import type { ComponentChildren, VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { SignIn } from "../SignIn.tsx";

/** Before something that cannot be undone. */
export function Confirm({ title, action, children, onYes, onNo }: { title: string; action: string; children: ComponentChildren; onYes(): void; onNo(): void }): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
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

/** For another token, above what is on the screen, which stays. */
export function SignInAgain({ ended, onToken, onLater }: { ended: boolean; onToken(token: string): void; onLater(): void }): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="again" aria-label="Sign in again" onClose={onLater}>
      <SignIn title="Sign in again" part onToken={onToken}>
        <p>{ended ? "Your token has ended." : "Your token is about to end."} What you see stays, and answers go on; with another token you see the rest.</p>
      </SignIn>
    </dialog>
  );
}
