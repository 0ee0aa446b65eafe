// Intl.DateTimeFormat
import { load } from "./data.js";
import { canonicalizeLocaleList, resolveLocale, supportedLocales, keyData } from "./locale.js";
import { Generator, tokens, skeletonOf, fill, fieldOf, HOUR } from "./patterns.js";
import { findZone, offsetAt, daysFrom, yearOf, ZoneNames } from "./zones.js";
import { intervalPatterns, ERA, YEAR, MONTH, DATE, AM_PM, HOURS, MINUTES, SECONDS, MILLIS } from "./intervals.js";

// --- Data ---

const locales = new Map();
const upOf = (locale) => load("dt", locale)?.up;

// The data of a locale with its parents' behind it.
function localeData(locale) {
  let data = locales.get(locale);
  if (data === undefined) {
    const own = load("dt", locale);
    data = Object.create(null);
    if (own.up !== undefined) {
      const parent = localeData(own.up);
      Object.assign(data, parent, own);
      if (own.iv !== undefined) {
        data.iv = Object.assign(Object.create(null), parent.iv, own.iv);
        for (const key in own.iv) if (own.iv[key] === 0) delete data.iv[key];
      }
    } else Object.assign(data, own);
    data.generators = new Map();
    data.zones = new Map();
    locales.set(locale, data);
  }
  return data;
}

function generatorFor(data, hour, decimal, plain = false) {
  const key = (plain ? "p" : "") + hour + decimal;
  let generator = data.generators.get(key);
  if (generator === undefined) data.generators.set(key, generator = new Generator(data, hour, decimal, plain));
  return generator;
}

// Code points of the digit zero.
const ZEROS = " adlm=1e950 ahom=11730 arab=660 arabext=6f0 bali=1b50 beng=9e6 bhks=11c50 brah=11066 cakm=11136 cham=aa50 deva=966 diak=11950 fullwide=ff10"
  + " gara=10d40 gong=11da0 gonm=11d50 gujr=ae6 gukh=16130 guru=a66 hmng=16b50 hmnp=1e140 java=a9d0 kali=a900 kawi=11f50 khmr=17e0 knda=ce6"
  + " krai=16d70 lana=1a80 lanatham=1a90 laoo=ed0 lepc=1c40 limb=1946 mathbold=1d7ce mathdbl=1d7d8 mathmono=1d7f6 mathsanb=1d7ec mathsans=1d7e2"
  + " mlym=d66 modi=11650 mong=1810 mroo=16a60 mtei=abf0 mymr=1040 mymrepka=116da mymrpao=116d0 mymrshan=1090 mymrtlng=a9f0 nagm=1e4f0 newa=11450"
  + " nkoo=7c0 olck=1c50 onao=1e5f1 orya=b66 osma=104a0 outlined=1ccf0 rohg=10d30 saur=a8d0 segment=1fbf0 shrd=111d0 sind=112f0 sinh=de6"
  + " sora=110f0 sund=1bb0 sunu=11bf0 takr=116c0 talu=19d0 tamldec=be6 telu=c66 thai=e50 tibt=f20 tirh=114d0 tnsa=16ac0 tols=11de0 vaii=a620"
  + " wara=118e0 wcho=1e2f0 ";

const digitSets = new Map();
function digitsOf(system) {
  if (system === "latn") return undefined;
  let set = digitSets.get(system);
  if (set === undefined) {
    if (system === "hanidec") set = [..."〇一二三四五六七八九"];
    else {
      const at = ZEROS.indexOf(" " + system + "=") + system.length + 2;
      const zero = parseInt(ZEROS.slice(at, ZEROS.indexOf(" ", at)), 16);
      set = [];
      for (let i = 0; i < 10; i++) set.push(String.fromCodePoint(zero + i));
    }
    digitSets.set(system, set);
  }
  return set;
}

// --- Options ---

const stringOption = (options, name, values, fallback) => {
  let value = options[name];
  if (value === undefined) return fallback;
  value = String(value);
  if (values !== undefined && !values.includes(value)) {
    throw new RangeError("Value " + value + " out of range for Intl.DateTimeFormat options property " + name);
  }
  return value;
};

const TYPE = /^[A-Za-z0-9]{3,8}(?:-[A-Za-z0-9]{3,8})*$/;
const TEXT = ["narrow", "short", "long"];
const NUMBER = ["2-digit", "numeric"];
const STYLES = ["full", "long", "medium", "short"];

