import { op } from "@compute/op";
import { match, P } from "ts-pattern";
export default op(() => [{ type: "a", n: 3 }, { type: "b" }, 7].map((v) => match(v).with({ type: "a", n: P.number }, (x) => x.n).with({ type: "b" }, () => "bee").otherwise(() => "other")));
