// node scripts/test.mjs KIND…: checks the types of the tests, makes them plain JavaScript in build/, and runs those kinds.
//
//   unit       the client against a clock, sockets and a server that the test plays
//   package    what `npm pack` would publish
//   e2e        the client against the real server: target/debug/agent-websocket, or the one that AGENT_WEBSOCKET names
//   record     no test: records what the real server sends, for `unit`
//
// Node's own runner: nothing to install, and the client is tested by the program that runs it. The tests take the sources, so
// that they can bring their own clock and sockets; only `package` takes dist/.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** For a file of tests: so that one that hangs says so. */
const TIMEOUT_MS = 180_000;

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const kinds = process.argv.slice(2);
if (kinds.length === 0 || !kinds.every((kind) => existsSync(`test/${kind}`))) {
  console.error("Usage: node scripts/test.mjs unit|package|e2e|record…");
  process.exit(2);
}
execFileSync("node_modules/.bin/tsc", ["-p", "tsconfig.test.json"], { stdio: "inherit" });

for (const kind of kinds) {
  const outdir = `build/${kind}`;
  rmSync(outdir, { recursive: true, force: true });
  const names = readdirSync(`test/${kind}`).filter((name) => (kind === "record" ? /\.ts$/ : /\.test\.tsx?$/).test(name));
  if (names.length === 0) throw new Error(`There are no tests of the kind ${kind}`);
  const entryPoints = names.map((name) => `test/${kind}/${name}`);
  await build({ entryPoints, outdir, bundle: true, format: "esm", platform: "node", target: "node20", packages: "external", sourcemap: true, logLevel: "warning" });
  const flags = kind === "record" ? [] : ["--test", "--test-reporter=spec", `--test-timeout=${TIMEOUT_MS}`];
  const files = names.map((name) => `${outdir}/${name.replace(/\.tsx?$/, ".js")}`);
  const { status } = spawnSync(process.execPath, ["--enable-source-maps", ...flags, ...files], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
