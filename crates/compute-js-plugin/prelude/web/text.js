// TextEncoderStream and TextDecoderStream (WHATWG Encoding).

import { TransformStream } from "web-streams-polyfill";

class TextStream {
  #transform;
  constructor(transformer) {
    this.#transform = new TransformStream(transformer);
  }
  get readable() {
    return this.#transform.readable;
  }
  get writable() {
    return this.#transform.writable;
  }
}

export class TextEncoderStream extends TextStream {
  constructor() {
    const encoder = new TextEncoder();
    // Half of a character waits for the other.
    let held = "";
    super({
      transform(chunk, controller) {
        const text = held + String(chunk);
        const last = text.charCodeAt(text.length - 1);
        const splits = last >= 0xd800 && last <= 0xdbff;
        held = splits ? text.slice(-1) : "";
        const whole = splits ? text.slice(0, -1) : text;
        if (whole !== "") controller.enqueue(encoder.encode(whole));
      },
      flush(controller) {
        if (held !== "") controller.enqueue(encoder.encode(held));
      },
    });
  }
  get encoding() {
    return "utf-8";
  }
  get [Symbol.toStringTag]() {
    return "TextEncoderStream";
  }
}

export class TextDecoderStream extends TextStream {
  #decoder;
  constructor(label = "utf-8", options = {}) {
    const decoder = new TextDecoder(label, options);
    super({
      transform(chunk, controller) {
        if (chunk === undefined) throw new TypeError("TextDecoderStream takes an ArrayBuffer or a view of one, and got undefined");
        const text = decoder.decode(chunk, { stream: true });
        if (text !== "") controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text !== "") controller.enqueue(text);
      },
    });
    this.#decoder = decoder;
  }
  get encoding() {
    return this.#decoder.encoding;
  }
  get fatal() {
    return this.#decoder.fatal;
  }
  get ignoreBOM() {
    return this.#decoder.ignoreBOM;
  }
  get [Symbol.toStringTag]() {
    return "TextDecoderStream";
  }
}
