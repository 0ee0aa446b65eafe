export const b64: {
  encode(value: string | Uint8Array): string;
  decode(value: string): Uint8Array;
};

/** SHA-256, in hex unless another encoding is asked for. */
export function sha256(value: string | Uint8Array, encoding?: "hex" | "base64"): string;
export function sha256(value: string | Uint8Array, encoding: "bytes"): Uint8Array;

/** HMAC with SHA-256 (RFC 2104), in hex unless another encoding is asked for. */
export function hmac(key: string | Uint8Array, value: string | Uint8Array, encoding?: "hex" | "base64"): string;
export function hmac(key: string | Uint8Array, value: string | Uint8Array, encoding: "bytes"): Uint8Array;

/** Whether two are the same, in a time that does not tell where they differ. */
export function equal(first: string | Uint8Array, second: string | Uint8Array): boolean;
