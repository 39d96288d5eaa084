// The inspector's page: which view the address names, and the operator's token.

import { render } from "preact";
import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Glyph, Mark } from "../Glyph.tsx";
import { SignIn } from "../SignIn.tsx";
import { setTheme, theme } from "../theme.ts";
import { TokenKeeper } from "../token.ts";
import { ask, type Now, Refused } from "./api.ts";
import { Connections, Notifications, OneSession, Overview, Prompt, Sessions } from "./views.tsx";

const TABS = [["overview", "Overview"], ["connections", "Connections"], ["sessions", "Sessions"], ["notifications", "Notifications"]] as const;

function useAddress(): { view: string; asked: URLSearchParams } {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = (): void => setHash(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  const [view = "", query = ""] = hash.slice(1).split("?");
  return { view: view || "overview", asked: new URLSearchParams(query) };
}

function Inspector({ tokens }: { tokens: TokenKeeper }): VNode {
  const [token, setToken] = useState(tokens.value);
  const [fault, setFault] = useState<string>();
  useEffect(() => tokens.subscribe(setToken), [tokens]);
  useEffect(() => {
    if (token === null) return;
    // Whether it may look at all is known before a view asks.
    ask<Now>(tokens, "/inspect/now").then(() => setFault(undefined), (error: unknown) => {
      if (!(error instanceof Refused) || !error.signIn) return;
      setFault(error.message);
      tokens.clear();
    });
  }, [token]);
  const { view, asked } = useAddress();
  if (token === null) {
    return (
      <SignIn title="Inspector" fault={fault} onToken={(given) => tokens.set(given)}>
        <p>For operators: it shows everybody's conversations. Use a token whose scope holds <code>agent:inspect</code>, such as the one printed by</p>
        <p><code>agent-websocket token me --scope agent:inspect</code></p>
      </SignIn>
    );
  }
  const chosen = view === "session" || view === "prompt" ? "sessions" : view;
  const user = asked.get("user") ?? "";
  const session = asked.get("session") ?? "";
  return (
    <div class="inspector">
      <header>
        <h1><Mark />Inspector</h1>
        <nav class="tabs" aria-label="Views">
          {TABS.map(([name, title]) => <a key={name} href={`#${name}`} aria-current={chosen === name ? "page" : undefined}>{title}</a>)}
        </nav>
        <button class="quiet icon" title="Sign out" aria-label="Sign out" onClick={() => tokens.clear()}><Glyph name="leave" /></button>
      </header>
      <main>
        {view === "connections" ? <Connections tokens={tokens} />
          : view === "sessions" ? <Sessions tokens={tokens} />
          : view === "session" ? <OneSession key={session} tokens={tokens} user={user} session={session} />
          : view === "prompt" ? <Prompt tokens={tokens} user={user} session={session} run={asked.get("run") ?? ""} />
          : view === "notifications" ? <Notifications tokens={tokens} />
          : <Overview tokens={tokens} />}
      </main>
    </div>
  );
}

setTheme(theme());
const tokens = new TokenKeeper();
await tokens.start();
render(<Inspector tokens={tokens} />, document.getElementById("root")!);
