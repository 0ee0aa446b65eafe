import { op } from "@compute/op";
import jmespath from "jmespath";
export default op(() => jmespath.search({ people: [{ n: "a", age: 3 }, { n: "b", age: 40 }] }, "people[?age > `10`].n | [0]"));
