// The keys of Web Crypto, and what is done with them: a script of its own, which libraries.js has loaded. It works in the
// sandbox, as the rest of an op does: what it costs is the call's, and it is the same on every machine.

import { define } from "./globals.js";
import { aes } from "./keys/aes.js";
import { curves } from "./keys/curves.js";
import { hmac } from "./keys/hmac.js";
import { CryptoKey, check, dataOf, fail, make, nameOf, usagesOf } from "./keys/key.js";
import { passwords } from "./keys/passwords.js";
import { rsa } from "./keys/rsa.js";

// What each algorithm does, by its name in capital letters.
const ALGORITHMS = new Map([...aes, ...curves, ...hmac, ...passwords, ...rsa].map((one) => [one.name.toUpperCase(), one]));

function find(algorithm, what) {
  const name = nameOf(algorithm), found = ALGORITHMS.get(name.toUpperCase());
  if (!found?.[what]) fail("NotSupportedError", `crypto.subtle has no ${what} of ${name}`);
  return [found, typeof algorithm === "string" ? { name: found.name } : algorithm];
}

const FORMATS = ["raw", "jwk", "spki", "pkcs8"];

function keyFor(key, algorithm, usage, what) {
  const [found, parameters] = find(algorithm, what);
  check(key, found.name, usage);
  return [found, parameters];
}

// A key's bytes in a format.
async function bytesInFormat(format, key) {
  if (!FORMATS.includes(format)) throw new TypeError(`a key has the format ${FORMATS.join(", ")}, and not ${format}`);
  if (!key.extractable) fail("InvalidAccessError", "the key may not be exported");
  const [found] = find(key.algorithm, "exportKey");
  const exported = found.exportKey(format, key);
  if (format !== "jwk") return exported;
  return { ...exported, key_ops: [...key.usages], ext: key.extractable };
}

const subtle = {
  async importKey(format, data, algorithm, extractable, usages) {
    if (!FORMATS.includes(format)) throw new TypeError(`a key has the format ${FORMATS.join(", ")}, and not ${format}`);
    const [found, parameters] = find(algorithm, "importKey");
    const wanted = usagesOf(usages);
    if (format === "jwk") {
      if (typeof data !== "object" || data === null || ArrayBuffer.isView(data) || data instanceof ArrayBuffer)
        throw new TypeError("a key of the format jwk is an object");
      if (data.ext === false && extractable) fail("DataError", "the key says that it may not be exported");
      if (Array.isArray(data.key_ops) && wanted.some((usage) => !data.key_ops.includes(usage)))
        fail("DataError", "the key says that it is not for this use");
    }
    const key = found.importKey(format, format === "jwk" ? data : dataOf(data, "importKey").slice(), parameters, wanted);
    return make({ ...key, extractable: Boolean(extractable) }, wanted);
  },
  async exportKey(format, key) {
    if (!(key instanceof CryptoKey)) throw new TypeError("exportKey takes a CryptoKey");
    const exported = await bytesInFormat(format, key);
    return format === "jwk" ? exported : exported.slice().buffer;
  },
  async generateKey(algorithm, extractable, usages) {
    const [found, parameters] = find(algorithm, "generateKey");
    const wanted = usagesOf(usages);
    const made = found.generateKey(parameters, wanted);
    const one = (key, allowed) => {
      const kept = allowed ? wanted.filter((usage) => allowed.includes(usage)) : wanted;
      // A public key is for everybody.
      return make({ ...key, extractable: key.type === "public" || Boolean(extractable) }, kept);
    };
    if (!made.privateKey) return one(made);
    return { publicKey: one(made.publicKey, ["verify"]), privateKey: one(made.privateKey, ["sign"]) };
  },
  async sign(algorithm, key, data) {
    const [found, parameters] = keyFor(key, algorithm, "sign", "sign");
    return found.sign(parameters, key, dataOf(data, "sign")).slice().buffer;
  },
  async verify(algorithm, key, signature, data) {
    const [found, parameters] = keyFor(key, algorithm, "verify", "verify");
    return found.verify(parameters, key, dataOf(signature, "verify"), dataOf(data, "verify"));
  },
  async encrypt(algorithm, key, data) {
    const [found, parameters] = keyFor(key, algorithm, "encrypt", "encrypt");
    return found.encrypt(parameters, key, dataOf(data, "encrypt")).slice().buffer;
  },
  async decrypt(algorithm, key, data) {
    const [found, parameters] = keyFor(key, algorithm, "decrypt", "decrypt");
    return found.decrypt(parameters, key, dataOf(data, "decrypt")).slice().buffer;
  },
  async deriveBits(algorithm, key, length) {
    const [found, parameters] = keyFor(key, algorithm, "deriveBits", "deriveBits");
    if (!Number.isInteger(length) || length % 8 !== 0) fail("OperationError", "how many bits are derived is a multiple of 8");
    return found.deriveBits(parameters, key, length / 8).slice().buffer;
  },
  async deriveKey(algorithm, key, derived, extractable, usages) {
    const [found, parameters] = keyFor(key, algorithm, "deriveKey", "deriveBits");
    const [wanted, other] = find(derived, "keyLength");
    const bytes = found.deriveBits(parameters, key, wanted.keyLength(other) / 8);
    return subtle.importKey("raw", bytes, derived, extractable, usages);
  },
  async wrapKey(format, key, wrapping, algorithm) {
    const [found, parameters] = keyFor(wrapping, algorithm, "wrapKey", "encrypt");
    const exported = await bytesInFormat(format, key);
    const bytes = format === "jwk" ? new TextEncoder().encode(JSON.stringify(exported)) : exported;
    return found.encrypt(parameters, wrapping, bytes).slice().buffer;
  },
  async unwrapKey(format, wrapped, wrapping, algorithm, inner, extractable, usages) {
    const [found, parameters] = keyFor(wrapping, algorithm, "unwrapKey", "decrypt");
    const bytes = found.decrypt(parameters, wrapping, dataOf(wrapped, "unwrapKey"));
    const data = format === "jwk" ? JSON.parse(new TextDecoder().decode(bytes)) : bytes;
    return subtle.importKey(format, data, inner, extractable, usages);
  },
};

define(globalThis.crypto.subtle, subtle);
define(globalThis, { CryptoKey });
