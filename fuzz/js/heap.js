// A program that makes a heap of values that hold each other, changes it, and tells what it is. All that it does
// follows from two seeds and two numbers of steps, so it says the same wherever it is begun: at an op's top level,
// before the image is taken, or in a call.
//
// Nothing here depends on when memory is collected: what a WeakRef still leads to is told only of values that are
// held anyway.

/** Numbers below a limit, from a seed. */
function numbers(seed) {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  const next = (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % limit;
  };
  return { next, restart(seed) { state = (seed ^ 0x85ebca6b) >>> 0 || 1; } };
}

class Account {
  #balance;
  static opened = 0;
  constructor(balance, owner) {
    this.#balance = balance;
    this.owner = owner;
    Account.opened++;
  }
  get balance() { return this.#balance; }
  set balance(value) { this.#balance = value | 0; }
  pay(amount) { return (this.#balance += amount); }
  static is(value) { return #balance in value; }
}

class Ledger extends Account {
  #entries = [];
  pay(amount) {
    this.#entries.push(amount);
    if (this.#entries.length > 50) this.#entries.splice(0, 25);
    return super.pay(amount);
  }
  get entries() { return this.#entries; }
}

function* counting(held) {
  let count = 0;
  const inner = { rounds: 0 };
  while (count < 200) {
    const step = yield [count, inner.rounds, () => ++inner.rounds];
    count += step | 0;
    if (step === 3 && held) held.touched = count;
  }
  return inner;
}

/** Begins a heap; what comes back changes it and tells all of it. */
export function heap(seed, steps) {
  const { next, restart } = numbers(seed);
  const pool = [];
  const told = [];
  const symbols = [Symbol("local"), Symbol.for("global")];
  const beside = new WeakMap();
  const marked = new WeakSet();
  const weak = [];
  const registry = new FinalizationRegistry(() => {});
  const words = ["", "a", "key", "0", "12", "length", "\u{1F600}x", "\u00e9t\u00e9", "w".repeat(33), "toString"];

  const one = (list) => list[next(list.length)];
  const word = () => one(words) + (next(3) ? "" : next(40));
  const tell = (text) => { told.push(text); if (told.length > 60) told.splice(0, 30); };
  const keep = (kind, value) => {
    const held = { kind, value };
    if (pool.length < 100) pool.push(held);
    else pool[next(pool.length)] = held;
  };
  const plain = () => one([
    () => next(1000), () => -next(9), () => next(1000) / 3, word, () => next(2) === 0, () => null, () => undefined,
    () => BigInt(next(1 << 30)) ** 3n, () => one(symbols), () => NaN, () => -0,
  ])();
  const any = () => (pool.length && next(3) === 0 ? one(pool) : plain());
  /** Something of a kind, if a few tries find it. */
  const of = (kind) => {
    for (let tries = 0; tries < 8 && pool.length; tries++) {
      const held = one(pool);
      if (held.kind === kind) return held;
    }
    return pool.find((held) => held.kind === kind);
  };

  /** What begins a value of each kind. */
  const begin = {
    object: () => ({ [word()]: any() }),
    bare: () => Object.assign(Object.create(null), { at: next(9) }),
    list: () => Array.from({ length: next(30) }, any),
    map: () => new Map([[word(), any()], [next(9), any()]]),
    set: () => new Set([word(), next(99)]),
    text: word,
    account: () => new Account(next(100), any()),
    ledger: () => new Ledger(next(100), any()),
    generator: () => counting(next(2) ? of("object")?.value : null),
    closure: () => { let count = 0; const shared = { count: 0 }; return { add: (n) => (count += n), shared, both: () => count + shared.count }; },
    bytes: () => new Uint8Array(next(80)).fill(next(256)),
    words: () => new Float64Array(next(20)).fill(next(100) / 7),
    buffer: () => new ArrayBuffer(next(64), { maxByteLength: 512 }),
    pattern: () => new RegExp(one(["a+", "(k)(e)?y", "\\d{1,2}", "[^w]", "(?<n>x)|y"]), one(["", "g", "y", "gi"])),
    date: () => new Date(next(1 << 30) * 1000),
    error: () => new RangeError(word(), { cause: any() }),
    big: () => BigInt(next(1 << 30)) ** 7n,
    proxy: () => new Proxy(of("object")?.value ?? {}, { get: (on, key) => (key === "seen" ? 1 : Reflect.get(on, key)) }),
    cycle: () => { const a = { b: null }, b = { a, list: [a] }; a.b = b; return a; },
    iterator: () => (of("map") ?? of("set"))?.value.entries() ?? [].values(),
    call: () => (function (a, b) { arguments[0] = next(7); return () => [a, b, arguments.length].join(); })(next(5), 2),
    made: () => new Function("x", `return x * ${next(50)} + 1`),
  };
  const kinds = Object.keys(begin);

  /** What changes one of a kind. */
  const change = {
    object: [
      (held) => { held.value[word()] = any(); },
      (held) => { for (let n = next(40); n > 0; n--) held.value[`k${next(80)}`] = n; },
      (held) => { delete held.value[one(Object.keys(held.value))]; },
      (held) => { held.value[one(symbols)] = plain(); },
      (held) => { Object.defineProperty(held.value, `d${next(4)}`, { get: () => next(1) + 5, configurable: next(2) === 0, enumerable: next(2) === 0 }); },
      (held) => { Object.defineProperty(held.value, `r${next(4)}`, { value: plain(), writable: next(2) === 0, configurable: next(2) === 0 }); },
      (held) => { Object.setPrototypeOf(held.value, next(3) ? of("object").value : Object.prototype); },
      (held) => { if (next(15) === 0) one([Object.freeze, Object.seal, Object.preventExtensions])(held.value); },
      (held) => { keep("object", { ...held.value }); },
      (held) => { for (const key in held.value) { if (next(3) === 0) delete held.value[key]; if (next(20) === 0) break; } },
      (held) => { held.value.call = function () { return this === held.value ? arguments.length : -1; }; tell(held.value.call(1, 2)); },
    ],
    bare: [(held) => { held.value[word()] = any(); }, (held) => tell(Object.keys(held.value).length)],
    list: [
      (held) => { for (let n = next(50); n > 0 && held.value.length < 1500; n--) held.value.push(any()); },
      (held) => { for (let n = next(30); n > 0; n--) held.value.pop(); },
      (held) => { held.value.splice(next(held.value.length + 1), next(6), any(), any()); },
      (held) => { if (held.value.length < 1500) held.value.unshift(any(), any()); },
      (held) => { held.value.shift(); },
      (held) => { held.value.reverse().copyWithin(next(4), next(8)); },
      (held) => { held.value.length = next(held.value.length + 8); },
      (held) => { held.value[next(300)] = any(); },
      (held) => { held.value.sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : 0)); },
      (held) => { keep("list", held.value.slice(next(9)).concat(held.value.slice(0, 4)).flatMap((x) => (next(4) ? [x] : [x, x])).slice(0, 400)); },
      (held) => { if (next(15) === 0) Object.freeze(held.value); },
      (held) => { delete held.value[next(20)]; },
    ],
    map: [
      (held) => { for (let n = next(60); n > 0 && held.value.size < 1500; n--) held.value.set(next(3) ? `k${next(500)}` : any(), any()); },
      (held) => { for (const key of held.value.keys()) { if (next(2)) held.value.delete(key); if (next(20) === 0) break; } },
      (held) => { if (next(10) === 0) held.value.clear(); },
    ],
    set: [
      (held) => { for (let n = next(60); n > 0 && held.value.size < 1500; n--) held.value.add(next(3) ? next(500) : any()); },
      (held) => { for (const item of held.value) { if (next(3) === 0) held.value.delete(item); if (next(20) === 0) break; } },
    ],
    text: [
      (held) => { if (held.value.length < 20000) held.value += word(); },
      (held) => { const other = of("text").value; if (held.value.length + other.length < 30000) held.value = other + held.value; },
      (held) => { keep("text", held.value.substring(next(9), 9 + next(3000))); },
      (held) => { keep("list", held.value.slice(0, 400).split(one(["", "a", "k"]))); },
      (held) => { held.value = held.value.slice(0, 3000).replace(/[ak]/g, (found) => found + found); },
      (held) => { of("object").value[held.value.slice(0, 70)] = 1; },
    ],
    account: [(held) => { held.value.balance = next(100); tell(held.value.pay(next(9))); held.value[`x${next(5)}`] = any(); }],
    ledger: [
      (held) => { for (let n = next(40); n > 0; n--) held.value.pay(n); },
      (held) => { tell([Account.is(held.value), Account.is({}), held.value.balance, held.value.entries.length].join()); },
      (held) => { held.value.owner = any(); },
    ],
    generator: [
      (held) => { const { value, done } = held.value.next(next(5)); tell(`${done}`); if (Array.isArray(value)) { value[2](); tell(value[1]); if (next(5) === 0) keep("made", value[2]); } },
      (held) => { if (next(25) === 0) held.value.return(1); },
    ],
    closure: [(held) => { held.value.add(next(5)); held.value.shared.count++; held.value.shared[word()] = held.value.both(); }],
    bytes: [
      (held) => { for (let at = 0; at < held.value.length; at++) held.value[at] ^= next(256); },
      (held) => { const more = new Uint8Array(Math.min(held.value.length + next(40), 2000)); more.set(held.value.subarray(0, more.length)); held.value = more; },
      (held) => { keep("bytes", held.value.subarray(next(10), 40)); },
    ],
    words: [(held) => { held.value.fill(next(1000) / 3, next(9)).sort(); tell(held.value.at(-1)); }],
    buffer: [
      (held) => { held.value.resize(next(512)); },
      (held) => { const view = new DataView(held.value); for (let at = 0; at + 4 <= view.byteLength; at += 4) view.setUint32(at, next(1 << 30)); },
      (held) => { keep("bytes", new Uint8Array(held.value)); },
      (held) => { if (next(6) === 0) held.value = held.value.transfer(); },
    ],
    pattern: [
      (held) => { const found = held.value.exec((of("text")?.value ?? "key").slice(0, 500)); tell(`${found && found[0].slice(0, 9)} ${held.value.lastIndex}`); },
      (held) => { held.value.lastIndex = next(12); },
    ],
    date: [(held) => { held.value.setUTCMonth(next(30)); tell(held.value.toISOString()); }],
    error: [(held) => { tell(`${held.value.name} ${held.value.message}`); held.value.cause = any(); }],
    big: [(held) => { held.value = (held.value * 7n + BigInt(next(99))) % 10n ** 200n; }],
    proxy: [(held) => { held.value[`p${next(9)}`] = any(); tell(`${held.value.seen} ${Object.keys(held.value).length}`); }],
    cycle: [(held) => { held.value.b.list.push(held.value); held.value[word()] = held.value.b; }],
    iterator: [(held) => { tell(`${held.value.next().done}`); }],
    call: [(held) => { tell(held.value()); }],
    made: [(held) => { tell(`${held.value(next(9))}`); }],
  };

  /** What is done with values of any kind, and with none. */
  const around = [
    () => { const held = one(pool); beside.set(held, any()); marked.add(held); },
    () => { const held = one(pool); const found = beside.get(held); tell(`${found?.kind ?? typeof found} ${marked.has(held)}`); if (next(3) === 0) beside.delete(held); },
    () => { const held = one(pool); if (weak.length < 30) { weak.push(new WeakRef(held)); registry.register(held, 1, held); } else registry.unregister(held); },
    () => { if (pool.length > 12) pool.splice(next(pool.length), 1 + next(4)); },
    () => { const list = Array.from({ length: 200 }, (_, n) => ({ n, in: [n], as: `s${n}` })); list[0].all = list; },
    () => { Promise.resolve(next(9)).then(() => {}); },
    () => { keep("object", structuredClone({ n: next(9), list: [word()], map: new Map([[word(), 1]]) })); },
    () => { keep("object", JSON.parse(JSON.stringify({ [word()]: [word(), next(9), null] }))); },
  ];

  const step = () => {
    try {
      const what = next(10);
      if (what < 2 || pool.length < 5) {
        const kind = one(kinds);
        keep(kind, begin[kind]());
      } else if (what < 9) {
        const held = one(pool);
        one(change[held.kind])(held);
      } else {
        one(around)();
      }
    } catch (error) {
      // What cannot be done is part of what is told: a frozen object, a buffer that is gone.
      tell(error.constructor.name);
    }
  };
  const go = (steps) => { for (let n = 0; n < steps; n++) step(); };

  go(steps);
  return (seed, steps) => {
    restart(seed);
    go(steps);
    return summary(describe(pool), told, Account.opened, weak.map((ref) => { const held = ref.deref(); return pool.includes(held) ? held.kind : "-"; }));
  };
}

function summary(values, told, opened, weak) {
  const text = `${values}\n${told.join("|")}\n${opened}\n${weak.join()}`;
  let sum = 0;
  for (let at = 0; at < text.length; at++) sum = (Math.imul(sum, 31) + text.charCodeAt(at)) | 0;
  return { sum, length: text.length, text: text.slice(0, 50000) };
}

/** What a buffer has, or why it has nothing any more: it may be gone, or smaller than what looks at it. */
function numbersOf(bytes) {
  try {
    return Array.from(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes).join(".");
  } catch (error) {
    return error.constructor.name;
  }
}

/** Values as text, each told once. */
function describe(pool) {
  const seen = new Map();
  const tell = (value, depth) => {
    switch (typeof value) {
      case "string": return value.length > 60 ? `${value.length}:${value.slice(0, 25)}~${value.slice(-25)}` : JSON.stringify(value);
      case "bigint": return `${value}`.slice(0, 80);
      case "symbol": return value.toString();
      case "function": return "function";
      case "object": break;
      default: return Object.is(value, -0) ? "-0" : String(value);
    }
    if (value === null) return "null";
    if (seen.has(value)) return `#${seen.get(value)}`;
    seen.set(value, seen.size);
    if (depth > 7) return "~";
    const all = (items, count) => Array.from(items).slice(0, count).map((item) => tell(item, depth + 1)).join();
    if (Array.isArray(value)) return `[${all(value, 60)}]${value.length}`;
    if (value instanceof Map) return `map${value.size}(${all(value, 40)})`;
    if (value instanceof Set) return `set${value.size}(${all(value, 40)})`;
    if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${numbersOf(value)})`;
    if (value instanceof ArrayBuffer) return `buffer${value.byteLength}/${value.maxByteLength}(${numbersOf(value)})`;
    if (value instanceof RegExp) return `${value}@${value.lastIndex}`;
    if (value instanceof Date) return `date${value.getTime()}`;
    if (value instanceof Error) return `${value.name}(${value.message},${tell(value.cause, depth + 1)})`;
    let text = value instanceof Account ? `account${value.balance}{` : "{";
    for (const key of Reflect.ownKeys(value).slice(0, 80)) {
      let inner;
      try { inner = tell(value[key], depth + 1); } catch (error) { inner = `!${error.constructor.name}`; }
      const flags = Object.getOwnPropertyDescriptor(value, key);
      text += `${String(key).slice(0, 40)}${flags.enumerable ? "" : "?"}${flags.configurable ? "" : "!"}:${inner},`;
    }
    return `${text}}${Object.isExtensible(value) ? "" : "x"}`;
  };
  return pool.map((held) => `${held.kind} ${tell(held.value, 0)}`).join("\n");
}
