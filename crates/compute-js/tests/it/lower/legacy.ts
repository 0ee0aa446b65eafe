import { op } from "@compute/op";
const seen: any[] = [];
function d(target: any, key?: any, desc?: any): any { seen.push([typeof target, String(key), desc === undefined ? "u" : typeof desc]); }
@d class A { @d static s = 1; @d f = 2; @d m() { return 1; } accessor q = 3; }
export default op(() => [seen, new A().q]);
