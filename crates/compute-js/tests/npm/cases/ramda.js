import { op } from "@compute/op";
import * as R from "ramda";
export default op(() => [R.pipe(R.map(R.inc), R.filter((x) => x > 2))([1, 2, 3]), R.path(["a", 0, "b"], { a: [{ b: 5 }] }), R.groupBy(R.length, ["a", "bb", "c"])]);
