// The tables of UTS 46, of the package tr46.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const json = (value) => Buffer.from(JSON.stringify(value));

export const mapping = json(require("tr46/lib/mappingTable.json"));
export const regexes = json(Object.fromEntries(Object.entries(require("tr46/lib/regexes.js")).map(([name, { source, flags }]) => [name, [source, flags]])));
