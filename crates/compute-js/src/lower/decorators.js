// What lowered classes call: decorators as the standard has them (TC39, decorators, 2023-11).

Symbol.metadata ??= Symbol("Symbol.metadata");

const SETTER = 2, FIELD = 3, ACCESSOR = 4;
const KINDS = ["method", "getter", "setter", "field", "accessor"];
const SLOTS = ["value", "get", "set"];

function functionOrNothing(value, kind) {
  if (value !== undefined && typeof value !== "function") throw new TypeError(`a decorator of a ${kind} returns a function, or nothing`);
  return value;
}

function objectOrNothing(value) {
  if (value !== undefined && (value === null || typeof value !== "object")) throw new TypeError("a decorator of an accessor returns an object, or nothing");
  return value ?? {};
}

const runAll = (list, self) => list.forEach((one) => one.call(self));

// How a decorator reaches what it decorates.
function accessOf(code, key) {
  const access = { has: (object) => key in object };
  if (code !== SETTER) access.get = (object) => object[key];
  if (code >= SETTER) access.set = (object, value) => void (object[key] = value);
  return access;
}

// One class: what its lowered text tells of it while it is defined, and asks of it afterwards.
class Decorated {
  keys = [];
  made;
  #own;
  #elements = [];
  #metadata;
  #forInstances = [];
  #forClass = [];
  #afterClass = [];

  constructor(own) {
    this.#own = own;
  }

  // An element, by its place in the text; gives its key.
  key(number, code, isStatic, decorators, key) {
    const own = typeof key === "symbol" ? key : String(key);
    this.keys[number] = own;
    if (code >= 0) this.#elements[number] = { code, isStatic, decorators, key: own, inits: [], extra: [] };
    return own;
  }

  // An element with a private name; `descriptor` is an accessor's own.
  private(number, code, isStatic, decorators, name, access, descriptor) {
    this.#elements[number] = { code, isStatic, decorators, name, access, descriptor, inits: [], extra: [] };
  }

  #call(decorator, value, element, kind, list, more) {
    if (typeof decorator !== "function") throw new TypeError("a decorator is a function");
    let isOver = false;
    const addInitializer = (initializer) => {
      if (isOver) throw new TypeError("addInitializer was called after its decorator");
      if (typeof initializer !== "function") throw new TypeError("addInitializer takes a function");
      list.push(initializer);
    };
    const result = decorator(value, { kind, name: element.name ?? element.key, ...more, metadata: this.#metadata, addInitializer });
    isOver = true;
    return result;
  }

  #decorate(element) {
    const { code, isStatic, decorators, key, inits, extra } = element;
    const target = isStatic ? this.made : this.made.prototype, list = code >= FIELD ? extra : isStatic ? this.#forClass : this.#forInstances;
    const isPrivate = element.access !== undefined, kind = KINDS[code];
    const more = { static: isStatic, private: isPrivate, access: element.access ?? accessOf(code, key) };
    const descriptor = element.descriptor ?? (code === FIELD ? {} : Object.getOwnPropertyDescriptor(target, key));
    for (const decorator of decorators.toReversed()) {
      const value = code === FIELD ? undefined : code === ACCESSOR ? { get: descriptor.get, set: descriptor.set } : descriptor[SLOTS[code]];
      const result = this.#call(decorator, value, element, kind, list, more);
      if (code === ACCESSOR) {
        const { get, set, init } = objectOrNothing(result);
        descriptor.get = functionOrNothing(get, kind) ?? descriptor.get;
        descriptor.set = functionOrNothing(set, kind) ?? descriptor.set;
        if (functionOrNothing(init, kind)) inits.unshift(init);
      } else if (functionOrNothing(result, kind)) {
        if (code === FIELD) inits.unshift(result);
        else descriptor[SLOTS[code]] = result;
      }
    }
    if (code !== FIELD && !isPrivate) Object.defineProperty(target, key, descriptor);
  }

  // Applies all decorators: the class has its methods, and none of its fields.
  apply(made, name) {
    this.made = made;
    const above = Object.getPrototypeOf(made)?.[Symbol.metadata];
    this.#metadata = Object.create(above ?? null);
    if (name !== undefined && Object.getOwnPropertyDescriptor(made, "name")?.value === "") Object.defineProperty(made, "name", { value: name, configurable: true });
    const elements = this.#elements.filter(Boolean);
    for (const ofFields of [false, true])
      for (const isStatic of [true, false])
        for (const element of elements) if ((element.code === FIELD) === ofFields && element.isStatic === isStatic) this.#decorate(element);
    for (const decorator of this.#own.toReversed())
      this.made = functionOrNothing(this.#call(decorator, this.made, { key: name }, "class", this.#afterClass), "class") ?? this.made;
    Object.defineProperty(this.made, Symbol.metadata, { value: this.#metadata, configurable: true, writable: true });
    runAll(this.#forClass, this.made);
  }

  // A field's, or an accessor's, first value.
  field(number, self, value) {
    return this.#elements[number].inits.reduce((so, init) => init.call(self, so), value);
  }

  extra(number, self) {
    runAll(this.#elements[number].extra, self);
  }

  before(self) {
    runAll(this.#forInstances, self);
  }

  after() {
    runAll(this.#afterClass, this.made);
  }

  get(number, self) {
    return this.#elements[number].descriptor.get.call(self);
  }

  set(number, self, value) {
    this.#elements[number].descriptor.set.call(self, value);
  }
}

export const decorated = (...own) => new Decorated(own);
