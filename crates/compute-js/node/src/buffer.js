const buffer = require("../node_modules/buffer/index.js");
const { Buffer } = buffer;

// The encoding of tokens, which the package does not know by its name: it reads it as base64.
const isTokens = (encoding) => typeof encoding === "string" && encoding.toLowerCase() === "base64url";
const encodingOf = (encoding) => (isTokens(encoding) ? "base64" : encoding);
const { from, isEncoding, byteLength } = Buffer;
const { toString, write, fill, indexOf } = Buffer.prototype;
Buffer.from = (value, encoding, length) => from(value, typeof value === "string" ? encodingOf(encoding) : encoding, length);
Buffer.isEncoding = (encoding) => isTokens(encoding) || isEncoding(encoding);
Buffer.byteLength = (text, encoding) => byteLength(text, encodingOf(encoding));
Buffer.prototype.toString = function (encoding, ...range) {
  const text = toString.call(this, encodingOf(encoding), ...range);
  return isTokens(encoding) ? text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "") : text;
};
Buffer.prototype.write = function (...given) {
  return write.apply(this, given.map((one, index) => (index > 0 ? encodingOf(one) : one)));
};
Buffer.prototype.fill = function (value, ...given) {
  return fill.call(this, value, ...given.map(encodingOf));
};
Buffer.prototype.indexOf = function (value, ...given) {
  return indexOf.call(this, value, ...given.map(encodingOf));
};

module.exports = { ...buffer, atob: globalThis.atob, btoa: globalThis.btoa };
for (const name of ["Blob", "File"]) Object.defineProperty(module.exports, name, { get: () => globalThis[name], enumerable: true });
module.exports.isUtf8 = (bytes) => {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
};
module.exports.isAscii = (bytes) => bytes.every((byte) => byte < 128);