// Options in the order they are read, with their skeletons.
const texts = (letter, short) => ({ narrow: letter.repeat(5), short, long: letter.repeat(4) });
const COMPONENTS = [
  ["weekday", TEXT, texts("E", "EEE")],
  ["era", TEXT, texts("G", "GGG")],
  ["year", NUMBER, { "2-digit": "yy", numeric: "y" }],
  ["month", ["2-digit", "numeric", "narrow", "short", "long"], { "2-digit": "MM", numeric: "M", narrow: "MMMMM", short: "MMM", long: "MMMM" }],
  ["day", NUMBER, { "2-digit": "dd", numeric: "d" }],
  ["dayPeriod", TEXT, texts("B", "B")],
  ["hour", NUMBER, { "2-digit": "jj", numeric: "j" }],
  ["minute", NUMBER, { "2-digit": "mm", numeric: "m" }],
  ["second", NUMBER, { "2-digit": "ss", numeric: "s" }],
  ["fractionalSecondDigits"],
  ["timeZoneName", ["short", "long", "shortOffset", "longOffset", "shortGeneric", "longGeneric"],
    { short: "z", long: "zzzz", shortOffset: "O", longOffset: "OOOO", shortGeneric: "v", longGeneric: "vvvv" }],
];

// What resolvedOptions tells for a pattern: the first text that occurs.
const RESOLVED = [
  ["weekday", ["EEEEE", "narrow", "EEEE", "long", "EEE", "short", "ccccc", "narrow", "cccc", "long", "ccc", "short"]],
  ["era", ["GGGGG", "narrow", "GGGG", "long", "GGG", "short"]],
  ["year", ["yy", "2-digit", "y", "numeric"]],
  ["month", ["MMMMM", "narrow", "MMMM", "long", "MMM", "short", "MM", "2-digit", "M", "numeric",
    "LLLLL", "narrow", "LLLL", "long", "LLL", "short", "LL", "2-digit", "L", "numeric"]],
  ["day", ["dd", "2-digit", "d", "numeric"]],
  ["dayPeriod", ["BBBBB", "narrow", "bbbbb", "narrow", "BBBB", "long", "bbbb", "long", "B", "short", "b", "short"]],
  ["hour", ["HH", "2-digit", "H", "numeric", "hh", "2-digit", "h", "numeric", "kk", "2-digit", "k", "numeric", "KK", "2-digit", "K", "numeric"]],
  ["minute", ["mm", "2-digit", "m", "numeric"]],
  ["second", ["ss", "2-digit", "s", "numeric"]],
  ["fractionalSecondDigits"],
  ["timeZoneName", ["zzzz", "long", "z", "short", "OOOO", "longOffset", "O", "shortOffset", "vvvv", "longGeneric", "v", "shortGeneric"]],
];

const CYCLES = { h11: "K", h12: "h", h23: "H", h24: "k" };
const CYCLE_OF = { K: "h11", h: "h12", H: "h23", k: "h24" };

// What ICU asks for by style when the locale names an hour cycle.
const TIME_SKELETONS = ["jmmsszzzz", "jmmssz", "jmmss", "jmm"];

const onlyGregory = (key, dataLocale) => key === "ca" ? ["gregory"] : keyData(key, dataLocale);

// V8 writes the hours of a pattern in the resolved cycle.
function withHours(pattern, letter) {
  let result = "";
  let quoted = false;
  let last = "";
  for (const c of pattern) {
    if (c === "'") quoted = !quoted;
    if (!quoted && (c === "H" || c === "h" || c === "K" || c === "k")) {
      if (last === "d") result += " ";
      result += letter;
    } else result += c;
    last = c;
  }
  return result;
}

function hourIn(pattern) {
  for (const token of tokens(pattern)) if (fieldOf(token[0]) === HOUR) return token[0];
  return undefined;
}

const slots = new WeakMap();
const fallbackSymbol = Symbol("IntlLegacyConstructedSymbol");
const defaultZone = "UTC";

