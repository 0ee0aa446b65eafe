import { op } from "@compute/op";
import { v4, v5, v7, validate, version } from "uuid";
export default op(() => [v5("hello", v5.DNS), validate(v4()), version(v7())]);
