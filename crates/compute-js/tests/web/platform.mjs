// Runs suites of the web platform's tests in the sandbox and counts their subtests: `node platform.mjs COMPUTE TESTS [SUITE…] [--failed]`,
// where TESTS is the root of the tests (`testing/web-platform/tests` in the source of Firefox). Each file is one op: testharness.js, the
// scripts that the file names, and itself. `--failed` lists what fails. Suites that a figure is promised for end with status 1 below it.

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

/** The suites: the folders that they are in, and how many of a hundred subtests have to pass. */
const SUITES = [
  { name: "url", folders: ["url"], least: 98 },
  { name: "encoding", folders: ["encoding"], least: 95 },
  { name: "structured-clone", folders: ["html/webappapis/structured-clone"], least: 90 },
  { name: "streams", folders: ["streams"], least: 98 },
  { name: "WebCryptoAPI", folders: ["WebCryptoAPI"], least: 98 },
  { name: "base64", folders: ["html/webappapis/atob"], least: 98 },
  { name: "timers", folders: ["html/webappapis/timers", "html/webappapis/microtask-queuing"], least: 85 },
  { name: "compression", folders: ["compression"], least: 85 },
];

/** What is left out of the count, for what the path of its file or its own name has, and why: what this runtime does not offer
 * (docs/javascript.md says so). */
const LEFT_OUT = [
  [/idlharness/, "the shapes of interfaces, which need a parser of their definitions"],
  [/\/transferable\/|\/resources\//, "what is sent to a worker or a frame; no tests"],
  [/SharedArrayBuffer|shared Uint8Array|non-transferable-buffers/, "memory that threads share"],
  [/encoding\/(?:replacement|unsupported)-encodings/, "XMLHttpRequest"],
  [/owning-type/, "streams of the type `owning`, which Firefox alone has begun"],
  [/historical\.any/, "pages that are not secure"],
  [/ECDH|X25519|X448|Ed448|RSA-OAEP|rsa_oaep|AES-KW|wrapKey|P-521|curve25519|curve448|ecdh_/, "algorithms of keys that are not offered"],
  [/successes_RSA/, "keys of RSA are imported, not generated"],
  [/large-flush|compression-output-length/, "a film, fetched over HTTP"],
];
const isLeftOut = (name) => LEFT_OUT.some(([part]) => part.test(name));

const PARALLEL = 2;

const run = promisify(execFile);
const words = process.argv.slice(2);
const showFailed = words.includes("--failed");
const [compute, root, ...chosen] = words.filter((word) => !word.startsWith("--")).map((word, at) => (at < 2 ? resolve(word) : word));

/** All tests of a folder that need no window. */
function filesOf(folder) {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => entry.name.endsWith(".any.js")).map((entry) => join(entry.parentPath, entry.name));
  return names.filter((name) => !isLeftOut(name.slice(root.length))).sort();
}

/** A script that a test names: from its own folder, or from the root. */
const beside = (file, name) => (name.startsWith("/") ? join(root, name) : join(dirname(file), name));

/** The data that a test asks `fetch` for, by the name that it uses. */
function dataOf(file, text) {
  const named = [...text.matchAll(/["'`]([^"'`\s]+\.json)["'`]/g)].map((match) => match[1]);
  return Object.fromEntries(named.filter((name) => existsSync(beside(file, name))).map((name) => [name, JSON.parse(readFileSync(beside(file, name), "utf8"))]));
}

/** The op that one file becomes. */
function writeOp(folder, file) {
  const text = readFileSync(file, "utf8");
  const named = [...text.matchAll(/^\/\/ META: script=(\S+)/gm)].map((match) => beside(file, match[1]));
  const scripts = [join(root, "resources/testharness.js"), ...named].map((name) => readFileSync(name, "utf8"));
  const title = text.match(/^\/\/ META: title=(.+)/m)?.[1] ?? basename(file);
  // As a text in a text: a module of JSON holds no half of a surrogate pair.
  const data = JSON.stringify(JSON.stringify(dataOf(file, [text, ...scripts.slice(1)].join("\n"))));
  writeFileSync(join(folder, "tests.cjs"), `module.exports = async function (__data, location) {
    let module, exports, require;
    const fetch = async (name) => ({ json: async () => __data[name] });
    self.GLOBAL = { isWindow: () => false, isWorker: () => false, isShadowRealm: () => false };
    self.META_TITLE = ${JSON.stringify(title)};
    const __results = new Promise((done) => (self.__done = done));
    ${scripts[0]}
    self.add_completion_callback((tests, status) => self.__done({
      tests: tests.map(({ name, status, message }) => (status === 0 ? [name] : [name, message ?? "no message"])),
      error: status.status === 0 ? undefined : status.message ?? "no message",
    }));
    ${scripts.slice(1).join("\n;\n")}
    ;
    (function () {
      ${text}
    })();
    self.done?.();
    return __results;
  };`);
  writeFileSync(join(folder, "op.js"), `import { op } from "@compute/op";
    import tests from "./tests.cjs";
    export default op(() => tests(JSON.parse(${data}), { search: "", href: "http://web-platform.test/" }));`);
}

/** What one file's subtests gave. */
async function outcomeOf(file) {
  const folder = mkdtempSync(join(tmpdir(), "platform-"));
  try {
    writeOp(folder, file);
    const { stdout } = await run(compute, ["run", "op.js", "--wall", "600s", "--memory", "512MiB"], { cwd: folder, maxBuffer: 1 << 27 });
    return JSON.parse(stdout);
  } catch (error) {
    return { tests: [], error: String(error.stderr ?? error) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs a suite: its passed and failed subtests. A file that does not run counts as one failed subtest. */
async function runSuite({ folders }) {
  const files = folders.flatMap(filesOf);
  const queue = [...files];
  const failed = [];
  let passed = 0;
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (let file; (file = queue.shift()) !== undefined;) {
      const outcome = await outcomeOf(file);
      const counted = outcome.tests.filter(([name]) => !isLeftOut(name));
      passed += counted.filter(([, message]) => message === undefined).length;
      failed.push(...counted.filter(([, message]) => message !== undefined).map((test) => [file, ...test]));
      if (outcome.error !== undefined) failed.push([file, "(the file)", outcome.error]);
    }
  }));
  return { files: files.length, passed, failed };
}

let fell = false;
for (const suite of SUITES.filter(({ name }) => chosen.length === 0 || chosen.includes(name))) {
  const { files, passed, failed } = await runSuite(suite);
  if (showFailed) for (const [file, name, message] of failed) console.log(`${file.slice(root.length + 1)}: ${name}: ${String(message).slice(0, 600)}`);
  const all = passed + failed.length;
  const share = (100 * passed) / all;
  console.log(`${suite.name}: ${passed} of ${all} pass in ${files} files, ${share.toFixed(1)} %`);
  fell ||= share < (suite.least ?? 0);
}
process.exit(fell ? 1 : 0);
