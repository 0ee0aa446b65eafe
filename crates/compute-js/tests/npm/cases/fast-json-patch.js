import { op } from "@compute/op";
import patch from "fast-json-patch";
const { applyPatch, compare } = patch;
export default op(() => [applyPatch({ a: [1] }, [{ op: "add", path: "/a/-", value: 2 }, { op: "replace", path: "/a/0", value: 0 }]).newDocument, compare({ x: 1 }, { x: 2, y: 3 })]);
