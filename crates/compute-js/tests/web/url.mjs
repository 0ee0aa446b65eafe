// Runs the web platform's own tests of URLs in the sandbox, and counts: `node url.mjs COMPUTE FOLDER`, where the folder is the one
// of the crate `url` that holds them.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const [compute, folder] = process.argv.slice(2);
const json = (name) => JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));

const input = JSON.stringify({ parse: json("urltestdata.json"), setters: json("setters_tests.json") });
const limits = ["--input", "-", "--wall", "60s", "--memory", "256MiB"];
const answer = execFileSync(compute, ["run", "url.ts", ...limits], { cwd: new URL("./", import.meta.url), input, encoding: "utf8", maxBuffer: 1 << 26, stdio: ["pipe", "pipe", "inherit"] });
const { passed, failed } = JSON.parse(answer);
for (const [name, got] of failed) console.log(`${name}: ${JSON.stringify(got)}`);
const share = (100 * passed) / (passed + failed.length);
console.log(`url: ${passed} of ${passed + failed.length} pass, ${share.toFixed(1)} %`);
process.exit(share >= 98 ? 0 : 1);
