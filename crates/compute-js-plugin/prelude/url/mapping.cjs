// What UTS 46 makes of each letter: a piece of the plugin's data, read when a domain is not in ASCII.

const { data } = crypto[Symbol.for("compute.primitives")];

let table;
module.exports = new Proxy([], {
  get(_, key) {
    table ??= data("domains.mapping");
    return table[key];
  },
});
