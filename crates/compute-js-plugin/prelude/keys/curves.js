// ECDSA on the curves of NIST (FIPS 186-5), and Ed25519 (RFC 8032).

import { PRIMITIVES } from "../primitives.js";
import { BITS, BYTES, expect, hex, INTEGER, OID, only, read, readPkcs8, readSpki, SEQUENCE, write, writePkcs8, writeSpki } from "./der.js";
import { checkAlgorithm } from "./jwk.js";
import { fail, fromBase64url, hashOf, isSame, join, random, textIn, toBase64url } from "./key.js";

const { curvePublic, curveDecode, curveSign, curveVerify } = crypto[PRIMITIVES];

const EC = hex("2a8648ce3d0201");
// `curve` is the number that curves.zig has for it.
const CURVES = {
  "P-256": { curve: 0, oid: hex("2a8648ce3d030107"), size: 32, jwk: "ES256" },
  "P-384": { curve: 1, oid: hex("2b81040022"), size: 48, jwk: "ES384" },
};

const readCurve = (given) => ({ namedCurve: textIn(given, "namedCurve") });

function curveOf({ namedCurve: name }) {
  if (!Object.hasOwn(CURVES, name)) fail("NotSupportedError", `there is no curve ${name}: ${Object.keys(CURVES).join(", ")}`);
  return { name, ...CURVES[name] };
}

function point({ curve, size }, bytes) {
  const whole = new Uint8Array(1 + 2 * size);
  return curveDecode(curve, bytes, whole) ? whole : fail("DataError", "the key is no point of the curve");
}

function ecKey(curve, secret, open) {
  const algorithm = { name: "ECDSA", namedCurve: curve.name };
  if (secret === undefined) return { type: "public", algorithm, secret: { open: point(curve, open) } };
  const own = new Uint8Array(1 + 2 * curve.size);
  if (!curvePublic(curve.curve, secret, own)) fail("DataError", "the key is none of the curve");
  if (open !== undefined && !isSame(own, open)) fail("DataError", "the key's two halves do not belong together");
  return { type: "private", algorithm, secret: { secret, open: own } };
}

function readEcPrivate(curve, bytes) {
  const [, secret, ...rest] = read(only(bytes, SEQUENCE));
  const open = rest.find((item) => item.tag === 0xa1);
  return ecKey(curve, expect(secret, BYTES), open && only(open.content, BITS).subarray(1));
}

const ecAlgorithm = (curve) => [write(OID, EC), write(OID, curve.oid)];

function checkEc({ oid, parameters }, curve) {
  if (!isSame(oid, EC) || !isSame(expect(parameters, OID), curve.oid)) fail("DataError", "the key is of another algorithm");
}

function checkCurve({ crv }, name) {
  if (crv !== name) fail("DataError", `the key has the crv ${crv}, and not ${name}`);
}

const ecdsa = {
  name: "ECDSA",
  formats: ["raw", "spki", "pkcs8", "jwk"],
  usages: { public: ["verify"], private: ["sign"] },
  kty: "EC",
  use: "sig",
  takes: { importKey: readCurve, generateKey: readCurve, sign: hashOf, verify: hashOf },
  importKey(format, data, parameters) {
    const curve = curveOf(parameters);
    if (format === "raw") return ecKey(curve, undefined, data);
    if (format === "spki") {
      const key = readSpki(data);
      checkEc(key, curve);
      return ecKey(curve, undefined, key.key);
    }
    if (format === "pkcs8") {
      const key = readPkcs8(data);
      checkEc(key, curve);
      return readEcPrivate(curve, key.key);
    }
    checkCurve(data, curve.name);
    checkAlgorithm(data, [curve.jwk]);
    const [x, y] = ["x", "y"].map((name) => fromBase64url(data[name], name));
    if (x.length !== curve.size || y.length !== curve.size) fail("DataError", "the key's x and y have another length");
    const open = point(curve, join([4], x, y));
    return ecKey(curve, data.d === undefined ? undefined : fromBase64url(data.d, "d"), open);
  },
  exportKey(format, key) {
    const curve = curveOf(key.algorithm), { secret, open } = key.secret;
    const isPrivate = key.type === "private";
    if (format === "jwk") {
      const jwk = { kty: "EC", crv: curve.name, x: toBase64url(open.subarray(1, 1 + curve.size)), y: toBase64url(open.subarray(1 + curve.size)) };
      return isPrivate ? { ...jwk, d: toBase64url(secret) } : jwk;
    }
    if (isPrivate !== (format === "pkcs8")) fail("InvalidAccessError", `a ${key.type} key has no format ${format}`);
    if (format === "raw") return open;
    if (format === "spki") return writeSpki(ecAlgorithm(curve), open);
    const inner = write(SEQUENCE, write(INTEGER, [1]), write(BYTES, secret), write(0xa1, write(BITS, [0], open)));
    return writePkcs8(ecAlgorithm(curve), inner);
  },
  generateKey(parameters) {
    const curve = curveOf(parameters);
    const open = new Uint8Array(1 + 2 * curve.size);
    let secret = random(curve.size);
    // Few are none: 0, and those from the curve's order on.
    while (!curvePublic(curve.curve, secret, open)) secret = random(curve.size);
    const privateKey = ecKey(curve, secret);
    return { privateKey, publicKey: ecKey(curve, undefined, privateKey.secret.open) };
  },
  sign({ hash }, key, data) {
    const { curve, size } = curveOf(key.algorithm), signature = new Uint8Array(2 * size);
    if (!curveSign(curve, key.secret.secret, hash(data), signature)) fail("OperationError", "the key cannot sign this");
    return signature;
  },
  verify({ hash }, key, signature, data) {
    return curveVerify(curveOf(key.algorithm).curve, key.secret.open, hash(data), signature);
  },
};

