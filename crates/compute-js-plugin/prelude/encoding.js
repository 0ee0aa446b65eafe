// TextEncoder and TextDecoder (WHATWG Encoding): UTF-8, and for decoding UTF-16 and Latin-1 as well. The other encodings are in
// encodings.js.

import { bytesOf, define } from "./globals.js";
import { ENCODINGS } from "./libraries.js";

const LABELS = {
  "utf-8": "utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
  "utf-16le": "utf-16le utf-16 ucs-2 unicode csunicode iso-10646-ucs-2 unicodefeff",
  "utf-16be": "utf-16be unicodefffe",
  "windows-1252":
    "windows-1252 cp1252 x-cp1252 iso-8859-1 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 iso-ir-100 latin1 l1 csisolatin1 cp819 ibm819 ascii us-ascii ansi_x3.4-1968",
};

function encodingOf(label) {
  const wanted = label.replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "").toLowerCase();
  return Object.keys(LABELS).find((name) => LABELS[name].split(" ").includes(wanted));
}

// What windows-1252 has from 0x80 to 0x9f.
const WINDOWS_1252 =
  "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";

// How many bytes at the end are the beginning of a character of UTF-8 that is not whole yet.
function unfinished(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    if (byte < 0xc2 || byte > 0xf4 || needed <= back) return 0;
    // The second byte of some is not any: what can never be whole is not kept.
    const second = back > 1 ? bytes[bytes.length - back + 1] : undefined;
    const low = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
    const high = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf;
    return second === undefined || (second >= low && second <= high) ? back : 0;
  }
  return 0;
}

export function defineEncoding(host) {
  let others;
  // The encodings that are a library, once one of them is asked for.
  const library = () => (others ??= host.loadLibrary(ENCODINGS));

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    encode(text = "") {
      return host.utf8Encode(String(text).toWellFormed());
    }
    encodeInto(text, target) {
      if (!(target instanceof Uint8Array)) throw new TypeError("TextEncoder.encodeInto fills a Uint8Array");
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
    // What decodes an encoding of the library.
    #decode;

    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
      const name = String(label);
      this.#fatal = Boolean(fatal);
      this.#ignoreBOM = Boolean(ignoreBOM);
      this.#encoding = encodingOf(name) ?? library()?.encodingOf(name);
      if (this.#encoding === undefined) throw new RangeError(`TextDecoder does not know the encoding ${name}`);
      if (!Object.hasOwn(LABELS, this.#encoding)) this.#decode = library().decoderOf(this.#encoding, this.#fatal);
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
      let bytes = source === undefined ? new Uint8Array(0) : bytesOf(source, "TextDecoder.decode");
      if (this.#decode !== undefined) return this.#decode(bytes, Boolean(stream));
      if (this.#held.length > 0) {
        const joined = new Uint8Array(this.#held.length + bytes.length);
        joined.set(this.#held);
        joined.set(bytes, this.#held.length);
        bytes = joined;
      }
      const keep = stream ? this.#unfinished(bytes) : 0;
      // What fails leaves nothing behind.
      this.#held = new Uint8Array(0);
      const begun = this.#begun;
      this.#begun = false;
      let text = this.#whole(bytes.subarray(0, bytes.length - keep));
      this.#held = bytes.slice(bytes.length - keep);
      if (!begun && !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      this.#begun = stream && (begun || text.length > 0);
      return text;
    }
    #unit(bytes, at) {
      return this.#encoding === "utf-16le" ? bytes[at] | (bytes[at + 1] << 8) : (bytes[at] << 8) | bytes[at + 1];
    }
    // How many bytes at the end are the beginning of a character.
    #unfinished(bytes) {
      if (this.#encoding === "utf-8") return unfinished(bytes);
      if (this.#encoding === "windows-1252") return 0;
      const odd = bytes.length % 2;
      const last = bytes.length - odd - 2;
      return last >= 0 && (this.#unit(bytes, last) & 0xfc00) === 0xd800 ? odd + 2 : odd;
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
      for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(this.#unit(bytes, at));
      // Half of a pair and half of a unit behind it are one mistake.
      if (bytes.length % 2 === 1 && (text.charCodeAt(text.length - 1) & 0xfc00) !== 0xd800) text += "\ufffd";
      if (this.#fatal && (bytes.length % 2 === 1 || !text.isWellFormed())) throw new TypeError("the bytes are not UTF-16");
      return text.toWellFormed();
    }
  }

  define(globalThis, { TextEncoder, TextDecoder });
}