function initialize(locales, options, required, defaults) {
  const requested = canonicalizeLocaleList(locales);
  if (options === undefined) options = Object.create(null);
  else if (options === null) throw new TypeError("Intl.DateTimeFormat called on null or undefined");
  else options = Object(options);
  const localeMatcher = stringOption(options, "localeMatcher", ["lookup", "best fit"], "best fit");
  const ca = stringOption(options, "calendar");
  if (ca !== undefined && !TYPE.test(ca)) throw new RangeError("Invalid calendar : " + ca);
  const nu = stringOption(options, "numberingSystem");
  if (nu !== undefined && !TYPE.test(nu)) throw new RangeError("Invalid numberingSystem : " + nu);
  let hour12 = options.hour12;
  if (hour12 !== undefined) hour12 = Boolean(hour12);
  let hourCycle = stringOption(options, "hourCycle", ["h11", "h12", "h23", "h24"]);
  if (hour12 !== undefined) hourCycle = undefined;
  const found = resolveLocale(requested, ["ca", "hc", "nu"], { localeMatcher, ca, nu }, onlyGregory);
  const data = localeData(found.dataLocale);
  const defaultCycle = found.hc ?? CYCLE_OF[data.h];
  let cycle = hourCycle ?? defaultCycle;
  if (hour12 !== undefined) {
    if (hour12) cycle = defaultCycle === "h11" || (defaultCycle !== "h12" && /-JP\b/.test(found.locale)) ? "h11" : "h12";
    else cycle = defaultCycle === "h24" ? "h24" : "h23";
  }

  let zoneName = options.timeZone;
  zoneName = zoneName === undefined ? defaultZone : String(zoneName);
  const zone = findZone(zoneName);
  if (zone === undefined) throw new RangeError("Invalid time zone specified: " + zoneName);

  let skeleton = "";
  let explicit;
  let hasHour = false;
  let wantsDate = false;
  let wantsTime = false;
  let fraction = 0;
  for (const [name, values, letters] of COMPONENTS) {
    let value;
    if (values === undefined) {
      value = options[name];
      if (value !== undefined) {
        value = Number(value);
        if (!(value >= 1 && value <= 3.9999999999999996)) throw new RangeError("fractionalSecondDigits value is out of range.");
        fraction = Math.floor(value);
      }
    } else value = stringOption(options, name, values);
    if (value === undefined) continue;
    explicit ??= name;
    if (name === "weekday" || name === "year" || name === "month" || name === "day") wantsDate = true;
    else if (name !== "era" && name !== "timeZoneName") wantsTime = true;
    if (name === "hour") {
      hasHour = true;
      skeleton += letters[value].replaceAll("j", CYCLES[cycle]);
    } else if (values !== undefined) skeleton += letters[value];
    else skeleton += "S".repeat(fraction);
  }
  stringOption(options, "formatMatcher", ["basic", "best fit"]);
  const dateStyle = stringOption(options, "dateStyle", STYLES);
  const timeStyle = stringOption(options, "timeStyle", STYLES);

  let locale = found.locale;
  const asked = hour12 !== undefined || hourCycle !== undefined;
  if (found.hc != null && (found.hc !== cycle || (asked && !hasHour && timeStyle === undefined))) locale = withoutHours(locale);

  const digits = digitsOf(found.nu);
  const decimal = found.nu === "arab" || found.nu === "arabext" ? "\u066b" : data.dec;
  const ownHour = found.hc != null ? CYCLES[found.hc] : data.h;
  const generator = () => generatorFor(data, ownHour, decimal);
  let pattern;
  if (dateStyle !== undefined || timeStyle !== undefined) {
    if (explicit !== undefined) {
      throw new TypeError("Can't set option " + explicit + " when " + (dateStyle !== undefined ? "dateStyle" : "timeStyle") + " is used");
    }
    if (required === "date" && timeStyle !== undefined) throw new TypeError("Invalid option : timeStyle");
    if (required === "time" && dateStyle !== undefined) throw new TypeError("Invalid option : dateStyle");
    const date = data.date[STYLES.indexOf(dateStyle)];
    const timeIndex = STYLES.indexOf(timeStyle);
    const time = found.hc != null && timeIndex >= 0 ? generatorFor(data, ownHour, decimal, true).best(TIME_SKELETONS[timeIndex], false) : data.time[timeIndex];
    if (dateStyle === undefined) pattern = time;
    else if (timeStyle === undefined) pattern = date;
    else {
      const style = STYLES.indexOf(dateStyle);
      pattern = fill(data.glue[style], time, date);
    }
    if (timeStyle !== undefined) {
      hasHour = true;
      const letter = CYCLES[cycle];
      if (hourIn(pattern) !== letter) {
        const other = skeletonOf(pattern).replace(/[abB]/g, "").replace(/[hHkK]/g, letter);
        pattern = withHours(generator().best(other, true), letter);
      }
    }
  } else {
    const askedHour = hasHour;
    const missing = !((required !== "time" && wantsDate) || (required !== "date" && wantsTime));
    if (missing && defaults !== "time") skeleton += "yMd";
    if (missing && defaults !== "date") {
      skeleton += CYCLES[cycle] + "ms";
      hasHour = true;
    }
    pattern = generator().best(skeleton, true);
    // V8 does not for hours that only the defaults ask for.
    if (askedHour) pattern = withHours(pattern, CYCLES[cycle]);
  }
  const region = /-([A-Z]{2}|\d{3})(?:-|$)/.exec(locale)?.[1];
  return {
    locale,
    data,
    dataLocale: found.dataLocale,
    region,
    calendar: "gregory",
    numberingSystem: found.nu,
    digits,
    decimal,
    timeZone: zone.id,
    zone: zone.zone,
    cycle: hasHour ? cycle : undefined,
    ownHour,
    dateStyle,
    timeStyle,
    pattern,
    compiled: compile(pattern),
    bound: undefined,
    interval: undefined,
  };
}

