// URL and URLSearchParams: a script of its own, which libraries.js has loaded.

import { URL, URLSearchParams } from "whatwg-url";
import { implementation } from "whatwg-url/lib/URLSearchParams-impl.js";
import { serializeUrlencoded } from "whatwg-url/lib/urlencoded.js";

import { define } from "./globals.js";

// A URL's query is written when it is read, and not each time that one of its parameters changes.
Object.assign(implementation.prototype, {
  _updateSteps() {
    if (this._url === null) return;
    const query = (value) => ({ value, writable: true, enumerable: true, configurable: true });
    const record = this._url._url;
    Object.defineProperty(record, "query", {
      get: () => {
        Object.defineProperty(record, "query", query(serializeUrlencoded(this._list) || null));
        return record.query;
      },
      set: (value) => void Object.defineProperty(record, "query", query(value)),
      enumerable: true,
      configurable: true,
    });
  },
  delete(name, value) {
    this._list = this._list.filter(([one, other]) => one !== name || (value !== undefined && other !== value));
    this._updateSteps();
  },
});

define(globalThis, { URL, URLSearchParams });
