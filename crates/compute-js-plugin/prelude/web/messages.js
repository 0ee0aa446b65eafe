// Request and Response (WHATWG Fetch): what they say and carry. Nothing here sends them.

import { ReadableStream } from "web-streams-polyfill";

import { bytesOf } from "../globals.js";
import { Blob, bytesIn } from "./blob.js";
import { FormData, multipart, parseForm } from "./form.js";
import { Headers } from "./headers.js";

// A body's bytes or stream, and its type.
function extract(body) {
  if (body instanceof ReadableStream) {
    if (body.locked) throw new TypeError("the stream is read already");
    return { stream: body };
  }
  if (body instanceof Blob) return { bytes: bytesIn(body), type: body.type || undefined };
  if (body instanceof FormData) return multipart(body);
  if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) return { bytes: bytesOf(body, "a body").slice() };
  const encode = (text) => new TextEncoder().encode(text);
  // The library of URLs is there if somebody made one of these.
  if (Object.prototype.toString.call(body) === "[object URLSearchParams]")
    return { bytes: encode(String(body)), type: "application/x-www-form-urlencoded;charset=UTF-8" };
  return { bytes: encode(String(body)), type: "text/plain;charset=UTF-8" };
}

function streamOf(bytes) {
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes.slice());
      controller.close();
    },
  });
}

async function drain(stream) {
  const reader = stream.getReader(), parts = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!(value instanceof Uint8Array)) throw new TypeError("a body's stream gives Uint8Arrays");
    parts.push(value);
  }
  return bytesIn(new Blob(parts));
}

class Body {
  #bytes;
  #stream = null;
  #used = false;
  #headers;

