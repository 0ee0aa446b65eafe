import { op } from "@compute/op";
import { JSONPath } from "jsonpath-plus";
const json = { store: { book: [{ price: 8, title: "A" }, { price: 12, title: "B" }] } };
export default op(() => [JSONPath({ path: "$.store.book[*].title", json }), JSONPath({ path: "$..price", json })]);
