// Packs the data of the libraries into src/pieces.data: how many pieces there are, where those of URLs, of encodings and of Intl
// begin, a table of them (the length of a name, the name, where the piece begins, its bytes as they are deflated and as they are),
// and the pieces.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { deflateRawSync } from "node:zlib";

import * as domains from "./domains.mjs";
import * as encodings from "./encodings.mjs";
import { LOCALES, packLocale, packRoot } from "./collation.mjs";

// An op keeps those of the libraries that it names.
const LIBRARIES = ["domains.mapping", "encodings.tables", "collation.root"];
const pieces = new Map([
  ["domains.mapping", domains.mapping],
  ["domains.regexes", domains.regexes],
  ["encodings.tables", encodings.tables],
  ["collation.root", packRoot()],
]);
for (const locale of LOCALES) pieces.set(`collation.${locale}`, packLocale(locale));
// What the languages are, from CLDR.
const folder = new URL("json/", import.meta.url);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
for (const kind of ["locales", "numbers", "dates", "segments"]) await import(`./${kind}.mjs`);
for (const file of readdirSync(folder).sort()) pieces.set(file.replace(/\.json$/, ""), readFileSync(new URL(file, folder)));

const deflated = [...pieces].map(([name, bytes]) => ({ name, bytes, small: deflateRawSync(bytes, { level: 9 }) }));
const table = deflated.reduce((size, { name }) => size + 13 + name.length, 4 + 4 * LIBRARIES.length);
const head = Buffer.alloc(table);
let at = head.writeUInt32LE(deflated.length) + 4 * LIBRARIES.length, start = table;
for (const { name, bytes, small } of deflated) {
  if (LIBRARIES.includes(name)) head.writeUInt32LE(start, 4 + 4 * LIBRARIES.indexOf(name));
  at = head.writeUInt8(name.length, at);
  at += head.write(name, at, "latin1");
  at = head.writeUInt32LE(start, at);
  at = head.writeUInt32LE(small.length, at);
  at = head.writeUInt32LE(bytes.length, at);
  start += small.length;
}
writeFileSync(new URL("../../src/pieces.data", import.meta.url), Buffer.concat([head, ...deflated.map(({ small }) => small)]));
