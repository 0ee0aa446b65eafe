// What Pyodide does with an op's `work`: `pyodide.mjs FOLDER TASK INPUT SECONDS` prints a line of JSON for each way, as python.py does. The
// packages that are not in it would come from a network of its own; without them it is not measured.

import { readFileSync } from "node:fs";
import { loadPyodide } from "pyodide";

const [folder, task, inputFile, seconds] = process.argv.slice(2);
const input = readFileSync(inputFile, "utf8");
const source = readFileSync(`${folder}/${task}.py`, "utf8");
const stub = "import sys,types;c=types.ModuleType('compute');c.op=lambda f=None,**_:f or (lambda f:f);sys.modules['compute']=c\n";
const calling = "import json\njson.dumps(work(json.loads(text)['input']))";

async function made() {
  const python = await loadPyodide();
  python.runPython(stub + source);
  return python;
}

function call(python) {
  python.globals.set("text", input);
  return python.runPython(calling);
}

async function measure(way, work) {
  await work();
  const times = [];
  const end = performance.now() + Number(seconds) * 1000;
  let answer;
  while (times.length < 3 || performance.now() < end) {
    const begun = performance.now();
    answer = await work();
    times.push((performance.now() - begun) * 1000);
  }
  times.sort((a, b) => a - b);
  console.log(JSON.stringify({ way, p50: times[times.length >> 1], calls: times.length, answer: JSON.parse(answer) }));
}

const reused = await made();
await measure("Pyodide, reused", () => call(reused));
await measure("Pyodide, fresh", async () => call(await made()));
