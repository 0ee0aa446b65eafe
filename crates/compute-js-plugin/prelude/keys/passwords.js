// HKDF (RFC 5869) and PBKDF2 (RFC 8018).

import { hkdf } from "@noble/hashes/hkdf.js";

import { dataOf, fail, hashOf, secretOf } from "./key.js";

function derivation(name, deriveBits) {
  return {
    name,
    importKey(format, data) {
      if (format !== "raw") fail("NotSupportedError", `a key of ${name} has no format ${format}`);
      return { type: "secret", algorithm: { name }, secret: data, usages: ["deriveKey", "deriveBits"] };
    },
    deriveBits,
  };
}

export const passwords = [
  derivation("HKDF", (parameters, key, length) => {
    const { hash } = hashOf(parameters);
    if (length > 255 * hash.outputLen) fail("OperationError", "HKDF gives no more than 255 times what its hash gives");
    return hkdf(hash, secretOf(key), dataOf(parameters.salt, "deriveBits"), dataOf(parameters.info, "deriveBits"), length);
  }),
  derivation("PBKDF2", (parameters, key, length) => {
    const { hash } = hashOf(parameters), { iterations } = parameters;
    if (!Number.isInteger(iterations) || iterations < 1 || iterations >= 2 ** 32) fail("OperationError", "PBKDF2 takes a number of iterations");
    return hash.pbkdf2(secretOf(key), dataOf(parameters.salt, "deriveBits"), iterations, length);
  }),
];
