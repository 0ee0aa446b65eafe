import { canonicalizeLocaleList, coerceOptions, finishClass, getMatcher, getOption, resolveLocale, statics } from "./locale.js";
import { data, define, form, methods, receiver } from "./util.js";
import { digitsOf, roundBy, sameDecimal, scale, setDigitOptions, toDecimal } from "./decimal.js";
import { pluralOf, rangeCategory } from "./plural-rules.js";

const UNITS = new Set("acre bit byte celsius centimeter day degree fahrenheit fluid-ounce foot gallon gigabit gigabyte gram hectare hour inch kilobit kilobyte kilogram kilometer liter megabit megabyte meter microsecond mile mile-scandinavian milliliter millimeter millisecond minute month nanosecond ounce percent petabyte pound second stone terabit terabyte week yard year".split(" "));
export const SIMPLE_UNITS = [...UNITS];

const isUnit = (id) => {
  if (UNITS.has(id)) return true;
  const at = id.indexOf("-per-");
  return at > 0 && UNITS.has(id.slice(0, at)) && UNITS.has(id.slice(at + 5));
};

// ---- Digits of numbering systems.

const digitTables = new Map();

export function digitsFor(nu) {
  if (nu === "latn") return undefined;
  let table = digitTables.get(nu);
  if (table === undefined) {
    const from = data("num", "root").digits[nu];
    if (from === undefined) return undefined;
    table = typeof from === "string" ? [...from] : [];
    if (typeof from === "number") for (let i = 0; i < 10; i++) table.push(String.fromCodePoint(from + i));
    digitTables.set(nu, table);
  }
  return table;
}

export function localDigits(text, table) {
  if (table === undefined) return text;
  let out = "";
  for (let i = 0; i < text.length; i++) out += table[text.charCodeAt(i) - 48];
  return out;
}

// Symbols where a numbering system is not one of the locale's own.
const ARAB = { d: "٫", g: "٬", "%": "٪؜", "+": "؜+", "-": "؜-", "~": "~", e: "اس" };
const ARABEXT = { d: "٫", g: "٬", "%": "٪", "+": "\u200e+\u200e", "-": "\u200e-\u200e", "~": "~", e: "×۱۰^" };

const systems = new Map();

// The locale's patterns and symbols for a numbering system.
function systemOf(locale, nu) {
  const name = locale + " " + nu;
  let found = systems.get(name);
  if (found === undefined) {
    const { nu: own } = data("num", locale);
    const latn = own.latn;
    found = own[nu] === undefined || nu === "latn" ? flat(latn) : { ...flat(latn), ...flat(own[nu]) };
    if (own[nu] === undefined && (nu === "arab" || nu === "arabext")) {
      found.s = { ...flat(latn.s), ...(nu === "arab" ? ARAB : ARABEXT) };
      if (nu === "arab") {
        found.pct = "#,##0%";
        found.cur = found.acc = "#,##0.00\u00a0¤";
      }
    }
    systems.set(name, found);
  }
  return found;
}

function flat(table) {
  const out = {};
  for (const key in table) out[key] = table[key];
  return out;
}

// ---- Affixes. Parts are flat lists: type, text, type, text, …

const IGNORED = /^[\p{Zs}\t\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f]+|[\p{Zs}\t\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f]+$/gu;

function addPart(out, type, text) {
  if (text === "") return;
  const at = out.length;
  if (at > 0 && out[at - 2] === type && (type === "literal" || type === "unit" || type === "compact")) out[at - 1] += text;
  else out.push(type, text);
}

// A typed text whose white space and marks at the edges are literals.
function addTyped(out, type, text) {
  if (type === "literal") return addPart(out, type, text);
  const core = text.replace(IGNORED, "");
  if (core === "") return addPart(out, "literal", text);
  const at = text.indexOf(core);
  addPart(out, "literal", text.slice(0, at));
  addPart(out, type, core);
  addPart(out, "literal", text.slice(at + core.length));
}

