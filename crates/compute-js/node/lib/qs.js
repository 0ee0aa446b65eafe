// What `url` asks of `qs`, as Node.js has it.
const { parse, stringify } = require("querystring");
module.exports = { parse, stringify: (query) => stringify(query) };
