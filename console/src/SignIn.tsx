// Where a person gives the page a token.

import { useState } from "preact/hooks";
import type { ComponentChildren, VNode } from "preact";
import { Mark } from "./Glyph.tsx";

export interface SignInProps {
  title: string;
  children: ComponentChildren;
  fault?: string | undefined;
  onToken(token: string): void;
}

export function SignIn({ title, children, fault, onToken }: SignInProps): VNode {
  const [text, setText] = useState("");
  const token = text.trim();
  const odd = token !== "" && token.split(".").length !== 3;
  return (
    <main class="gate">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (token !== "" && !odd) onToken(token);
        }}
      >
        <Mark />
        <h1>{title}</h1>
        {children}
        <div class="field">
          <label for="token">Access token</label>
          <input
            id="token"
            type="password"
            autocomplete="off"
            spellcheck={false}
            autofocus
            value={text}
            placeholder="eyJ…"
            aria-describedby="token-fault"
            aria-invalid={odd || fault !== undefined}
            onInput={(event) => setText(event.currentTarget.value)}
          />
          <p id="token-fault" class="fault" role="alert">
            {odd ? "That is no token: it has three parts with dots between them." : fault}
          </p>
        </div>
        <button class="primary" type="submit" disabled={token === "" || odd}>Sign in</button>
      </form>
    </main>
  );
}
