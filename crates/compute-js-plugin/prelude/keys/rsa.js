// RSASSA-PKCS1-v1_5 and RSA-PSS (RFC 8017).

import { expect, hex, INTEGER, NULL, OID, only, read, readPkcs8, readSpki, SEQUENCE, integer, write, writePkcs8, writeSpki } from "./der.js";
import { checkAlgorithm } from "./jwk.js";
import { fail, fromBase64url, hashOf, isSame, join, MAX_LONG, numberIn, optional, random, toBase64url } from "./key.js";

const RSA = hex("2a864886f70d010101");
// What stands before a hash that is signed: its name, in DER.
const PREFIXES = {
  "SHA-1": hex("3021300906052b0e03021a05000414"),
  "SHA-256": hex("3031300d060960864801650304020105000420"),
  "SHA-384": hex("3041300d060960864801650304020205000430"),
  "SHA-512": hex("3051300d060960864801650304020305000440"),
};
// How large a key may be, in bits: a larger one takes the whole call.
const LEAST = 1024, MOST = 8192;
const PRIVATE = ["d", "p", "q", "dp", "dq", "qi"];

const number = (bytes) => BigInt(`0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("") || "0"}`);

function bytes(value, size) {
  const text = value.toString(16), whole = text.length % 2 ? `0${text}` : text;
  const short = hex(whole);
  return size === undefined ? short : join(new Uint8Array(size - short.length), short);
}

function power(base, exponent, modulus) {
  let result = 1n, factor = base % modulus;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * factor) % modulus;
    factor = (factor * factor) % modulus;
  }
  return result;
}

// Whether it may be the exponent of a public key.
const isExponent = (e) => e >= 3n && e % 2n === 1n && e.toString(2).length <= 64;

function keyOf(name, { name: hash }, n, e, secret) {
  const modulusLength = n.toString(2).length;
  if (modulusLength < LEAST || modulusLength > MOST) fail("DataError", `a key of RSA has ${LEAST} to ${MOST} bits here`);
  if (!isExponent(e)) fail("DataError", "the key's exponent is none");
  const algorithm = { name, modulusLength, publicExponent: bytes(e), hash: { name: hash } };
  const size = Math.ceil(modulusLength / 8);
  if (secret === undefined) return { type: "public", algorithm, secret: { n, e, size } };
  if (secret.p * secret.q !== n) fail("DataError", "the key's parts do not belong together");
  return { type: "private", algorithm, secret: { n, e, size, ...secret } };
}

function checkRsa({ oid }) {
  if (!isSame(oid, RSA)) fail("DataError", "the key is of another algorithm");
}

// By the two primes, which takes a quarter of the time; and what comes of it is checked, since a mistake would tell them.
function decipher({ n, e, p, q, dp, dq, qi }, message) {
  const one = power(message, dp, p), other = power(message, dq, q);
  const result = other + (((((one - other) % p) + p) * qi) % p) * q;
  if (power(result, e, n) !== message) fail("OperationError", "the key's parts do not belong together");
  return result;
}

function mgf1(hash, seed, size) {
  const parts = [];
  for (let count = 0; count * hash.outputLen < size; count++) parts.push(hash(join(seed, [count >> 24, count >> 16, count >> 8, count])));
  return join(...parts).subarray(0, size);
}

const PKCS1 = {
  name: "RSASSA-PKCS1-v1_5",
  jwk: "RS",
  encode(key, digest) {
    const { size } = key.secret, content = join(PREFIXES[key.algorithm.hash.name], digest);
    if (size < content.length + 11) fail("OperationError", "the key is too short for this hash");
    return join([0, 1], new Uint8Array(size - content.length - 3).fill(255), [0], content);
  },
  isRight(key, digest, encoded) {
    return isSame(this.encode(key, digest), encoded);
  },
};

const PSS = {
  name: "RSA-PSS",
  jwk: "PS",
  encode(key, digest, { saltLength }) {
    const { hash } = hashOf(key.algorithm), bits = key.algorithm.modulusLength - 1, size = Math.ceil(bits / 8);
    if (size < digest.length + saltLength + 2) fail("OperationError", "the key is too short for this hash and salt");
    const salt = random(saltLength), sum = hash(join(new Uint8Array(8), digest, salt));
    const data = join(new Uint8Array(size - saltLength - sum.length - 2), [1], salt);
    const mask = mgf1(hash, sum, data.length), masked = data.map((byte, at) => byte ^ mask[at]);
    masked[0] &= 255 >> (8 * size - bits);
    return join(masked, sum, [0xbc]);
  },
  isRight(key, digest, whole, { saltLength }) {
    const { hash } = hashOf(key.algorithm), bits = key.algorithm.modulusLength - 1, size = Math.ceil(bits / 8);
    const encoded = whole.subarray(whole.length - size), unused = 8 * size - bits;
    if (size < digest.length + saltLength + 2 || encoded[size - 1] !== 0xbc || (whole.length > size && whole[0] !== 0)) return false;
    const masked = encoded.subarray(0, size - digest.length - 1), sum = encoded.subarray(size - digest.length - 1, size - 1);
    if (masked[0] >> (8 - unused) && unused > 0) return false;
    const mask = mgf1(hash, sum, masked.length), data = masked.map((byte, at) => byte ^ mask[at]);
    data[0] &= 255 >> unused;
    const rest = data.length - saltLength - 1;
    if (data.subarray(0, rest).some((byte) => byte !== 0) || data[rest] !== 1) return false;
    return isSame(hash(join(new Uint8Array(8), digest, data.subarray(rest + 1))), sum);
  },
};

