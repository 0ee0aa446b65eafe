import { op } from "@compute/op";
import Ajv from "ajv";
const ajv = new Ajv({ allErrors: true });
const validate = ajv.compile({ type: "object", properties: { a: { type: "integer", minimum: 3 }, b: { type: "string", pattern: "^x" } }, required: ["a"], additionalProperties: false });
export default op(() => [validate({ a: 3, b: "xy" }), validate({ a: 1, b: "y", c: 1 }), validate.errors.map((e) => e.message)]);
