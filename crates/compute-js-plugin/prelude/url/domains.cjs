// Domain names as ASCII (UTS 46): most are it already, and need no table.

const tr46 = require("tr46/index.js");

exports.toASCII = (domain, options) => {
  if (/[^\x00-\x7f]|xn--/i.test(domain) || options.checkHyphens) return tr46.toASCII(domain, options);
  return domain.toLowerCase();
};
exports.toUnicode = tr46.toUnicode;
