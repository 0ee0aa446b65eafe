// The part of Node.js's crypto that is computed: hashes, HMAC, keys from passwords, random bytes.
const { hmac } = require("@noble/hashes/hmac.js");
const { hkdf } = require("@noble/hashes/hkdf.js");
const { ripemd160 } = require("@noble/hashes/legacy.js");
const { pbkdf2 } = require("@noble/hashes/pbkdf2.js");
const { scrypt } = require("@noble/hashes/scrypt.js");
const { sha3_224, sha3_256, sha3_384, sha3_512 } = require("@noble/hashes/sha3.js");
const { Transform } = require("stream");

// Those that the sandbox has itself.
const { md5, sha1, sha224, sha256, sha384, sha512, sha512_256 } = crypto[Symbol.for("compute.primitives")];
const HASHES = {
  md5,
  ripemd160,
  rmd160: ripemd160,
  sha1,
  sha224,
  sha256,
  sha384,
  sha512,
  "sha512-256": sha512_256,
  "sha3-224": sha3_224,
  "sha3-256": sha3_256,
  "sha3-384": sha3_384,
  "sha3-512": sha3_512,
};

function hashOf(name) {
  const key = String(name).toLowerCase().replace(/^rsa-/, "").replace(/^sha-(\d+)$/, "sha$1");
  if (!Object.hasOwn(HASHES, key)) throw Object.assign(new Error("Digest method not supported"), { code: "ERR_CRYPTO_INVALID_DIGEST" });
  return HASHES[key];
}

function bytesOf(data, encoding) {
  if (typeof data === "string") return Buffer.from(data, encoding === "buffer" ? "utf8" : encoding);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (data instanceof KeyObject) return data.bytes;
  throw Object.assign(new TypeError("the data must be a string, a Buffer, a TypedArray or a DataView"), { code: "ERR_INVALID_ARG_TYPE" });
}

const encoded = (bytes, encoding) => {
  const buffer = Buffer.from(bytes);
  return encoding === undefined || encoding === "buffer" ? buffer : buffer.toString(encoding);
};

class KeyObject {
  constructor(bytes) {
    this.bytes = bytes;
  }
  get type() {
    return "secret";
  }
  get symmetricKeySize() {
    return this.bytes.length;
  }
  export({ format } = {}) {
    return format === "jwk" ? { kty: "oct", k: Buffer.from(this.bytes).toString("base64url") } : Buffer.from(this.bytes);
  }
  equals(other) {
    return other instanceof KeyObject && other.bytes.length === this.bytes.length && timingSafeEqual(this.bytes, other.bytes);
  }
}

class Digest extends Transform {
  #state;
  #ended = false;
  constructor(state) {
    super();
    this.#state = state;
  }
  #begun() {
    if (this.#ended) throw Object.assign(new Error("Digest already called"), { code: "ERR_CRYPTO_HASH_FINALIZED" });
  }
  update(data, encoding) {
    this.#begun();
    this.#state.update(bytesOf(data, encoding));
    return this;
  }
  digest(encoding) {
    this.#begun();
    this.#ended = true;
    return encoded(this.#state.digest(), encoding);
  }
  copy() {
    this.#begun();
    return new this.constructor(this.#state.clone());
  }
  _transform(chunk, encoding, done) {
    this.update(chunk, encoding);
    done();
  }
  _flush(done) {
    this.push(this.digest());
    done();
  }
}

class Hash extends Digest {}
class Hmac extends Digest {}

const createHash = (name) => new Hash(hashOf(name).create());
const createHmac = (name, key) => new Hmac(hmac.create(hashOf(name), bytesOf(key)));
const hash = (name, data, encoding = "hex") => createHash(name).update(data).digest(encoding);

function timingSafeEqual(one, other) {
  const [a, b] = [bytesOf(one), bytesOf(other)];
  if (a.length !== b.length)
    throw Object.assign(new RangeError("Input buffers must have the same byte length"), { code: "ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH" });
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a[at] ^ b[at];
  return difference === 0;
}

// What takes a callback calls it once it is done.
const later = (compute, callback) =>
  queueMicrotask(() => {
    let result;
    try {
      result = compute();
    } catch (error) {
      callback(error);
      return;
    }
    callback(null, result);
  });
const either = (compute, callback) => (typeof callback === "function" ? later(compute, callback) : compute());

function fill(bytes) {
  // So many are given at once.
  for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}
const randomBytes = (size, callback) => either(() => Buffer.from(fill(new Uint8Array(size))), callback);
function randomFillSync(target, offset = 0, size) {
  const bytes = bytesOf(target);
  fill(bytes.subarray(offset, size === undefined ? undefined : offset + size));
  return target;
}
function randomInt(min, max, callback) {
  if (max === undefined || typeof max === "function") return randomInt(0, min, max);
  const range = max - min;
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max) || range <= 0 || range > 2 ** 48)
    throw Object.assign(new RangeError("the numbers must be safe integers, the second greater than the first by at most 2 ** 48"), { code: "ERR_OUT_OF_RANGE" });
  const draw = () => {
    const most = 2 ** 48 - (2 ** 48 % range);
    for (;;) {
      const drawn = fill(new Uint8Array(6)).reduce((number, byte) => number * 256 + byte, 0);
      if (drawn < most) return min + (drawn % range);
    }
  };
  return either(draw, callback);
}

