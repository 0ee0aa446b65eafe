import { op } from "@compute/op";
import * as v from "valibot";
const S = v.object({ email: v.pipe(v.string(), v.email()), age: v.optional(v.number(), 3) });
export default op(() => ({ good: v.parse(S, { email: "a@b.co" }), bad: v.safeParse(S, { email: "x" }).issues.map((i) => i.message) }));
