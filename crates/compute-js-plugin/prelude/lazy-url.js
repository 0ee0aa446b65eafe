// URL and URLSearchParams, which are loaded when something asks for one of them: they would be over half of
// the image of an op that uses neither. Where an op's code has their names, they are loaded with it.

const NAMES = ["URL", "URLSearchParams"];

export function defineUrl(host) {
  for (const name of NAMES)
    Object.defineProperty(globalThis, name, {
      get() {
        for (const name of NAMES) delete globalThis[name];
        host.loadUrl();
        return globalThis[name];
      },
      set(value) {
        Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
      },
      enumerable: false,
      configurable: true,
    });
}
