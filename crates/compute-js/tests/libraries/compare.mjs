// Runs each op beside this in Node.js and by `compute run`, and says which answers are the same: `node compare.mjs COMPUTE [FILE…]`.

import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { registerHooks } from "node:module";

registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== "@compute/op") return next(specifier, context);
    return { url: "data:text/javascript,export const op = (handler) => handler;", shortCircuit: true };
  },
});

const [compute, ...only] = process.argv.slice(2);
const folder = new URL("./", import.meta.url);

// One op, in a process of its own: some libraries are set up for all who use them.
if (compute === "--one") {
  const { default: handler } = await import(new URL(only[0], folder));
  console.log(JSON.stringify(await handler({ input: {}, meta: {}, env: {}, secrets: {}, log: { info() {} }, emit() {} })));
  process.exit(0);
}
const files = readdirSync(folder).filter((file) => file.endsWith(".js") && (only.length === 0 || only.includes(file)));

// As JSON whose keys are in order.
function inOrder(value) {
  if (Array.isArray(value)) return value.map(inOrder);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, inOrder(value[key])]));
}
const shown = (json) => JSON.stringify(inOrder(JSON.parse(json)));

const run = (program, args) =>
  shown(execFileSync(program, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 26 }).trimEnd().split("\n").at(-1));
const inNode = (file) => run(process.execPath, ["compare.mjs", "--one", file]);
const inSandbox = (file) => run(compute, ["run", file, "--input", "{}", "--wall", "60s", "--memory", "256MiB"]);

const differ = [];
for (const file of files) {
  const [here, there] = [inNode, inSandbox].map((answer) => {
    try {
      return answer(file);
    } catch (error) {
      return `fails: ${error.stderr || error}`;
    }
  });
  if (here === there) continue;
  differ.push(file);
  console.log(`${file}\n  Node.js  ${here.slice(0, 400)}\n  sandbox  ${there.slice(0, 800)}`);
}
console.log(`${files.length - differ.length} of ${files.length} as in Node.js${differ.length > 0 ? `; not ${differ.join(", ")}` : ""}`);
process.exit(differ.length > 0 ? 1 : 0);
