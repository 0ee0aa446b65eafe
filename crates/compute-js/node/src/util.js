const util = require("../node_modules/util/util.js");
module.exports = {
  ...util,
  TextEncoder,
  TextDecoder,
  isDeepStrictEqual(one, other) {
    try {
      require("assert").deepStrictEqual(one, other);
      return true;
    } catch {
      return false;
    }
  },
  stripVTControlCharacters: (text) => String(text).replace(/\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007]*\u0007/g, ""),
  toUSVString: (text) => String(text).toWellFormed(),
};
