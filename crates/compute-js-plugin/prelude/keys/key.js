// Keys, and what all algorithms share.

import { bytesOf } from "../globals.js";
import { PRIMITIVES } from "../primitives.js";

const { sha1, sha256, sha384, sha512 } = crypto[PRIMITIVES];
const HASHES = { "SHA-1": sha1, "SHA-256": sha256, "SHA-384": sha384, "SHA-512": sha512 };
const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];

export function fail(name, message) {
  throw new DOMException(message, name);
}

let secretOf, made;

export class CryptoKey {
  #key;
  #usages;
  static {
    secretOf = (key) => key.#key.secret;
    made = (key, usages) => {
      const one = new CryptoKey(KEY);
      one.#key = key;
      one.#usages = usages;
      return one;
    };
  }
  constructor(own) {
    if (own !== KEY) throw new TypeError("a CryptoKey is made by crypto.subtle");
  }
  get type() {
    return this.#key.type;
  }
  get extractable() {
    return this.#key.extractable;
  }
  get algorithm() {
    return this.#key.algorithm;
  }
  get usages() {
    return [...this.#usages];
  }
  get [Symbol.toStringTag]() {
    return "CryptoKey";
  }
}
const KEY = Symbol("CryptoKey");

// A key of a type and an algorithm, with what is secret, or is not, of it.
export function make(key, usages) {
  const allowed = key.usages ?? USAGES;
  if (usages.some((usage) => !allowed.includes(usage))) fail("SyntaxError", `a ${key.type} key of ${key.algorithm.name} is not for ${usages.join(", ")}`);
  if (usages.length === 0 && key.type !== "public") fail("SyntaxError", "the key is for nothing: name its usages");
  return made(key, usages);
}

export { secretOf };

export function check(key, name, usage) {
  if (!(key instanceof CryptoKey)) throw new TypeError(`${usage} takes a CryptoKey`);
  if (key.algorithm.name !== name) fail("InvalidAccessError", `the key is of ${key.algorithm.name}, and not of ${name}`);
  if (!key.usages.includes(usage)) fail("InvalidAccessError", `the key is not for ${usage}`);
}

export const dataOf = (data, taker) => bytesOf(data, `crypto.subtle.${taker}`);

export function nameOf(algorithm) {
  const name = typeof algorithm === "string" ? algorithm : algorithm?.name;
  if (typeof name !== "string") throw new TypeError("an algorithm has a name");
  return name;
}

export function usagesOf(usages) {
  const all = [...usages].map(String);
  const unknown = all.find((usage) => !USAGES.includes(usage));
  if (unknown !== undefined) throw new TypeError(`a key is for ${USAGES.join(", ")}, and not for ${unknown}`);
  return USAGES.filter((usage) => all.includes(usage));
}

// The hash that parameters name, and its name.
export function hashOf(parameters) {
  const name = nameOf(parameters?.hash ?? "").toUpperCase();
  if (!Object.hasOwn(HASHES, name)) fail("NotSupportedError", `there is no hash ${name || "named"}: ${Object.keys(HASHES).join(", ")}`);
  return { name, hash: HASHES[name] };
}

export const random = (size) => {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
};

export function fromBase64url(text, what) {
  if (typeof text !== "string" || !/^[A-Za-z0-9_-]*$/.test(text)) fail("DataError", `the key's ${what} is not in base64url`);
  return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
}

export function toBase64url(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

export function isSame(one, other) {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let at = 0; at < one.length; at++) difference |= one[at] ^ other[at];
  return difference === 0;
}

export function join(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
