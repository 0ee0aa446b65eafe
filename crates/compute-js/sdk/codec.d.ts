/** A text's bytes in UTF-8. */
export function bytes(text: string): Uint8Array;
/** The text that these bytes of UTF-8 are; `encode` is the way back. */
export const text: {
  (bytes: string | Uint8Array): string;
  encode(text: string): Uint8Array;
  decode(bytes: string | Uint8Array): string;
};
/** The value that this JSON is, as a text or in UTF-8; `encode` gives bytes, `stringify` a text. */
export const json: {
  (value: string | Uint8Array): any;
  encode(value: unknown): Uint8Array;
  decode(value: string | Uint8Array): any;
  parse(value: string | Uint8Array): any;
  stringify(value: unknown): string;
};
export function toBase64(value: string | Uint8Array): string;
/** Base64, of the usual or the URL alphabet, with or without `=`. */
export function fromBase64(value: string): Uint8Array;
export function toBase64Url(value: string | Uint8Array): string;
export function toHex(value: string | Uint8Array): string;
export function fromHex(value: string): Uint8Array;
