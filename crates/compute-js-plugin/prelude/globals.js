// Defining globals as built-ins are: writable, and not enumerable.

export function define(target, values) {
  for (const [name, value] of Object.entries(values))
    Object.defineProperty(target, name, { value, writable: true, enumerable: false, configurable: true });
}
