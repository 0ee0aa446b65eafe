// TextEncoder and TextDecoder (WHATWG Encoding): UTF-8, and for decoding UTF-16LE and Latin-1 as well.

import { define } from "./globals.js";

const LABELS = {
  "utf-8": "utf-8", utf8: "utf-8", "unicode-1-1-utf-8": "utf-8",
  "utf-16le": "utf-16le", "utf-16": "utf-16le", "ucs-2": "utf-16le", unicode: "utf-16le",
  "windows-1252": "windows-1252", "iso-8859-1": "windows-1252", latin1: "windows-1252", ascii: "windows-1252",
  "us-ascii": "windows-1252",
};

// What windows-1252 has from 0x80 to 0x9f.
const WINDOWS_1252 =
  "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";

function bytesOf(source) {
  if (source === undefined) return new Uint8Array(0);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  throw new TypeError("TextDecoder.decode takes an ArrayBuffer or a view of one");
}

// How many bytes at the end are the beginning of a character of UTF-8 that is not whole yet.
function unfinished(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte >= 0xc2) {
      const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return needed > back ? back : 0;
    }
    if (byte < 0x80) return 0;
  }
  return 0;
}

export function defineEncoding(host) {
  class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    encode(text = "") {
      return host.utf8Encode(String(text).toWellFormed());
    }
    encodeInto(text, target) {
      let read = 0, written = 0;
      for (const character of String(text)) {
        const bytes = this.encode(character);
        if (written + bytes.length > target.length) break;
        target.set(bytes, written);
        written += bytes.length;
        read += character.length;
      }
      return { read, written };
    }
  }

  class TextDecoder {
    #encoding;
    #fatal;
    #ignoreBOM;
    #held = new Uint8Array(0);
    #begun = false;

    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
      this.#encoding = LABELS[String(label).trim().toLowerCase()];
      if (this.#encoding === undefined) throw new RangeError(`TextDecoder does not know the encoding ${label}`);
      this.#fatal = Boolean(fatal);
      this.#ignoreBOM = Boolean(ignoreBOM);
    }
    get encoding() {
      return this.#encoding;
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#ignoreBOM;
    }
    decode(source, { stream = false } = {}) {
      let bytes = bytesOf(source);
      if (this.#held.length > 0) {
        const joined = new Uint8Array(this.#held.length + bytes.length);
        joined.set(this.#held);
        joined.set(bytes, this.#held.length);
        bytes = joined;
      }
      const keep = !stream ? 0 : this.#encoding === "utf-8" ? unfinished(bytes) : this.#encoding === "utf-16le" ? bytes.length % 2 : 0;
      this.#held = bytes.slice(bytes.length - keep);
      let text = this.#whole(bytes.subarray(0, bytes.length - keep));
      if (!this.#begun && !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      this.#begun = stream && (this.#begun || text.length > 0);
      return text;
    }
    #whole(bytes) {
      if (this.#encoding === "utf-8") {
        const text = host.utf8Decode(bytes, this.#fatal);
        if (text === null) throw new TypeError("the bytes are not UTF-8");
        return text;
      }
      let text = "";
      if (this.#encoding === "windows-1252") {
        for (const byte of bytes) text += byte >= 0x80 && byte < 0xa0 ? WINDOWS_1252[byte - 0x80] : String.fromCharCode(byte);
        return text;
      }
      for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(bytes[at] | (bytes[at + 1] << 8));
      if (bytes.length % 2 === 1) text += "\ufffd";
      if (this.#fatal && (bytes.length % 2 === 1 || !text.isWellFormed())) throw new TypeError("the bytes are not UTF-16");
      return text.toWellFormed();
    }
  }

  define(globalThis, { TextEncoder, TextDecoder });
}
