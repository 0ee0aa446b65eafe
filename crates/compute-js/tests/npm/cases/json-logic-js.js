import { op } from "@compute/op";
import jsonLogic from "json-logic-js";
export default op(() => [jsonLogic.apply({ and: [{ ">": [{ var: "temp" }, 100] }, { "==": [{ var: "pie" }, "apple"] }] }, { temp: 110, pie: "apple" }), jsonLogic.apply({ reduce: [[1, 2, 3], { "+": [{ var: "current" }, { var: "accumulator" }] }, 0] })]);
