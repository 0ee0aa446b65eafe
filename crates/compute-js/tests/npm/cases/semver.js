import { op } from "@compute/op";
import semver from "semver";
export default op(() => [semver.satisfies("1.4.2", "^1.2.0"), semver.inc("1.2.3-beta.1", "prerelease"), semver.sort(["2.0.0", "1.10.0", "1.9.0"]), semver.coerce("v3.4 x").version]);