function withoutHours(locale) {
  return locale.replace(/-hc-h\d\d/, "").replace(/-u(?=$|-[a-wyz]-|-x-)/, "");
}

// --- Formatting ---

// A pattern as a list of literal texts and fields { letter, width, type }.
const TYPES = {
  G: "era", y: "year", Y: "year", M: "month", L: "month", E: "weekday", c: "weekday", e: "weekday", d: "day", a: "dayPeriod", b: "dayPeriod", B: "dayPeriod",
  H: "hour", h: "hour", K: "hour", k: "hour", m: "minute", s: "second", S: "fractionalSecond", z: "timeZoneName", O: "timeZoneName", v: "timeZoneName",
};

const compiledPatterns = new Map();
function compile(pattern) {
  let compiled = compiledPatterns.get(pattern);
  if (compiled !== undefined) return compiled;
  const parts = [];
  let literal = "";
  let hasMinute = false;
  let hasSecond = false;
  for (const token of tokens(pattern)) {
    const type = TYPES[token[0]];
    if (type === undefined) {
      if (token === "''") literal += "'";
      else if (token[0] === "'") literal += token.slice(1, token.endsWith("'") ? -1 : undefined).replaceAll("''", "'");
      else literal += token;
      continue;
    }
    if (literal !== "") parts.push(literal);
    literal = "";
    if (type === "minute") hasMinute = true;
    if (type === "second") hasSecond = true;
    parts.push({ letter: token[0], width: token.length, type });
  }
  if (literal !== "") parts.push(literal);
  compiled = { parts, hasMinute, hasSecond };
  if (compiledPatterns.size < 500) compiledPatterns.set(pattern, compiled);
  return compiled;
}

// A time's calendar fields in a zone.
function fieldsAt(format, ms) {
  const seconds = Math.floor(ms / 1000);
  const local = seconds + offsetAt(format.zone, seconds);
  const days = Math.floor(local / 86400);
  const rest = local - days * 86400;
  const year = yearOf(days);
  let day = days - daysFrom(year, 0, 1);
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0;
  let month = 0;
  if (day >= 59 + leap) {
    const d = day - 59 - leap;
    month = Math.floor((5 * d + 2) / 153) + 2;
    day = d - Math.floor((153 * (month - 2) + 2) / 5);
  } else if (day >= 31) {
    month = 1;
    day -= 31;
  }
  const hour = Math.floor(rest / 3600);
  return {
    seconds,
    days,
    era: year > 0 ? 1 : 0,
    year: year > 0 ? year : 1 - year,
    month,
    day: day + 1,
    weekday: ((days + 4) % 7 + 7) % 7,
    hour,
    minute: Math.floor(rest / 60) - hour * 60,
    second: rest % 60,
    ms: ms - seconds * 1000,
  };
}

function number(n, width, digits) {
  let s = String(n);
  while (s.length < width) s = "0" + s;
  if (digits === undefined) return s;
  let result = "";
  for (let i = 0; i < s.length; i++) result += digits[s.charCodeAt(i) - 48];
  return result;
}

// The index of a text width's names: abbreviated, wide, narrow.
const widthIndex = (width) => (width === 4 ? 1 : width === 5 ? 2 : 0);

