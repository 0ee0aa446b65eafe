import { load } from "./data.js";

// Data of these locales hold only what differs from the parent's.
const PARENT = new Map([
  ["en-GB", "en"], ["en-AU", "en-GB"], ["en-IN", "en-GB"], ["en-CA", "en"], ["de-AT", "de"], ["de-CH", "de"],
  ["fr-CA", "fr"], ["fr-CH", "fr"], ["es-419", "es"], ["es-MX", "es-419"], ["es-AR", "es-419"], ["pt-PT", "pt"],
  ["nl-BE", "nl"], ["ar-EG", "ar"], ["ar-SA", "ar"],
]);

const isTable = (x) => typeof x === "object" && x !== null && !Array.isArray(x);

function inherit(child, parent) {
  Object.setPrototypeOf(child, parent);
  for (const key of Object.keys(child)) {
    const value = child[key];
    if (isTable(value)) inherit(value, parent !== null && isTable(parent[key]) ? parent[key] : null);
  }
  return child;
}

const cache = new Map();

// The data of a kind with its parents' behind it on the prototype chain; null
// stands for "none". Tables have no Object.prototype.
export function data(kind, locale) {
  const name = kind + "." + locale;
  let value = cache.get(name);
  if (value === undefined) {
    const up = PARENT.get(locale);
    const parent = up === undefined ? null : data(kind, up);
    value = load(kind, locale);
    value = value === undefined ? parent : inherit(value, parent);
    cache.set(name, value);
  }
  return value;
}

// The text for a plural category out of a text or a table of them.
export const form = (forms, category) => (typeof forms === "string" ? forms : forms[category] ?? forms.other);

const define = (on, key, value) => Object.defineProperty(on, key, { value, writable: true, enumerable: false, configurable: true });

// Copies the methods and getters of an object literal to a prototype.
export function methods(constructor, from) {
  for (const key of Reflect.ownKeys(from)) {
    const descriptor = Object.getOwnPropertyDescriptor(from, key);
    descriptor.enumerable = false;
    Object.defineProperty(constructor.prototype, key, descriptor);
  }
}

export function receiver(slots, self, name) {
  const found = typeof self === "object" && self !== null ? slots.get(self) : undefined;
  if (found === undefined) throw new TypeError("Method called on an object that is not an Intl." + name);
  return found;
}

export { define };
