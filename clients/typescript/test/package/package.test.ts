// What `npm pack` would publish: its contents, its types as others compile them, and that it runs with nothing beside it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { readmeExamples } from "../readme.js";

const LIMIT_BYTES = 64 * 1024;

interface Packed {
  filename: string;
  size: number;
  files: { path: string }[];
}

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Record<string, unknown> & { exports: Record<string, unknown> };
const folder = mkdtempSync(join(tmpdir(), "agent-ws-package."));
const installed = join(folder, "node_modules/agent-websocket");
let packed: Packed;

before(() => {
  const [only] = JSON.parse(execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], { encoding: "utf8" })) as Packed[];
  packed = only ?? assert.fail("npm pack made nothing");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", join(folder, packed.filename), "-C", installed, "--strip-components=1"]);
});

after(() => rmSync(folder, { recursive: true }));

/** Every file that an entry of `exports` names. */
function targets(entry: unknown): string[] {
  return typeof entry === "string" ? [entry] : Object.values(entry as Record<string, unknown>).flatMap(targets);
}

test("the package has what it exports, its licences and its README, and nothing of the workshop", () => {
  const paths = packed.files.map(({ path }) => path);
  for (const target of targets(manifest.exports)) assert.ok(paths.includes(target.replace(/^\.\//, "")), `${target} is missing`);
  for (const path of ["README.md", "LICENSE-APACHE", "LICENSE-MIT", "package.json"]) assert.ok(paths.includes(path), `${path} is missing`);
  const others = paths.filter((path) => !/^dist\/([a-z]+|generated\/frames)\.(js|d\.ts)$|^dist\/agent-websocket\.min\.js$|^(README\.md|LICENSE-(APACHE|MIT)|package\.json)$/.test(path));
  assert.deepEqual(others, []);
  assert.ok(packed.size < LIMIT_BYTES, `${packed.size} bytes`);
});

test("the package depends on nothing, needs React only where it is used, and is free to use", () => {
  assert.equal(manifest["dependencies"], undefined);
  assert.deepEqual(manifest["peerDependenciesMeta"], { react: { optional: true } });
  assert.equal(manifest["license"], "MIT OR Apache-2.0");
  const core = readFileSync(join(installed, "dist/agent-websocket.min.js"), "utf8");
  assert.doesNotMatch(core, /\bimport\b|\brequire\(/);
});

test("the package is imported where nothing else is installed, as modules and as one file", () => {
  const script = `
    for (const name of ["agent-websocket", "agent-websocket/agent-websocket.min.js"]) {
      const { createClient, AgentError } = await import(name);
      const client = createClient({ url: "https://agent.test", getToken: () => null, WebSocket: class {} });
      const { code } = await client.sessions.list().catch((error) => error instanceof AgentError ? error : {});
      console.log(code);
    }`;
  writeFileSync(join(folder, "imports.mjs"), script);
  assert.equal(execFileSync(process.execPath, ["imports.mjs"], { cwd: folder, encoding: "utf8" }), "unauthorized\nunauthorized\n");
});

test("the README's examples compile against the package, as Node and as bundlers resolve it", () => {
  for (const name of ["@types", "undici-types", "csstype"]) symlinkSync(resolve("node_modules", name), join(folder, "node_modules", name));
  const examples = readmeExamples();
  assert.ok(examples.length >= 3);
  const files = examples.map(({ language, text }, index) => {
    const name = `example-${index}.${language}`;
    writeFileSync(join(folder, name), `${text}\nexport {};\n`);
    return name;
  });
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  for (const [module, moduleResolution] of [["NodeNext", "NodeNext"], ["ESNext", "Bundler"]]) {
    const compilerOptions = { module, moduleResolution, target: "ES2022", lib: ["ES2023", "DOM"], types: ["node"], jsx: "react-jsx", noEmit: true, skipLibCheck: false };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    execFileSync(resolve("node_modules/.bin/tsc"), ["-p", folder], { stdio: "inherit" });
  }
});
