// structuredClone (HTML, "safe passing of structured data"). core-js has one, which would add 290 KB to every
// op's image.

import { define } from "./globals.js";

const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

function refuse(value) {
  const what = typeof value === "function" ? "a function" : typeof value === "symbol" ? "a symbol" : Object.prototype.toString.call(value);
  throw new DOMException(`${what} cannot be cloned`, "DataCloneError");
}

function cloneError(error, clone) {
  const name = Object.hasOwn(ERRORS, error.name) ? error.name : "Error";
  const made = new ERRORS[name](error.message);
  for (const key of ["stack", "cause"]) {
    if (Object.hasOwn(error, key) || (key === "stack" && typeof error.stack === "string"))
      Object.defineProperty(made, key, { value: clone(error[key]), writable: true, enumerable: false, configurable: true });
  }
  return made;
}

export function defineClone() {
  function structuredClone(value, options) {
    if (arguments.length === 0) throw new TypeError("structuredClone takes a value");
    const seen = new Map();
    for (const buffer of options?.transfer ?? []) {
      if (!(buffer instanceof ArrayBuffer)) refuse(buffer);
      if (seen.has(buffer)) throw new DOMException("an ArrayBuffer cannot be transferred twice", "DataCloneError");
      seen.set(buffer, undefined);
    }
    const transferred = [...seen.keys()];
    seen.clear();

    function clone(value) {
      if (typeof value === "symbol" || typeof value === "function") refuse(value);
      if (value === null || typeof value !== "object") return value;
      if (seen.has(value)) return seen.get(value);
      const keep = (copy) => (seen.set(value, copy), copy);
      const kind = Object.prototype.toString.call(value).slice(8, -1);
      if (Array.isArray(value)) {
        const copy = keep([]);
        copy.length = value.length;
        return properties(value, copy);
      }
      if (value instanceof Date) return keep(new Date(value.getTime()));
      if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
      if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt)
        return keep(Object(value.valueOf()));
      if (value instanceof ArrayBuffer) return keep(transferred.includes(value) ? value.transfer() : value.slice(0));
      if (ArrayBuffer.isView(value)) {
        const { byteOffset, byteLength, length, constructor } = value;
        return keep(new constructor(clone(value.buffer), byteOffset, value instanceof DataView ? byteLength : length));
      }
      if (value instanceof Map) {
        const copy = keep(new Map());
        for (const [key, held] of [...value]) copy.set(clone(key), clone(held));
        return copy;
      }
      if (value instanceof Set) {
        const copy = keep(new Set());
        for (const held of [...value]) copy.add(clone(held));
        return copy;
      }
      if (value instanceof Error) return keep(cloneError(value, clone));
      if (kind !== "Object" && kind !== "Arguments") refuse(value);
      if (value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef || value instanceof Promise) refuse(value);
      return properties(value, keep({}));
    }

    function properties(from, to) {
      for (const key of Object.keys(from)) to[key] = clone(from[key]);
      return to;
    }

    const copy = clone(value);
    for (const buffer of transferred) if (!buffer.detached && !seen.has(buffer)) buffer.transfer();
    return copy;
  }
  define(globalThis, { structuredClone });
}
