// What libraries ask of a process, where there is none: no environment, no arguments, no machine.
const nothing = () => process;
const process = {
  env: {},
  argv: [],
  execArgv: [],
  version: "",
  versions: {},
  release: {},
  config: {},
  pid: 1,
  title: "compute",
  platform: "compute",
  arch: "wasm32",
  browser: true,
  exitCode: undefined,
  nextTick: (run, ...args) => queueMicrotask(() => run(...args)),
  cwd: () => "/",
  umask: () => 0,
  uptime: () => performance.now() / 1000,
  hrtime: Object.assign(
    (since) => {
      const now = performance.now(), whole = Math.floor(now / 1000), rest = Math.floor((now % 1000) * 1e6);
      if (!since) return [whole, rest];
      const nanos = rest - since[1];
      return nanos < 0 ? [whole - since[0] - 1, nanos + 1e9] : [whole - since[0], nanos];
    },
    { bigint: () => BigInt(Math.floor(performance.now() * 1e6)) },
  ),
  memoryUsage: () => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }),
  emitWarning: (warning) => console.warn(warning),
  binding() {
    throw new Error("a sandbox has no bindings of Node.js");
  },
  chdir() {
    throw new Error("a sandbox has no folders");
  },
  exit() {
    throw new Error("a sandbox has no process that could end: return, or throw an error");
  },
  on: nothing,
  once: nothing,
  off: nothing,
  addListener: nothing,
  removeListener: nothing,
  removeAllListeners: nothing,
  prependListener: nothing,
  emit: () => false,
  listeners: () => [],
  listenerCount: () => 0,
};
module.exports = process;
