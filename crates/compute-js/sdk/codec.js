// Texts, bytes, base64 and hex.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const bytes = (text) => encoder.encode(text);

const asBytes = (value) => (typeof value === "string" ? encoder.encode(value) : value);
const asText = (value) => (typeof value === "string" ? value : decoder.decode(value));

export const text = Object.assign((bytes) => asText(bytes), { encode: bytes, decode: asText });
const readJson = (value) => JSON.parse(asText(value));
export const json = Object.assign((value) => readJson(value), {
  encode: (value) => encoder.encode(JSON.stringify(value)),
  decode: readJson,
  parse: readJson,
  stringify: (value) => JSON.stringify(value),
});

export function toBase64(value) {
  let binary = "";
  for (const byte of asBytes(value)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

export function fromBase64(value) {
  const binary = atob(String(value).replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

export function toBase64Url(value) {
  return toBase64(value).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function toHex(value) {
  return Array.from(asBytes(value), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function fromHex(value) {
  if (value.length % 2 !== 0 || /[^0-9a-f]/i.test(value)) throw new TypeError("a text of hex digits has an even number of them");
  return Uint8Array.from({ length: value.length / 2 }, (_, at) => parseInt(value.slice(at * 2, at * 2 + 2), 16));
}
