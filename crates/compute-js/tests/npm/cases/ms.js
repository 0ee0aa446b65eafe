import { op } from "@compute/op";
import ms from "ms";
export default op(() => [ms("2 days"), ms(60000), ms(3 * 60000, { long: true })]);
