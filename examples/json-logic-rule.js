// A rule that is data: JSON Logic over a document.

import { op } from "@compute/op";
import jsonLogic from "json-logic-js";

export default op(({ input }) => ({ result: jsonLogic.apply(input.rule, input.data) }));
