const querystring = require("querystring-es3");
module.exports = {
  ...querystring,
  escape: encodeURIComponent,
  unescape(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  },
};
