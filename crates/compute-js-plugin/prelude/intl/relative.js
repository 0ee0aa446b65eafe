import { canonicalizeLocaleList, coerceOptions, finishClass, getMatcher, getOption, resolveLocale, statics } from "./locale.js";
import { data, form, methods, receiver } from "./util.js";
import { NumberFormat, formatNumberParts, numberCategory } from "./numbers.js";

const slots = new WeakMap();
const of = (self) => receiver(slots, self, "RelativeTimeFormat");
const SUFFIX = { long: "", short: "-s", narrow: "-n" };
const UNITS = new Map();
for (const unit of ["second", "minute", "hour", "day", "week", "month", "quarter", "year"]) {
  UNITS.set(unit, unit);
  UNITS.set(unit + "s", unit);
}

export function RelativeTimeFormat(locales, options) {
  if (new.target === undefined) throw new TypeError("Constructor Intl.RelativeTimeFormat requires 'new'");
  const requested = canonicalizeLocaleList(locales);
  options = coerceOptions(options);
  const localeMatcher = getMatcher(options);
  const nu = getOption(options, "numberingSystem", undefined, undefined);
  if (nu !== undefined && !/^[a-z0-9]{3,8}(?:-[a-z0-9]{3,8})*$/i.test(nu)) throw new RangeError("Invalid numberingSystem : " + nu);
  const r = resolveLocale(requested, ["nu"], { localeMatcher, nu });
  const style = getOption(options, "style", ["long", "short", "narrow"], "long");
  const numeric = getOption(options, "numeric", ["always", "auto"], "always");
  slots.set(this, { locale: r.locale, dataLocale: r.dataLocale, nu: r.nu, style, numeric, number: undefined });
}

function unitOf(unit) {
  const name = String(unit);
  const found = UNITS.get(name);
  if (found === undefined) throw new RangeError("Invalid unit argument for format() '" + name + "'");
  return found;
}

// The pieces: texts, and the parts of the number where it is shown.
function pieces(self, value, unit) {
  const f = of(self);
  value = Number(value);
  const name = unitOf(unit);
  if (!Number.isFinite(value)) throw new RangeError("Invalid time value");
  const table = data("rel", f.dataLocale);
  const entry = f.style === "narrow" ? table[name + "-n"] ?? table[name + "-s"] ?? table[name] : f.style === "short" ? table[name + "-s"] ?? table[name] : table[name];
  if (f.numeric === "auto") {
    const text = entry[String(value)];
    if (text != null) return { before: text, number: undefined, after: "", name };
  }
  f.number ??= new NumberFormat(f.locale, { numberingSystem: f.nu });
  const past = value < 0 || Object.is(value, -0);
  const size = Math.abs(value);
  const pattern = form(entry[past ? "-" : "+"], numberCategory(f.number, size));
  const at = pattern.indexOf("{0}");
  if (at < 0) return { before: pattern, number: undefined, after: "", name };
  return { before: pattern.slice(0, at), number: formatNumberParts(f.number, size), after: pattern.slice(at + 3), name };
}

methods(RelativeTimeFormat, {
  resolvedOptions() {
    const f = of(this);
    return { locale: f.locale, style: f.style, numeric: f.numeric, numberingSystem: f.nu };
  },
  format(value, unit) {
    const p = pieces(this, value, unit);
    if (p.number === undefined) return p.before;
    let out = p.before;
    for (const part of p.number) out += part.value;
    return out + p.after;
  },
  formatToParts(value, unit) {
    const p = pieces(this, value, unit);
    const out = [];
    if (p.before !== "") out.push({ type: "literal", value: p.before });
    for (const part of p.number ?? []) out.push({ type: part.type, value: part.value, unit: p.name });
    if (p.after !== "") out.push({ type: "literal", value: p.after });
    return out;
  },
});
finishClass(RelativeTimeFormat, "RelativeTimeFormat", 0, statics);
