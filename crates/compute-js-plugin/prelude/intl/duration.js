import { canonicalizeLocaleList, finishClass, getMatcher, getOption, getOptionsObject, resolveLocale, statics } from "./locale.js";
import { data, methods, receiver } from "./util.js";
import { NumberFormat, formatNumberParts } from "./numbers.js";
import { listParts } from "./list.js";

const slots = new WeakMap();
const of = (self) => receiver(slots, self, "DurationFormat");

const UNITS = ["years", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"];
const WORDS = ["long", "short", "narrow"];
const CLOCK = ["long", "short", "narrow", "numeric", "2-digit"];
const FRACTION = ["long", "short", "narrow", "numeric"];
const isNumeric = (style) => style === "numeric" || style === "2-digit";

function unitOptions(unit, index, options, base, previous, twoDigitHours) {
  let style = getOption(options, unit, index < 4 ? WORDS : index < 7 ? CLOCK : FRACTION, undefined);
  let fallback = "always";
  if (style === undefined) {
    if (base === "digital") {
      if (index < 4 || index > 6) fallback = "auto";
      style = index < 4 ? "short" : "numeric";
    } else if (previous === "fractional" || isNumeric(previous)) {
      if (unit !== "minutes" && unit !== "seconds") fallback = "auto";
      style = "numeric";
    } else {
      fallback = "auto";
      style = base;
    }
  }
  if (style === "numeric" && index > 6) {
    style = "fractional";
    fallback = "auto";
  }
  const display = getOption(options, unit + "Display", ["auto", "always"], fallback);
  if ((display === "always" && style === "fractional")
    || (previous === "fractional" && style !== "fractional")
    || (isNumeric(previous) && style !== "fractional" && !isNumeric(style))) {
    throw new RangeError("Invalid style " + style + " for Intl.DurationFormat option " + unit);
  }
  if (unit === "hours" && twoDigitHours) style = "2-digit";
  if ((unit === "minutes" || unit === "seconds") && isNumeric(previous)) style = "2-digit";
  return { style, display };
}

export function DurationFormat(locales, options) {
  if (new.target === undefined) throw new TypeError("Constructor Intl.DurationFormat requires 'new'");
  const requested = canonicalizeLocaleList(locales);
  options = getOptionsObject(options);
  const localeMatcher = getMatcher(options);
  const nu = getOption(options, "numberingSystem", undefined, undefined);
  if (nu !== undefined && !/^[a-z0-9]{3,8}(?:-[a-z0-9]{3,8})*$/i.test(nu)) throw new RangeError("Invalid numberingSystem : " + nu);
  const r = resolveLocale(requested, ["nu"], { localeMatcher, nu });
  const f = { locale: r.locale, dataLocale: r.dataLocale, nu: r.nu, units: {}, formats: new Map() };
  f.style = getOption(options, "style", ["long", "short", "narrow", "digital"], "short");
  let previous = "";
  UNITS.forEach((unit, index) => {
    const o = unitOptions(unit, index, options, f.style, previous, false);
    f.units[unit] = o;
    if (index > 3 && index < 9) previous = o.style;
  });
  let digits = options.fractionalDigits;
  if (digits !== undefined) {
    digits = Number(digits);
    if (!(digits >= 0 && digits <= 9)) throw new RangeError("fractionalDigits value is out of range.");
    digits = Math.floor(digits);
  }
  f.fractionalDigits = digits;
  slots.set(this, f);
}

function record(input) {
  if (typeof input === "string") return fromText(input);
  if (typeof input !== "object" || input === null) throw new TypeError("Invalid duration");
  const out = {};
  let any = false;
  for (const unit of UNITS.slice().sort()) {
    const value = input[unit];
    out[unit] = 0;
    if (value === undefined) continue;
    any = true;
    const n = Number(value);
    if (!Number.isInteger(n)) throw new RangeError("Invalid duration value for " + unit);
    out[unit] = n === 0 ? 0 : n;
  }
  if (!any) throw new TypeError("Invalid duration");
  return checked(out);
}

// ISO 8601 durations, such as "P1Y2DT3H4.5S".
function fromText(text) {
  const m = /^([-+\u2212]?)P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)(?:[.,](\d{1,9}))?H)?(?:(\d+)(?:[.,](\d{1,9}))?M)?(?:(\d+)(?:[.,](\d{1,9}))?S)?)?$/i.exec(text);
  if (m === null || /[PT]$/i.test(text) || (m[7] !== undefined && (m[8] ?? m[10]) !== undefined) || (m[9] !== undefined && m[10] !== undefined)) {
    throw new RangeError("Invalid duration");
  }
  const sign = m[1] === "-" || m[1] === "\u2212" ? -1 : 1;
  const n = (i) => (m[i] === undefined ? 0 : Number(m[i]) * sign || 0);
  const out = { years: n(2), months: n(3), weeks: n(4), days: n(5), hours: n(6), minutes: n(8), seconds: n(10), milliseconds: 0, microseconds: 0, nanoseconds: 0 };
  let rest = 0n;
  for (const [i, scale] of [[7, 3600n], [9, 60n], [11, 1n]]) if (m[i] !== undefined) rest = BigInt(m[i].padEnd(9, "0")) * scale;
  const s = BigInt(sign);
  const take = (size) => {
    const q = rest / size;
    rest %= size;
    return Number(q * s) || 0;
  };
  if (m[7] !== undefined) out.minutes = take(60000000000n);
  if (m[7] !== undefined || m[9] !== undefined) out.seconds = take(1000000000n);
  out.milliseconds = take(1000000n);
  out.microseconds = take(1000n);
  out.nanoseconds = take(1n);
  return checked(out);
}

