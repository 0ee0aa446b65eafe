// AES in the modes GCM, CBC and CTR (FIPS 197, SP 800-38A, SP 800-38D).

import { cbc, ctr, gcm } from "@noble/ciphers/aes.js";

import { dataOf, fail, fromBase64url, random, secretOf, toBase64url } from "./key.js";

const SIZES = [16, 24, 32];

function bits({ length }) {
  if (!SIZES.includes(length / 8)) fail("OperationError", "a key of AES has 128, 192 or 256 bits");
  return length;
}

function iv(parameters, size, name = "iv") {
  const bytes = dataOf(parameters[name], "encrypt");
  if (size !== undefined && bytes.length !== size) fail("OperationError", `the ${name} has ${size} bytes`);
  return bytes;
}

function mode(name, suffix, cipher) {
  const keyOf = (secret) => {
    if (!SIZES.includes(secret.length)) fail("DataError", "a key of AES has 16, 24 or 32 bytes");
    const usages = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];
    return { type: "secret", algorithm: { name, length: secret.length * 8 }, secret, usages };
  };
  const run = (what) => (parameters, key, data) => {
    try {
      return cipher(secretOf(key), parameters)[what](data);
    } catch (error) {
      if (error instanceof DOMException || error instanceof TypeError) throw error;
      return fail("OperationError", what === "decrypt" ? "the data cannot be decrypted with this key" : "the data cannot be encrypted");
    }
  };
  return {
    name,
    importKey(format, data) {
      if (format === "raw") return keyOf(data);
      if (format !== "jwk") fail("NotSupportedError", `a key of ${name} has no format ${format}`);
      if (data.kty !== "oct") fail("DataError", "a key of AES has the kty oct");
      const key = keyOf(fromBase64url(data.k, "k"));
      if (data.alg !== undefined && data.alg !== `A${key.algorithm.length}${suffix}`) fail("DataError", "the key is for another algorithm");
      return key;
    },
    exportKey(format, key) {
      if (format === "raw") return secretOf(key);
      if (format !== "jwk") fail("NotSupportedError", `a key of ${name} has no format ${format}`);
      return { kty: "oct", k: toBase64url(secretOf(key)), alg: `A${key.algorithm.length}${suffix}` };
    },
    generateKey: (parameters) => keyOf(random(bits(parameters) / 8)),
    keyLength: bits,
    encrypt: run("encrypt"),
    decrypt: run("decrypt"),
  };
}

// A counter of `length` bits, which begins anew when it is at its end; the bits above it stay.
function counted(key, parameters) {
  const start = iv(parameters, 16, "counter"), { length } = parameters;
  if (!Number.isInteger(length) || length < 1 || length > 128) fail("OperationError", "the counter has 1 to 128 bits");
  const size = 1n << BigInt(length), whole = start.reduce((so, byte) => (so << 8n) | BigInt(byte), 0n);
  const left = size - (whole % size);
  const crypt = (data) => {
    if (BigInt(Math.ceil(data.length / 16)) > size) fail("OperationError", "the data has more blocks than the counter can count");
    if (BigInt(Math.ceil(data.length / 16)) <= left) return ctr(key, start).encrypt(data);
    const first = Number(left) * 16, anew = new Uint8Array(16);
    for (let at = 15, rest = whole - (whole % size); at >= 0; at--, rest >>= 8n) anew[at] = Number(rest & 255n);
    const crypted = new Uint8Array(data.length);
    crypted.set(ctr(key, start).encrypt(data.subarray(0, first)));
    crypted.set(ctr(key, anew).encrypt(data.subarray(first)), first);
    return crypted;
  };
  return { encrypt: crypt, decrypt: crypt };
}

export const aes = [
  mode("AES-GCM", "GCM", (key, parameters) => {
    if ((parameters.tagLength ?? 128) !== 128) fail("NotSupportedError", "the tag of AES-GCM has 128 bits here");
    const more = parameters.additionalData === undefined ? undefined : dataOf(parameters.additionalData, "encrypt");
    return gcm(key, iv(parameters), more);
  }),
  mode("AES-CBC", "CBC", (key, parameters) => cbc(key, iv(parameters, 16))),
  mode("AES-CTR", "CTR", counted),
];