function dayPeriod(format, fields, letter, width, compiled) {
  const { data } = format;
  const pm = fields.hour >= 12 ? 1 : 0;
  const index = widthIndex(width);
  if (letter === "a" || !data.b) return data.a[letter === "a" ? (index === 2 ? 2 : 0) : index][pm];
  const [hours, ...names] = data.b;
  const list = names[index];
  const exact = (!compiled.hasMinute || fields.minute === 0) && (!compiled.hasSecond || fields.second === 0);
  let name = exact && fields.hour === 12 ? list[list.length - 1] : "";
  if (name === "" && letter === "B") name = list[parseInt(hours[fields.hour], 36)];
  return name === "" ? data.a[index][pm] : name;
}

function zoneText(format, fields, letter, width) {
  const names = zoneNamesOf(format);
  const digits = (n, w) => number(n, w, format.digits);
  const short = width < 4;
  if (letter === "z") return names.specific(format.zone, fields.seconds, short, digits);
  if (letter === "v") return names.generic(format.zone, fields.seconds, short, digits);
  return names.offset(offsetAt(format.zone, fields.seconds), short, digits);
}

function zoneNamesOf(format) {
  const { data } = format;
  const region = format.region ?? DEFAULT_REGIONS[format.dataLocale] ?? "";
  let names = data.zones.get(region);
  if (names === undefined) data.zones.set(region, names = new ZoneNames(format.dataLocale, upOf, region));
  return names;
}

const DEFAULT_REGIONS = { en: "US", de: "DE", fr: "FR", es: "ES", pt: "BR", it: "IT", nl: "NL", pl: "PL", ja: "JP", zh: "CN", "zh-Hant": "TW", ko: "KR", ar: "EG", hi: "IN" };

function fieldText(format, fields, part, compiled) {
  const { letter, width } = part;
  const { data, digits } = format;
  switch (letter) {
    case "G": return data.e[widthIndex(width)][fields.era];
    case "y": return width === 2 ? number(fields.year % 100, 2, digits) : number(fields.year, width, digits);
    // The year of the ISO week: CLDR has it by mistake in a few patterns of de-CH.
    case "Y": {
      const year = yearOf(fields.days - (fields.weekday + 6) % 7 + 3);
      return width === 2 ? number(Math.abs(year % 100), 2, digits) : number(year, width, digits);
    }
    case "M": return width < 3 ? number(fields.month + 1, width, digits) : data.m[width === 3 ? 0 : width - 3][fields.month];
    case "L": {
      if (width < 3) return number(fields.month + 1, width, digits);
      const i = width === 3 ? 0 : width - 3;
      return ((data.M ? data.M[i] : 0) || data.m[i])[fields.month];
    }
    case "E": return data.d[widthIndex(width)][fields.weekday];
    case "c": return ((data.D ? data.D[widthIndex(width)] : 0) || data.d[widthIndex(width)])[fields.weekday];
    case "e": return data.d[widthIndex(width)][fields.weekday];
    case "d": return number(fields.day, width, digits);
    case "a": case "b": case "B": return dayPeriod(format, fields, letter, width, compiled);
    case "H": return number(fields.hour, width, digits);
    case "k": return number(fields.hour || 24, width, digits);
    case "h": return number(fields.hour % 12 || 12, width, digits);
    case "K": return number(fields.hour % 12, width, digits);
    case "m": return number(fields.minute, width, digits);
    case "s": return number(fields.second, width, digits);
    case "S": {
      const ms = number(fields.ms, 3);
      const s = width > 3 ? ms + "0".repeat(width - 3) : ms.slice(0, width);
      if (digits === undefined) return s;
      return [...s].map((c) => digits[c]).join("");
    }
    default: return zoneText(format, fields, letter, width);
  }
}

// V8 shows no narrow no-break space in a formatted text, but does in parts and ranges.
const plain = (s) => s.includes("\u202f") ? s.replaceAll("\u202f", " ") : s;

function formatTime(format, ms) {
  const fields = fieldsAt(format, ms);
  const { compiled } = format;
  let result = "";
  for (const part of compiled.parts) result += typeof part === "string" ? part : fieldText(format, fields, part, compiled);
  return plain(result);
}

