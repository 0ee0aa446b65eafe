// Writes json/*.json of the kinds num, curr, unit, list, rel, names from CLDR.
import { readFileSync, writeFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";


const base = new URL("./", import.meta.url);
const json = (path) => JSON.parse(readFileSync(new URL("node_modules/" + path, base), "utf8"));
const main = (pkg, locale, file) => json(pkg + "/main/" + locale + "/" + file + ".json").main[locale];
const sup = (name) => json("cldr-core/supplemental/" + name + ".json").supplemental;

export const PARENT = {
  "en-GB": "en", "en-AU": "en-GB", "en-IN": "en-GB", "en-CA": "en", "de-AT": "de", "de-CH": "de", "fr-CA": "fr", "fr-CH": "fr",
  "es-419": "es", "es-MX": "es-419", "es-AR": "es-419", "pt-PT": "pt", "nl-BE": "nl", "ar-EG": "ar", "ar-SA": "ar",
};
const LOCALES = ["ar", "ar-EG", "ar-SA", "de", "de-AT", "de-CH", "en", "en-AU", "en-CA", "en-GB", "en-IN", "es", "es-419", "es-AR", "es-MX", "fr", "fr-CA", "fr-CH", "hi", "it", "ja", "ko", "nl", "nl-BE", "pl", "pt", "pt-PT", "zh", "zh-Hant"];
const CATEGORIES = ["zero", "one", "two", "few", "many", "other"];

// One value per plural category, those equal to "other" left out; a text when all are.
function plural(get) {
  const other = get("other");
  const out = {};
  for (const c of CATEGORIES) {
    const v = get(c);
    if (v !== undefined && (c === "other" || v !== other)) out[c] = v;
  }
  return Object.keys(out).length === 1 && other !== undefined ? other : out;
}

// [exponent, shift, text by plural] for each step where the shift or the text changes.
function compact(table) {
  const steps = [];
  let last;
  for (let exponent = 3; exponent <= 19; exponent++) {
    const key = "1" + "0".repeat(exponent);
    if (table[key + "-count-other"] === undefined) continue;
    let shift = 0;
    const text = {};
    for (const c of [...CATEGORIES, "0", "1"]) {
      const p = table[key + "-count-" + c];
      if (p === undefined) continue;
      const zeros = p.match(/0+/)?.[0].length;
      if (c === "other") shift = zeros === undefined ? 0 : exponent - (zeros - 1);
      text[c] = p.replace(/0+/, "0");
    }
    if (text.other === "0") shift = 0;
    const one = plural((c) => text[c]);
    let value = one;
    if (text["1"] !== undefined || text["0"] !== undefined) {
      value = typeof one === "string" ? { other: one } : one;
      if (text["1"] !== undefined) value["1"] = text["1"];
      if (text["0"] !== undefined) value["0"] = text["0"];
    }
    const mark = JSON.stringify([shift, value]);
    if (mark !== last) {
      steps.push([exponent, shift, value]);
      last = mark;
    }
  }
  return steps;
}

const NU_NAMES = { arab: 1, arabext: 1 };
function symbols(s) {
  const out = {};
  for (const [to, from] of [["d", "decimal"], ["g", "group"], ["%", "percentSign"], ["+", "plusSign"], ["-", "minusSign"], ["~", "approximatelySign"], ["e", "exponential"], ["i", "infinity"], ["n", "nan"], ["t", "timeSeparator"], ["cd", "currencyDecimal"], ["cg", "currencyGroup"]]) {
    if (s[from] !== undefined) out[to] = s[from];
  }
  return out;
}

function num(locale) {
  const n = main("cldr-numbers-full", locale, "numbers").numbers;
  const currencies = main("cldr-numbers-full", locale, "currencies").numbers.currencies;
  const out = { min: Number(n.minimumGroupingDigits), nu: {} };
  for (const key of Object.keys(n)) {
    const nu = /^symbols-numberSystem-(\w+)$/.exec(key)?.[1];
    if (nu === undefined) continue;
    const of = (kind) => n[kind + "-numberSystem-" + nu];
    const currency = of("currencyFormats");
    const decimal = of("decimalFormats");
    out.nu[nu] = {
      s: symbols(n[key]),
      dec: decimal.standard,
      pct: of("percentFormats").standard,
      cur: currency.standard,
      acc: currency.accounting,
      name: plural((c) => currency["unitPattern-count-" + c]),
      range: of("miscPatterns").range,
      short: compact(decimal.short.decimalFormat),
      long: compact(decimal.long.decimalFormat),
      cshort: compact(currency.short?.standard ?? {}),
    };
    const spacing = currency.currencySpacing;
    const plain = (s) => s.currencyMatch === "[[:^S:]&[:^Z:]]" && s.surroundingMatch === "[:digit:]" && s.insertBetween === "\u00a0";
  }
  // A further numbering system has only what differs from latn's.
  for (const nu in out.nu) {
    if (nu === "latn") continue;
    for (const part in out.nu[nu]) {
      const own = JSON.stringify(out.nu[nu][part]);
      if (own === "[]" || own === JSON.stringify(out.nu.latn[part])) delete out.nu[nu][part];
    }
  }
  out.sym = {};
  out.narrow = {};
  for (const [code, c] of Object.entries(currencies)) {
    if (c.symbol !== undefined && c.symbol !== code) out.sym[code] = c.symbol;
    if (c["symbol-alt-narrow"] !== undefined && c["symbol-alt-narrow"] !== (c.symbol ?? code)) out.narrow[code] = c["symbol-alt-narrow"];
  }
  return out;
}

// { CODE: name } where the name is "display name|one|few|…", the trailing equal parts left out.
function curr(locale) {
  const currencies = main("cldr-numbers-full", locale, "currencies").numbers.currencies;
  const out = {};
  for (const [code, c] of Object.entries(currencies)) {
    if (c.displayName === undefined) continue;
    const other = c["displayName-count-other"] ?? c.displayName;
    const forms = plural((k) => k === "other" ? other : c["displayName-count-" + k]);
    if (forms === c.displayName) out[code] = forms;
    else out[code] = [c.displayName, forms];
  }
  return out;
}

const TENDER = "2018-09";
const SIMPLE = "acre bit byte celsius centimeter day degree fahrenheit fluid-ounce foot gallon gigabit gigabyte gram hectare hour inch kilobit kilobyte kilogram kilometer liter megabit megabyte meter microsecond mile mile-scandinavian milliliter millimeter millisecond minute month nanosecond ounce percent petabyte pound second stone terabit terabyte week yard year".split(" ");
function unit(locale) {
  const u = main("cldr-units-full", locale, "units").units;
  const out = {};
  for (const [name, width] of [["l", "long"], ["s", "short"], ["n", "narrow"]]) {
    const w = {};
    for (const [key, value] of Object.entries(u[width])) {
      const id = key.replace(/^[a-z]+-/, "");
      const parts = id.split("-per-");
      if (!parts.every((p) => SIMPLE.includes(p)) || value["unitPattern-count-other"] === undefined) continue;
      if (key.startsWith("duration-") && key.endsWith("-person")) continue;
      const forms = plural((c) => value["unitPattern-count-" + c]);
      w[id] = forms;
      if (value.perUnitPattern !== undefined) w["per-" + id] = value.perUnitPattern;
    }
    w.per = u[width].per.compoundUnitPattern;
    out[name] = w;
  }
  // A width has only what differs from the next longer one.
  for (const [a, b] of [["n", "s"], ["s", "l"]]) {
    for (const key in out[a]) if (JSON.stringify(out[a][key]) === JSON.stringify(out[b][key])) delete out[a][key];
  }
  return out;
}

function list(locale) {
  const l = main("cldr-misc-full", locale, "listPatterns").listPatterns;
  const out = {};
  for (const [to, from] of [["c", "standard"], ["cs", "standard-short"], ["cn", "standard-narrow"], ["d", "or"], ["ds", "or-short"], ["dn", "or-narrow"], ["u", "unit"], ["us", "unit-short"], ["un", "unit-narrow"]]) {
    const p = l["listPattern-type-" + from];
    const value = [p["2"], p.start, p.middle, p.end];
    if (to.length === 2 && JSON.stringify(out[to[0]]) === JSON.stringify(value)) continue;
    out[to] = value;
  }
  return out;
}

function rel(locale) {
  const f = main("cldr-dates-full", locale, "dateFields").dates.fields;
  const out = {};
  for (const unit of ["second", "minute", "hour", "day", "week", "month", "quarter", "year"]) {
    for (const [suffix, to] of [["", ""], ["-short", "-s"], ["-narrow", "-n"]]) {
      const d = f[unit + suffix];
      const value = {};
      for (const key of Object.keys(d)) {
        const n = /^relative-type-(-?\d+)$/.exec(key)?.[1];
        if (n !== undefined) value[n] = d[key];
      }
      for (const [dir, name] of [["+", "future"], ["-", "past"]]) {
        const t = d["relativeTime-type-" + name];
        value[dir] = plural((c) => t["relativeTimePattern-count-" + c]);
      }
      if (to !== "" && JSON.stringify(value) === JSON.stringify(out[unit + (to === "-n" ? "-s" : "")] ?? out[unit])) continue;
      out[unit + to] = value;
    }
  }
  return out;
}

function names(locale) {
  const d = main("cldr-localenames-full", locale, "localeDisplayNames").localeDisplayNames;
  const languages = main("cldr-localenames-full", locale, "languages").localeDisplayNames.languages;
  const territories = main("cldr-localenames-full", locale, "territories").localeDisplayNames.territories;
  const scripts = main("cldr-localenames-full", locale, "scripts").localeDisplayNames.scripts;
  const variants = main("cldr-localenames-full", locale, "variants").localeDisplayNames.variants;
  const fields = main("cldr-dates-full", locale, "dateFields").dates.fields;
  const out = {
    p: [d.localeDisplayPattern.localePattern, d.localeDisplayPattern.localeSeparator, d.localeDisplayPattern.localeKeyTypePattern],
    l: {}, ls: {}, r: {}, rs: {}, s: {}, ss: {}, c: {}, v: {}, f: {},
  };
  for (const [k, v] of Object.entries(languages)) {
    if (/-alt-short$/.test(k)) out.ls[k.slice(0, -10)] = v;
    else if (!/-alt|-menu/.test(k) && v !== k) out.l[k] = v;
  }
  for (const [k, v] of Object.entries(territories)) {
    if (/-alt-short$/.test(k)) out.rs[k.slice(0, -10)] = v;
    else if (!/-alt/.test(k) && v !== k) out.r[k] = v;
  }
  for (const [k, v] of Object.entries(scripts)) {
    if (/-alt-short$/.test(k)) out.ss[k.slice(0, -10)] = v;
    else if (!/-alt/.test(k) && (v !== k || v === "Thai")) out.s[k] = v;
  }
  for (const [k, v] of Object.entries(variants ?? {})) if (!/-alt/.test(k)) out.v[k.toLowerCase()] = v;
  for (const [k, v] of Object.entries(d.types.calendar)) {
    const id = { gregorian: "gregory", "ethiopic-amete-alem": "ethioaa" }[k] ?? k;
    if (!/-alt/.test(k)) out.c[id] = v;
  }
  if (d.types.calendar.core) delete out.c.core;
  for (const [to, from] of [["era", "era"], ["year", "year"], ["quarter", "quarter"], ["month", "month"], ["weekOfYear", "week"], ["weekday", "weekday"], ["day", "day"], ["dayPeriod", "dayperiod"], ["hour", "hour"], ["minute", "minute"], ["second", "second"], ["timeZoneName", "zone"]]) {
    const forms = ["", "-short", "-narrow"].map((s) => fields[from + s]?.displayName);
    while (forms.length > 1 && (forms.at(-1) === undefined || forms.at(-1) === forms.at(-2))) forms.pop();
    out.f[to] = forms.length === 1 ? forms[0] : forms;
  }
  return out;
}

function diff(child, parent) {
  const out = {};
  for (const key of Object.keys(child)) {
    const a = child[key];
    const b = parent[key];
    if (JSON.stringify(a) === JSON.stringify(b)) continue;
    const nested = (x) => typeof x === "object" && x !== null && !Array.isArray(x);
    out[key] = nested(a) && nested(b) ? diff(a, b) : a;
  }
  for (const key of Object.keys(parent)) if (!(key in child)) out[key] = null;
  return out;
}

mkdirSync(new URL("json/", base), { recursive: true });
for (const [kind, make] of Object.entries({ num, curr, unit, list, rel, names })) {
  const all = new Map(LOCALES.map((l) => [l, make(l)]));
  for (const locale of LOCALES) {
    const parent = PARENT[locale];
    const value = parent === undefined ? all.get(locale) : diff(all.get(locale), all.get(parent));
    if (parent !== undefined && Object.keys(value).length === 0) continue;
    const text = JSON.stringify(value);
    writeFileSync(new URL("json/" + kind + "." + locale + ".json", base), text);
  }
}

const digits = {};
for (const [nu, { _type, _digits }] of Object.entries(sup("numberingSystems").numberingSystems)) {
  if (_type !== "numeric" || nu === "latn") continue;
  const first = _digits.codePointAt(0);
  const run = [...Array(10).keys()].map((i) => String.fromCodePoint(first + i)).join("");
  digits[nu] = run === _digits ? first : _digits;
}
const fraction = {};
for (const [code, f] of Object.entries(sup("currencyData").currencyData.fractions)) {
  if (code !== "DEFAULT" && f._digits !== "2") (fraction[f._digits] ??= []).push(code);
}
const ranges = {};
const cardinals = sup("plurals")["plurals-type-cardinal"];
for (const [lang, table] of Object.entries(sup("pluralRanges").plurals)) {
  if (!LOCALES.includes(lang)) continue;
  const categories = Object.keys(cardinals[lang]).map((k) => k.slice(17));
  for (const a of categories) {
    for (const b of categories) {
      const to = table["pluralRange-start-" + a + "-end-" + b] ?? "other";
      if (to !== b) (ranges[lang] ??= {})[a + "-" + b] = to;
    }
  }
}
// Currencies which are or lately were legal tender.
const current = new Set(["SVC", "XDR", "XSU"]);
for (const list of Object.values(sup("currencyData").currencyData.region)) {
  for (const entry of list) {
    for (const [code, { _to, _tender }] of Object.entries(entry)) {
      if (_tender !== "false" && (_to === undefined || _to >= TENDER)) current.add(code);
    }
  }
}
const root = { currencies: [...current].sort().join(" "), digits, fraction: Object.fromEntries(Object.entries(fraction).map(([k, v]) => [k, v.join(" ")])), ranges };
writeFileSync(new URL("json/num.root.json", base), JSON.stringify(root));
