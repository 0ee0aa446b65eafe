// URL and URLSearchParams, which are loaded when something asks for one of them: they would be over half of
// the image of an op that uses neither. Where an op's code has their names, they are loaded with it.

const NAMES = ["URL", "URLSearchParams"];

export function defineUrl(host) {
  // What core-js defines in their place is as every global is.
  const load = () => {
    for (const name of NAMES) delete globalThis[name];
    host.loadUrl();
  };
  for (const name of NAMES)
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
