// The trivial handler on other sandboxes: prints [name, p50 in microseconds] pairs. The input is the first
// argument.

import ivm from "isolated-vm";
import { getQuickJS } from "quickjs-emscripten";

const input = process.argv[2];
const handler = "({ input }) => ({ ...input, greeting: 'hi ' + input.name })";
const run = `JSON.stringify((${handler})({ input: JSON.parse(text) }))`;

function median(calls, work) {
  for (let at = 0; at < calls / 10; at++) work();
  const times = [];
  for (let at = 0; at < calls; at++) {
    const start = process.hrtime.bigint();
    const output = work();
    times.push(Number(process.hrtime.bigint() - start) / 1000);
    if (!output.includes("hi Ada")) throw new Error(`wrong output: ${output}`);
  }
  return times.sort((a, b) => a - b)[calls >> 1];
}

const results = [];

function inContext(isolate) {
  const context = isolate.createContextSync();
  context.global.setSync("text", input);
  const output = context.evalSync(run);
  context.release();
  return output;
}

results.push(["isolated-vm, fresh isolate", median(100, () => {
  const isolate = new ivm.Isolate({ memoryLimit: 64 });
  const output = inContext(isolate);
  isolate.dispose();
  return output;
})]);
const isolate = new ivm.Isolate({ memoryLimit: 64 });
results.push(["isolated-vm, fresh context", median(500, () => inContext(isolate))]);
const reused = isolate.createContextSync();
const script = isolate.compileScriptSync(run);
results.push(["isolated-vm, context reused (no isolation)", median(2000, () => {
  reused.global.setSync("text", input);
  return script.runSync(reused);
})]);

const quickjs = await getQuickJS();
results.push(["quickjs-emscripten, fresh context", median(300, () => {
  const context = quickjs.newContext();
  const text = context.newString(input);
  context.setProp(context.global, "text", text);
  text.dispose();
  const result = context.unwrapResult(context.evalCode(run));
  const output = context.getString(result);
  result.dispose();
  context.dispose();
  return output;
})]);

console.log(JSON.stringify(results));
