import { op } from "@compute/op";
import { customAlphabet, nanoid } from "nanoid";
export default op(() => [nanoid().length, /^[\w-]{10}$/.test(nanoid(10)), /^[ab]{5}$/.test(customAlphabet("ab", 5)())]);
