// What packages import of `@noble/hashes/sha2.js`: the sandbox's own.
export const { sha224, sha256, sha384, sha512, sha512_256 } = crypto[Symbol.for("compute.primitives")];
