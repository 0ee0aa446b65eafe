// The tables of encodings that take several bytes for a character, of the package @exodus/bytes.

import { readFileSync } from "node:fs";

const file = new URL("node_modules/@exodus/bytes/fallback/multi-byte.encodings.json", import.meta.url);
export const tables = Buffer.from(JSON.stringify(JSON.parse(readFileSync(file, "utf8"))));
