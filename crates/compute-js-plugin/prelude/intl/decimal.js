// Decimal numbers of any size: value = 0.d × 10^e with digits d without
// leading or trailing zeros ("" is zero); kind tells "number", "infinity", "nan".

import { getOption } from "./locale.js";

const NAN = { kind: "nan", neg: false, d: "", e: 0 };
const infinity = (neg) => ({ kind: "infinity", neg, d: "", e: 0 });

function fromDigits(neg, int, frac, exponent) {
  let digits = int + frac;
  let from = 0;
  while (from < digits.length && digits.charCodeAt(from) === 48) from++;
  let to = digits.length;
  while (to > from && digits.charCodeAt(to - 1) === 48) to--;
  if (from === to) return { kind: "number", neg, d: "", e: 0 };
  return { kind: "number", neg, d: digits.slice(from, to), e: int.length + exponent - from };
}

function fromText(s, neg) {
  let exponent = 0;
  let at = s.search(/[eE]/);
  if (at >= 0) {
    exponent = Number(s.slice(at + 1));
    s = s.slice(0, at);
  }
  at = s.indexOf(".");
  return at < 0 ? fromDigits(neg, s, "", exponent) : fromDigits(neg, s.slice(0, at), s.slice(at + 1), exponent);
}

function fromNumber(x) {
  if (x !== x) return NAN;
  const neg = x < 0 || (x === 0 && 1 / x < 0);
  if (neg) x = -x;
  return x === Infinity ? infinity(neg) : fromText(String(x), neg);
}

function fromString(text) {
  const s = text.trim();
  const near = Number(s);
  if (near !== near) return NAN;
  const neg = s.charCodeAt(0) === 45;
  if (near === Infinity || near === -Infinity) return infinity(neg);
  if (near === 0) return { kind: "number", neg, d: "", e: 0 };
  if (/^0[xXoObB]/.test(s)) return fromText(String(BigInt(s)), false);
  return fromText(neg || s.charCodeAt(0) === 43 ? s.slice(1) : s, neg);
}

function toPrimitive(value) {
  const exotic = value[Symbol.toPrimitive];
  if (exotic !== undefined && exotic !== null) {
    const result = Reflect.apply(exotic, value, ["number"]);
    if (typeof result !== "object" && typeof result !== "function" || result === null) return result;
  } else {
    for (const name of ["valueOf", "toString"]) {
      const method = value[name];
      if (typeof method !== "function") continue;
      const result = Reflect.apply(method, value, []);
      if (typeof result !== "object" && typeof result !== "function" || result === null) return result;
    }
  }
  throw new TypeError("Cannot convert object to primitive value");
}

// ToIntlMathematicalValue.
export function toDecimal(value) {
  if (typeof value === "number") return fromNumber(value);
  if ((typeof value === "object" && value !== null) || typeof value === "function") value = toPrimitive(value);
  if (typeof value === "bigint") return value < 0n ? fromText(String(value).slice(1), true) : fromText(String(value), false);
  if (typeof value === "string") return fromString(value);
  return fromNumber(Number(value));
}

// Whether two numbers have the same magnitude.
export const sameDecimal = (a, b) => a.kind === b.kind && a.d === b.d && (a.e === b.e || a.d === "");

const withDigits = (x, d, e) => ({ kind: x.kind, neg: x.neg, d, e: d === "" ? 0 : e });

function trimZeros(s) {
  let to = s.length;
  while (to > 0 && s.charCodeAt(to - 1) === 48) to--;
  return to === s.length ? s : s.slice(0, to);
}

// Whether the magnitude goes up: half tells the cut part's order to one half.
function roundsUp(mode, neg, half, odd) {
  switch (mode) {
    case "ceil": return !neg;
    case "floor": return neg;
    case "expand": return true;
    case "trunc": return false;
    case "halfCeil": return half > 0 || (half === 0 && !neg);
    case "halfFloor": return half > 0 || (half === 0 && neg);
    case "halfTrunc": return half > 0;
    case "halfEven": return half > 0 || (half === 0 && odd);
    default: return half >= 0;
  }
}