// Appends the parts of a compiled pattern: { type, value, letter }
function addParts(list, format, fields, compiled) {
  for (const part of compiled.parts) {
    if (typeof part === "string") {
      const last = list[list.length - 1];
      if (last !== undefined && last.type === "literal") last.value += part;
      else list.push({ type: "literal", value: part, letter: "" });
    } else {
      const value = fieldText(format, fields, part, compiled);
      if (value !== "") list.push({ type: part.type, value, letter: part.letter });
    }
  }
}

function timeParts(format, ms) {
  const list = [];
  addParts(list, format, fieldsAt(format, ms), format.compiled);
  return list.map(({ type, value }) => ({ type, value }));
}

function timeValue(date) {
  const ms = date === undefined ? Date.now() : +date;
  if (!(Math.abs(ms) <= 8.64e15)) throw new RangeError("Invalid time value");
  return Math.trunc(ms) + 0;
}

// --- Ranges ---

function largestDifference(a, b) {
  if (a.era !== b.era) return ERA;
  if (a.year !== b.year) return YEAR;
  if (a.month !== b.month) return MONTH;
  if (a.day !== b.day) return DATE;
  if (a.hour >= 12 !== b.hour >= 12) return AM_PM;
  if (a.hour !== b.hour) return HOURS;
  if (a.minute !== b.minute) return MINUTES;
  if (a.second !== b.second) return SECONDS;
  if (a.ms !== b.ms) return MILLIS;
  return -1;
}

function intervalOf(format) {
  if (format.interval === undefined) {
    const { data } = format;
    const hour = format.cycle === undefined ? format.ownHour : CYCLES[format.cycle];
    const key = "i" + hour + format.decimal + format.pattern;
    format.interval = data.generators.get(key);
    if (format.interval === undefined) {
      format.interval = intervalPatterns(data, generatorFor(data, hour, format.decimal), skeletonOf(format.pattern));
      if (data.generators.size < 200) data.generators.set(key, format.interval);
    }
  }
  return format.interval;
}

// Parts with their letters, or undefined when the result is that of a single date.
function rangeList(format, x, y) {
  const interval = intervalOf(format);
  const a = fieldsAt(format, x);
  const b = fieldsAt(format, y);
  const plan = interval.plan(largestDifference(a, b));
  if (plan === undefined) return undefined;
  const list = [];
  const put = (pattern, fields, source) => {
    const from = list.length;
    // Literals of two steps are joined only when adjacent; their sources are settled later.
    const own = [];
    addParts(own, format, fields, compile(pattern));
    for (const part of own) {
      const last = list[list.length - 1];
      if (part.type === "literal" && list.length === from && last?.type === "literal") last.value += part.value;
      else list.push({ ...part, source });
    }
  };
  for (const [pattern, which] of plan.steps) {
    if (which === 2) {
      const last = list[list.length - 1];
      if (last?.type === "literal") last.value += pattern;
      else list.push({ type: "literal", value: pattern, letter: "", source: 2 });
    } else put(pattern, which === 0 ? a : b, which);
  }
  // The ranges that hold the fields that occur twice
  let s1 = Infinity, e1 = -1, s2 = Infinity, e2 = -1;
  for (let i = 0; i < list.length; i++) {
    if (list[i].letter === "") continue;
    for (let j = i + 1; j < list.length; j++) {
      if (list[i].letter !== list[j].letter) continue;
      s1 = Math.min(s1, i);
      e1 = Math.max(e1, i);
      s2 = Math.min(s2, j);
      e2 = Math.max(e2, j);
      break;
    }
  }
  if (e1 < 0) return undefined;
  const first = plan.later ? "endRange" : "startRange";
  const second = plan.later ? "startRange" : "endRange";
  return list.map(({ type, value }, i) => ({
    type,
    value,
    source: i >= s1 && i <= e1 ? first : i >= s2 && i <= e2 ? second : "shared",
  }));
}

function rangeParts(format, x, y) {
  return rangeList(format, x, y) ?? timeParts(format, x).map((p) => ({ ...p, source: "shared" }));
}

function rangeText(format, x, y) {
  const list = rangeList(format, x, y);
  if (list === undefined) return formatTime(format, x);
  let result = "";
  for (const { value } of list) result += value;
  return result;
}

function rangeValues(x, y) {
  if (x === undefined || y === undefined) throw new TypeError("Invalid time value");
  x = +x;
  y = +y;
  return [timeValue(x), timeValue(y)];
}

// --- The class ---

