// MessageChannel and what it sends (HTML).

export class MessageEvent extends Event {
  #init;
  constructor(type, init = {}) {
    super(type, init);
    this.#init = init ?? {};
  }
  get data() {
    return this.#init.data ?? null;
  }
  get origin() {
    return this.#init.origin ?? "";
  }
  get lastEventId() {
    return this.#init.lastEventId ?? "";
  }
  get source() {
    return this.#init.source ?? null;
  }
  get ports() {
    return this.#init.ports ?? [];
  }
}

let join;

export class MessagePort extends EventTarget {
  #other = null;
  #started = false;
  #waiting = [];
  #onmessage = null;

  static {
    join = (one, other) => {
      one.#other = other;
      other.#other = one;
    };
  }

  postMessage(message, options) {
    const transfer = Array.isArray(options) ? options : options?.transfer;
    const data = structuredClone(message, { transfer: transfer ?? [] });
    const port = this.#other;
    if (port === null) return;
    port.#waiting.push(data);
    port.#deliver();
  }
  // Each in a turn of its own, as timers are.
  #deliver() {
    if (!this.#started) return;
    for (const data of this.#waiting.splice(0))
      setTimeout(() => {
        const event = new MessageEvent("message", { data });
        if (typeof this.#onmessage === "function") this.#onmessage.call(this, event);
        this.dispatchEvent(event);
      }, 0);
  }
  start() {
    this.#started = true;
    this.#deliver();
  }
  close() {
    if (this.#other) this.#other.#other = null;
    this.#other = null;
  }
  get onmessage() {
    return this.#onmessage;
  }
  set onmessage(listener) {
    this.#onmessage = typeof listener === "function" ? listener : null;
    this.start();
  }
  get [Symbol.toStringTag]() {
    return "MessagePort";
  }
}

export class MessageChannel {
  #ports = [new MessagePort(), new MessagePort()];
  constructor() {
    join(...this.#ports);
  }
  get port1() {
    return this.#ports[0];
  }
  get port2() {
    return this.#ports[1];
  }
  get [Symbol.toStringTag]() {
    return "MessageChannel";
  }
}
