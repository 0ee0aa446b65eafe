// HMAC (FIPS 198-1).

import { hmac as mac } from "@noble/hashes/hmac.js";

import { checkAlgorithm } from "./jwk.js";
import { fail, fromBase64url, hashOf, isSame, MAX_LONG, numberIn, optional, random, toBase64url } from "./key.js";

const NAME = "HMAC";
const JWK = { "SHA-1": "HS1", "SHA-256": "HS256", "SHA-384": "HS384", "SHA-512": "HS512" };

const read = (given) => ({ hash: hashOf(given), length: optional(numberIn, given, "length", MAX_LONG) });

// Its length is in bits, and those of the last byte that are not its own are zeros.
function keyOf(bytes, { hash: { name, hash }, length = bytes.length * 8 }) {
  if (bytes.length === 0) fail("DataError", "the key is empty");
  if (Math.ceil(length / 8) !== bytes.length) fail("DataError", `the key has ${bytes.length * 8} bits, and not ${length}`);
  const secret = bytes.slice();
  if (length % 8 !== 0) secret[secret.length - 1] &= 255 << (8 - (length % 8));
  return { type: "secret", algorithm: { name: NAME, hash: { name }, length }, secret: { secret, hash } };
}

const bits = ({ hash: { hash }, length }) => length ?? hash.blockLen * 8;

function sign(_, { secret: { secret, hash } }, data) {
  return mac(hash, secret, data);
}

export const hmac = [
  {
    name: NAME,
    formats: ["raw", "jwk"],
    usages: { secret: ["sign", "verify"] },
    kty: "oct",
    use: "sig",
    takes: { importKey: read, generateKey: read, keyLength: read },
    importKey(format, data, parameters) {
      if (format === "raw") return keyOf(data, parameters);
      checkAlgorithm(data, [JWK[parameters.hash.name]]);
      return keyOf(fromBase64url(data.k, "k"), parameters);
    },
    exportKey(format, { algorithm, secret: { secret } }) {
      if (format === "raw") return secret;
      return { kty: "oct", k: toBase64url(secret), alg: JWK[algorithm.hash.name] };
    },
    generateKey(parameters) {
      if (parameters.length === 0) fail("OperationError", "a key of HMAC has at least one bit");
      const length = bits(parameters);
      return keyOf(random(Math.ceil(length / 8)), { ...parameters, length });
    },
    keyLength(parameters) {
      if (parameters.length === 0) throw new TypeError("a key of HMAC has at least one bit");
      return bits(parameters);
    },
    sign,
    verify: (parameters, key, signature, data) => isSame(sign(parameters, key, data), signature),
  },
];