// Adds one to the last of the digits; may be one digit longer.
function increment(digits) {
  let at = digits.length - 1;
  while (at >= 0 && digits.charCodeAt(at) === 57) at--;
  const zeros = "0".repeat(digits.length - 1 - at);
  if (at < 0) return "1" + zeros;
  return digits.slice(0, at) + String.fromCharCode(digits.charCodeAt(at) + 1) + zeros;
}

// x with its first keep digits.
function roundDigits(x, keep, mode) {
  const { d, e } = x;
  if (keep >= d.length) return x;
  let half = -1;
  if (keep >= 0) {
    const first = d.charCodeAt(keep) - 48;
    half = first > 5 ? 1 : first < 5 ? -1 : d.length > keep + 1 ? 1 : 0;
  }
  const odd = keep > 0 && (d.charCodeAt(keep - 1) & 1) === 1;
  if (!roundsUp(mode, x.neg, half, odd)) return withDigits(x, keep > 0 ? trimZeros(d.slice(0, keep)) : "", e);
  if (keep <= 0) return withDigits(x, "1", e - keep + 1);
  const up = increment(d.slice(0, keep));
  return withDigits(x, trimZeros(up), e + up.length - keep);
}

// x to a multiple of step × 10^-places.
function roundStep(x, step, places, mode) {
  const keep = x.e + places;
  const whole = keep > 0 ? x.d.slice(0, keep).padEnd(keep, "0") : "0";
  const tail = keep < x.d.length;
  let rest = 0;
  for (let i = 0; i < whole.length; i++) rest = (rest * 10 + whole.charCodeAt(i) - 48) % step;
  if (rest === 0 && !tail) return x;
  const twice = rest * 2;
  let half = twice > step ? 1 : twice === step ? (tail ? 1 : 0) : -1;
  if (half < 0 && twice + 1 === step && tail && keep >= 0) {
    const first = x.d.charCodeAt(keep) - 48;
    half = first > 5 ? 1 : first < 5 ? -1 : x.d.length > keep + 1 ? 1 : 0;
  }
  // The lower multiple, and whether it is an odd one.
  const lower = addSmall(whole, -rest);
  let odd = false;
  if (half === 0) {
    let r = 0;
    for (let i = 0; i < lower.length; i++) r = (r * 10 + lower.charCodeAt(i) - 48) % (2 * step);
    odd = r !== 0;
  }
  const digits = roundsUp(mode, x.neg, half, odd) ? addSmall(lower, step) : lower;
  const out = fromDigits(x.neg, digits, "", -places);
  return out;
}

function addSmall(digits, n) {
  const out = new Array(digits.length);
  let carry = n;
  for (let i = digits.length - 1; i >= 0; i--) {
    const sum = digits.charCodeAt(i) - 48 + carry;
    const digit = ((sum % 10) + 10) % 10;
    carry = (sum - digit) / 10;
    out[i] = digit;
  }
  return (carry > 0 ? String(carry) : "") + out.join("");
}

export const scale = (x, power) => (x.d === "" ? x : withDigits(x, x.d, x.e + power));

// x rounded by the digit options, with the least count of fraction digits to show.
export function roundBy(x, o) {
  let type = o.roundingType;
  if (type === "more" || type === "less") {
    const significant = (x.d === "" ? 1 : x.e) - o.maximumSignificantDigits;
    const fraction = -o.maximumFractionDigits;
    type = (significant <= fraction) === (type === "more") ? "significant" : "fraction";
  }
  if (type === "significant") {
    const value = roundDigits(x, o.maximumSignificantDigits, o.roundingMode);
    const least = o.minimumSignificantDigits - (value.d === "" ? 1 : value.e);
    return { value, least: least > 0 ? least : 0 };
  }
  const value = o.roundingIncrement === 1
    ? roundDigits(x, x.e + o.maximumFractionDigits, o.roundingMode)
    : roundStep(x, o.roundingIncrement, o.maximumFractionDigits, o.roundingMode);
  return { value, least: o.minimumFractionDigits };
}

// { int, frac } digit texts of a rounded value.
export function digitsOf(x, least, o) {
  const { d, e } = x;
  let int = e <= 0 ? "0" : e >= d.length ? d + "0".repeat(e - d.length) : d.slice(0, e);
  let frac = e < 0 ? "0".repeat(-e) + d : e < d.length ? d.slice(e) : "";
  if (frac.length < least && !(frac === "" && o.trailingZeroDisplay === "stripIfInteger")) frac = frac.padEnd(least, "0");
  if (int.length < o.minimumIntegerDigits) int = int.padStart(o.minimumIntegerDigits, "0");
  return { int, frac };
}