const NS = { days: 86400000000000n, hours: 3600000000000n, minutes: 60000000000n, seconds: 1000000000n, milliseconds: 1000000n, microseconds: 1000n, nanoseconds: 1n };

function checked(d) {
  let sign = 0;
  for (const unit of UNITS) {
    const s = Math.sign(d[unit]);
    if (s === 0) continue;
    if (sign !== 0 && s !== sign) throw new RangeError("Invalid duration: mixed signs");
    sign = s;
    if (!Number.isFinite(d[unit])) throw new RangeError("Invalid duration");
  }
  if (Math.abs(d.years) >= 4294967296 || Math.abs(d.months) >= 4294967296 || Math.abs(d.weeks) >= 4294967296) throw new RangeError("Invalid duration");
  let total = 0n;
  for (const unit in NS) total += BigInt(d[unit]) * NS[unit];
  if (total < 0n) total = -total;
  if (total >= 9007199254740992n * 1000000000n) throw new RangeError("Invalid duration");
  d.sign = sign;
  return d;
}

// The value of a unit with all smaller ones as its decimals, as text.
function fractional(d, unit) {
  let total = 0n;
  for (let i = UNITS.indexOf(unit); i < UNITS.length; i++) total += BigInt(d[UNITS[i]]) * NS[UNITS[i]];
  const size = NS[unit];
  const neg = total < 0n;
  if (neg) total = -total;
  const rest = total % size;
  const text = String(total / size) + (rest === 0n ? "" : "." + String(rest).padStart(String(size).length - 1, "0"));
  return { text: neg ? "-" + text : text, zero: total === 0n };
}

function numberFormat(f, key, options) {
  let found = f.formats.get(key);
  if (found === undefined) {
    found = new NumberFormat(f.locale, { numberingSystem: f.nu, ...options });
    f.formats.set(key, found);
  }
  return found;
}

const fractionOptions = (f) => ({
  minimumFractionDigits: f.fractionalDigits ?? 0, maximumFractionDigits: f.fractionalDigits ?? 9, roundingMode: "trunc",
});

