import { op } from "@compute/op";
import validator from "validator";
export default op(() => [validator.isEmail("a@b.co"), validator.isURL("http://x"), validator.isIBAN("GB33BUKB20201555555555"), validator.escape("<a>"), validator.isUUID("x")]);
