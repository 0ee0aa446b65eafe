import { op } from "@compute/op";
import { produce } from "immer";
export default op(() => { const a = { x: { y: [1] }, z: { k: 1 } }; const b = produce(a, (d) => { d.x.y.push(2); }); return [a, b, a.z === b.z]; });
