import { op } from "@compute/op";
const log: string[] = [];
function trace(label: string) { log.push("eval " + label); return (value: any, c: any) => { log.push(`${label}:${c.kind}:${String(c.name)}:${c.static}:${c.private}`); c.addInitializer?.(function (this: any) { log.push("init " + label + " " + (typeof this)); }); }; }
const twice = (value: any, c: any) => function (this: any, ...a: any[]) { return value.apply(this, a) * 2; };
const plus = (n: number) => (_: any, c: any) => (v: number) => v + n;
const acc = ({ get, set }: any, c: any) => ({ get() { return get.call(this) + 100; }, set(v: any) { set.call(this, v * 10); }, init: (v: any) => v + 1 });
@trace("class") // a class, and a comment that says class
class P<T = number> {
  @trace("m") @twice one(x: number): number { return x; }
  @trace("s") static two() { return P.three; }
  @plus(5) static three: number = 3;
  @plus(1) @plus(10) f = 1;
  @plus(7) g?: number;
  @acc accessor a: number = 1;
  accessor plain = "p";
  static accessor sp = 9;
  @trace("priv") #secret = 4;
  get secret() { return this.#secret; }
  @twice get dbl() { return 21; }
  @trace("comp") ["x" + "y"]() { return "xy"; }
}
export class Q extends P { @twice m() { return super.one(2); } }
const R = @trace("expr") class { @twice z() { return 1; } };
const S = class Named { accessor ["k" + 1] = 5; };
function replace(c: any, ctx: any) { return class extends c { extra = 1; }; }
@replace export class T { static self() { return T; } base = 2; }
export default op(() => {
  const p = new P(); p.a = 2; const t: any = new T();
  return [p.one(4), P.two(), p.f, p.g === undefined ? "u" : String(p.g), p.a, p.plain, P.sp, p.secret, p.dbl, (p as any).xy(), new Q().m(), new R().z(), (new S() as any).k1, R.name, P.name, Q.name, t.extra, t.base, T.self() === T, log, Object.keys(p)];
});
