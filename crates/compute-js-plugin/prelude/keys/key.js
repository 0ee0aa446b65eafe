// Keys, and what all algorithms share.

import { bytesOf, CLONE, kindOf } from "../globals.js";
import { PRIMITIVES } from "../primitives.js";
import { inCapitals, nameOf } from "./names.js";

const { sha1, sha256, sha384, sha512 } = crypto[PRIMITIVES];
const HASHES = { "SHA-1": sha1, "SHA-256": sha256, "SHA-384": sha384, "SHA-512": sha512 };
const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];
// The largest numbers of what Web IDL calls octet, unsigned short and unsigned long.
export const MAX_OCTET = 2 ** 8 - 1, MAX_SHORT = 2 ** 16 - 1, MAX_LONG = 2 ** 32 - 1;

export function fail(name, message) {
  throw new DOMException(message, name);
}

let partsOf, made;

// What a script may read of a key is a copy: it may change that, and the key stays as it is.
export class CryptoKey {
  #parts;
  #algorithm;
  #usages;
  static {
    partsOf = (key) => key.#parts;
    made = (parts) => {
      const one = new CryptoKey(KEY), { algorithm, usages } = parts;
      one.#parts = parts;
      one.#algorithm = algorithm.hash ? { ...algorithm, hash: { ...algorithm.hash } } : { ...algorithm };
      one.#usages = [...usages];
      return one;
    };
  }
  constructor(own) {
    if (own !== KEY) throw new TypeError("a CryptoKey is made by crypto.subtle");
  }
  get type() {
    return this.#parts.type;
  }
  get extractable() {
    return this.#parts.extractable;
  }
  get algorithm() {
    return this.#algorithm;
  }
  get usages() {
    return this.#usages;
  }
  [CLONE]() {
    return made(this.#parts);
  }
  get [Symbol.toStringTag]() {
    return "CryptoKey";
  }
}
const KEY = Symbol("CryptoKey");

// A key of its parts: its type, its algorithm, what is secret, or is not, of it, whether it may be exported, and its usages.
export function make(parts) {
  if (parts.usages.length === 0 && parts.type !== "public") fail("SyntaxError", `the ${parts.type} key is for nothing: name its usages`);
  return made(parts);
}

// The parts of a key that a script gave.
export function open(key, taker) {
  if (!(key instanceof CryptoKey)) throw new TypeError(`${taker} takes a CryptoKey, and got ${kindOf(key)}`);
  return partsOf(key);
}

export function check(key, name, usage) {
  const parts = open(key, usage);
  if (parts.algorithm.name !== name) fail("InvalidAccessError", `the key is of ${parts.algorithm.name}, and not of ${name}`);
  if (!parts.usages.includes(usage)) fail("InvalidAccessError", `the key is not for ${usage}`);
  return parts;
}

export const dataOf = (data, taker) => bytesOf(data, `crypto.subtle.${taker}`);

// The parameters of algorithms, as Web IDL reads them.
export const bytesIn = (given, name) => bytesOf(given[name], `the parameter ${name}`);

export function numberIn(given, name, most) {
  const number = Math.trunc(+given[name]);
  if (!(number >= 0 && number <= most)) throw new TypeError(`the parameter ${name} is a whole number from 0 to ${most}`);
  return number;
}

export function textIn(given, name) {
  if (given[name] === undefined) throw new TypeError(`the algorithm has no ${name}`);
  return `${given[name]}`;
}

export const optional = (read, given, name, ...rest) => (given[name] === undefined ? undefined : read(given, name, ...rest));

// The hash that parameters name, and its name.
export function hashOf({ hash }) {
  if (hash === undefined) throw new TypeError(`the algorithm has no hash: ${Object.keys(HASHES).join(", ")}`);
  const name = inCapitals(nameOf(hash));
  if (!Object.hasOwn(HASHES, name)) fail("NotSupportedError", `there is no hash ${name}: ${Object.keys(HASHES).join(", ")}`);
  return { name, hash: HASHES[name] };
}

export function usagesOf(usages) {
  if (typeof usages?.[Symbol.iterator] !== "function") throw new TypeError(`the usages are an array of ${USAGES.join(", ")}, and not ${kindOf(usages)}`);
  const all = [...usages].map(String);
  const unknown = all.find((usage) => !USAGES.includes(usage));
  if (unknown !== undefined) throw new TypeError(`a key is for ${USAGES.join(", ")}, and not for ${unknown}`);
  return USAGES.filter((usage) => all.includes(usage));
}

export function checkUsages(usages, allowed, whose) {
  const wrong = usages.filter((usage) => !allowed.includes(usage));
  if (wrong.length > 0) fail("SyntaxError", `${whose} is for ${allowed.join(", ")}, and not for ${wrong.join(", ")}`);
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
