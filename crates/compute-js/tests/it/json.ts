// Reads and writes random JSON twice: as the plugin does where it is plain, and as QuickJS does (a reviver, or an indent that is
// none, has it take the other way). Gives what differs.
import { op } from "@compute/op";

const pick = <T,>(from: T[]): T => from[Math.floor(Math.random() * from.length)];
const letters = ["a", "b", "\"", "\\", "\n", "\u0001", "é", "€", "😀", "\ud800", "\u2028", "/", "\u007f", "\u0080", "toJSON", "__proto__", "0", "12", "-1", "length"];
const string = () => Array.from({ length: Math.floor(Math.random() * 5) }, () => pick(letters)).join("");
const number = () => pick([0, -0, 1, -1, 123456789, 1234567890, 2 ** 31, -(2 ** 31), 2 ** 53, 0.1, 1e21, 1e-7, 1.5e300, 5e-324, NaN, Infinity, Math.random(), Math.random() * 1e20, Math.floor(Math.random() * 1e6) / 100]);

class Own {
  a = 1;
  get b() {
    return 2;
  }
}

function value(depth: number): any {
  const kind = Math.floor(Math.random() * (depth > 4 ? 5 : 12));
  if (kind === 0) return string();
  if (kind <= 2) return number();
  if (kind === 3) return pick<any>([true, false, null, undefined]);
  if (kind === 4) return string() + number();
  if (kind <= 7) return Array.from({ length: Math.floor(Math.random() * 4) }, () => value(depth + 1));
  if (kind === 8)
    return pick<any>([new Date(0), new Own(), Symbol("s"), () => 1, new Map([[1, 2]]), [1, , 3], new Array(3), Object.create({ toJSON: () => 7 }), Object.create(null), new Uint8Array(2), new String("s"), new Number(1), Object(true), new Error("e"), { get g() { return 1; } }, Object.defineProperty({}, "h", { value: 1 }), new Proxy({ p: 1 }, {}), Object.assign([1, 2], { extra: 3 }), Object.assign([1], { toJSON: () => 5 }), 10n, { a: { toJSON: (key: string) => key } }, [{ toJSON: (key: string) => key }], { 2: "b", 1: "a", x: 1, 4294967295: 1, "01": 2 }]);
  const made: any = {};
  for (let at = Math.floor(Math.random() * 4); at > 0; at--) made[pick([string(), "name", "id", "x" + at])] = value(depth + 1);
  if (Math.random() < 0.1) delete made[Object.keys(made)[0]];
  if (Math.random() < 0.02) made.itself = made;
  return made;
}

// Text, and text with a mistake in it.
function text(): string {
  let whole = "";
  try {
    whole = JSON.stringify(value(0), null, pick([0, 1, "\t"])) ?? "";
  } catch {}
  const extra = [" ", "\n", ",", "]", "}", "{", "[", ":", "\"", "\\", "\\u12", "\\ud83d\\ude00", "\\u00e9", "-", "+", "0", "01", ".", "1e5", "1E+2", "1e-400", "1e400", "123456789012345678901234567890", "0.30000000000000004", "nul", "true", "\u0000", "\t", "NaN", "'"];
  for (let times = Math.floor(Math.random() * 3); times > 0; times--) {
    const at = Math.floor(Math.random() * (whole.length + 1));
    whole = whole.slice(0, at) + pick(extra) + whole.slice(at + (Math.random() < 0.3 ? 1 : 0));
  }
  return whole;
}

function told(run: () => unknown): string {
  try {
    const value = run();
    return typeof value === "string" ? `text ${value}` : `value ${Object.is(value, -0) ? "-0" : shown(value)}`;
  } catch (error) {
    return String(error);
  }
}

function shown(value: any): string {
  if (Array.isArray(value)) return `[${value.map(shown)}]`;
  if (value !== null && typeof value === "object") return `{${Object.getOwnPropertyNames(value).map((key) => `${escape(key)}:${shown(value[key])}`)}}`;
  return Object.is(value, -0) ? "-0" : typeof value === "string" ? `"${escape(value)}"` : String(value);
}

export default op(({ input }: any) => {
  const differ: unknown[] = [];
  let plain = 0;
  for (let at = 0; at < input.n && differ.length < 5; at++) {
    const from = text();
    const [one, other] = [told(() => JSON.parse(from)), told(() => JSON.parse(from, (_, value) => value))];
    if (one.startsWith("value")) plain++;
    if (one !== other) differ.push({ from, one, other });
    const made = value(0);
    const [short, long] = [told(() => JSON.stringify(made)), told(() => JSON.stringify(made, undefined, ""))];
    if (short !== long) differ.push({ short, long });
  }
  return { differ, plain: plain > input.n / 10 };
});
