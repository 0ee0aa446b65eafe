import { op } from "@compute/op";
const OUT = 5; const RATE = 99;
namespace N { export const RATE = 2; export let count = 0; const hidden = 1; export function inc() { count++; } }
namespace N { export function twice(x: number) { const o = { RATE }; inc(); return x * RATE + o.RATE + OUT + count; } export function local(RATE: number) { return RATE; } }
namespace A.B { export const x = 1; }
namespace A.B { export const y = x + 1; }
namespace A { export const z = B.y + 1; export enum Color { Red = 3 } }
namespace A { export const c = Color.Red; export class K { v = z; } }
enum E { A = 1 } enum E { B = A + 1 }
export default op(() => [N.twice(4), N.local(7), A.B.y, A.z, A.c, new A.K().v, E.B]);
