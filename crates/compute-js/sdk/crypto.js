// Digests and message authentication, at once: nothing that is given back is a promise.

import { fromBase64, toBase64, toHex } from "@compute/op/codec";

export const b64 = { encode: toBase64, decode: fromBase64 };

const encoder = new TextEncoder();
const asBytes = (value) => (typeof value === "string" ? encoder.encode(value) : value);
const BLOCK = 64;

// The constants of SHA-256 (FIPS 180-4): of the square roots of the first eight primes, and the cube roots of the first 64.
const primes = [];
for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
const fraction = (root) => ((root - Math.floor(root)) * 2 ** 32) | 0;
const START = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
const ROUND = primes.map((prime) => fraction(Math.cbrt(prime)));

// SHA-256, at once: `crypto.subtle` gives a promise.
function digest(bytes) {
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length << 3);
  const state = Int32Array.from(START);
  const words = new Int32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let at = 0; at < 16; at++) words[at] = view.getInt32(block + 4 * at);
    for (let at = 16; at < 64; at++) {
      const x = words[at - 15];
      const y = words[at - 2];
      const first = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const second = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      words[at] = (words[at - 16] + first + words[at - 7] + second) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let at = 0; at < 64; at++) {
      const one = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t = (h + one + ((e & f) ^ (~e & g)) + ROUND[at] + words[at]) | 0;
      const two = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const u = (two + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t) | 0;
      d = c;
      c = b;
      b = a;
      a = (t + u) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, at) => (state[at] += word));
  }
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((word, at) => out.setInt32(4 * at, word));
  return new Uint8Array(out.buffer);
}

function join(first, second) {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

function show(bytes, encoding) {
  switch (encoding) {
    case "hex": return toHex(bytes);
    case "base64": return toBase64(bytes);
    case "bytes": return bytes;
    default: throw new TypeError(`a digest is shown as hex, base64 or bytes, and not as ${encoding}`);
  }
}

export function sha256(value, encoding = "hex") {
  return show(digest(asBytes(value)), encoding);
}

// HMAC with SHA-256 (RFC 2104).
export function hmac(key, value, encoding = "hex") {
  let block = asBytes(key);
  if (block.length > BLOCK) block = digest(block);
  block = join(block, new Uint8Array(BLOCK - block.length));
  const inner = digest(join(block.map((byte) => byte ^ 0x36), asBytes(value)));
  return show(digest(join(block.map((byte) => byte ^ 0x5c), inner)), encoding);
}

// Whether two texts or byte strings are the same, in a time that does not tell where they differ.
export function equal(first, second) {
  const [a, b] = [asBytes(first), asBytes(second)];
  let different = a.length ^ b.length;
  for (let at = 0; at < a.length; at++) different |= a[at] ^ b[at % (b.length || 1)];
  return different === 0;
}
