// ECDSA on the curves of NIST (FIPS 186-5), and Ed25519 (RFC 8032).

import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384 } from "@noble/curves/nist.js";

import { BITS, BYTES, expect, hex, INTEGER, OID, only, read, readPkcs8, readSpki, SEQUENCE, write, writePkcs8, writeSpki } from "./der.js";
import { fail, fromBase64url, hashOf, isSame, join, random, secretOf, toBase64url } from "./key.js";

const EC = hex("2a8648ce3d0201");
const CURVES = {
  "P-256": { curve: p256, oid: hex("2a8648ce3d030107"), size: 32 },
  "P-384": { curve: p384, oid: hex("2b81040022"), size: 48 },
};

function curveOf(parameters) {
  const name = parameters?.namedCurve;
  if (!Object.hasOwn(CURVES, String(name))) fail("NotSupportedError", `there is no curve ${name}: ${Object.keys(CURVES).join(", ")}`);
  return { name, ...CURVES[name] };
}

function point(curve, bytes) {
  try {
    return curve.Point.fromBytes(bytes).toBytes(false);
  } catch {
    return fail("DataError", "the key is no point of the curve");
  }
}

function ecKey(curve, secret, open) {
  const algorithm = { name: "ECDSA", namedCurve: curve.name };
  if (secret === undefined) return { type: "public", algorithm, secret: { open: point(curve.curve, open) }, usages: ["verify"] };
  if (!curve.curve.utils.isValidSecretKey(secret)) fail("DataError", "the key is none of the curve");
  const own = curve.curve.getPublicKey(secret, false);
  if (open !== undefined && !isSame(own, open)) fail("DataError", "the key's two halves do not belong together");
  return { type: "private", algorithm, secret: { secret, open: own }, usages: ["sign"] };
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

const ecdsa = {
  name: "ECDSA",
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
    if (data.kty !== "EC" || data.crv !== curve.name) fail("DataError", `the key has the kty EC and the crv ${curve.name}`);
    const [x, y] = ["x", "y"].map((name) => fromBase64url(data[name], name));
    if (x.length !== curve.size || y.length !== curve.size) fail("DataError", "the key's x and y have another length");
    const open = point(curve.curve, join([4], x, y));
    return ecKey(curve, data.d === undefined ? undefined : fromBase64url(data.d, "d"), open);
  },
  exportKey(format, key) {
    const curve = curveOf(key.algorithm), { secret, open } = secretOf(key);
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
    const secret = curve.curve.utils.randomSecretKey(random(curve.size + Math.ceil(curve.size / 2)));
    const privateKey = ecKey(curve, secret);
    return { privateKey, publicKey: ecKey(curve, undefined, privateKey.secret.open) };
  },
  sign(parameters, key, data) {
    const { curve } = curveOf(key.algorithm);
    return curve.sign(hashOf(parameters).hash(data), secretOf(key).secret, { prehash: false, lowS: false });
  },
  verify(parameters, key, signature, data) {
    const { curve, size } = curveOf(key.algorithm);
    if (signature.length !== 2 * size) return false;
    return curve.verify(signature, hashOf(parameters).hash(data), secretOf(key).open, { prehash: false, lowS: false });
  },
};

const ED25519 = hex("2b6570");

function edKey(secret, open) {
  const algorithm = { name: "Ed25519" };
  if ((secret ?? open).length !== 32) fail("DataError", "a key of Ed25519 has 32 bytes");
  if (secret === undefined) return { type: "public", algorithm, secret: { open }, usages: ["verify"] };
  const own = ed25519.getPublicKey(secret);
  if (open !== undefined && !isSame(own, open)) fail("DataError", "the key's two halves do not belong together");
  return { type: "private", algorithm, secret: { secret, open: own }, usages: ["sign"] };
}

const eddsa = {
  name: "Ed25519",
  importKey(format, data) {
    if (format === "raw") return edKey(undefined, data);
    if (format === "jwk") {
      if (data.kty !== "OKP" || data.crv !== "Ed25519") fail("DataError", "the key has the kty OKP and the crv Ed25519");
      return edKey(data.d === undefined ? undefined : fromBase64url(data.d, "d"), fromBase64url(data.x, "x"));
    }
    const key = format === "spki" ? readSpki(data) : readPkcs8(data);
    if (!isSame(key.oid, ED25519)) fail("DataError", "the key is of another algorithm");
    return format === "spki" ? edKey(undefined, key.key) : edKey(only(key.key, BYTES));
  },
  exportKey(format, key) {
    const { secret, open } = secretOf(key), isPrivate = key.type === "private";
    if (format === "jwk") {
      const jwk = { kty: "OKP", crv: "Ed25519", x: toBase64url(open) };
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
  sign: (_, key, data) => ed25519.sign(data, secretOf(key).secret),
  verify: (_, key, signature, data) => signature.length === 64 && ed25519.verify(signature, data, secretOf(key).open, { zip215: false }),
};

export const curves = [ecdsa, eddsa];
