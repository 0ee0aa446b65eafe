// The tables of encodings that take several bytes for a character: a piece of the plugin's data, read when it is asked for.

const { data } = crypto[Symbol.for("compute.primitives")];

module.exports = () => data("encodings.tables");
