// HKDF (RFC 5869) and PBKDF2 (RFC 8018).

import { hkdf } from "@noble/hashes/hkdf.js";

import { bytesIn, fail, hashOf, MAX_LONG, numberIn } from "./key.js";

function derivation(name, read, deriveBits) {
  return {
    name,
    formats: ["raw"],
    usages: { secret: ["deriveKey", "deriveBits"] },
    takes: { deriveBits: (given) => ({ ...hashOf(given), salt: bytesIn(given, "salt"), ...read(given) }) },
    importKey: (_, data) => ({ type: "secret", algorithm: { name }, secret: data }),
    deriveBits,
  };
}

const readInfo = (given) => ({ info: bytesIn(given, "info") });
const readIterations = (given) => ({ iterations: numberIn(given, "iterations", MAX_LONG) });

export const passwords = [
  derivation("HKDF", readInfo, ({ hash, salt, info }, key, length) => {
    if (length > 255 * hash.outputLen) fail("OperationError", "HKDF gives no more than 255 times what its hash gives");
    return hkdf(hash, key.secret, salt, info, length);
  }),
  derivation("PBKDF2", readIterations, ({ hash, salt, iterations }, key, length) => {
    if (iterations === 0) fail("OperationError", "PBKDF2 takes a number of iterations that is not 0");
    return hash.pbkdf2(key.secret, salt, iterations, length);
  }),
];
