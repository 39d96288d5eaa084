// Builds the pages: src → dist, which is committed and becomes part of the program, so that nobody needs Node to run it.
//
//   node build.mjs              writes dist/
//   node build.mjs --check      fails if dist/ is not what the sources give
//
// The same sources and lock file give the same bytes: fixed names, no dates, no paths. A page names its scripts and styles
// with the beginning of their hash, by which the server tells browsers how long to keep them (src/http/pages.rs).

import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

/** Browsers that have CSS's `light-dark`: since the spring of 2024. */
const TARGET = ["chrome123", "firefox121", "safari17.5"];

/** Bytes of everything, compressed, that a person's browser loads at most. */
const BUDGET = 60_000;

async function built() {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: { console: "src/console/main.tsx", inspector: "src/inspector/main.tsx", style: "src/style.css" },
    outdir: "dist",
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    charset: "utf8",
    target: TARGET,
    legalComments: "none",
    alias: { "agent-websocket": "../clients/typescript/src/index.ts" },
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "warning",
  });
  const files = new Map(outputFiles.map((file) => [file.path.slice(dist.length + 1), Buffer.from(file.contents)]));
  files.set("icon.svg", await readFile(join(here, "src/icon.svg")));
  for (const page of ["index.html", "inspector.html"]) {
    const text = await readFile(join(here, "src", page), "utf8");
    files.set(page, Buffer.from(text.replace(/\{([a-z.]+)\}/g, (_, name) => tag(files.get(name)))));
  }
  return files;
}

function tag(content) {
  return createHash("sha256").update(content).digest("hex").slice(0, 16);
}

const files = await built();
let total = 0;
for (const [name, content] of [...files].sort()) {
  const compressed = gzipSync(content, { level: 9 }).length;
  total += compressed;
  console.log(`${name.padEnd(16)} ${String(content.length).padStart(7)} bytes ${String(compressed).padStart(6)} gzipped`);
}
console.log(`${"all".padEnd(16)} ${" ".repeat(13)} ${String(total).padStart(6)} gzipped`);
if (total > BUDGET) throw new Error(`more than ${BUDGET} bytes gzipped`);

if (process.argv.includes("--check")) {
  const stale = [];
  const names = new Set([...files.keys(), ...(await readdir(dist))]);
  for (const name of [...names].sort()) {
    const committed = await readFile(join(dist, name)).catch(() => undefined);
    if (!committed || !files.has(name) || !files.get(name).equals(committed)) stale.push(name);
  }
  if (stale.length > 0) {
    console.error(`console/dist is not what the sources give (${stale.join(", ")}): run \`npm run build\` in console/ and commit`);
    process.exit(1);
  }
} else {
  await rm(dist, { recursive: true, force: true });
  await mkdir(dist, { recursive: true });
  for (const [name, content] of files) await writeFile(join(dist, name), content);
}