export function DateTimeFormat(locales = undefined, options = undefined) {
  const target = new.target === undefined ? DateTimeFormat : new.target;
  const self = Reflect.construct(Object, [], target);
  slots.set(self, initialize(locales, options, "any", "date"));
  if (new.target === undefined && this !== undefined && this !== null && DateTimeFormat.prototype.isPrototypeOf(this)) {
    Object.defineProperty(this, fallbackSymbol, { value: self });
    return this;
  }
  return self;
}

function receiver(self, name) {
  const format = typeof self === "object" && self !== null ? slots.get(self) : undefined;
  if (format === undefined) throw new TypeError("Method " + name + " called on incompatible receiver " + (typeof self === "object" && self !== null ? "#<Object>" : String(self)));
  return format;
}

function unwrap(self) {
  if (typeof self === "object" && self !== null && !slots.has(self) && DateTimeFormat.prototype.isPrototypeOf(self)) self = self[fallbackSymbol];
  return receiver(self, "UnwrapDateTimeFormat");
}

const methods = {
  resolvedOptions() {
    const format = unwrap(this);
    const result = {
      locale: format.locale,
      calendar: format.calendar,
      numberingSystem: format.numberingSystem,
      timeZone: format.timeZone,
    };
    if (format.cycle !== undefined) {
      result.hourCycle = format.cycle;
      result.hour12 = format.cycle === "h11" || format.cycle === "h12";
    }
    if (format.dateStyle === undefined && format.timeStyle === undefined) {
      const { pattern } = format;
      for (const [name, list] of RESOLVED) {
        if (list === undefined) {
          const fraction = pattern.split("S").length - 1;
          if (fraction > 0) result.fractionalSecondDigits = Math.min(fraction, 3);
          continue;
        }
        for (let i = 0; i < list.length; i += 2) {
          if (pattern.includes(list[i])) {
            result[name] = list[i + 1];
            break;
          }
        }
      }
    }
    if (format.dateStyle !== undefined) result.dateStyle = format.dateStyle;
    if (format.timeStyle !== undefined) result.timeStyle = format.timeStyle;
    return result;
  },
  formatToParts(date) {
    const format = receiver(this, "Intl.DateTimeFormat.prototype.formatToParts");
    return timeParts(format, timeValue(date));
  },
  get format() {
    const format = unwrap(this);
    if (format.bound === undefined) {
      const bound = (date) => formatTime(format, timeValue(date));
      Object.defineProperty(bound, "name", { value: "", configurable: true });
      format.bound = bound;
    }
    return format.bound;
  },
  formatRange(startDate, endDate) {
    const format = receiver(this, "Intl.DateTimeFormat.prototype.formatRange");
    return rangeText(format, ...rangeValues(startDate, endDate));
  },
  formatRangeToParts(startDate, endDate) {
    const format = receiver(this, "Intl.DateTimeFormat.prototype.formatRangeToParts");
    return rangeParts(format, ...rangeValues(startDate, endDate));
  },
};

for (const key of Object.keys(methods)) {
  Object.defineProperty(DateTimeFormat.prototype, key, { ...Object.getOwnPropertyDescriptor(methods, key), enumerable: false });
}
Object.defineProperty(DateTimeFormat.prototype, Symbol.toStringTag, { value: "Intl.DateTimeFormat", configurable: true });
Object.defineProperty(DateTimeFormat, "length", { value: 0, configurable: true });
Object.defineProperty(DateTimeFormat, "prototype", { writable: false });
const statics = {
  supportedLocalesOf(locales, options = undefined) {
    return supportedLocales(locales, options);
  },
};
Object.defineProperty(statics.supportedLocalesOf, "length", { value: 1, configurable: true });
Object.defineProperty(DateTimeFormat, "supportedLocalesOf", { value: statics.supportedLocalesOf, writable: true, configurable: true });

// --- Date.prototype.toLocaleString and its kin ---

const usual = new Map();

// required: "any", "date" or "time"; defaults: "all", "date" or "time"
export function dateToLocale(date, locales, options, required, defaults) {
  const ms = Number(date);
  if (Number.isNaN(ms)) return "Invalid Date";
  if (options === undefined && (locales === undefined || typeof locales === "string")) {
    const key = defaults + required + (locales ?? "");
    let format = usual.get(key);
    if (format === undefined) {
      format = initialize(locales, undefined, required, defaults);
      if (usual.size > 50) usual.clear();
      usual.set(key, format);
    }
    return formatTime(format, ms);
  }
  return formatTime(initialize(locales, options, required, defaults), ms);
}

