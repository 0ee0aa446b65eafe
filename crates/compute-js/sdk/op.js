const OP = Symbol.for("@compute/op");

export function op(handler, options) {
  return { [OP]: { handler, options } };
}
