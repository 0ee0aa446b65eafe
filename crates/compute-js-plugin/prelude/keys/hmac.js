// HMAC (FIPS 198-1).

import { hmac as mac } from "@noble/hashes/hmac.js";

import { fail, fromBase64url, hashOf, isSame, random, secretOf, toBase64url } from "./key.js";

const NAME = "HMAC";
const JWK = { "SHA-1": "HS1", "SHA-256": "HS256", "SHA-384": "HS384", "SHA-512": "HS512" };

function keyOf(secret, parameters) {
  const { name, hash } = hashOf(parameters);
  if (secret.length === 0) fail("DataError", "the key is empty");
  const length = secret.length * 8;
  if (parameters.length !== undefined && (parameters.length > length || parameters.length <= length - 8))
    fail("DataError", "the key does not have that length");
  return { type: "secret", algorithm: { name: NAME, hash: { name }, length }, secret: { secret, hash }, usages: ["sign", "verify"] };
}

const bits = (parameters) => parameters.length ?? hashOf(parameters).hash.blockLen * 8;

export const hmac = [
  {
    name: NAME,
    importKey(format, data, parameters) {
      if (format === "raw") return keyOf(data, parameters);
      if (format !== "jwk") fail("NotSupportedError", `a key of HMAC has no format ${format}`);
      if (data.kty !== "oct") fail("DataError", "a key of HMAC has the kty oct");
      if (data.alg !== undefined && data.alg !== JWK[hashOf(parameters).name]) fail("DataError", "the key is for another hash");
      return keyOf(fromBase64url(data.k, "k"), parameters);
    },
    exportKey(format, key) {
      const { secret } = secretOf(key);
      if (format === "raw") return secret;
      if (format !== "jwk") fail("NotSupportedError", `a key of HMAC has no format ${format}`);
      return { kty: "oct", k: toBase64url(secret), alg: JWK[key.algorithm.hash.name] };
    },
    generateKey: (parameters) => keyOf(random(Math.ceil(bits(parameters) / 8)), parameters),
    keyLength: bits,
    sign(_, key, data) {
      const { secret, hash } = secretOf(key);
      return mac(hash, secret, data);
    },
    verify(parameters, key, signature, data) {
      return isSame(this.sign(parameters, key, data), signature);
    },
  },
];