// The affix tokens before and after the digits of one subpattern; symbols
// stand alone, literal runs carry a leading "'".
function splitPattern(text) {
  const pre = [];
  const suf = [];
  let on = pre;
  let digits = false;
  let literal = "";
  const flush = () => {
    if (literal !== "") on.push("'" + literal);
    literal = "";
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "'") {
      const end = text.indexOf("'", i + 1);
      literal += end === i + 1 ? "'" : text.slice(i + 1, end);
      i = end;
    } else if (c === "#" || c === "0" || c === "," || c === ".") {
      if (on === pre) {
        flush();
        on = suf;
      }
      digits = true;
    } else if (c === "-" || c === "+" || c === "%" || c === "¤") {
      flush();
      on.push(c);
    } else literal += c;
  }
  flush();
  return { pre, suf, digits };
}

const patterns = new Map();

function parsePattern(text) {
  let found = patterns.get(text);
  if (found === undefined) {
    const at = text.indexOf(";");
    found = splitPattern(at < 0 ? text : text.slice(0, at));
    found.negative = at < 0 ? null : splitPattern(text.slice(at + 1));
    patterns.set(text, found);
  }
  return found;
}

const groupings = new Map();

function groupingOf(pattern) {
  let found = groupings.get(pattern);
  if (found === undefined) {
    const runs = pattern.split(";")[0].split(".")[0].replace(/[^#0,]/g, "").split(",");
    const primary = runs.length > 1 ? runs.at(-1).length : 0;
    found = { primary, secondary: runs.length > 2 ? runs.at(-2).length : primary };
    groupings.set(pattern, found);
  }
  return found;
}

const NEGATIVE = 0;
const PLAIN = 1;
const PLUS = 2;

const NO_PARTS = [];
const NOTHING = { pre: NO_PARTS, suf: NO_PARTS, text: "", size: 0, digits: true, gapPre: false, gapSuf: false };

const textOf = (parts) => {
  let out = "";
  for (let i = 1; i < parts.length; i += 2) out += parts[i];
  return out;
};
const codePoints = (s) => [...s].length;

function finishModifier(pre, suf, digits) {
  const a = textOf(pre);
  const b = textOf(suf);
  return { pre, suf, text: a + "\0" + b, size: codePoints(a) + codePoints(b), digits, gapPre: false, gapSuf: false };
}

const JOINS = /[^\p{S}\p{Z}]/u;

// The parts around the digits for a pattern and a sign.
function patternModifier(f, text, literalType, sign, approximate) {
  const pattern = parsePattern(text);
  const negative = pattern.negative;
  const hasMinus = negative !== null && (negative.pre.includes("-") || negative.suf.includes("-"));
  const plus = sign === PLUS;
  const useNegative = negative !== null && (sign === NEGATIVE || (hasMinus && (plus || approximate)));
  const prepend = !useNegative && (sign === NEGATIVE || plus || approximate);
  const side = useNegative ? negative : pattern;
  const symbols = f.system.s;
  const build = (tokens, first) => {
    const out = [];
    const put = (token) => {
      if (token === "-") {
        if (approximate) addTyped(out, "approximatelySign", symbols["~"]);
        if (sign === NEGATIVE) addTyped(out, "minusSign", symbols["-"]);
        else if (plus) addTyped(out, "plusSign", symbols["+"]);
        else if (!approximate) addTyped(out, "minusSign", symbols["-"]);
      } else if (token === "+") addTyped(out, "plusSign", symbols["+"]);
      else if (token === "%") addTyped(out, f.style === "unit" ? "unit" : "percentSign", symbols["%"]);
      else if (token === "¤") addTyped(out, "currency", f.symbol);
      else addTyped(out, literalType, token.slice(1));
    };
    if (first) put("-");
    for (const token of tokens) put(token);
    return out;
  };
  const out = finishModifier(build(side.pre, prepend), build(side.suf, false), pattern.digits);
  if (f.symbol !== "") {
    if (side.pre.at(-1) === "¤" && JOINS.test([...f.symbol].at(-1) ?? "")) out.gapPre = true;
    if (side.suf[0] === "¤" && JOINS.test([...f.symbol][0] ?? "")) out.gapSuf = true;
  }
  return out;
}

// The parts around "{0}".
function placeModifier(text, type) {
  const at = text.indexOf("{0}");
  const pre = [];
  const suf = [];
  if (at < 0) addTyped(pre, type, text);
  else {
    addTyped(pre, type, text.slice(0, at));
    addTyped(suf, type, text.slice(at + 3));
  }
  return finishModifier(pre, suf, at >= 0);
}

// ---- One number.

function signOf(f, x, zero) {
  switch (f.signDisplay) {
    case "never": return PLAIN;
    case "always": return x.neg ? NEGATIVE : PLUS;
    case "exceptZero": return zero || x.kind === "nan" ? PLAIN : x.neg ? NEGATIVE : PLUS;
    case "negative": return x.neg && !zero ? NEGATIVE : PLAIN;
    default: return x.neg ? NEGATIVE : PLAIN;
  }
}

function stepFor(table, exponent) {
  let found;
  for (const step of table) {
    if (step[0] > exponent) break;
    found = step;
  }
  return found;
}

const shiftOf = (table, exponent) => {
  const step = stepFor(table, exponent);
  return step === undefined ? 0 : step[1];
};

// Rounds and splits: what is to be shown of a number, before any text.
function prepare(f, x) {
  let shift = 0;
  let exponent = 0;
  let step;
  if (f.percent) x = scale(x, 2);
  if (x.kind !== "number") return { x, full: x, int: "", frac: "", shift, exponent, step, zero: false };
  let rounded;
  if (f.notation === "compact") {
    const top = x.d === "" ? 0 : x.e - 1;
    shift = shiftOf(f.compact, top);
    rounded = roundBy(scale(x, -shift), f);
    if (rounded.value.d !== "" && rounded.value.e - 1 + shift !== top) {
      const next = shiftOf(f.compact, top + 1);
      if (next !== shift) {
        rounded = roundBy(scale(rounded.value, shift - next), f);
        shift = next;
      }
    }
    // A number which is rounded to zero keeps its step.
    step = stepFor(f.compact, rounded.value.d === "" ? shift : rounded.value.e - 1 + shift);
    if (step !== undefined && step[2] === "0") step = undefined;
  } else if (f.notation === "standard") rounded = roundBy(x, f);
  else {
    const interval = f.notation === "engineering" ? 3 : 1;
    const power = (e) => Math.floor((e - 1) / interval) * interval;
    exponent = x.d === "" ? 0 : power(x.e);
    rounded = roundBy(scale(x, -exponent), f);
    if (rounded.value.d !== "" && rounded.value.e + exponent !== x.e) {
      const next = power(x.e + 1);
      if (next !== exponent) {
        rounded = roundBy(scale(rounded.value, exponent - next), f);
        exponent = next;
      }
    }
  }
  const { int, frac } = digitsOf(rounded.value, rounded.least, f);
  return { x: rounded.value, full: x, int, frac, shift, exponent, step, zero: rounded.value.d === "" };
}

function addDigits(out, f, p) {
  const { s } = f.system;
  if (p.x.kind === "infinity") return void out.push("infinity", s.i);
  if (p.x.kind === "nan") return void out.push("nan", s.n);
  const { primary, secondary } = f.grouping;
  const { int } = p;
  const table = f.digits;
  if (primary > 0 && int.length >= primary + f.minGroup) {
    const group = f.style === "currency" && s.cg !== undefined ? s.cg : s.g;
    const edge = int.length - primary;
    let at = edge % secondary || secondary;
    out.push("integer", localDigits(int.slice(0, at), table));
    for (; at < edge; at += secondary) out.push("group", group, "integer", localDigits(int.slice(at, at + secondary), table));
    out.push("group", group, "integer", localDigits(int.slice(edge), table));
  } else out.push("integer", localDigits(int, table));
  if (p.frac !== "") out.push("decimal", f.style === "currency" && s.cd !== undefined ? s.cd : s.d, "fraction", localDigits(p.frac, table));
}

function innerOf(f, p) {
  if ((f.notation !== "scientific" && f.notation !== "engineering") || p.x.kind !== "number") return NOTHING;
  const out = ["exponentSeparator", f.system.s.e];
  let { exponent } = p;
  if (exponent < 0) {
    addTyped(out, "exponentMinusSign", f.system.s["-"]);
    exponent = -exponent;
  }
  out.push("exponentInteger", localDigits(String(exponent), f.digits));
  return finishModifier(NO_PARTS, out, true);
}

function middleOf(f, p, approximate, category) {
  const sign = signOf(f, p.x, p.zero);
  const { step } = p;
  if (step === undefined) {
    const key = approximate ? sign + 3 : sign;
    return f.modifiers[key] ??= patternModifier(f, f.pattern, "literal", sign, approximate);
  }
  let text = step[2];
  if (typeof text !== "string") {
    if (!p.x.neg && p.int === "1" && p.frac === "" && text["1"] !== undefined) text = text["1"];
    else text = form(text, category ?? pluralOf(f.dataLocale, "cardinal", p.int, p.frac));
  }
  const key = text + "\0" + sign + approximate;
  let found = f.compactModifiers.get(key);
  if (found === undefined) {
    found = patternModifier(f, text, "compact", sign, approximate);
    f.compactModifiers.set(key, found);
  }
  return found;
}

// The category which a name around the whole number takes: that of the number
// before it was made compact, or that of the full number in scientific form.
function categoryOf(f, p) {
  if (p.x.kind !== "number") return "other";
  if (f.notation === "compact") {
    const { value, least } = roundBy(p.full, f);
    const { int, frac } = digitsOf(value, least, f);
    return pluralOf(f.dataLocale, "cardinal", int, frac);
  }
  if (p.exponent === 0) return pluralOf(f.dataLocale, "cardinal", p.int, p.frac);
  const all = p.int + p.frac;
  const cut = p.int.length + p.exponent;
  if (cut <= 0) return pluralOf(f.dataLocale, "cardinal", "0", "0".repeat(-cut) + all, p.exponent);
  const int = all.length <= cut ? all.padEnd(cut, "0") : all.slice(0, cut);
  return pluralOf(f.dataLocale, "cardinal", int, all.slice(cut), p.exponent);
}

const outerCategory = (f, p) => (f.outer === undefined ? "other" : categoryOf(f, p));

function outerOf(f, category) {
  if (f.outer === undefined) return NOTHING;
  return f.outerModifiers[category] ??= f.outer(category);
}

function addList(out, parts) {
  for (let i = 0; i < parts.length; i += 2) addPart(out, parts[i], parts[i + 1]);
}

function wrap(parts, modifier) {
  if (modifier === NOTHING) return parts;
  const out = [];
  addList(out, modifier.pre);
  if (modifier.digits) {
    if (modifier.gapPre && parts[0] === "integer") addPart(out, "literal", "\u00a0");
    addList(out, parts);
    if (modifier.gapSuf && /^(?:integer|fraction|exponentInteger)$/.test(parts.at(-2))) addPart(out, "literal", "\u00a0");
  }
  addList(out, modifier.suf);
  return out;
}

function numberParts(f, x, approximate = false) {
  const p = prepare(f, x);
  let parts = [];
  addDigits(parts, f, p);
  parts = wrap(parts, innerOf(f, p));
  parts = wrap(parts, middleOf(f, p, approximate));
  return wrap(parts, outerOf(f, outerCategory(f, p)));
}

// ---- Ranges. Parts here are triples: type, text, source.

function sourced(parts, source) {
  const out = [];
  for (let i = 0; i < parts.length; i += 2) out.push({ type: parts[i], value: parts[i + 1], source });
  return out;
}

function addSourced(out, list) {
  for (const part of list) {
    const last = out.at(-1);
    if (last !== undefined && last.type === "literal" && part.type === "literal") {
      last.value += part.value;
      if (last.source !== part.source) last.source = "shared";
    }
    else out.push(part);
  }
}

function rangeParts(f, a, b) {
  if (a.kind === "nan" || b.kind === "nan") throw new RangeError("Invalid range: NaN");
  const p = prepare(f, a);
  const q = prepare(f, b);
  if (sameDecimal(p.x, q.x) && (p.x.neg === q.x.neg || p.zero) && signOf(f, p.x, p.zero) === signOf(f, q.x, q.zero) && p.shift === q.shift && p.exponent === q.exponent) return sourced(numberParts(f, a, true), "shared");
  const inner = [innerOf(f, p), innerOf(f, q)];
  const middle = [middleOf(f, p, false), middleOf(f, q, false)];
  const categories = [outerCategory(f, p), outerCategory(f, q)];
  const outer = [outerOf(f, categories[0]), outerOf(f, categories[1])];
  const collapseMiddle = middle[0].text === middle[1].text && middle[0].size > 1;
  const repeated = (inner[0].size > 0) || (!collapseMiddle && middle[0].size > 0);
  const one = (x, k) => {
    let parts = [];
    addDigits(parts, f, x);
    parts = wrap(parts, inner[k]);
    return collapseMiddle ? parts : wrap(parts, middle[k]);
  };
  const [before, after] = f.system.range.split("{1}");
  let [start, infix] = before.split("{0}");
  if (repeated) {
    if (!/^\s/.test(infix)) infix = " " + infix;
    if (!/\s$/.test(infix)) infix += " ";
  }
  const startParts = one(p, 0);
  const endParts = one(q, 1);
  const out = [];
  const shared = [];
  if (collapseMiddle) shared.push(middle[0]);
  if (f.outer !== undefined) shared.push(outerOf(f, rangeCategory(f.dataLocale, "cardinal", categories[0], categories[1])));
  let pre = [];
  let suf = [];
  for (const m of shared) {
    const a = [];
    addList(a, m.pre);
    if (m.gapPre && startParts[0] === "integer") startParts.unshift("literal", "\u00a0");
    addList(a, pre);
    pre = a;
    if (m.gapSuf && /^(?:integer|fraction|exponentInteger)$/.test(endParts.at(-2))) endParts.push("literal", "\u00a0");
    addList(suf, m.suf);
  }
  addSourced(out, sourced(pre, "shared"));
  if (start !== "") addSourced(out, sourced(["literal", start], "shared"));
  addSourced(out, sourced(startParts, "startRange"));
  addSourced(out, sourced(["literal", infix], "shared"));
  addSourced(out, sourced(endParts, "endRange"));
  if (after !== "") addSourced(out, sourced(["literal", after], "shared"));
  addSourced(out, sourced(suf, "shared"));
  return out;
}

// ---- Options.

export function currencyDigits(code) {
  const { fraction } = data("num", "root");
  for (const digits in fraction) if ((" " + fraction[digits] + " ").includes(" " + code + " ")) return Number(digits);
  return 2;
}

export const isCurrency = (code) => /^[A-Za-z]{3}$/.test(code);

function groupingOption(options, fallback) {
  const value = options.useGrouping;
  if (value === undefined) return fallback;
  if (value === true) return "always";
  if (!value) return false;
  const text = String(value);
  if (text === "true" || text === "false") return fallback;
  if (text !== "min2" && text !== "auto" && text !== "always") throw new RangeError("Value " + text + " out of range for Intl.NumberFormat options property useGrouping");
  return text;
}

function unitOuter(f, id, width) {
  const { l, s, n } = data("unit", f.dataLocale);
  const widths = width === "long" ? [l] : width === "short" ? [s, l] : [n, s, l];
  const get = (key) => {
    for (const w of widths) if (w[key] != null) return w[key];
    return undefined;
  };
  const whole = get(id);
  if (whole !== undefined) return (category) => placeModifier(form(whole, category), "unit");
  const at = id.indexOf("-per-");
  const first = get(id.slice(0, at));
  const second = id.slice(at + 5);
  let per = get("per-" + second);
  if (per === undefined) {
    const one = form(get(second), "one").replace("{0}", "").replace(IGNORED, "");
    per = get("per").replace("{1}", () => one);
  }
  return (category) => placeModifier(per.replace("{0}", () => form(first, category)), "unit");
}

function currencyOuter(f) {
  const entry = data("curr", f.dataLocale)[f.currency];
  const forms = entry === undefined ? f.currency : typeof entry === "string" ? entry : entry[1];
  const name = f.system.name;
  return (category) => {
    const pattern = form(name, category);
    const text = form(forms, category);
    return placeModifier(pattern.replace("{1}", () => text), "currency");
  };
}

const slots = new WeakMap();

function initialize(self, locales, options) {
  const requested = canonicalizeLocaleList(locales);
  options = coerceOptions(options);
  const localeMatcher = getMatcher(options);
  const nu = getOption(options, "numberingSystem", undefined, undefined);
  if (nu !== undefined && !/^[a-z0-9]{3,8}(?:-[a-z0-9]{3,8})*$/i.test(nu)) throw new RangeError("Invalid numberingSystem : " + nu);
  const r = resolveLocale(requested, ["nu"], { localeMatcher, nu });
  const f = {
    locale: r.locale, dataLocale: r.dataLocale, nu: r.nu,
    minimumIntegerDigits: 1, minimumFractionDigits: undefined, maximumFractionDigits: undefined,
    minimumSignificantDigits: undefined, maximumSignificantDigits: undefined,
    symbol: "", percent: false, outer: undefined, modifiers: [], compactModifiers: new Map(), outerModifiers: {}, bound: undefined,
  };
  f.style = getOption(options, "style", ["decimal", "percent", "currency", "unit"], "decimal");
  const currency = getOption(options, "currency", undefined, undefined);
  if (currency === undefined) {
    if (f.style === "currency") throw new TypeError("Currency code is required with currency style.");
  } else if (!isCurrency(currency)) throw new RangeError("Invalid currency code : " + currency);
  const currencyDisplay = getOption(options, "currencyDisplay", ["code", "symbol", "narrowSymbol", "name"], "symbol");
  const currencySign = getOption(options, "currencySign", ["standard", "accounting"], "standard");
  const unit = getOption(options, "unit", undefined, undefined);
  if (unit === undefined) {
    if (f.style === "unit") throw new TypeError("Unit is required with unit style.");
  } else if (!isUnit(unit)) throw new RangeError("Invalid unit argument for Intl.NumberFormat() '" + unit + "'");
  const unitDisplay = getOption(options, "unitDisplay", ["short", "narrow", "long"], "short");
  if (f.style === "currency") {
    f.currency = currency.toUpperCase();
    f.currencyDisplay = currencyDisplay;
    f.currencySign = currencySign;
  } else if (f.style === "unit") {
    f.unit = unit;
    f.unitDisplay = unitDisplay;
  }
  f.notation = getOption(options, "notation", ["standard", "scientific", "engineering", "compact"], "standard");
  let least = 0;
  let most = f.style === "percent" ? 0 : 3;
  if (f.style === "currency" && f.notation === "standard") least = most = currencyDigits(f.currency);
  setDigitOptions(f, options, least, most, f.notation);
  const compactDisplay = getOption(options, "compactDisplay", ["short", "long"], "short");
  if (f.notation === "compact") f.compactDisplay = compactDisplay;
  f.useGrouping = groupingOption(options, f.notation === "compact" ? "min2" : "auto");
  f.signDisplay = getOption(options, "signDisplay", ["auto", "never", "always", "exceptZero", "negative"], "auto");
  slots.set(self, f);
}

// The patterns are found when the first number is formatted.
function ready(f) {
  if (f.system !== undefined) return f;
  const system = systemOf(f.dataLocale, f.nu);
  f.system = system;
  f.digits = digitsFor(f.nu);
  f.pattern = system.dec;
  const own = data("num", f.dataLocale);
  let symbolic = false;
  if (f.style === "percent") {
    f.percent = true;
    if (f.notation === "compact") f.outer = unitOuter(f, "percent", "short");
    else f.pattern = system.pct;
  } else if (f.style === "currency") {
    if (f.currencyDisplay === "name") f.outer = currencyOuter(f);
    else {
      symbolic = true;
      f.pattern = f.currencySign === "accounting" && f.signDisplay !== "never" ? system.acc : system.cur;
      const code = f.currency;
      f.symbol = f.currencyDisplay === "code" ? code : (f.currencyDisplay === "narrowSymbol" ? own.narrow[code] : undefined) ?? own.sym[code] ?? code;
    }
  } else if (f.style === "unit") {
    if (f.unit === "percent" && f.unitDisplay !== "long" && f.notation !== "compact") f.pattern = system.pct;
    else f.outer = unitOuter(f, f.unit, f.unitDisplay);
  }
  if (f.notation === "compact") {
    f.compact = symbolic ? system.cshort : f.compactDisplay === "long" ? system.long : system.short;
  }
  f.grouping = f.useGrouping === false ? { primary: 0, secondary: 0 } : groupingOf(f.pattern);
  // In compact notation "auto" is "min2".
  f.minGroup = f.useGrouping === "always" ? 1 : f.useGrouping === "min2" || f.notation === "compact" ? Math.max(2, own.min) : own.min;
  return f;
}

const partList = (parts) => {
  const out = [];
  for (let i = 0; i < parts.length; i += 2) out.push({ type: parts[i], value: parts[i + 1] });
  return out;
};

const joinSourced = (parts) => {
  let out = "";
  for (const part of parts) out += part.value;
  return out;
};

export function NumberFormat(locales, options) {
  const self = new.target === undefined ? Object.create(NumberFormat.prototype) : this;
  initialize(self, locales, options);
  return self;
}

const ORDER = ["locale", "nu", "style", "currency", "currencyDisplay", "currencySign", "unit", "unitDisplay", "minimumIntegerDigits", "minimumFractionDigits", "maximumFractionDigits", "minimumSignificantDigits", "maximumSignificantDigits", "useGrouping", "notation", "compactDisplay", "signDisplay", "roundingIncrement", "roundingMode", "roundingPriority", "trailingZeroDisplay"];

const of = (self) => receiver(slots, self, "NumberFormat");

function rangeOf(self, start, end) {
  const f = ready(of(self));
  if (start === undefined || end === undefined) throw new TypeError("Start and end of the range are required");
  return rangeParts(f, toDecimal(start), toDecimal(end));
}

methods(NumberFormat, {
  get format() {
    const f = of(this);
    if (f.bound === undefined) {
      f.bound = { "": (value) => textOf(numberParts(ready(f), toDecimal(value))) }[""];
      Object.defineProperty(f.bound, "name", { value: "" });
    }
    return f.bound;
  },
  formatRange(start, end) { return joinSourced(rangeOf(this, start, end)); },
  formatRangeToParts(start, end) { return rangeOf(this, start, end); },
  formatToParts(value) { return partList(numberParts(ready(of(this)), toDecimal(value))); },
  resolvedOptions() {
    const f = of(this);
    const out = {};
    for (const key of ORDER) if (f[key] !== undefined) out[key === "nu" ? "numberingSystem" : key] = f[key];
    return out;
  },
});
finishClass(NumberFormat, "NumberFormat", 0, statics);

// For other formatters: the text and the parts of a value without a new toDecimal path.
export const formatNumber = (numberFormat, value) => textOf(numberParts(ready(slots.get(numberFormat)), toDecimal(value)));
export const formatNumberParts = (numberFormat, value) => partList(numberParts(ready(slots.get(numberFormat)), toDecimal(value)));

// The plural category of a value as the formatter shows it.
export function numberCategory(numberFormat, value) {
  const f = ready(slots.get(numberFormat));
  return categoryOf(f, prepare(f, toDecimal(value)));
}

// The power of ten which a value's compact form leaves out.
export function compactShift(dataLocale, display, x) {
  const nu = data("num", dataLocale).nu.latn;
  return x.d === "" ? 0 : shiftOf(display === "long" ? nu.long : nu.short, x.e - 1);
}

const recent = new Map();

export function numberToLocale(value, locales, options) {
  if (options !== undefined || (locales !== undefined && typeof locales !== "string")) {
    return formatNumber(new NumberFormat(locales, options), value);
  }
  const key = locales ?? "";
  let numberFormat = recent.get(key);
  if (numberFormat === undefined) {
    numberFormat = new NumberFormat(locales);
    if (recent.size > 20) recent.clear();
    recent.set(key, numberFormat);
  }
  return formatNumber(numberFormat, value);
}
define(NumberFormat.prototype, "constructor", NumberFormat);
