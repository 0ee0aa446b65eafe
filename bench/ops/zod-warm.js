import { op } from "@compute/op";
import { pick } from "lodash-es";
import semver from "semver";
import { z } from "zod";

const Input = z.object({ name: z.string().min(1), text: z.string() });

export default op(({ input }) => {
  const checked = Input.parse(input);
  return { ...pick(checked, ["name", "text"]), greeting: "hi " + checked.name, recent: semver.gt("1.4.2", "1.2.0") };
}, { warmup: { name: "Ada", text: "xxxxxxxxxxxx" } });
