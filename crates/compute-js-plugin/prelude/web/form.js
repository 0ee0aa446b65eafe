// FormData (WHATWG XMLHttpRequest), and how it is written as multipart/form-data (RFC 7578).

import { Blob, bytesIn, File } from "./blob.js";

function entry(name, value, filename) {
  if (value instanceof Blob) {
    const known = value instanceof File && filename === undefined;
    const file = known ? value : new File([value], filename ?? (value instanceof File ? value.name : "blob"), { type: value.type });
    return [String(name).toWellFormed(), file];
  }
  return [String(name).toWellFormed(), String(value).toWellFormed()];
}

export class FormData {
  #entries = [];

  constructor(form) {
    if (form !== undefined) throw new TypeError("FormData takes no form: there are none");
  }
  append(name, value, filename) {
    this.#entries.push(entry(name, value, filename));
  }
  delete(name) {
    this.#entries = this.#entries.filter(([known]) => known !== String(name));
  }
  get(name) {
    return this.#entries.find(([known]) => known === String(name))?.[1] ?? null;
  }
  getAll(name) {
    return this.#entries.filter(([known]) => known === String(name)).map(([, value]) => value);
  }
  has(name) {
    return this.#entries.some(([known]) => known === String(name));
  }
  set(name, value, filename) {
    const made = entry(name, value, filename);
    const at = this.#entries.findIndex(([known]) => known === made[0]);
    if (at < 0) {
      this.#entries.push(made);
      return;
    }
    this.#entries[at] = made;
    this.#entries = this.#entries.filter(([known], other) => other <= at || known !== made[0]);
  }
  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }
  *entries() {
    for (const [name, value] of this.#entries) yield [name, value];
  }
  *keys() {
    for (const [name] of this.#entries) yield name;
  }
  *values() {
    for (const [, value] of this.#entries) yield value;
  }
  get [Symbol.toStringTag]() {
    return "FormData";
  }
}

Object.defineProperty(FormData.prototype, Symbol.iterator, {
  value: FormData.prototype.entries,
  writable: true,
  enumerable: false,
  configurable: true,
});

const escaped = (text) => text.replace(/\r\n?|\n/g, "%0D%0A").replace(/"/g, "%22");

// A form as a body, and its type.
export function multipart(form) {
  const boundary = `----formdata-${[...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const parts = [];
  for (const [name, value] of form) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escaped(name)}"`;
    if (typeof value === "string") parts.push(`${head}\r\n\r\n${value.replace(/\r\n?|\n/g, "\r\n")}\r\n`);
    else {
      const type = value.type || "application/octet-stream";
      parts.push(`${head}; filename="${escaped(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`, value, "\r\n");
    }
  }
  parts.push(`--${boundary}--\r\n`);
  return { bytes: bytesIn(new Blob(parts)), type: `multipart/form-data; boundary=${boundary}` };
}

// Where a piece is in bytes, from a place on; -1 if it is not there.
function find(bytes, piece, from) {
  for (let at = bytes.indexOf(piece[0], from); at >= 0; at = bytes.indexOf(piece[0], at + 1)) {
    if (at + piece.length > bytes.length) return -1;
    let same = 1;
    while (same < piece.length && bytes[at + same] === piece[same]) same++;
    if (same === piece.length) return at;
  }
  return -1;
}

const unescaped = (text) => text.replace(/%0D%0A|%0D|%0A|%22/gi, (code) => decodeURIComponent(code));

// The form that a body of this type says.
export function parseForm(bytes, type) {
  const form = new FormData();
  const kind = type.split(";", 1)[0].trim().toLowerCase();
  if (kind === "application/x-www-form-urlencoded") {
    for (const [name, value] of new URLSearchParams(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes))) form.append(name, value);
    return form;
  }
  const boundary = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type);
  if (kind !== "multipart/form-data" || !boundary) throw new TypeError(`a body of the type "${type}" is no form`);
  const encoder = new TextEncoder(), decoder = new TextDecoder();
  const line = encoder.encode(`--${boundary[1] ?? boundary[2]}`), gap = encoder.encode("\r\n\r\n");
  const wrong = () => new TypeError("the body is no multipart/form-data");
  let at = find(bytes, line, 0);
  if (at < 0) throw wrong();
  for (;;) {
    at += line.length;
    if (bytes[at] === 45 && bytes[at + 1] === 45) return form;
    const head = find(bytes, gap, at), next = head < 0 ? -1 : find(bytes, line, head + gap.length);
    if (next < 0) throw wrong();
    const text = decoder.decode(bytes.subarray(at + 2, head));
    const name = /(?:^|;)\s*name="([^"]*)"/i.exec(text.replace(/filename\*?="[^"]*"/gi, ""));
    if (!name) throw wrong();
    const filename = /;\s*filename="([^"]*)"/i.exec(text);
    const content = bytes.subarray(head + gap.length, next - 2);
    if (filename) {
      const type = /^content-type:\s*(.*)$/im.exec(text)?.[1].trim() ?? "text/plain";
      form.append(unescaped(name[1]), new File([content], unescaped(filename[1]), { type }));
    } else form.append(unescaped(name[1]), decoder.decode(content));
    at = next;
  }
}
