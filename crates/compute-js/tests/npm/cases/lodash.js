import { op } from "@compute/op";
import _ from "lodash";
export default op(() => [_.chunk([1, 2, 3], 2), _.camelCase("foo bar-baz"), _.cloneDeep({ a: new Date(0), b: [1] }), _.get({ a: [{ b: 3 }] }, "a[0].b"), _.uniqBy([{ x: 1 }, { x: 1 }], "x")]);
