// Whether a client's version may go on.

import { op } from "@compute/op";
import semver from "semver";

export default op(({ input, env }) => {
  const version = semver.coerce(input.version);
  if (version === null) return { allowed: false, reason: `${input.version} is not a version` };
  const range = env.allowed ?? ">=2.0.0";
  const allowed = semver.satisfies(version, range);
  return allowed ? { allowed } : { allowed, reason: `${version} is not in ${range}` };
});
