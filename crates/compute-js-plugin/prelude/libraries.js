// What is loaded when something asks for one of its names: it would be most of the image of an op that uses none of it.
// Where an op's code has the names, the library is loaded with it.

const URLS = ["URL", "URLSearchParams"];
const WEB = [
  "Blob",
  "ByteLengthQueuingStrategy",
  "CompressionStream",
  "CountQueuingStrategy",
  "DecompressionStream",
  "File",
  "FormData",
  "Headers",
  "MessageChannel",
  "MessageEvent",
  "MessagePort",
  "ReadableByteStreamController",
  "ReadableStream",
  "ReadableStreamBYOBReader",
  "ReadableStreamBYOBRequest",
  "ReadableStreamDefaultController",
  "ReadableStreamDefaultReader",
  "Request",
  "Response",
  "TextDecoderStream",
  "TextEncoderStream",
  "TransformStream",
  "TransformStreamDefaultController",
  "WritableStream",
  "WritableStreamDefaultController",
  "WritableStreamDefaultWriter",
];
const KEYS = ["CryptoKey"];
const INTL = ["Intl"];
// It has no names: encoding.js has it loaded.
export const ENCODINGS = 4;
const LIBRARIES = [URLS, WEB, KEYS, INTL, []];
// What names a library besides: what makes URLs, what makes keys of `crypto.subtle`, and what writes as a language does.
const ALSO = [
  ["Request", "Response"],
  [],
  ["importKey", "generateKey"],
  ["localeCompare", "toLocaleDateString", "toLocaleString", "toLocaleTimeString"],
  ["TextDecoder", "TextDecoderStream"],
];

export function defineLibraries(host) {
  for (const [index, names] of LIBRARIES.entries()) {
    // What a library defines in their place is as every global is.
    const load = () => {
      for (const name of names) delete globalThis[name];
      host.loadLibrary(index);
    };
    for (const name of names)
      Object.defineProperty(globalThis, name, {
        get() {
          load();
          return globalThis[name];
        },
        set(value) {
          load();
          globalThis[name] = value;
        },
        enumerable: false,
        configurable: true,
      });
  }
  return {
    // Which of them an op's code names, a bit each.
    named() {
      const bits = LIBRARIES.map((names, index) => ([...names, ...ALSO[index]].some(host.mentions) ? 1 << index : 0));
      return bits.reduce((all, bit) => all | bit);
    },
    // Loads these.
    load(bits) {
      for (const [index, names] of LIBRARIES.entries()) if (bits & (1 << index) && names.length > 0) void globalThis[names[0]];
    },
  };
}
