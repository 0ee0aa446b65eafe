// AES in the modes GCM, CBC and CTR (FIPS 197, SP 800-38A, SP 800-38D).

import { cbc, ctr, gcm } from "@noble/ciphers/aes.js";

import { checkAlgorithm } from "./jwk.js";
import { bytesIn, fail, fromBase64url, isSame, MAX_OCTET, MAX_SHORT, numberIn, optional, random, toBase64url } from "./key.js";

const SIZES = [16, 24, 32];

const readLength = (given) => ({ length: numberIn(given, "length", MAX_SHORT) });

function bits({ length }) {
  if (!SIZES.includes(length / 8)) fail("OperationError", `a key of AES has 128, 192 or 256 bits, and not ${length}`);
  return length;
}

function checkSize(bytes, size, name) {
  if (bytes.length !== size) fail("OperationError", `the ${name} has ${size} bytes, and not ${bytes.length}`);
}

function mode(name, suffix, read, cipher) {
  const keyOf = (secret) => {
    if (!SIZES.includes(secret.length)) fail("DataError", `a key of AES has 16, 24 or 32 bytes, and not ${secret.length}`);
    return { type: "secret", algorithm: { name, length: secret.length * 8 }, secret };
  };
  const run = (what) => (parameters, key, data) => {
    try {
      return cipher(key.secret, parameters)[what](data);
    } catch (error) {
      if (error instanceof DOMException) throw error;
      return fail("OperationError", what === "decrypt" ? "the data cannot be decrypted with this key" : "the data cannot be encrypted");
    }
  };
  return {
    name,
    formats: ["raw", "jwk"],
    usages: { secret: ["encrypt", "decrypt", "wrapKey", "unwrapKey"] },
    kty: "oct",
    use: "enc",
    takes: { generateKey: readLength, keyLength: readLength, encrypt: read, decrypt: read },
    importKey(format, data) {
      if (format === "raw") return keyOf(data);
      const key = keyOf(fromBase64url(data.k, "k"));
      checkAlgorithm(data, [`A${key.algorithm.length}${suffix}`]);
      return key;
    },
    exportKey(format, { algorithm, secret }) {
      if (format === "raw") return secret;
      return { kty: "oct", k: toBase64url(secret), alg: `A${algorithm.length}${suffix}` };
    },
    generateKey: (parameters) => keyOf(random(bits(parameters) / 8)),
    keyLength: bits,
    encrypt: run("encrypt"),
    decrypt: run("decrypt"),
  };
}

const TAGS = [32, 64, 96, 104, 112, 120, 128];

const readAuthenticated = (given) => ({
  iv: bytesIn(given, "iv"),
  additionalData: optional(bytesIn, given, "additionalData"),
  tagLength: optional(numberIn, given, "tagLength", MAX_OCTET) ?? 128,
});

// The package's tags are whole, and a shorter one is the beginning of that.
function authenticated(key, { iv, additionalData, tagLength }) {
  if (!TAGS.includes(tagLength)) fail("OperationError", `the tag of AES-GCM has ${TAGS.join(", ")} bits, and not ${tagLength}`);
  const size = tagLength / 8, whole = () => gcm(key, iv, additionalData);
  const encrypt = (data) => whole().encrypt(data).subarray(0, data.length + size);
  const decryptShort = (data) => {
    const length = data.length - size;
    if (length < 0) fail("OperationError", `the data is shorter than its tag of ${tagLength} bits`);
    // Encrypting is adding a stream of bytes, so that doing it again undoes it.
    const plain = encrypt(data.subarray(0, length)).subarray(0, length);
    if (!isSame(encrypt(plain).subarray(length), data.subarray(length))) fail("OperationError", "the data cannot be decrypted with this key");
    return plain;
  };
  return { encrypt, decrypt: (data) => (tagLength === 128 ? whole().decrypt(data) : decryptShort(data)) };
}

const readCounter = (given) => ({ start: bytesIn(given, "counter"), length: numberIn(given, "length", MAX_OCTET) });

// A counter of `length` bits, which begins anew when it is at its end; the bits above it stay.
function counted(key, { start, length }) {
  checkSize(start, 16, "counter");
  if (length < 1 || length > 128) fail("OperationError", "the counter has 1 to 128 bits");
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

function chained(key, { iv }) {
  checkSize(iv, 16, "iv");
  return cbc(key, iv);
}

export const aes = [
  mode("AES-GCM", "GCM", readAuthenticated, authenticated),
  mode("AES-CBC", "CBC", (given) => ({ iv: bytesIn(given, "iv") }), chained),
  mode("AES-CTR", "CTR", readCounter, counted),
];