function pbkdf2Sync(password, salt, iterations, length, name = "sha1") {
  const hash = hashOf(name), [secret, salted] = [bytesOf(password), bytesOf(salt)];
  return Buffer.from(hash.pbkdf2 ? hash.pbkdf2(secret, salted, iterations, length) : pbkdf2(hash, secret, salted, { c: iterations, dkLen: length }));
}
const scryptSync = (password, salt, length, { N = 16384, r = 8, p = 1, cost = N, blockSize = r, parallelization = p } = {}) =>
  Buffer.from(scrypt(bytesOf(password), bytesOf(salt), { N: cost, r: blockSize, p: parallelization, dkLen: length }));
const hkdfSync = (name, key, salt, info, length) => hkdf(hashOf(name), bytesOf(key), bytesOf(salt), bytesOf(info), length).buffer;

// What is not here says so when it is called: whoever only imports it is not in its way.
const missing = (name) => () => {
  throw new Error(`node:crypto has no ${name} in a sandbox: it has hashes, HMAC, PBKDF2, scrypt, HKDF and random bytes`);
};
const MISSING = [
  "createCipheriv", "createDecipheriv", "createDiffieHellman", "createECDH", "createPrivateKey", "createPublicKey", "createSign",
  "createVerify", "generateKeyPair", "generateKeyPairSync", "privateDecrypt", "privateEncrypt", "publicDecrypt", "publicEncrypt",
  "sign", "verify",
];

module.exports = {
  createHash,
  createHmac,
  createSecretKey: (key, encoding) => new KeyObject(bytesOf(key, encoding)),
  getHashes: () => Object.keys(HASHES),
  getRandomValues: (bytes) => crypto.getRandomValues(bytes),
  Hash,
  hash,
  hkdf: (name, key, salt, info, length, callback) => later(() => hkdfSync(name, key, salt, info, length), callback),
  hkdfSync,
  Hmac,
  KeyObject,
  pbkdf2(password, salt, iterations, length, name, callback) {
    later(() => pbkdf2Sync(password, salt, iterations, length, name), callback);
  },
  pbkdf2Sync,
  pseudoRandomBytes: randomBytes,
  randomBytes,
  randomFill(target, ...rest) {
    later(() => randomFillSync(target, ...rest.slice(0, -1)), rest.at(-1));
  },
  randomFillSync,
  randomInt,
  randomUUID: () => crypto.randomUUID(),
  scrypt(password, salt, length, options, callback) {
    const given = typeof options === "function" ? {} : options;
    later(() => scryptSync(password, salt, length, given), callback ?? options);
  },
  scryptSync,
  subtle: crypto.subtle,
  timingSafeEqual,
  webcrypto: crypto,
  constants: {},
  ...Object.fromEntries(MISSING.map((name) => [name, missing(name)])),
};
