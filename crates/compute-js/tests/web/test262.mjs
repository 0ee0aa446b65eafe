// Runs a sample of test262 in the sandbox: `node test262.mjs COMPUTE TESTS QUICKJS [--failed]`, where TESTS is the folder that holds
// `language` and `built-ins` (`js/src/tests/test262` in the source of Firefox), and QUICKJS that of QuickJS-NG's sources, whose
// test262.conf says which features it has and whose test262_errors.txt says which tests it fails. The sample is the same each time.

import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const SAMPLE = 3000;
const SEED = 262;
const LEAST = 99.5;
const PARALLEL = 2;
const FOLDERS = ["language", "built-ins"];

/** What of test262 asks for what an op has not, beside what QuickJS-NG does not claim. */
const LEFT_OUT = [
  [/flags:.*\bmodule\b/, "modules, which the bundler joins before the engine sees them"],
  [/createRealm|cross-realm/, "another realm: there is one"],
  [/\$262\.(?:agent|evalScript|IsHTMLDDA|AbstractModuleSource)/, "agents, and scripts that share names"],
  [/SharedArrayBuffer|Atomics/, "memory that threads share"],
  [/flags:.*\bCanBlockIs/, "a thread that blocks"],
  [/import\(|import\.meta|dynamic-import/, "import of modules by name as a script runs"],
];

const [compute, root, quickjs] = process.argv.slice(2).filter((word) => !word.startsWith("--")).map((word) => resolve(word));
const showFailed = process.argv.includes("--failed");

/** Whole numbers below a limit, the same each time (mulberry32). */
function numbersFrom(seed) {
  return (limit) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** What QuickJS-NG says that it does not have. */
function unclaimed() {
  const lines = readFileSync(join(quickjs, "test262.conf"), "utf8").split("\n");
  const features = lines.slice(lines.indexOf("[features]") + 1, lines.indexOf("[exclude]"));
  const without = features.filter((line) => /=skip\s*$/.test(line)).map((line) => line.split("=")[0].trim());
  const claimed = new Set(features.filter((line) => !/^\s*(?:#|$)/.test(line)).map((line) => line.split(/[=#]/)[0].trim()));
  const excluded = lines.slice(lines.indexOf("[exclude]") + 1).filter((line) => line.startsWith("test262/test/"));
  const known = readFileSync(join(quickjs, "test262_errors.txt"), "utf8").split("\n").map((line) => line.split(":")[0]);
  return { without: new Set(without), claimed, excluded: [...excluded, ...known.filter(Boolean)].map((name) => name.slice("test262/test/".length)) };
}

/** The tests that a sample is taken from. */
function candidates() {
  const { without, claimed, excluded } = unclaimed();
  const names = FOLDERS.flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)));
  const tests = names.filter((name) => name.endsWith(".js") && !/(?:^|\/)(?:shell|browser)\.js$|_FIXTURE/.test(name)).sort();
  return tests.filter((name) => {
    const plain = name.replace(/-strict\.js$/, ".js");
    return !excluded.some((one) => plain.startsWith(one));
  }).filter((name) => {
    const text = readFileSync(join(root, name), "utf8");
    const features = text.match(/^features: *\[([^\]]*)\]/m)?.[1].split(",").map((one) => one.trim()) ?? [...(text.match(/^features:\n((?: +- .*\n)+)/m)?.[1].matchAll(/- (.*)/g) ?? [])].map((match) => match[1].trim());
    return features.every((one) => claimed.has(one) && !without.has(one)) && !LEFT_OUT.some(([part]) => part.test(text));
  });
}

function sampleOf(tests) {
  const below = numbersFrom(SEED), chosen = [...tests];
  for (let at = 0; at < Math.min(SAMPLE, chosen.length); at++) {
    const other = at + below(chosen.length - at);
    [chosen[at], chosen[other]] = [chosen[other], chosen[at]];
  }
  return chosen.slice(0, SAMPLE);
}

/** A test as the op takes it. What it includes is in each `shell.js` from the root to its folder. */
function inputOf(name) {
  const text = readFileSync(join(root, name), "utf8");
  const flags = text.match(/^flags: *\[([^\]]*)\]/m)?.[1] ?? "";
  const negative = text.match(/^negative:\s*\n(?:.*\n)*?\s+type: (\w+)/m)?.[1];
  const shells = [];
  for (let folder = dirname(name); ; folder = dirname(folder)) {
    if (existsSync(join(root, folder, "shell.js"))) shells.unshift(readFileSync(join(root, folder, "shell.js"), "utf8"));
    if (folder === ".") break;
  }
  const isStrict = /^\s*(?:\/\/.*\n)*\s*['"]use strict['"]/.test(text);
  const before = /\braw\b/.test(flags) ? "" : shells.join("\n;\n");
  return { source: `${isStrict ? "'use strict';\n" : ""}${before}\n;\n${text}`, negative, isAsync: /\basync\b/.test(flags) };
}

/** The op that runs a test. What it defines is what Firefox's shell gives the tests' own files. */
const OP = `import { op } from "@compute/op";
const run = globalThis.eval;
export default op(({ input: { source, negative, isAsync } }) => {
  let done, told;
  globalThis.createIsHTMLDDA = () => ({});
  globalThis.gc = () => {};
  globalThis.gDelayTestDriverEnd = false;
  globalThis.detachArrayBuffer = (buffer) => void structuredClone(buffer, { transfer: [buffer] });
  globalThis.reportCompare = () => {};
  globalThis.reportFailure = (error) => void (told = "failed: " + String(error));
  globalThis.jsTestDriverEnd = () => done?.(told ?? "passed");
  globalThis.$DONOTEVALUATE = () => { throw "it was evaluated"; };
  const ended = isAsync ? new Promise((settle) => (done = settle)) : undefined;
  try {
    run(source);
  } catch (error) {
    const name = error?.constructor?.name;
    if (negative) return name === negative ? "passed" : "failed: " + name + " and not " + negative;
    return "failed: " + String(error);
  }
  return negative ? "failed: it ends without " + negative : isAsync ? ended : told ?? "passed";
});
`;

const folder = mkdtempSync(join(tmpdir(), "test262-"));
writeFileSync(join(folder, "op.js"), OP);
const store = join(folder, "store");
const put = execFileSync(compute, ["put", "op.js", "--store", store], { cwd: folder, encoding: "utf8" });
const reference = put.match(/compute:\/\/sha256\/[0-9a-f]{64}/)[0];

function outcomeOf(name) {
  return new Promise((resolved) => {
    const child = execFile(compute, ["run", reference, "--store", store, "--input", "-", "--wall", "60s", "--memory", "256MiB"], (error, stdout, stderr) => {
      resolved(error ? `failed: ${stderr}` : JSON.parse(stdout));
    });
    child.stdin.on("error", () => {});
    child.stdin.end(JSON.stringify(inputOf(name)));
  });
}

const all = candidates(), sample = sampleOf(all), queue = [...sample], failed = [];
await Promise.all(Array.from({ length: PARALLEL }, async () => {
  for (let name; (name = queue.shift()) !== undefined;) {
    const outcome = await outcomeOf(name);
    if (outcome !== "passed") failed.push([name, outcome]);
  }
}));
rmSync(folder, { recursive: true });
if (showFailed) for (const [name, outcome] of failed.sort()) console.log(`${name}: ${outcome.slice(0, 400)}`);
const passed = sample.length - failed.length, share = (100 * passed) / sample.length;
console.log(`test262: ${passed} of ${sample.length} pass, ${share.toFixed(2)} %, of ${all.length} that are claimed`);
process.exit(share >= LEAST ? 0 : 1);
