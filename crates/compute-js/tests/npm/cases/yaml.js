import { op } from "@compute/op";
import { parse, stringify } from "yaml";
export default op(() => [parse("a: 1\nb:\n  - x\n  - {c: true}\nd: |\n  two\n  lines\n"), stringify({ a: [1, { b: "c: d" }] })]);