function defaultNumberOption(value, least, most, fallback, name) {
  if (value === undefined) return fallback;
  value = Number(value);
  if (!(value >= least && value <= most)) throw new RangeError(name + " value is out of range.");
  return Math.floor(value);
}

const numberOption = (options, name, least, most, fallback) => defaultNumberOption(options[name], least, most, fallback, name);

const INCREMENTS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000];
const MODES = ["ceil", "floor", "expand", "trunc", "halfCeil", "halfFloor", "halfExpand", "halfTrunc", "halfEven"];

// SetNumberFormatDigitOptions: writes the digit options to o.
export function setDigitOptions(o, options, leastDefault, mostDefault, notation) {
  o.minimumIntegerDigits = numberOption(options, "minimumIntegerDigits", 1, 21, 1);
  let mnfd = options.minimumFractionDigits;
  let mxfd = options.maximumFractionDigits;
  let mnsd = options.minimumSignificantDigits;
  let mxsd = options.maximumSignificantDigits;
  const increment = numberOption(options, "roundingIncrement", 1, 5000, 1);
  if (!INCREMENTS.includes(increment)) throw new RangeError("roundingIncrement value is out of range.");
  o.roundingIncrement = increment;
  o.roundingMode = getOption(options, "roundingMode", MODES, "halfExpand");
  const priority = getOption(options, "roundingPriority", ["auto", "morePrecision", "lessPrecision"], "auto");
  o.trailingZeroDisplay = getOption(options, "trailingZeroDisplay", ["auto", "stripIfInteger"], "auto");
  if (increment !== 1) mostDefault = leastDefault;
  const hasSd = mnsd !== undefined || mxsd !== undefined;
  const hasFd = mnfd !== undefined || mxfd !== undefined;
  let needSd = true;
  let needFd = true;
  if (priority === "auto") {
    needSd = hasSd;
    if (needSd || (!hasFd && notation === "compact")) needFd = false;
  }
  if (needSd) {
    if (hasSd) {
      mnsd = defaultNumberOption(mnsd, 1, 21, 1, "minimumSignificantDigits");
      mxsd = defaultNumberOption(mxsd, mnsd, 21, 21, "maximumSignificantDigits");
    } else {
      mnsd = 1;
      mxsd = 21;
    }
    o.minimumSignificantDigits = mnsd;
    o.maximumSignificantDigits = mxsd;
  }
  if (needFd) {
    if (hasFd) {
      mnfd = defaultNumberOption(mnfd, 0, 100, undefined, "minimumFractionDigits");
      mxfd = defaultNumberOption(mxfd, 0, 100, undefined, "maximumFractionDigits");
      if (mnfd === undefined) mnfd = Math.min(leastDefault, mxfd);
      else if (mxfd === undefined) mxfd = Math.max(mostDefault, mnfd);
      else if (mnfd > mxfd) throw new RangeError("maximumFractionDigits value is out of range.");
    } else {
      mnfd = leastDefault;
      mxfd = mostDefault;
    }
    o.minimumFractionDigits = mnfd;
    o.maximumFractionDigits = mxfd;
  }
  o.roundingPriority = "auto";
  if (!needSd && !needFd) {
    o.minimumFractionDigits = 0;
    o.maximumFractionDigits = 0;
    o.minimumSignificantDigits = 1;
    o.maximumSignificantDigits = 2;
    o.roundingType = "more";
    o.roundingPriority = "morePrecision";
  } else if (priority === "auto") o.roundingType = hasSd ? "significant" : "fraction";
  else {
    o.roundingType = priority === "morePrecision" ? "more" : "less";
    o.roundingPriority = priority;
  }
  if (increment !== 1) {
    if (o.roundingType !== "fraction") throw new TypeError("roundingIncrement needs fraction digits.");
    if (o.maximumFractionDigits !== o.minimumFractionDigits) throw new RangeError("roundingIncrement needs maximumFractionDigits to be minimumFractionDigits.");
  }
}
