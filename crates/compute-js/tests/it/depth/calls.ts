// Each calls itself so many times, in one way.
import { op } from "@compute/op";

const plain = (n: number): number => (n <= 0 ? 0 : 1 + plain(n - 1));
const callback = (n: number): number => (n <= 0 ? 0 : 1 + [1].map(() => callback(n - 1))[0]);
const json = (n: number): any => (n <= 0 ? 0 : JSON.stringify({ toJSON: () => void json(n - 1) }));
const replaced = (n: number): any => (n <= 0 ? "" : "a".replace(/a/, () => replaced(n - 1)));
const sorted = (n: number): any => (n <= 0 ? 0 : [2, 1].sort(() => sorted(n - 1)));
const reflected = (n: number): any => (n <= 0 ? 0 : Reflect.apply(reflected, null, [n - 1]));
const proxied = (n: number): any => (n <= 0 ? 0 : new Proxy({} as any, { get: () => proxied(n - 1) }).x);
const bound = (n: number): any => (n <= 0 ? 0 : bound.bind(null, n - 1, 2, 3)());
function* generated(n: number): any {
  if (n > 0) yield* generated(n - 1);
}
class Made {
  constructor(n: number) {
    if (n > 0) new Made(n - 1);
  }
}
const getter = { n: 0, get x(): any { return --this.n <= 0 ? 0 : this.x; } };

const ways: Record<string, (n: number) => unknown> = {
  plain,
  callback,
  json,
  replaced,
  sorted,
  reflected,
  proxied,
  bound,
  generated: (n) => [...generated(n)],
  made: (n) => new Made(n),
  getter: (n) => ((getter.n = n), getter.x),
};

export default op(({ input }: any) => {
  const result: Record<string, string> = {};
  for (const [way, run] of Object.entries(ways)) {
    try {
      run(input[way] ?? input.n);
      result[way] = "done";
    } catch (error) {
      result[way] = String(error);
    }
  }
  return result;
});
