// An op that uses three libraries, each once.

import { op } from "@compute/op";
import { capitalize } from "lodash-es";
import semver from "semver";
import { z } from "zod";

const Input = z.object({ name: z.string().min(1), text: z.string() });

export default op(({ input }) => {
  const checked = Input.parse(input);
  return { ...checked, greeting: "hi " + capitalize(checked.name), major: semver.major("1.4.2") };
});
