/** A text's bytes in UTF-8. */
export function bytes(text: string): Uint8Array;
/** The text that these bytes of UTF-8 are. */
export function text(bytes: Uint8Array): string;
export function toBase64(value: string | Uint8Array): string;
/** Base64, of the usual or the URL alphabet, with or without `=`. */
export function fromBase64(value: string): Uint8Array;
export function toBase64Url(value: string | Uint8Array): string;
export function toHex(value: string | Uint8Array): string;
export function fromHex(value: string): Uint8Array;
