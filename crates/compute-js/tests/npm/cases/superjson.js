import { op } from "@compute/op";
import superjson from "superjson";
export default op(() => { const s = superjson.stringify({ d: new Date(0), s: new Set([1]), m: new Map([["a", 1n]]), u: undefined }); const p = superjson.parse(s); return [JSON.parse(s), p.d.getTime(), [...p.s], String(p.m.get("a"))]; });
