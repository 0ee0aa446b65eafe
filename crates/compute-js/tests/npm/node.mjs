// Runs every case in Node.js, and prints what each gives: what the sandbox must give, too.

import { readdirSync } from "node:fs";
import { registerHooks } from "node:module";

registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== "@compute/op") return next(specifier, context);
    return { url: "data:text/javascript,export const op = (handler) => handler;", shortCircuit: true };
  },
});

const folder = new URL("./cases/", import.meta.url);
const results = {};
for (const file of readdirSync(folder).sort()) {
  const { default: handler } = await import(new URL(file, folder));
  results[file] = await handler({ input: {}, env: {}, secrets: {}, meta: {} });
}
console.log(JSON.stringify(results));
