// Expressions of UTS 46, made when they are asked for: from a piece of the plugin's data.

const { data } = crypto[Symbol.for("compute.primitives")];

let sources;
const made = new Map();
module.exports = new Proxy({}, {
  get(_, name) {
    sources ??= data("domains.regexes");
    if (!made.has(name)) made.set(name, new RegExp(...sources[name]));
    return made.get(name);
  },
});
