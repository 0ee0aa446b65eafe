// Blob and File (W3C File API).

import { ReadableStream } from "web-streams-polyfill";

import { bytesOf, CLONE } from "../globals.js";

const CHUNK = 64 * 1024;

// The bytes of a part: a BufferSource, a Blob, or a text.
function bytesOfPart(part) {
  if (part instanceof Blob) return bytesIn(part);
  if (ArrayBuffer.isView(part) || part instanceof ArrayBuffer) return bytesOf(part, "Blob");
  return new TextEncoder().encode(String(part));
}

let bytesIn, copied;

export class Blob {
  #bytes;
  #type;

  static {
    bytesIn = (blob) => blob.#bytes;
  }

  constructor(parts = [], options = {}) {
    if (typeof parts !== "object" || parts === null || typeof parts[Symbol.iterator] !== "function")
      throw new TypeError("Blob takes a list of parts");
    const lines = options?.endings === "native";
    const all = [...parts].map((part) => bytesOfPart(lines && typeof part === "string" ? part.replace(/\r\n|\r/g, "\n") : part));
    this.#bytes = new Uint8Array(all.reduce((size, bytes) => size + bytes.length, 0));
    let at = 0;
    for (const bytes of all) {
      this.#bytes.set(bytes, at);
      at += bytes.length;
    }
    const type = String(options?.type ?? "");
    this.#type = /^[\x20-\x7e]*$/.test(type) ? type.toLowerCase() : "";
  }
  get size() {
    return this.#bytes.length;
  }
  get type() {
    return this.#type;
  }
  slice(start = 0, end = this.size, type = "") {
    const blob = new Blob([], { type });
    const from = start < 0 ? Math.max(this.size + start, 0) : Math.min(start, this.size);
    const to = end < 0 ? Math.max(this.size + end, 0) : Math.min(end, this.size);
    blob.#bytes = this.#bytes.subarray(from, Math.max(from, to));
    return blob;
  }
  [CLONE]() {
    return this.#copied(new Blob([], { type: this.#type }));
  }
  // The bytes never change: a copy has the same.
  #copied(copy) {
    copy.#bytes = this.#bytes;
    return copy;
  }
  static {
    copied = (blob, copy) => blob.#copied(copy);
  }
  async bytes() {
    return this.#bytes.slice();
  }
  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }
  async text() {
    return new TextDecoder().decode(this.#bytes);
  }
  stream() {
    const bytes = this.#bytes;
    let at = 0;
    return new ReadableStream({
      type: "bytes",
      pull(controller) {
        if (at < bytes.length) controller.enqueue(bytes.slice(at, (at += CHUNK)));
        if (at >= bytes.length) {
          controller.close();
          controller.byobRequest?.respond(0);
        }
      },
    });
  }
  get [Symbol.toStringTag]() {
    return "Blob";
  }
}

export class File extends Blob {
  #name;
  #lastModified;

  constructor(parts, name, options = {}) {
    if (arguments.length < 2) throw new TypeError("File takes a list of parts and a name");
    super(parts, options);
    this.#name = String(name).toWellFormed();
    const modified = options?.lastModified;
    this.#lastModified = modified === undefined ? Date.now() : Math.trunc(Number(modified)) || 0;
  }
  get name() {
    return this.#name;
  }
  get lastModified() {
    return this.#lastModified;
  }
  [CLONE]() {
    return copied(this, new File([], this.#name, { type: this.type, lastModified: this.#lastModified }));
  }
  get webkitRelativePath() {
    return "";
  }
  get [Symbol.toStringTag]() {
    return "File";
  }
}

export { bytesIn };
