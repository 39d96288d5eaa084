// Holds openapi.json and asyncapi.json of a folder against what linters made for them demand: node lint.mjs FOLDER
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Parser } from "@asyncapi/parser";
import { createConfig, lint } from "@redocly/openapi-core";

const file = (name) => join(process.argv[2], name);

const config = await createConfig({
  extends: ["recommended-strict"],
  // An upgrade to a WebSocket succeeds with 101. That every operation has a success is what tests/it/http_api holds.
  rules: { "operation-2xx-response": "off" },
});
const openapi = (await lint({ ref: file("openapi.json"), config })).map(
  (problem) => `openapi.json: ${problem.ruleId}: ${problem.message} ${problem.location[0]?.pointer ?? ""}`,
);

const { document, diagnostics } = await new Parser().parse(await readFile(file("asyncapi.json"), "utf8"));
const asyncapi = diagnostics
  // 3.0 is meant: more tools read it.
  .filter((diagnostic) => diagnostic.code !== "asyncapi-latest-version")
  .map((diagnostic) => `asyncapi.json: ${diagnostic.code}: ${diagnostic.message} ${diagnostic.path.join("/")}`);
if (document === undefined) {
  asyncapi.push("asyncapi.json: it could not be read");
}

const problems = [...openapi, ...asyncapi];
for (const problem of problems) {
  console.error(problem);
}
console.log(`${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
