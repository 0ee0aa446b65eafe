import { op } from "@compute/op";
import { create, all } from "mathjs";
const math = create(all);
export default op(() => [math.evaluate("sqrt(3^2 + 4^2)"), math.format(math.evaluate("2 inch to cm"), 6), math.det([[1, 2], [3, 4]]), math.derivative("x^2 + x", "x").toString()]);
