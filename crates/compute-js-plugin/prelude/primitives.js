// What the plugin computes itself (src/zig/, src/collate.h): keys of Web Crypto, the module `crypto` of Node.js and Intl find it under a symbol
// of `crypto`. Hashes are as `@noble/hashes` has them: what is built on a hash of that package's takes one of these.

export const PRIMITIVES = Symbol.for("compute.primitives");

// Names, by the numbers of hashes.zig, with the bytes of a block and of a digest.
const KINDS = [
  ["md5", 64, 16],
  ["sha1", 64, 20],
  ["sha224", 64, 28],
  ["sha256", 64, 32],
  ["sha384", 128, 48],
  ["sha512", 128, 64],
  ["sha512_256", 128, 32],
];

export function makePrimitives(host) {
  class Hash {
    #kind;
    #state;
    constructor(kind, state) {
      this.#kind = kind;
      this.#state = state;
    }
    get blockLen() {
      return KINDS[this.#kind][1];
    }
    get outputLen() {
      return KINDS[this.#kind][2];
    }
    update(data) {
      host.hashUpdate(this.#kind, this.#state, data);
      return this;
    }
    digest() {
      return host.hashFinish(this.#kind, this.#state);
    }
    digestInto(into) {
      into.set(this.digest());
    }
    clone() {
      return new Hash(this.#kind, this.#state.slice());
    }
    _cloneInto(other) {
      if (other === undefined) return this.clone();
      other.#state.set(this.#state);
      return other;
    }
    destroy() {
      this.#state.fill(0);
    }
  }

  const make = ([, blockLen, outputLen], kind) => {
    const create = () => new Hash(kind, host.hashStart(kind));
    const pbkdf2 = (password, salt, rounds, length) => {
      const key = new Uint8Array(length);
      host.pbkdf2(kind, password, salt, rounds, key);
      return key;
    };
    return Object.assign((data) => create().update(data).digest(), { blockLen, outputLen, create, pbkdf2 });
  };
  const hashes = Object.fromEntries(KINDS.map((kind, number) => [kind[0], make(kind, number)]));
  const { curvePublic, curveDecode, curveSign, curveVerify, data, collate } = host;
  return { ...hashes, curvePublic, curveDecode, curveSign, curveVerify, data, collate };
}
