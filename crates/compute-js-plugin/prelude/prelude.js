// What every op finds in its global scope, and how the plugin loads and calls an op.
//
// It runs once, when the base image is made. `host` holds the plugin's C functions. What this gives back
// are the hooks that C calls.

import { defineClone } from "./clone.js";
import { causesOf, consoleOf, format } from "./console.js";
import { defineCrypto } from "./crypto.js";
import { defineEncoding } from "./encoding.js";
import { defineEvents } from "./events.js";
import { define, kindOf } from "./globals.js";
import { defineLibraries } from "./libraries.js";

export default function prelude(host) {
  Error.stackTraceLimit = 30;
  define(Math, { random: host.random });
  define(globalThis, { console: consoleOf(host), performance: performanceOf(host) });
  // As a worker has them; what is about a machine is not told.
  define(globalThis, { self: globalThis, global: globalThis, navigator: navigatorOf(), reportError });
  defineClone();
  defineEncoding(host);
  defineCrypto(host);
  defineEvents(host);
  const libraries = defineLibraries(host);

  const log = logOf(host);
  const emit = emitOf(host);
  let handler;

  return {
    // Takes an op's module, and gives back the envelope of its warm-up, if it has one.
    load(module) {
      const made = module.default;
      if (made === undefined)
        throw new TypeError("the module has no default export; write `export default op(async ({ input }) => …)`");
      // A function alone is an op without options.
      const op = typeof made === "function" ? { handler: made } : made?.[Symbol.for("@compute/op")];
      if (op === undefined)
        throw new TypeError(
          "the default export was not made with op(…); write `import { op } from \"@compute/op\"` and `export default op(handler)`",
        );
      if (typeof op.handler !== "function") throw new TypeError(`op(…) takes a function, and got ${kindOf(op.handler)}`);
      handler = op.handler;
      const warmup = op.options?.warmup;
      return warmup === undefined ? undefined : { input: warmup, meta: emptyMeta(), env: {}, secrets: {} };
    },
    call(envelope) {
      const { input, meta, env, secrets } = envelope;
      // Who reads it gives an answer that is this request's alone: the host is told.
      if (meta.rid !== "") {
        const { rid } = meta;
        const get = () => (host.noteRequest(), rid);
        const set = (value) => void Object.defineProperty(meta, "rid", { value, writable: true });
        Object.defineProperty(meta, "rid", { get, set });
      }
      const result = handler({ input, meta, env, secrets, log, emit });
      // What can be awaited is, also where the handler is not async.
      const isObject = typeof result === "object" || typeof result === "function";
      return isObject && result !== null && typeof result.then === "function" ? Promise.resolve(result) : result;
    },
    named: libraries.named,
    libraries: libraries.load,
    // Says that a promise was rejected, and that nobody handled it.
    unhandled(reason) {
      host.log(LEVELS.error, `a promise was rejected and nobody handled it: ${format([reason])}`);
    },
    // What is wrong with a result that has a promise in it.
    promise(result) {
      const path = pathOfPromise(result, "", new Set());
      return `the handler's result has a promise${path ? ` at ${path}` : ""}, which JSON cannot hold: await it`;
    },
    // What led to an error that ends the call.
    causes(error) {
      return error instanceof Error ? causesOf(error) : "";
    },
    // The place of the handler, as a stack shows it.
    where() {
      if (typeof handler !== "function") return "";
      return `    at ${handler.name || "<anonymous>"} (${handler.fileName}:${handler.lineNumber}:${handler.columnNumber})\n`;
    },
  };
}

function navigatorOf() {
  class Navigator {
    get userAgent() {
      return "compute";
    }
    get language() {
      return "en-US";
    }
    get languages() {
      return ["en-US"];
    }
    get onLine() {
      return false;
    }
    get hardwareConcurrency() {
      return 1;
    }
  }
  return new Navigator();
}

function reportError(error) {
  console.error(error);
}

// Where the first promise is in a value: `a.b[0]`.
function pathOfPromise(value, path, seen) {
  if (value instanceof Promise) return path;
  if (value === null || typeof value !== "object" || seen.has(value)) return undefined;
  seen.add(value);
  for (const key of Object.keys(value)) {
    const below = Array.isArray(value) ? `${path}[${key}]` : path ? `${path}.${key}` : key;
    const found = pathOfPromise(value[key], below, seen);
    if (found !== undefined) return found;
  }
  return undefined;
}

function emptyMeta() {
  return { rid: "", op: "", stack: "", scope: 0, name: "" };
}

const LEVELS = { debug: 0, info: 1, warn: 2, error: 3 };

// `log`, which takes a message and what belongs to it.
function logOf(host) {
  const log = {};
  for (const [name, level] of Object.entries(LEVELS)) log[name] = (...values) => host.log(level, format(values));
  return Object.freeze(log);
}

function emitOf(host) {
  return function emit(event, data) {
    if (typeof event !== "string" || event === "") throw new TypeError("emit takes an event's name, which is a string");
    const json = data === undefined ? "null" : JSON.stringify(data);
    if (json === undefined) throw new TypeError(`emit takes data that JSON can hold, and got ${kindOf(data)}`);
    host.emit(event, json);
  };
}

// Time since the call began. What it began at is read from the clock, as Date.now() is.
function performanceOf(host) {
  return Object.freeze({
    now: host.monotonic,
    get timeOrigin() {
      return Date.now() - host.monotonic();
    },
    toJSON() {
      return { timeOrigin: this.timeOrigin };
    },
  });
}
