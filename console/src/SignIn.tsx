// Where a person gives the page a token.

import { useState } from "preact/hooks";
import type { ComponentChildren, VNode } from "preact";
import { Mark } from "./Glyph.tsx";

export interface SignInProps {
  title: string;
  children: ComponentChildren;
  fault?: string | undefined;
  /** It stands in a page rather than being one. */
  part?: boolean;
  onToken(token: string): void;
}

export function SignIn({ title, children, fault, part, onToken }: SignInProps): VNode {
  const [text, setText] = useState("");
  const token = text.trim();
  const odd = token !== "" && token.split(".").length !== 3;
  const Frame = part ? "div" : "main";
  const Title = part ? "h2" : "h1";
  return (
    <Frame class="gate">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (token !== "" && !odd) onToken(token);
        }}
      >
        <Mark />
        <Title>{title}</Title>
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
    </Frame>
  );
}
