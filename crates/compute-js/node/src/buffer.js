const buffer = require("../node_modules/buffer/index.js");
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
