// The part of DER that keys are written in (X.690; RFC 5280, RFC 5958, RFC 8017).

import { fail, join } from "./key.js";

export const INTEGER = 2, BITS = 3, BYTES = 4, NULL = 5, OID = 6, SEQUENCE = 0x30;

export function write(tag, ...parts) {
  const content = join(...parts), { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return join([tag, ...size], content);
}

// A list of what is in some bytes: each with its tag and its content.
export function read(bytes) {
  const items = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at++];
    let length = bytes[at++];
    if (length > 128) {
      let count = length - 128;
      for (length = 0; count > 0 && count < 4; count--) length = length * 256 + bytes[at++];
    }
    if (!(at + length <= bytes.length)) fail("DataError", "the key is not in DER");
    items.push({ tag, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return items;
}

// The only thing in some bytes, which must have this tag.
export function only(bytes, tag) {
  return expect(read(bytes)[0], tag);
}

export function expect(item, tag) {
  if (item?.tag !== tag) fail("DataError", "the key is not as its format says");
  return item.content;
}

export const integer = (bytes) => {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at++;
  const short = bytes.subarray(at);
  return write(INTEGER, short[0] >= 128 ? [0] : [], short);
};

export const hex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));

// The object identifier of an algorithm, and what follows it, in the two formats; and the key that is in them.
export function readSpki(bytes) {
  const [algorithm, key] = read(only(bytes, SEQUENCE));
  const [oid, parameters] = read(expect(algorithm, SEQUENCE));
  return { oid: expect(oid, OID), parameters, key: expect(key, BITS).subarray(1) };
}

export function readPkcs8(bytes) {
  const [, algorithm, key] = read(only(bytes, SEQUENCE));
  const [oid, parameters] = read(expect(algorithm, SEQUENCE));
  return { oid: expect(oid, OID), parameters, key: expect(key, BYTES) };
}

export const writeSpki = (algorithm, key) => write(SEQUENCE, write(SEQUENCE, ...algorithm), write(BITS, [0], key));
export const writePkcs8 = (algorithm, key) => write(SEQUENCE, write(INTEGER, [0]), write(SEQUENCE, ...algorithm), write(BYTES, key));
