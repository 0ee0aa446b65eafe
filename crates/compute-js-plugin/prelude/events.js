// Event, EventTarget and CustomEvent (event-target-shim), and AbortController on them (WHATWG DOM).

import { Event, EventTarget } from "event-target-shim";
import { define } from "./globals.js";

export function defineEvents() {
  class CustomEvent extends Event {
    #detail;
    constructor(type, init = {}) {
      super(type, init);
      this.#detail = init?.detail ?? null;
    }
    get detail() {
      return this.#detail;
    }
  }

  let abort;
  class AbortSignal extends EventTarget {
    #aborted = false;
    #reason = undefined;
    onabort = null;

    static {
      abort = (signal, reason) => {
        if (signal.#aborted) return;
        signal.#aborted = true;
        signal.#reason = reason === undefined ? new DOMException("the operation was aborted", "AbortError") : reason;
        const event = new Event("abort");
        if (typeof signal.onabort === "function") signal.onabort.call(signal, event);
        signal.dispatchEvent(event);
      };
    }
    get aborted() {
      return this.#aborted;
    }
    get reason() {
      return this.#reason;
    }
    throwIfAborted() {
      if (this.#aborted) throw this.#reason;
    }
    static abort(reason) {
      const signal = new AbortSignal();
      abort(signal, reason);
      return signal;
    }
    static timeout(milliseconds) {
      const signal = new AbortSignal();
      setTimeout(() => abort(signal, new DOMException("the operation timed out", "TimeoutError")), milliseconds);
      return signal;
    }
    static any(signals) {
      const joined = new AbortSignal();
      for (const signal of signals) {
        if (signal.aborted) {
          abort(joined, signal.reason);
          break;
        }
        signal.addEventListener("abort", () => abort(joined, signal.reason), { once: true });
      }
      return joined;
    }
  }

  class AbortController {
    #signal = new AbortSignal();
    get signal() {
      return this.#signal;
    }
    abort(reason) {
      abort(this.#signal, reason);
    }
  }

  define(globalThis, { Event, EventTarget, CustomEvent, AbortSignal, AbortController });
}
