// structuredClone (HTML, "safe passing of structured data"). core-js has one, which would add 290 KB to every
// op's image.

import { CLONE, define } from "./globals.js";

const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

const tagOfArray = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;

function refuse(value) {
  const what = typeof value === "function" ? "a function" : typeof value === "symbol" ? "a symbol" : Object.prototype.toString.call(value);
  throw new DOMException(`${what} cannot be cloned`, "DataCloneError");
}

// Whether a function is what a global is, without loading the libraries whose globals are read late.
function isGlobal(constructor) {
  return Object.values(Object.getOwnPropertyDescriptors(globalThis)).some(({ value }) => value === constructor);
}

// Whether an object is of a kind that has more to it than properties: an iterator, a promise, an event. Their tag comes
// from a class that is a global or has no name; an author's own may have one, too.
function isOpaque(value) {
  for (let holder = value; holder !== null; holder = Object.getPrototypeOf(holder)) {
    if (!Object.hasOwn(holder, Symbol.toStringTag)) continue;
    const { constructor } = holder;
    return typeof constructor !== "function" || (holder !== value && isGlobal(constructor));
  }
  return false;
}

function copyOf(buffer) {
  if (buffer.detached) refuse(buffer);
  if (!buffer.resizable) return buffer.slice(0);
  const copy = new ArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength });
  new Uint8Array(copy).set(new Uint8Array(buffer));
  return copy;
}

// Where a view begins in its buffer, and how much it sees: bytes or elements. A buffer may have become too small for it.
function placeOf(view) {
  try {
    if (!(view instanceof DataView)) view.keys();
    return [view.byteOffset, view.length ?? view.byteLength];
  } catch {
    return refuse(view);
  }
}

// As built-ins have it: not enumerable.
function hide(object, key, value) {
  Object.defineProperty(object, key, { value, writable: true, enumerable: false, configurable: true });
}

function cloneError(error, clone) {
  if (error instanceof DOMException) {
    const made = new DOMException(error.message, error.name);
    if (typeof error.stack === "string") hide(made, "stack", error.stack);
    return made;
  }
  const name = Object.hasOwn(ERRORS, error.name) ? error.name : "Error";
  const message = Object.getOwnPropertyDescriptor(error, "message");
  const made = message && "value" in message ? new ERRORS[name](String(message.value)) : new ERRORS[name]();
  if (typeof error.stack === "string") hide(made, "stack", error.stack);
  if (Object.hasOwn(error, "cause")) hide(made, "cause", clone(error.cause));
  return made;
}

export function defineClone() {
  function structuredClone(value, options) {
    if (arguments.length === 0) throw new TypeError("structuredClone takes a value");
    const seen = new Map();
    for (const buffer of options?.transfer ?? []) {
      if (!(buffer instanceof ArrayBuffer)) refuse(buffer);
      if (buffer.detached) throw new DOMException("an ArrayBuffer that was transferred has nothing more to give", "DataCloneError");
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
      if (Array.isArray(value)) {
        const copy = keep([]);
        copy.length = value.length;
        return properties(value, copy);
      }
      if (value instanceof Date) return keep(new Date(value.getTime()));
      if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
      if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt)
        return keep(Object(value.valueOf()));
      if (value instanceof ArrayBuffer) return keep(transferred.includes(value) ? value.transfer() : copyOf(value));
      if (ArrayBuffer.isView(value)) {
        const [offset, length] = placeOf(value);
        const kind = value instanceof DataView ? "DataView" : tagOfArray.call(value);
        return keep(new globalThis[kind](clone(value.buffer), offset, length));
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
      if (typeof value[CLONE] === "function") return keep(value[CLONE]());
      if (isOpaque(value)) refuse(value);
      return properties(value, keep({}));
    }

    function properties(from, to) {
      for (const key of Object.keys(from)) {
        // Defined and not set: `__proto__` is a key as any other.
        const value = clone(from[key]);
        Object.defineProperty(to, key, { value, writable: true, enumerable: true, configurable: true });
      }
      return to;
    }

    const copy = clone(value);
    for (const buffer of transferred) if (!buffer.detached && !seen.has(buffer)) buffer.transfer();
    return copy;
  }
  define(globalThis, { structuredClone });
}
