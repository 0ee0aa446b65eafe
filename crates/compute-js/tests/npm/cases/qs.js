import { op } from "@compute/op";
import qs from "qs";
export default op(() => [qs.parse("a[b][]=1&a[b][]=2&c=d%20e"), qs.stringify({ a: { b: [1, 2] }, c: "d e" })]);
