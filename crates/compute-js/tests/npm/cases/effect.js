import { op } from "@compute/op";
import { Effect, Option, pipe } from "effect";
const program = pipe(Effect.succeed(20), Effect.map((n) => n + 1), Effect.flatMap((n) => (n > 5 ? Effect.succeed(n * 2) : Effect.fail("small"))));
const folded = pipe(Effect.fail("no"), Effect.match({ onFailure: (e) => `failed: ${e}`, onSuccess: () => "worked" }));
export default op(async () => [await Effect.runPromise(program), Effect.runSync(folded), Option.getOrElse(Option.none(), () => 3)]);
