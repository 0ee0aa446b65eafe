// Digests and message authentication, over the plugin's own SHA-2.

import { fromBase64, toBase64, toHex } from "@compute/op/codec";

export const b64 = { encode: toBase64, decode: fromBase64 };

const encoder = new TextEncoder();
const asBytes = (value) => (typeof value === "string" ? encoder.encode(value) : value);
const BLOCK = 64;

async function digest(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
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

export async function sha256(value, encoding = "hex") {
  return show(await digest(asBytes(value)), encoding);
}

// HMAC with SHA-256 (RFC 2104).
export async function hmac(key, value, encoding = "hex") {
  let block = asBytes(key);
  if (block.length > BLOCK) block = await digest(block);
  block = join(block, new Uint8Array(BLOCK - block.length));
  const inner = await digest(join(block.map((byte) => byte ^ 0x36), asBytes(value)));
  return show(await digest(join(block.map((byte) => byte ^ 0x5c), inner)), encoding);
}

// Whether two texts or byte strings are the same, in a time that does not tell where they differ.
export function equal(first, second) {
  const [a, b] = [asBytes(first), asBytes(second)];
  let different = a.length ^ b.length;
  for (let at = 0; at < a.length; at++) different |= a[at] ^ b[at % (b.length || 1)];
  return different === 0;
}
