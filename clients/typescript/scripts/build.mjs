// Builds dist/: the modules with their types, and all of the core in one file for pages without a bundler.
//
// Prints the core's size, and fails when it has grown over its limit.
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const LIMIT_BYTES = 10 * 1024;

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync("dist", { recursive: true, force: true });
execFileSync("node_modules/.bin/tsc", ["-p", "tsconfig.json"], { stdio: "inherit" });

const outfile = "dist/agent-websocket.min.js";
await build({ entryPoints: ["src/index.ts"], outfile, bundle: true, minify: true, format: "esm", target: "es2022", legalComments: "none" });
const code = readFileSync(outfile);
const gzipped = gzipSync(code, { level: 9 }).length;
console.log(`core: ${code.length} bytes, ${gzipped} gzipped (limit ${LIMIT_BYTES})`);
if (gzipped >= LIMIT_BYTES) {
  console.error("The core is larger than its limit");
  process.exit(1);
}
