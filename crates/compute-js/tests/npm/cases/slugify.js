import { op } from "@compute/op";
import slugify from "slugify";
export default op(() => [slugify("Hello Wörld & Co!", { lower: true, strict: true }), slugify("a  b")]);
