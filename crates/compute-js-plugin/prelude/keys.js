// The keys of Web Crypto, and what is done with them: a script of its own, which libraries.js has loaded. It works in the
// sandbox, as the rest of an op does: what it costs is the call's, and it is the same on every machine.

import { define } from "./globals.js";
import { aes } from "./keys/aes.js";
import { curves } from "./keys/curves.js";
import { hmac } from "./keys/hmac.js";
import { checkJwk, jwkOf } from "./keys/jwk.js";
import { CryptoKey, check, checkUsages, dataOf, fail, make, open, usagesOf } from "./keys/key.js";
import { inCapitals, isObject, nameOf } from "./keys/names.js";
import { passwords } from "./keys/passwords.js";
import { rsa } from "./keys/rsa.js";

// What each algorithm does, by its name in capital letters. Each has, besides what is done with it:
//   formats   those that its keys have
//   usages    those that its keys may have, by the type of key
//   takes     what reads the parameters of what is done, where there are any
//   kty, use  what its JSON Web Keys say, where it has any
const ALGORITHMS = new Map([...aes, ...curves, ...hmac, ...passwords, ...rsa].map((one) => [inCapitals(one.name), one]));

// The algorithm that is named, and its parameters for what is done with it, which are read once.
function find(algorithm, what) {
  const name = nameOf(algorithm), found = ALGORITHMS.get(inCapitals(name));
  if (!found?.[what]) fail("NotSupportedError", `crypto.subtle has no ${what} of ${name}`);
  return [found, found.takes?.[what]?.(isObject(algorithm) ? algorithm : {}) ?? {}];
}

const FORMATS = ["raw", "jwk", "spki", "pkcs8"];

function checkFormat(format) {
  if (!FORMATS.includes(format)) throw new TypeError(`a key has the format ${FORMATS.join(", ")}, and not ${format}`);
}

function checkFormatOf({ name, formats }, format) {
  if (!formats.includes(format)) fail("NotSupportedError", `a key of ${name} has the format ${formats.join(", ")}, and not ${format}`);
}

// The algorithm, its parameters and the parts of a key that is used with it.
function keyFor(key, algorithm, usage, what) {
  const [found, parameters] = find(algorithm, what);
  return [found, parameters, check(key, found.name, usage)];
}

// A key's bytes in a format, or what a JSON Web Key has.
function exported(format, key) {
  const [found] = find(key.algorithm, "exportKey");
  if (!key.extractable) fail("InvalidAccessError", "the key may not be exported");
  checkFormatOf(found, format);
  const data = found.exportKey(format, key);
  return format === "jwk" ? { ...data, key_ops: [...key.usages], ext: key.extractable } : data;
}

function typeOf({ usages }, format, data) {
  if (usages.secret) return "secret";
  return format === "pkcs8" || (format === "jwk" && data.d !== undefined) ? "private" : "public";
}

function imported([found, parameters], format, data, extractable, usages) {
  checkFormatOf(found, format);
  const type = typeOf(found, format, data);
  checkUsages(usages, found.usages[type], `a ${type} key of ${found.name}`);
  if (format === "jwk") checkJwk(data, found, extractable, usages);
  return make({ ...found.importKey(format, data, parameters), extractable, usages });
}

function generated(found, made, extractable, usages) {
  if (!made.privateKey) return make({ ...made, extractable, usages });
  const kept = (type) => usages.filter((usage) => found.usages[type].includes(usage));
  const privateKey = make({ ...made.privateKey, extractable, usages: kept("private") });
  // A public key is for everybody.
  return { publicKey: make({ ...made.publicKey, extractable: true, usages: kept("public") }), privateKey };
}

function derived(found, parameters, key, length) {
  if (!Number.isInteger(length) || length < 0 || length % 8 !== 0)
    fail("OperationError", `how many bits are derived is a multiple of 8, and not ${length}`);
  return found.deriveBits(parameters, key, length / 8);
}

const subtle = {
  async importKey(format, data, algorithm, extractable, usages) {
    checkFormat(format);
    const given = format === "jwk" ? jwkOf(data) : dataOf(data, "importKey").slice();
    const wanted = usagesOf(usages);
    return imported(find(algorithm, "importKey"), format, given, Boolean(extractable), wanted);
  },
  async exportKey(format, key) {
    checkFormat(format);
    const data = exported(format, open(key, "exportKey"));
    return format === "jwk" ? data : data.slice().buffer;
  },
  async generateKey(algorithm, extractable, usages) {
    const wanted = usagesOf(usages);
    const [found, parameters] = find(algorithm, "generateKey");
    checkUsages(wanted, Object.values(found.usages).flat(), `a key of ${found.name}`);
    return generated(found, found.generateKey(parameters, wanted), Boolean(extractable), wanted);
  },
  async sign(algorithm, key, data) {
    const [found, parameters, parts] = keyFor(key, algorithm, "sign", "sign");
    return found.sign(parameters, parts, dataOf(data, "sign")).slice().buffer;
  },
  async verify(algorithm, key, signature, data) {
    const [found, parameters, parts] = keyFor(key, algorithm, "verify", "verify");
    return found.verify(parameters, parts, dataOf(signature, "verify"), dataOf(data, "verify"));
  },
  async encrypt(algorithm, key, data) {
    const [found, parameters, parts] = keyFor(key, algorithm, "encrypt", "encrypt");
    return found.encrypt(parameters, parts, dataOf(data, "encrypt")).slice().buffer;
  },
  async decrypt(algorithm, key, data) {
    const [found, parameters, parts] = keyFor(key, algorithm, "decrypt", "decrypt");
    return found.decrypt(parameters, parts, dataOf(data, "decrypt")).slice().buffer;
  },
  async deriveBits(algorithm, key, length) {
    const [found, parameters, parts] = keyFor(key, algorithm, "deriveBits", "deriveBits");
    return derived(found, parameters, parts, length).slice().buffer;
  },
  async deriveKey(algorithm, key, derivedType, extractable, usages) {
    const wanted = usagesOf(usages);
    const [found, parameters, parts] = keyFor(key, algorithm, "deriveKey", "deriveBits");
    const inner = find(derivedType, "importKey"), [sized, size] = find(derivedType, "keyLength");
    return imported(inner, "raw", derived(found, parameters, parts, sized.keyLength(size)), Boolean(extractable), wanted);
  },
  async wrapKey(format, key, wrapping, algorithm) {
    checkFormat(format);
    const inner = open(key, "wrapKey");
    const [found, parameters, parts] = keyFor(wrapping, algorithm, "wrapKey", "encrypt");
    const data = exported(format, inner);
    const bytes = format === "jwk" ? new TextEncoder().encode(JSON.stringify(data)) : data;
    return found.encrypt(parameters, parts, bytes).slice().buffer;
  },
  async unwrapKey(format, wrapped, wrapping, algorithm, innerAlgorithm, extractable, usages) {
    checkFormat(format);
    const given = dataOf(wrapped, "unwrapKey"), wanted = usagesOf(usages);
    const [found, parameters, parts] = keyFor(wrapping, algorithm, "unwrapKey", "decrypt");
    const inner = find(innerAlgorithm, "importKey");
    const bytes = found.decrypt(parameters, parts, given).slice();
    const data = format === "jwk" ? jwkOf(JSON.parse(new TextDecoder().decode(bytes))) : bytes;
    return imported(inner, format, data, Boolean(extractable), wanted);
  },
};

define(globalThis.crypto.subtle, subtle);
define(globalThis, { CryptoKey });
