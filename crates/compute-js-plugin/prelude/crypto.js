// `crypto`: random bytes from the call's seed, and digests. What is done with keys is in keys.js.

import { bytesOf, define, kindOf } from "./globals.js";
import { inCapitals, nameOf } from "./keys/names.js";
import { makePrimitives, PRIMITIVES } from "./primitives.js";

// What Web Crypto allows in one call.
const MAX_RANDOM = 65536;
// The typed arrays that have integers, by their names.
const INTEGERS = /^(Big)?(Int|Uint)\d+(Clamped)?Array$/;

export function defineCrypto(host) {
  const primitives = makePrimitives(host);
  const { sha1, sha256, sha384, sha512 } = primitives;
  const digests = { "SHA-1": sha1, "SHA-256": sha256, "SHA-384": sha384, "SHA-512": sha512 };

  function getRandomValues(array) {
    if (!ArrayBuffer.isView(array))
      throw new TypeError(`crypto.getRandomValues takes a typed array of integers, and got ${kindOf(array)}`);
    const type = array[Symbol.toStringTag];
    if (!INTEGERS.test(type))
      throw new DOMException(`crypto.getRandomValues takes a typed array of integers, and got a ${type}`, "TypeMismatchError");
    if (array.byteLength > MAX_RANDOM)
      throw new DOMException(`crypto.getRandomValues fills at most ${MAX_RANDOM} bytes`, "QuotaExceededError");
    host.fillRandom(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return array;
  }

  function randomUUID() {
    const bytes = getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  async function digest(algorithm, data) {
    const name = inCapitals(nameOf(algorithm));
    const hash = Object.hasOwn(digests, name) ? digests[name] : undefined;
    if (hash === undefined)
      throw new DOMException(`crypto.subtle.digest knows ${Object.keys(digests).join(", ")}, and not ${name}`, "NotSupportedError");
    return hash(bytesOf(data, "crypto.subtle.digest")).buffer;
  }

  const crypto = { getRandomValues, randomUUID, subtle: { digest } };
  Object.defineProperty(crypto, PRIMITIVES, { value: primitives });
  define(globalThis, { crypto });
}