function readGenerated(given) {
  if (!(given.publicExponent instanceof Uint8Array)) throw new TypeError("the parameter publicExponent is a Uint8Array");
  return { ...hashOf(given), modulusLength: numberIn(given, "modulusLength", MAX_LONG), e: number(given.publicExponent) };
}

// Only a salt of RSA-PSS has a length; without it, it is that of the hash.
const readSalt = (given) => ({ saltLength: optional(numberIn, given, "saltLength", MAX_LONG) });

function signatures(scheme) {
  const { name } = scheme;
  const jwkName = (hash) => `${scheme.jwk}${hash.name.slice(4)}`;
  return {
    name,
    formats: ["spki", "pkcs8", "jwk"],
    usages: { public: ["verify"], private: ["sign"] },
    kty: "RSA",
    use: "sig",
    takes: { importKey: hashOf, generateKey: readGenerated, sign: readSalt, verify: readSalt },
    importKey(format, data, parameters) {
      if (format === "spki") {
        const key = readSpki(data);
        checkRsa(key);
        const [n, e] = read(only(key.key, SEQUENCE)).map((item) => number(expect(item, INTEGER)));
        return keyOf(name, parameters, n, e);
      }
      if (format === "pkcs8") {
        const key = readPkcs8(data);
        checkRsa(key);
        const [, n, e, d, p, q, dp, dq, qi] = read(only(key.key, SEQUENCE)).map((item) => number(expect(item, INTEGER)));
        return keyOf(name, parameters, n, e, { d, p, q, dp, dq, qi });
      }
      checkAlgorithm(data, [jwkName(parameters)]);
      if (data.oth !== undefined) fail("NotSupportedError", "a key of RSA has two primes here");
      const part = (at) => number(fromBase64url(data[at], at));
      if (data.d === undefined) return keyOf(name, parameters, part("n"), part("e"));
      return keyOf(name, parameters, part("n"), part("e"), Object.fromEntries(PRIVATE.map((at) => [at, part(at)])));
    },
    exportKey(format, key) {
      const { secret } = key, isPrivate = key.type === "private";
      if (format === "jwk") {
        const parts = ["n", "e", ...(isPrivate ? PRIVATE : [])].map((at) => [at, toBase64url(bytes(secret[at]))]);
        return { kty: "RSA", alg: jwkName(key.algorithm.hash), ...Object.fromEntries(parts) };
      }
      if (isPrivate !== (format === "pkcs8")) fail("InvalidAccessError", `a ${key.type} key has no format ${format}`);
      const algorithm = [write(OID, RSA), write(NULL)];
      const parts = (names) => names.map((at) => integer(bytes(secret[at])));
      if (format === "spki") return writeSpki(algorithm, write(SEQUENCE, ...parts(["n", "e"])));
      return writePkcs8(algorithm, write(SEQUENCE, write(INTEGER, [0]), ...parts(["n", "e", ...PRIVATE])));
    },
    // Keys of RSA are not generated here; what is asked for is checked all the same.
    generateKey({ e }, usages) {
      if (!isExponent(e)) fail("OperationError", "the parameter publicExponent is an odd number from 3 on, of 64 bits at most");
      if (!usages.includes("sign")) fail("SyntaxError", "the private key is for nothing: name the usage sign");
      return fail("NotSupportedError", `crypto.subtle generates no keys of ${name} here: import one that was made elsewhere`);
    },
    sign({ saltLength }, key, data) {
      const { secret } = key, digest = hashOf(key.algorithm).hash(data);
      const encoded = scheme.encode(key, digest, { saltLength: saltLength ?? digest.length });
      return bytes(decipher(secret, number(encoded)), secret.size);
    },
    verify({ saltLength }, key, signature, data) {
      const { n, e, size } = key.secret, digest = hashOf(key.algorithm).hash(data);
      const signed = number(signature);
      if (signature.length !== size || signed >= n) return false;
      return scheme.isRight(key, digest, bytes(power(signed, e, n), size), { saltLength: saltLength ?? digest.length });
    },
  };
}

export const rsa = [signatures(PKCS1), signatures(PSS)];
