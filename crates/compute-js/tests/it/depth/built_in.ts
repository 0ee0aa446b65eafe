// What the engine does itself, deeper than there is stack for: values, and programs that are made as it runs.
import { op } from "@compute/op";

const N = 100_000;
const r = (before: string, after = "", inner = "1") => before.repeat(N) + inner + after.repeat(N);

const values: any = {
  parse: () => JSON.parse("[".repeat(N) + "]".repeat(N)),
  parseo: () => JSON.parse('{"a":'.repeat(N) + "1" + "}".repeat(N)),
  str: () => { let a: any = []; for (let i = 0; i < N; i++) a = [a]; return JSON.stringify(a).length; },
  join: () => { let a: any = []; for (let i = 0; i < N; i++) a = [a]; return String(a).length; },
  flat: () => { let a: any = []; for (let i = 0; i < N; i++) a = [a]; return a.flat(Infinity).length; },
  clone: () => { let a: any = []; for (let i = 0; i < N; i++) a = [a]; return structuredClone(a).length; },
  proxy: () => { let p: any = {}; for (let i = 0; i < N; i++) p = new Proxy(p, {}); return String(p.x); },
  re: () => new RegExp("(".repeat(N) + ")".repeat(N)).test("a"),
  re3: () => new RegExp("(?:" .repeat(N) + ")*".repeat(N)).test("a"),
  getter: () => { const o: any = { get x() { return this.x; } }; return o.x; },
  prim: () => { const o: any = { toString() { return "" + o; } }; return "" + o; },
  inst: () => { class X { static [Symbol.hasInstance](v: any): any { return v instanceof X; } } return {} instanceof (X as any); },
  spread: () => { const f = (...a: any[]): any => f(...a); return f(1, 2, 3); },
  tag: () => { const f = (s: any): any => f`x`; return f`y`; },
  async: async () => { const f = async (n: number): Promise<any> => n === 0 ? 0 : f(n - 1); return await f(N); },
  cls: () => { class X { x = new X(); } return new X(); },
  iter: () => { const it: any = { [Symbol.iterator]() { return [...it]; } }; return [...it]; },
  fromAsync: () => { const f = (): any => Array.from({ length: 1 }, f); return f(); },
  tojson: () => { const o: any = { toJSON() { return [o]; } }; return JSON.stringify(o); },
  reviver: () => { const f = (): any => JSON.parse("[1]", f); return f(); },
  destr: () => { const f = ([x]: any): any => f([x]); return f([1]); },
  typed: () => { const f = (): any => new Uint8Array([1]).map(f); return f(); },
  map: () => { const f = (): any => new Map([[1, 2]]).forEach(f); return f(); },
  reduce: () => { const f = (): any => [1, 2].reduce(f); return f(); },
  replaceAll: () => { const f = (): any => "aa".replaceAll("a", f); return f(); },
  realm: () => { let p: any = function () {}; for (let i = 0; i < N; i++) p = new Proxy(p, {}); return typeof Reflect.construct(Object, [], p); },
  protoof: () => { let p: any = {}; for (let i = 0; i < N; i++) p = new Proxy(p, {}); return String(Object.getPrototypeOf(p)); },
  keys: () => { let p: any = {}; for (let i = 0; i < N; i++) p = new Proxy(p, {}); return Object.keys(p); },
  isarr: () => { let p: any = []; for (let i = 0; i < N; i++) p = new Proxy(p, {}); return Array.isArray(p); },
  callp: () => { let p: any = () => 1; for (let i = 0; i < N; i++) p = new Proxy(p, {}); return p(); },
  newp: () => { let p: any = class {}; for (let i = 0; i < N; i++) p = new Proxy(p, {}); return new p(); },
  inp: () => { let p: any = {}; for (let i = 0; i < N; i++) p = new Proxy(p, {}); return "a" in p; },
  inpr: () => { let p: any = {}; for (let i = 0; i < N; i++) p = Object.create(new Proxy(p, {})); return "a" in p; },
  setp: () => { let p: any = {}; for (let i = 0; i < N; i++) p = Object.create(new Proxy(p, {})); p.x = 1; return 1; },
  recls: () => new RegExp("[".repeat(N) + "]".repeat(N), "v").test("a"),
  relook: () => new RegExp("(?=".repeat(N) + ")".repeat(N)).test("a"),
};

const programs: any = {
  arr: r("[", "]"),
  par: r("(", ")"),
  not: r("!"),
  neg: r("- "),
  obj: "(" + r("{a:", "}") + ")",
  blk: r("{", "}"),
  fn: "(" + r("()=>", "") + ")",
  fnb: "(" + r("function(){return ", "}") + ")",
  pow: r("2**"),
  cond: r("1?", ":1"),
  cond2: r("1?1:"),
  tpl: r("`${", "}`"),
  call: "let f=()=>f;" + r("f(", ")"),
  asg: "var a;" + r("a="),
  iff: r("if(1)"),
  cls: "(" + r("class{a=", "}") + ")",
  forr: r("for(;;)"),
  sw: r("switch(1){case 1:", "}"),
  tr: r("try{", "}finally{}"),
  typ: r("typeof "),
  yield: "(function*(){" + r("yield ") + "})",
  sup: "var a;" + "delete ".repeat(N) + "a.b",
  regex: "/" + "(?:".repeat(N) + ")".repeat(N) + "/",
};

export default op(async ({ input }: any) => {
  const run = values[input] ?? (() => (0, eval)(programs[input]));
  if (input === null) return [...Object.keys(values), ...Object.keys(programs)];
  try {
    await run();
    return "done";
  } catch (error) {
    return String(error);
  }
});