  constructor(body, headers) {
    this.#headers = headers;
    if (body === null || body === undefined) return;
    const { bytes, stream, type } = extract(body);
    this.#bytes = bytes;
    this.#stream = stream ?? null;
    if (type !== undefined && !headers.has("content-type")) headers.set("content-type", type);
  }
  get headers() {
    return this.#headers;
  }
  get body() {
    if (this.#stream === null && this.#bytes !== undefined) this.#stream = streamOf(this.#bytes);
    return this.#stream;
  }
  get bodyUsed() {
    return this.#used || (this.#stream?._disturbed ?? false);
  }
  async #take() {
    if (this.bodyUsed || this.#stream?.locked) throw new TypeError("the body was read already");
    if (this.#bytes === undefined && this.#stream === null) return new Uint8Array(0);
    this.#used = true;
    return this.#stream === null ? this.#bytes : drain(this.#stream);
  }
  // A body for a copy, which leaves this one as it was.
  static copy(message) {
    if (message.bodyUsed || message.#stream?.locked) throw new TypeError("a body that was read is not cloned");
    if (message.#stream === null) return message.#bytes ?? null;
    const [own, other] = message.#stream.tee();
    message.#stream = own;
    message.#bytes = undefined;
    return other;
  }
  // A body that goes on in another message.
  static move(message) {
    const body = Body.copy(message);
    message.#used = body !== null;
    return body;
  }
  async bytes() {
    return (await this.#take()).slice();
  }
  async arrayBuffer() {
    return (await this.bytes()).buffer;
  }
  async blob() {
    return new Blob([await this.#take()], { type: this.headers.get("content-type") ?? "" });
  }
  async text() {
    return new TextDecoder().decode(await this.#take());
  }
  async json() {
    return JSON.parse(await this.text());
  }
  async formData() {
    return parseForm(await this.#take(), this.headers.get("content-type") ?? "");
  }
}

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN = ["CONNECT", "TRACE", "TRACK"];
const UPPER = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
// What a request says of how it is sent, which nobody does here.
const MODES = {
  cache: "default",
  credentials: "same-origin",
  destination: "",
  integrity: "",
  keepalive: false,
  mode: "cors",
  redirect: "follow",
  referrer: "about:client",
  referrerPolicy: "",
};

function methodOf(method) {
  const text = String(method), upper = text.toUpperCase();
  if (!METHOD.test(text) || FORBIDDEN.includes(upper)) throw new TypeError(`${JSON.stringify(text)} is no method of a request`);
  return UPPER.includes(upper) ? upper : text;
}

export class Request extends Body {
  #url;
  #method;
  #signal;
  #modes;

  constructor(input, init = {}) {
    if (arguments.length === 0) throw new TypeError("Request takes a URL, or a Request");
    const from = input instanceof Request ? input : undefined;
    const url = from ? from.url : new URL(String(input)).href;
    const method = methodOf(init?.method ?? from?.method ?? "GET");
    const given = init?.body ?? null;
    if (given !== null && (method === "GET" || method === "HEAD")) throw new TypeError(`a request that is ${method} has no body`);
    const body = given !== null || !from || from.body === null ? given : Body.move(from);
    super(body, new Headers(init?.headers ?? from?.headers));
    this.#url = url;
    this.#method = method;
    this.#signal = init?.signal ?? from?.signal ?? new AbortController().signal;
    this.#modes = {};
    for (const [name, value] of Object.entries(MODES)) this.#modes[name] = init?.[name] ?? from?.[name] ?? value;
  }
  get url() {
    return this.#url;
  }
  get method() {
    return this.#method;
  }
  get signal() {
    return this.#signal;
  }
  get duplex() {
    return "half";
  }
  clone() {
    const copy = new Request(this.#url, { ...this.#modes, method: this.#method, headers: this.headers, signal: this.#signal });
    const body = Body.copy(this);
    return body === null ? copy : new Request(copy, { body });
  }
  get [Symbol.toStringTag]() {
    return "Request";
  }

  static {
    for (const name of Object.keys(MODES))
      Object.defineProperty(this.prototype, name, {
        get() {
          return this.#modes[name];
        },
        enumerable: true,
        configurable: true,
      });
  }
}

const NULL_BODY = [101, 103, 204, 205, 304];
const REDIRECTS = [301, 302, 303, 307, 308];

export class Response extends Body {
  #status;
  #statusText;
  #type = "default";

  constructor(body = null, init = {}) {
    const status = init?.status === undefined ? 200 : Math.trunc(Number(init.status));
    if (!(status >= 200 && status <= 599)) throw new RangeError(`a response has a status from 200 to 599, and not ${init.status}`);
    if (body !== null && NULL_BODY.includes(status)) throw new TypeError(`a response of the status ${status} has no body`);
    const text = String(init?.statusText ?? "");
    if (/[^\t\x20-\x7e\x80-\xff]/.test(text)) throw new TypeError("the statusText is one line of Latin letters");
    super(body, new Headers(init?.headers ?? undefined));
    this.#status = status;
    this.#statusText = text;
  }
  get status() {
    return this.#status;
  }
  get statusText() {
    return this.#statusText;
  }
  get ok() {
    return this.#status >= 200 && this.#status < 300;
  }
  get type() {
    return this.#type;
  }
  get url() {
    return "";
  }
  get redirected() {
    return false;
  }
  clone() {
    const body = Body.copy(this);
    const copy = new Response(null, { status: this.#status || 200, statusText: this.#statusText, headers: this.headers });
    if (body === null) return Object.assign(copy, {});
    return new Response(body, { status: this.#status, statusText: this.#statusText, headers: this.headers });
  }
  static error() {
    const response = new Response();
    response.#status = 0;
    response.#type = "error";
    return response;
  }
  static json(data, init = {}) {
    const json = JSON.stringify(data);
    if (json === undefined) throw new TypeError("JSON cannot hold the data");
    const headers = new Headers(init?.headers ?? undefined);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(json, { ...init, headers });
  }
  static redirect(url, status = 302) {
    if (!REDIRECTS.includes(status)) throw new RangeError(`a redirection has the status 301, 302, 303, 307 or 308, and not ${status}`);
    const { href } = new URL(String(url));
    return new Response(null, { status, headers: { location: href } });
  }
  get [Symbol.toStringTag]() {
    return "Response";
  }
}

