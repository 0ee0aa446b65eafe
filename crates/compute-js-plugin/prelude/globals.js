// Defining globals as built-ins are: writable, and not enumerable.

export function define(target, values) {
  for (const [name, value] of Object.entries(values)) {
    // Classes are known by their names, which are short here.
    if (/^[A-Z]/.test(name) && typeof value === "function") named(value, name);
    Object.defineProperty(target, name, { value, writable: true, enumerable: false, configurable: true });
  }
}

function named(constructor, name) {
  Object.defineProperty(constructor, "name", { value: name, configurable: true });
  const { prototype } = constructor;
  if (prototype !== undefined && !Object.hasOwn(prototype, Symbol.toStringTag))
    Object.defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
}

// What makes structuredClone's copy of an object of a class of the platform's: a method under this.
export const CLONE = Symbol.for("compute.clone");

// The bytes of a BufferSource, as they are.
export function bytesOf(source, taker) {
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (source instanceof ArrayBuffer || (globalThis.SharedArrayBuffer && source instanceof SharedArrayBuffer)) return new Uint8Array(source);
  throw new TypeError(`${taker} takes an ArrayBuffer or a view of one, and got ${kindOf(source)}`);
}

export function kindOf(value) {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}
