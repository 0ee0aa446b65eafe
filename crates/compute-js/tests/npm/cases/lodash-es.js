import { op } from "@compute/op";
import { chunk, debounce, groupBy, merge, orderBy, template } from "lodash-es";
export default op(() => [chunk([1, 2, 3, 4, 5], 2), groupBy([1.2, 1.8, 2.1], Math.floor), merge({ a: { b: 1 } }, { a: { c: 2 } }), orderBy([{ a: 2 }, { a: 1 }], "a"), template("hi <%= name %>")({ name: "Ada" }), typeof debounce(() => 1)]);
