// The examples that stand in the README.

import { readFileSync } from "node:fs";

export interface Example {
  language: string;
  text: string;
}

export function readmeExamples(): Example[] {
  const blocks = readFileSync("README.md", "utf8").matchAll(/^```(tsx?)\n([\s\S]*?)^```$/gm);
  return [...blocks].map(([, language = "", text = ""]) => ({ language, text }));
}
