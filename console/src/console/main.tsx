// The page for users begins here.

import { render } from "preact";
import { setTheme, theme } from "../theme.ts";
import { TokenKeeper } from "../token.ts";
import { App } from "./App.tsx";

setTheme(theme());
const tokens = new TokenKeeper();
await tokens.start();
render(<App tokens={tokens} />, document.getElementById("root")!);