const ED25519 = hex("2b6570");
// Its number with those of the other curves.
const ED = 2;
// The points of small order, with the numbers that mean the same modulo the prime and without the bit of the sign. A signature
// with one of them, as the key or as its own first half, may hold for many messages.
const SMALL = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map(hex);

function isSmall(point) {
  const unsigned = point.slice();
  unsigned[31] &= 127;
  return SMALL.some((small) => isSame(small, unsigned));
}

function edKey(secret, open) {
  const algorithm = { name: "Ed25519" };
  if ((secret ?? open).length !== 32) fail("DataError", "a key of Ed25519 has 32 bytes");
  if (secret === undefined) return { type: "public", algorithm, secret: { open } };
  const own = new Uint8Array(32);
  if (!curvePublic(ED, secret, own)) fail("DataError", "the key is none of the curve");
  if (open !== undefined && !isSame(own, open)) fail("DataError", "the key's two halves do not belong together");
  return { type: "private", algorithm, secret: { secret, open: own } };
}

const eddsa = {
  name: "Ed25519",
  formats: ["raw", "spki", "pkcs8", "jwk"],
  usages: { public: ["verify"], private: ["sign"] },
  kty: "OKP",
  use: "sig",
  importKey(format, data) {
    if (format === "raw") return edKey(undefined, data);
    if (format === "jwk") {
      checkCurve(data, "Ed25519");
      checkAlgorithm(data, ["Ed25519", "EdDSA"]);
      return edKey(data.d === undefined ? undefined : fromBase64url(data.d, "d"), fromBase64url(data.x, "x"));
    }
    const key = format === "spki" ? readSpki(data) : readPkcs8(data);
    if (!isSame(key.oid, ED25519)) fail("DataError", "the key is of another algorithm");
    return format === "spki" ? edKey(undefined, key.key) : edKey(only(key.key, BYTES));
  },
  exportKey(format, key) {
    const { secret, open } = key.secret, isPrivate = key.type === "private";
    if (format === "jwk") {
      const jwk = { kty: "OKP", crv: "Ed25519", alg: "Ed25519", x: toBase64url(open) };
      return isPrivate ? { ...jwk, d: toBase64url(secret) } : jwk;
    }
    if (isPrivate !== (format === "pkcs8")) fail("InvalidAccessError", `a ${key.type} key has no format ${format}`);
    if (format === "raw") return open;
    const algorithm = [write(OID, ED25519)];
    return format === "spki" ? writeSpki(algorithm, open) : writePkcs8(algorithm, write(BYTES, secret));
  },
  generateKey() {
    const privateKey = edKey(random(32));
    return { privateKey, publicKey: edKey(undefined, privateKey.secret.open) };
  },
  sign(_, key, data) {
    const signature = new Uint8Array(64);
    if (!curveSign(ED, key.secret.secret, data, signature)) fail("OperationError", "the key cannot sign this");
    return signature;
  },
  verify(_, { secret: { open } }, signature, data) {
    if (signature.length !== 64 || isSmall(open) || isSmall(signature.subarray(0, 32))) return false;
    return curveVerify(ED, open, data, signature);
  },
};

export const curves = [ecdsa, eddsa];