function numericGroup(f, d, first, signed) {
  const out = [];
  const { hours, minutes, seconds } = f.units;
  const exact = f.units.milliseconds.style === "fractional" ? fractional(d, "seconds") : { text: d.seconds, zero: d.seconds === 0 };
  const showHours = first === "hours" && (d.hours !== 0 || hours.display === "always");
  const showSeconds = !exact.zero || seconds.display === "always";
  const showMinutes = first !== "seconds" && ((showHours && showSeconds) || d.minutes !== 0 || minutes.display === "always");
  const separator = () => {
    const own = data("num", f.dataLocale).nu;
    out.push({ type: "literal", value: own[f.nu]?.s.t ?? own.latn.s.t });
  };
  const add = (unit, style, value, zero, extra) => {
    if (signed && zero && d.sign < 0) value = -0;
    const key = unit + style + signed;
    const format = numberFormat(f, key, {
      useGrouping: false, minimumIntegerDigits: style === "2-digit" ? 2 : 1, signDisplay: signed ? "auto" : "never", ...extra,
    });
    for (const part of formatNumberParts(format, value)) out.push({ type: part.type, value: part.value, unit });
    signed = false;
  };
  if (showHours) add("hour", hours.style, d.hours, d.hours === 0);
  if (showMinutes) {
    if (showHours) separator();
    add("minute", minutes.style, d.minutes, d.minutes === 0);
  }
  if (showSeconds) {
    if (showMinutes) separator();
    add("second", seconds.style, exact.text, exact.zero, f.units.milliseconds.style === "fractional" ? fractionOptions(f) : { maximumFractionDigits: 0 });
  }
  return out;
}

function partition(f, d) {
  const groups = [];
  let signed = true;
  for (let i = 0; i < UNITS.length; i++) {
    const unit = UNITS[i];
    const { style, display } = f.units[unit];
    if (isNumeric(style)) {
      const group = numericGroup(f, d, unit, signed);
      if (group.length > 0) groups.push(group);
      break;
    }
    const merge = i >= 6 && i < 9 && f.units[UNITS[i + 1]].style === "fractional";
    let value = d[unit];
    let zero = value === 0;
    if (merge) ({ text: value, zero } = fractional(d, unit));
    if (display === "always" || !zero) {
      if (signed && zero && d.sign < 0) value = -0;
      const name = unit.slice(0, -1);
      const format = numberFormat(f, unit + signed, {
        style: "unit", unit: name, unitDisplay: style, signDisplay: signed ? "auto" : "never", ...(merge ? fractionOptions(f) : {}),
      });
      groups.push(formatNumberParts(format, value).map((part) => ({ type: part.type, value: part.value, unit: name })));
      signed = false;
    }
    if (merge) break;
  }
  const joined = listParts(f.dataLocale, "unit", f.style === "digital" ? "short" : f.style, groups);
  const out = [];
  for (let i = 0; i < joined.length; i += 2) {
    if (joined[i] === "element") for (const part of joined[i + 1]) out.push(part);
    else out.push({ type: "literal", value: joined[i + 1] });
  }
  return out;
}

methods(DurationFormat, {
  format(duration) {
    const f = of(this);
    let out = "";
    for (const part of partition(f, record(duration))) out += part.value;
    return out;
  },
  formatToParts(duration) {
    const f = of(this);
    return partition(f, record(duration));
  },
  resolvedOptions() {
    const f = of(this);
    const out = { locale: f.locale, numberingSystem: f.nu, style: f.style };
    for (const unit of UNITS) {
      const { style, display } = f.units[unit];
      out[unit] = style === "fractional" ? "numeric" : style;
      out[unit + "Display"] = display;
    }
    if (f.fractionalDigits !== undefined) out.fractionalDigits = f.fractionalDigits;
    return out;
  },
});
finishClass(DurationFormat, "DurationFormat", 0, statics);
