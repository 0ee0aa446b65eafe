import { canonicalizeLocaleList, coerceOptions, finishClass, getMatcher, getOption, resolveLocale, statics } from "./locale.js";
import { methods, receiver } from "./util.js";
import { digitsOf, roundBy, setDigitOptions, toDecimal } from "./decimal.js";
import { categoriesOf, pluralOf, rangeCategory } from "./plural-rules.js";
import { compactShift } from "./numbers.js";

const slots = new WeakMap();
const of = (self) => receiver(slots, self, "PluralRules");

export function PluralRules(locales, options) {
  if (new.target === undefined) throw new TypeError("Constructor Intl.PluralRules requires 'new'");
  const requested = canonicalizeLocaleList(locales);
  options = coerceOptions(options);
  const localeMatcher = getMatcher(options);
  const f = { type: getOption(options, "type", ["cardinal", "ordinal"], "cardinal") };
  f.notation = getOption(options, "notation", ["standard", "scientific", "engineering", "compact"], "standard");
  f.compactDisplay = getOption(options, "compactDisplay", ["short", "long"], "short");
  setDigitOptions(f, options, 0, 3, "standard");
  const r = resolveLocale(requested, [], { localeMatcher });
  // Rules are kept by language, as in V8.
  f.locale = r.locale === "pt-PT" ? r.locale : r.locale.split("-")[0];
  f.dataLocale = r.dataLocale;
  slots.set(this, f);
}

function select(f, x) {
  if (x.kind !== "number") return "other";
  const { value, least } = roundBy(x, f);
  const { int, frac } = digitsOf(value, least, f);
  let e = 0;
  if (f.notation === "compact") e = compactShift(f.dataLocale, f.compactDisplay, value);
  else if (f.notation !== "standard" && value.d !== "") {
    e = value.e - 1;
    if (f.notation === "engineering") e = Math.floor(e / 3) * 3;
  }
  return pluralOf(f.dataLocale, f.type, int, frac, e);
}

const ORDER = ["minimumIntegerDigits", "minimumFractionDigits", "maximumFractionDigits", "minimumSignificantDigits", "maximumSignificantDigits"];

methods(PluralRules, {
  resolvedOptions() {
    const f = of(this);
    const out = { locale: f.locale, type: f.type };
    for (const key of ORDER) if (f[key] !== undefined) out[key] = f[key];
    out.pluralCategories = categoriesOf(f.dataLocale, f.type).slice();
    for (const key of ["roundingIncrement", "roundingMode", "roundingPriority", "trailingZeroDisplay"]) out[key] = f[key];
    return out;
  },
  select(value) {
    const f = of(this);
    return select(f, toDecimal(Number(value)));
  },
  selectRange(start, end) {
    const f = of(this);
    if (start === undefined || end === undefined) throw new TypeError("Start and end of the range are required");
    const a = toDecimal(Number(start));
    const b = toDecimal(Number(end));
    if (a.kind === "nan" || b.kind === "nan") throw new RangeError("Invalid range: NaN");
    return rangeCategory(f.dataLocale, f.type, select(f, a), select(f, b));
  },
});
finishClass(PluralRules, "PluralRules", 0, statics);
