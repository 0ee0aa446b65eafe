// Headers (WHATWG Fetch): a list of names and values, in which a name may be there several times.

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const COOKIES = "set-cookie";

function nameOf(name) {
  const text = String(name);
  if (!NAME.test(text)) throw new TypeError(`${JSON.stringify(text)} is no name of a header`);
  return text.toLowerCase();
}

function valueOf(value) {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (/[\0\n\r]|[^\x00-\xff]/.test(text)) throw new TypeError(`${JSON.stringify(text)} is no value of a header`);
  return text;
}

export class Headers {
  // By name, the values in the order in which they came.
  #all = new Map();

  constructor(init) {
    if (init === undefined) return;
    if (init === null || typeof init !== "object") throw new TypeError("Headers takes an object, or a list of pairs");
    const isList = typeof init[Symbol.iterator] === "function";
    for (const pair of isList ? init : Object.entries(init)) {
      const [name, value, ...more] = [...pair];
      if (value === undefined || more.length > 0) throw new TypeError("Headers takes pairs of a name and a value");
      this.append(name, value);
    }
  }
  append(name, value) {
    const key = nameOf(name), text = valueOf(value);
    const known = this.#all.get(key);
    if (known) known.push(text);
    else this.#all.set(key, [text]);
  }
  delete(name) {
    this.#all.delete(nameOf(name));
  }
  get(name) {
    return this.#all.get(nameOf(name))?.join(", ") ?? null;
  }
  getSetCookie() {
    return [...(this.#all.get(COOKIES) ?? [])];
  }
  has(name) {
    return this.#all.has(nameOf(name));
  }
  set(name, value) {
    this.#all.set(nameOf(name), [valueOf(value)]);
  }
  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }
  *entries() {
    const sorted = [...this.#all].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [name, values] of sorted) {
      if (name === COOKIES) for (const value of values) yield [name, value];
      else yield [name, values.join(", ")];
    }
  }
  *keys() {
    for (const [name] of this) yield name;
  }
  *values() {
    for (const [, value] of this) yield value;
  }
  get [Symbol.toStringTag]() {
    return "Headers";
  }
}

Object.defineProperty(Headers.prototype, Symbol.iterator, {
  value: Headers.prototype.entries,
  writable: true,
  enumerable: false,
  configurable: true,
});
