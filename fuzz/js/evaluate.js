import { op } from "@compute/op";

// Runs a program that the fuzzer made, and gives all that it can see of it.
export default op(async ({ input, log, emit }) => {
  const out = [];
  const show = (value) => {
    if (out.length < 200) out.push(typeof value === "object" && value !== null ? JSON.stringify(value) : String(value));
  };
  globalThis.show = show;
  globalThis.log = log;
  globalThis.emit = emit;
  try {
    await (0, eval)(`(async () => { ${input.source} })()`);
  } catch (error) {
    show(`${error?.name}: ${error?.message}`);
    show(String(error?.stack));
  }
  return { out, random: Math.random(), now: Date.now(), monotonic: performance.now() };
});
