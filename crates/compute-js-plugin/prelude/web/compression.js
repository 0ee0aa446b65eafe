// CompressionStream and DecompressionStream (WHATWG Compression), on fflate.

import { Deflate, Gunzip, Gzip, Inflate, Unzlib, Zlib } from "fflate";
import { TransformStream } from "web-streams-polyfill";

import { bytesOf } from "../globals.js";

// Without a time, the same bytes give the same.
const COMPRESS = { gzip: () => new Gzip({ mtime: 0 }), deflate: () => new Zlib(), "deflate-raw": () => new Deflate() };
const DECOMPRESS = { gzip: () => new Gunzip(), deflate: () => new Unzlib(), "deflate-raw": () => new Inflate() };

class Coded {
  #transform;

  constructor(coders, format, name) {
    const make = Object.hasOwn(coders, String(format)) ? coders[format] : undefined;
    if (!make) throw new TypeError(`${name} takes gzip, deflate or deflate-raw, and not ${JSON.stringify(String(format))}`);
    const coder = make();
    let ended = false;
    const run = (controller, bytes, last) => {
      coder.ondata = (chunk, final) => {
        ended ||= final;
        if (chunk.length > 0) controller.enqueue(chunk);
      };
      try {
        coder.push(bytes, last);
      } catch (error) {
        throw new TypeError(`the data is not ${format}: ${error.message}`);
      }
    };
    this.#transform = new TransformStream({
      transform: (chunk, controller) => run(controller, bytesOf(chunk, name), false),
      flush(controller) {
        run(controller, new Uint8Array(0), true);
        if (!ended) throw new TypeError(`the data is not ${format}: it ends too early`);
      },
    });
  }
  get readable() {
    return this.#transform.readable;
  }
  get writable() {
    return this.#transform.writable;
  }
}

export class CompressionStream extends Coded {
  constructor(format) {
    super(COMPRESS, format, "CompressionStream");
  }
  get [Symbol.toStringTag]() {
    return "CompressionStream";
  }
}

export class DecompressionStream extends Coded {
  constructor(format) {
    super(DECOMPRESS, format, "DecompressionStream");
  }
  get [Symbol.toStringTag]() {
    return "DecompressionStream";
  }
}
