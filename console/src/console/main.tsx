// The page for users.

import { render } from "preact";
import { SignIn } from "../SignIn.tsx";
import { setTheme, theme } from "../theme.ts";
import { TokenKeeper } from "../token.ts";

setTheme(theme());
const tokens = new TokenKeeper();
await tokens.start();
render(
  <SignIn title="Agent WebSocket" onToken={(token) => tokens.set(token)}>
    <p>Paste a token to sign in.</p>
  </SignIn>,
  document.getElementById("root")!,
);
