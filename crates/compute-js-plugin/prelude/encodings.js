// The encodings of before UTF-8 (WHATWG Encoding), each with its labels: a script of its own, which encoding.js has loaded when a
// label is none of those that it knows itself.

import { normalizeEncoding } from "@exodus/bytes/encoding-lite.js";
import { createMultibyteDecoder } from "@exodus/bytes/multi-byte.js";
import { createSinglebyteDecoder } from "@exodus/bytes/single-byte.js";

const MULTIBYTE = new Set(["big5", "euc-jp", "euc-kr", "gb18030", "gbk", "iso-2022-jp", "shift_jis"]);

/** The name of the encoding that a label means; undefined if none, or one that must not be decoded. */
export function encodingOf(label) {
  const name = normalizeEncoding(label);
  return name === null || name === "replacement" ? undefined : name;
}

/** A function that makes text of bytes, and keeps what is the beginning of a character where more follow. */
export function decoderOf(encoding, fatal) {
  const make = MULTIBYTE.has(encoding) ? createMultibyteDecoder : createSinglebyteDecoder;
  return make(encoding, !fatal);
}
