import { load } from "./data.js";

// Tags with data of their own.
const CARRIED = "ar ar-EG ar-SA de de-AT de-CH en en-AU en-CA en-GB en-IN es es-419 es-AR es-MX fr fr-CA fr-CH hi it ja ko nl nl-BE pl pt pt-PT zh zh-Hant";
// Further tags which resolve to themselves with the data of another.
const SAME = "de-DE=de en-US=en es-ES=es fr-FR=fr hi-IN=hi it-IT=it ja-JP=ja ko-KR=ko nl-NL=nl pl-PL=pl pt-BR=pt zh-CN=zh zh-Hans=zh zh-Hans-CN=zh zh-Hant-TW=zh-Hant zh-TW=zh-Hant";

const DATA = new Map();
for (const tag of CARRIED.split(" ")) DATA.set(tag, tag);
for (const pair of SAME.split(" ")) {
  const [tag, data] = pair.split("=");
  DATA.set(tag, data);
}

export const AVAILABLE = [...DATA.keys()].sort();
export const DEFAULT_LOCALE = "en-US";

const root = () => load("locale", "root");

// Tables are kept as ",key=value,key=value," and searched as text.
function find(table, key) {
  const at = table.indexOf("," + key + "=");
  if (at < 0) return undefined;
  const from = at + key.length + 2;
  return table.slice(from, table.indexOf(",", from));
}

// A map from value to "A B C": the value whose list has the name.
function findIn(map, name) {
  for (const value in map) {
    if ((" " + map[value] + " ").includes(" " + name + " ")) return value;
  }
  return undefined;
}

const title = (s) => s[0].toUpperCase() + s.slice(1).toLowerCase();
const LANGUAGE = /^(?:[a-z]{2,3}|[a-z]{5,8})$/;
const SCRIPT = /^[a-z]{4}$/;
const REGION = /^(?:[a-z]{2}|[0-9]{3})$/;
const VARIANT = /^(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3})$/;
const TYPE = /^[a-z0-9]{3,8}$/;
const UKEY = /^[a-z0-9][a-z]$/;
const TKEY = /^[a-z][0-9]$/;

// unicode_language_id from parts[at]; the read fields and the next index.
function parseLanguage(parts, at) {
  if (at >= parts.length || !LANGUAGE.test(parts[at])) return undefined;
  const id = { language: parts[at], script: "", region: "", variants: [], next: at + 1 };
  if (id.next < parts.length && SCRIPT.test(parts[id.next])) id.script = parts[id.next++];
  if (id.next < parts.length && REGION.test(parts[id.next])) id.region = parts[id.next++];
  if (id.next < parts.length && VARIANT.test(parts[id.next])) {
    const seen = new Set();
    while (id.next < parts.length && VARIANT.test(parts[id.next])) {
      const variant = parts[id.next++];
      if (seen.has(variant)) return undefined;
      seen.add(variant);
    }
    id.variants = [...seen];
  }
  return id;
}

// Fields of a unicode_locale_id, or undefined when the tag is not well-formed.
function parse(tag) {
  if (!/^[A-Za-z0-9-]+$/.test(tag)) return undefined;
  const parts = tag.toLowerCase().split("-");
  const id = parseLanguage(parts, 0);
  if (id === undefined) return undefined;
  id.attributes = [];
  id.keywords = null;
  id.transform = null;
  id.others = [];
  id.privateUse = "";
  const seen = new Set();
  let at = id.next;
  while (at < parts.length) {
    const singleton = parts[at];
    if (singleton.length !== 1 || seen.has(singleton)) return undefined;
    seen.add(singleton);
    const start = ++at;
    if (singleton === "x") {
      while (at < parts.length && /^[a-z0-9]{1,8}$/.test(parts[at])) at++;
      if (at === start || at < parts.length) return undefined;
      id.privateUse = parts.slice(start).join("-");
      break;
    }
    if (singleton === "u") {
      const attributes = new Set();
      while (at < parts.length && TYPE.test(parts[at])) attributes.add(parts[at++]);
      id.attributes = [...attributes];
      id.keywords = new Map();
      while (at < parts.length && UKEY.test(parts[at])) {
        const key = parts[at++];
        const from = at;
        while (at < parts.length && TYPE.test(parts[at])) at++;
        if (!id.keywords.has(key)) id.keywords.set(key, parts.slice(from, at).join("-"));
      }
    } else if (singleton === "t") {
      id.transform = { language: null, fields: new Map() };
      const language = parseLanguage(parts, at);
      if (language !== undefined) {
        id.transform.language = language;
        at = language.next;
      }
      while (at < parts.length && TKEY.test(parts[at])) {
        const key = parts[at++];
        const from = at;
        while (at < parts.length && TYPE.test(parts[at])) at++;
        if (at === from || id.transform.fields.has(key)) return undefined;
        id.transform.fields.set(key, parts.slice(from, at).join("-"));
      }
    } else {
      while (at < parts.length && /^[a-z0-9]{2,8}$/.test(parts[at])) at++;
      id.others.push(parts.slice(start - 1, at).join("-"));
    }
    if (at === start) return undefined;
  }
  return id;
}

function applyLanguageAlias(id, key, used, replacement) {
  const to = parseLanguage(replacement.toLowerCase().split("-"), 0);
  if (to === undefined) return;
  if (to.language !== "und") id.language = to.language;
  if (used === "region") id.region = "";
  else if (used !== "") id.variants = id.variants.filter((v) => v !== used);
  if (id.script === "") id.script = to.script;
  if (id.region === "") id.region = to.region;
  for (const v of to.variants) if (!id.variants.includes(v)) id.variants.push(v);
}

// Variants which some language alias has in its key.
let aliased;
function aliasedVariants() {
  aliased ??= new Set(Array.from(root().language.matchAll(/-([a-z0-9]{5,8}|[0-9][a-z0-9]{3})=/g), (m) => m[1]));
  return aliased;
}

function canonicalLanguage(id) {
  const { language, territory, variant } = root();
  for (let round = 0; round < 8; round++) {
    let hit;
    for (const v of id.variants) {
      if (!aliasedVariants().has(v)) continue;
      if ((hit = find(language, id.language + "-" + v)) !== undefined) {
        applyLanguageAlias(id, "", v, hit);
        break;
      }
      if ((hit = find(language, "und-" + v)) !== undefined) {
        applyLanguageAlias(id, "", v, hit);
        break;
      }
    }
    if (hit === undefined && id.variants.length > 1 && id.variants.includes("hepburn") && id.variants.includes("heploc")) {
      id.variants = id.variants.filter((v) => v !== "hepburn" && v !== "heploc");
      id.variants.push("alalc97");
      continue;
    }
    if (hit === undefined && id.region !== "" && (hit = find(language, id.language + "-" + id.region)) !== undefined) {
      applyLanguageAlias(id, "", "region", hit);
    }
    if (hit === undefined && (hit = find(language, id.language)) !== undefined) {
      applyLanguageAlias(id, "", "", hit);
    }
    if (hit === undefined) break;
  }
  if (id.script === "qaai") id.script = "zinh";
  if (id.region !== "") {
    const to = find(territory, id.region.toUpperCase());
    if (to !== undefined) {
      const list = to.split(" ");
      id.region = list[0].toLowerCase();
      if (list.length > 1) {
        const likely = maximized({ language: id.language, script: id.script, region: "" });
        if (likely !== undefined && list.includes(likely.region.toUpperCase())) id.region = likely.region.toLowerCase();
      }
    }
  }
  if (id.variants.length > 0) {
    id.variants = [...new Set(id.variants.map((v) => find(variant, v) ?? v))].sort();
  }
}

function languageText(id, titled) {
  let s = id.language;
  if (id.script !== "") s += "-" + (titled ? title(id.script) : id.script);
  if (id.region !== "") s += "-" + (titled ? id.region.toUpperCase() : id.region);
  for (const v of id.variants ?? []) s += "-" + v;
  return s;
}

// The canonical form of a -u- keyword's value ("true" becomes "").
export function canonicalType(key, value) {
  value = value.toLowerCase();
  if (value === "yes" && /^(?:kb|kc|kh|kk|kn)$/.test(key)) return "";
  const name = key === "rg" ? "sd-" + value : key + "-" + value;
  const to = find(root().type, name);
  if (to !== undefined) value = to;
  return value === "true" ? "" : value;
}

function extensionText(id) {
  const parts = id.others.slice();
  if (id.keywords !== null) {
    let s = "u";
    for (const a of id.attributes.slice().sort()) s += "-" + a;
    for (const key of [...id.keywords.keys()].sort()) {
      const value = id.keywords.get(key);
      s += "-" + key + (value === "" ? "" : "-" + value);
    }
    if (s !== "u") parts.push(s);
  }
  if (id.transform !== null) {
    let s = "t";
    if (id.transform.language !== null) s += "-" + languageText(id.transform.language, false);
    for (const key of [...id.transform.fields.keys()].sort()) s += "-" + key + "-" + id.transform.fields.get(key);
    parts.push(s);
  }
  parts.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  if (id.privateUse !== "") parts.push("x-" + id.privateUse);
  return parts.length === 0 ? "" : "-" + parts.join("-");
}

function canonicalId(tag) {
  const id = parse(tag);
  if (id === undefined) throw new RangeError("Incorrect locale information provided");
  canonicalLanguage(id);
  if (id.transform !== null && id.transform.language !== null) {
    canonicalLanguage(id.transform.language);
  }
  if (id.transform !== null) {
    for (const [key, value] of id.transform.fields) {
      if (key === "m0" && value === "names") id.transform.fields.set(key, "prprname");
    }
  }
  if (id.keywords !== null) {
    for (const [key, value] of id.keywords) id.keywords.set(key, canonicalType(key, value));
  }
  return id;
}

const idText = (id) => languageText(id, true) + extensionText(id);

export function canonicalizeTag(tag) {
  return DATA.has(tag) ? tag : idText(canonicalId(tag));
}

const localeSlots = new WeakMap();

export function canonicalizeLocaleList(locales) {
  if (locales === undefined) return [];
  if (typeof locales === "string") return [canonicalizeTag(locales)];
  if (locales === null) throw new TypeError("Cannot convert undefined or null to object");
  if (typeof locales === "object" && localeSlots.has(locales)) return [localeSlots.get(locales).tag];
  const list = Object(locales);
  const length = Math.min(Math.max(Math.trunc(Number(list.length)) || 0, 0), Number.MAX_SAFE_INTEGER);
  const seen = new Set();
  for (let k = 0; k < length; k++) {
    if (!(k in list)) continue;
    const value = list[k];
    if (typeof value === "string") seen.add(canonicalizeTag(value));
    else if ((typeof value === "object" && value !== null) || typeof value === "function") {
      seen.add(localeSlots.has(value) ? localeSlots.get(value).tag : canonicalizeTag(String(value)));
    } else throw new TypeError("Language ID should be string or object.");
  }
  return [...seen];
}

export function getCanonicalLocales(locales) {
  return canonicalizeLocaleList(locales);
}

// The part of a canonical tag before its extensions, and the -u- keywords.
function splitTag(tag) {
  const at = tag.search(/-[a-z0-9]-/);
  if (at < 0) return { base: tag, keywords: null };
  const id = parse(tag);
  return { base: tag.slice(0, at), keywords: id.keywords };
}

// Available tags have three subtags at most.
const head = (base) => base.split("-", 3).join("-");

// Removes subtags from the right until the tag is an available one.
function lookup(base) {
  for (let tag = head(base); ;) {
    if (DATA.has(tag)) return tag;
    const at = tag.lastIndexOf("-");
    if (at < 0) return undefined;
    tag = tag.slice(0, at);
  }
}

// As lookup, but CLDR's parents come first where the tag is not carried.
function bestFit(base) {
  if (DATA.has(base)) return base;
  let tag = head(base);
  const { parent } = root();
  for (let round = 0; round < 12; round++) {
    const up = findIn(parent, tag);
    if (up !== undefined) tag = up;
    else {
      const at = tag.lastIndexOf("-");
      if (at < 0) break;
      tag = tag.slice(0, at);
    }
    if (tag === "en-001") tag = "en-GB";
    if (tag === "zh-HK" || tag === "zh-MO") tag = "zh-Hant";
    if (DATA.has(tag)) return tag;
  }
  return lookup(base);
}

export const NUMBERING_SYSTEMS = "adlm ahom arab arabext bali beng bhks brah cakm cham deva diak fullwide gara gong gonm gujr gukh guru hanidec hmng hmnp java kali kawi khmr knda krai lana lanatham laoo latn lepc limb mathbold mathdbl mathmono mathsanb mathsans mlym modi mong mroo mtei mymr mymrepka mymrpao mymrshan mymrtlng nagm newa nkoo olck onao orya osma outlined rohg saur segment shrd sind sinh sora sund sunu takr talu tamldec telu thai tibt tirh tnsa tols vaii wara wcho".split(" ");
export const CALENDARS = "buddhist chinese coptic dangi ethioaa ethiopic gregory hebrew indian islamic islamic-civil islamic-rgsa islamic-tbla islamic-umalqura iso8601 japanese persian roc".split(" ");
export const COLLATIONS = "compat dict emoji eor phonebk phonetic pinyin searchjl stroke trad unihan zhuyin".split(" ");

const NO_TYPES = [];
const CO = new Map([
  ["ar", ["compat", "emoji", "eor"]],
  ["de", ["emoji", "eor", "phonebk"]],
  ["es", ["emoji", "eor", "trad"]],
  ["ja", ["emoji", "eor", "unihan"]],
  ["ko", ["emoji", "eor", "searchjl", "unihan"]],
  ["zh", ["emoji", "eor", "pinyin", "stroke", "unihan", "zhuyin"]],
]);
const CO_DEFAULT = ["emoji", "eor"];

// The first is the default; null stands for "none".
export function keyData(key, dataLocale) {
  switch (key) {
    case "nu": return [dataLocale === "ar-EG" || dataLocale === "ar-SA" ? "arab" : "latn", ...NUMBERING_SYSTEMS];
    case "ca": return ["gregory", ...CALENDARS];
    case "hc": return [null, "h11", "h12", "h23", "h24"];
    case "co": return [null, ...(CO.get(dataLocale.split("-")[0]) ?? CO_DEFAULT)];
    case "kn": return ["false", "true"];
    case "kf": return ["false", "lower", "upper"];
    default: return NO_TYPES;
  }
}

// ResolveLocale. options holds the wanted value by key (undefined when none)
// and may hold localeMatcher; types gives keyData's answer for other tables.
export function resolveLocale(requested, relevantKeys, options, types = keyData) {
  const match = options?.localeMatcher === "lookup" ? lookup : bestFit;
  let found;
  let keywords = null;
  for (const tag of requested) {
    const split = splitTag(tag);
    found = match(split.base);
    if (found !== undefined) {
      keywords = split.keywords;
      break;
    }
  }
  if (found === undefined) found = DEFAULT_LOCALE;
  const result = { locale: found, dataLocale: DATA.get(found) };
  let extension = "";
  for (const key of relevantKeys.slice().sort()) {
    const list = types(key, result.dataLocale);
    let value = list.length > 0 ? list[0] : null;
    let text = "";
    if (keywords !== null && keywords.has(key)) {
      const asked = keywords.get(key);
      if (asked !== "") {
        if (list.includes(asked)) {
          value = asked;
          text = "-" + key + "-" + asked;
        }
      } else if (list.includes("true")) {
        value = "true";
        text = "-" + key;
      }
    }
    let wanted = options === undefined ? undefined : options[key];
    if (typeof wanted === "string") wanted = canonicalType(key, wanted) || "true";
    if (wanted !== undefined && wanted !== value && list.includes(wanted)) {
      value = wanted;
      text = "";
    }
    result[key] = value;
    extension += text;
  }
  if (extension !== "") result.locale += "-u" + extension;
  return result;
}

export function getOption(options, name, values, fallback) {
  let value = options[name];
  if (value === undefined) return fallback;
  value = String(value);
  if (values !== undefined && !values.includes(value)) {
    throw new RangeError("Value " + value + " out of range for Intl options property " + name);
  }
  return value;
}

export function getOptionsObject(options) {
  if (options === undefined) return Object.create(null);
  if (options === null || (typeof options !== "object" && typeof options !== "function")) throw new TypeError("Options must be an object");
  return options;
}

export function coerceOptions(options) {
  if (options === undefined) return Object.create(null);
  if (options === null) throw new TypeError("Cannot convert undefined or null to object");
  return Object(options);
}

const MATCHERS = ["lookup", "best fit"];
export const getMatcher = (options) => getOption(options, "localeMatcher", MATCHERS, "best fit");

export function supportedLocales(locales, options) {
  const list = canonicalizeLocaleList(locales);
  getMatcher(coerceOptions(options));
  return list.filter((tag) => lookup(splitTag(tag).base) !== undefined);
}

// Puts the usual non-enumerable members on a service constructor.
export function finishClass(constructor, name, length = 0, methods = {}) {
  const define = (on, key, value) => Object.defineProperty(on, key, { value, writable: true, enumerable: false, configurable: true });
  Object.defineProperty(constructor, "name", { value: name, configurable: true });
  Object.defineProperty(constructor, "length", { value: length, configurable: true });
  Object.defineProperty(constructor, "prototype", { writable: false });
  Object.defineProperty(constructor.prototype, Symbol.toStringTag, { value: "Intl." + name, configurable: true });
  for (const key in methods) define(constructor, key, methods[key]);
}

export const statics = {
  supportedLocalesOf: {
    supportedLocalesOf(locales, options = undefined) {
      return supportedLocales(locales, options);
    },
  }.supportedLocalesOf,
};
Object.defineProperty(statics.supportedLocalesOf, "length", { value: 1, configurable: true });

// Add likely subtags: fields in lower case, or undefined when nothing fits.
function maximized({ language, script, region }) {
  const { likely } = root();
  const s = script === "" ? "" : title(script);
  const r = region.toUpperCase();
  const tries = [];
  if (s !== "" && r !== "") tries.push(language + "-" + s + "-" + r);
  if (r !== "") tries.push(language + "-" + r);
  if (s !== "") tries.push(language + "-" + s);
  tries.push(language);
  if (language === "und" && s === "" && r === "") tries.push("und");
  if (s !== "" && language === "und") tries.push("und-" + s);
  for (const key of tries) {
    const hit = find(likely, key);
    if (hit === undefined) continue;
    const out = { language, script, region };
    const parts = hit === "" ? [] : hit.toLowerCase().split("-");
    const given = key.toLowerCase().split("-");
    // What the entry says in full: its key's fields with the answer's over them.
    let full = { language: given[0], script: "", region: "" };
    for (const part of [...given.slice(1), ...parts]) {
      if (part.length === 4) full.script = part;
      else if (REGION.test(part) && (part !== parts[0] || given[0] !== "und" || given.length > 1 && parts.length < 1)) full.region = part;
      else full.language = part;
    }
    if (out.language === "und") out.language = full.language;
    if (out.script === "") out.script = full.script;
    if (out.region === "") out.region = full.region;
    return out;
  }
  return undefined;
}

function minimized(id) {
  const max = maximized(id);
  if (max === undefined) return id;
  const same = (a) => {
    const b = maximized(a);
    return b !== undefined && b.language === max.language && b.script === max.script && b.region === max.region;
  };
  for (const trial of [
    { language: max.language, script: "", region: "" },
    { language: max.language, script: "", region: max.region },
    { language: max.language, script: max.script, region: "" },
  ]) if (same(trial)) return trial;
  return max;
}

const isType = (s) => /^[A-Za-z0-9]{3,8}(?:-[A-Za-z0-9]{3,8})*$/.test(s);
const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const RTL = " adlm arab aran hebr mand mend nkoo rohg samr syrc thaa yezi ";

function typeOption(options, name, values) {
  const value = getOption(options, name, values, undefined);
  if (value !== undefined && values === undefined && !isType(value)) throw new RangeError("Incorrect locale information provided");
  return value;
}

function slotsOf(locale) {
  const slots = (typeof locale === "object" && locale !== null) ? localeSlots.get(locale) : undefined;
  if (slots === undefined) throw new TypeError("Receiver is not an Intl.Locale");
  return slots;
}

const fromId = (id) => new Locale(idText(id));
const keyword = (locale, key) => slotsOf(locale).keywords.get(key);
const regionOf = (id) => {
  const rg = id.keywords.get("rg");
  if (rg !== undefined && /^[a-z]{2}zzzz$/.test(rg)) return rg.slice(0, 2).toUpperCase();
  return (id.region || maximized(id)?.region || "001").toUpperCase();
};

export class Locale {
  constructor(tag, options = undefined) {
    if (typeof tag !== "string" && (typeof tag !== "object" || tag === null) && typeof tag !== "function") {
      throw new TypeError("First argument to Intl.Locale constructor can't be empty or missing");
    }
    const text = localeSlots.has(tag) ? localeSlots.get(tag).tag : String(tag);
    options = coerceOptions(options);
    const id = canonicalId(text);
    const bad = () => { throw new RangeError("Incorrect locale information provided"); };
    const language = getOption(options, "language", undefined, undefined);
    if (language !== undefined && !LANGUAGE.test(language.toLowerCase())) bad();
    const script = getOption(options, "script", undefined, undefined);
    if (script !== undefined && !SCRIPT.test(script.toLowerCase())) bad();
    const region = getOption(options, "region", undefined, undefined);
    if (region !== undefined && !REGION.test(region.toLowerCase())) bad();
    const variants = getOption(options, "variants", undefined, undefined);
    if (variants !== undefined) {
      const list = variants.toLowerCase().split("-");
      if (list.some((v) => !VARIANT.test(v)) || new Set(list).size !== list.length) bad();
      id.variants = list;
    }
    if (language !== undefined) id.language = language.toLowerCase();
    if (script !== undefined) id.script = script.toLowerCase();
    if (region !== undefined) id.region = region.toLowerCase();
    if (language !== undefined || script !== undefined || region !== undefined || variants !== undefined) canonicalLanguage(id);
    const set = (key, value) => {
      if (value === undefined) return;
      id.keywords ??= new Map();
      id.keywords.set(key, canonicalType(key, value));
    };
    set("ca", typeOption(options, "calendar"));
    set("co", typeOption(options, "collation"));
    let day = getOption(options, "firstDayOfWeek", undefined, undefined);
    if (day !== undefined) {
      if (/^[0-7]$/.test(day)) day = WEEKDAYS[(Number(day) + 6) % 7];
      if (!isType(day)) bad();
      set("fw", day);
    }
    set("hc", typeOption(options, "hourCycle", ["h11", "h12", "h23", "h24"]));
    set("kf", typeOption(options, "caseFirst", ["upper", "lower", "false"]));
    const numeric = options.numeric;
    if (numeric !== undefined) set("kn", String(Boolean(numeric)));
    set("nu", typeOption(options, "numberingSystem"));
    const base = languageText(id, true);
    localeSlots.set(this, {
      ...id, keywords: id.keywords ?? new Map(), hadKeywords: id.keywords, base, tag: base + extensionText(id),
    });
  }
  toString() { return slotsOf(this).tag; }
  maximize() {
    const id = slotsOf(this);
    const max = maximized(id);
    return max === undefined ? fromId({ ...id, keywords: id.hadKeywords }) : fromId({ ...id, ...max, keywords: id.hadKeywords });
  }
  minimize() {
    const id = slotsOf(this);
    const min = minimized({ language: id.language, script: id.script, region: id.region });
    return fromId({ ...id, ...min, keywords: id.hadKeywords });
  }
  get language() { return slotsOf(this).language; }
  get script() {
    const { script } = slotsOf(this);
    return script === "" ? undefined : title(script);
  }
  get region() {
    const { region } = slotsOf(this);
    return region === "" ? undefined : region.toUpperCase();
  }
  get baseName() { return slotsOf(this).base; }
  get variants() {
    const { variants } = slotsOf(this);
    return variants.length === 0 ? undefined : variants.join("-");
  }
  get calendar() { return keyword(this, "ca"); }
  get caseFirst() { return keyword(this, "kf"); }
  get collation() { return keyword(this, "co"); }
  get firstDayOfWeek() { return keyword(this, "fw"); }
  get hourCycle() { return keyword(this, "hc"); }
  get numeric() { return keyword(this, "kn") === ""; }
  get numberingSystem() { return keyword(this, "nu"); }
  getCalendars() {
    const id = slotsOf(this);
    const ca = id.keywords.get("ca");
    if (ca) return [ca];
    return (findIn(root().calendar, regionOf(id)) ?? "gregory").split(" ");
  }
  getCollations() {
    const id = slotsOf(this);
    const co = id.keywords.get("co");
    if (co) return [co];
    return (CO.get(id.language) ?? CO_DEFAULT).slice();
  }
  getHourCycles() {
    const id = slotsOf(this);
    const hc = id.keywords.get("hc");
    if (hc) return [hc];
    const region = regionOf(id);
    const { hour } = root();
    const form = findIn(hour, id.language + "-" + region) ?? findIn(hour, region) ?? "H";
    return [form === "h" || form === "hb" || form === "hB" ? "h12" : form === "K" ? "h11" : form === "k" ? "h24" : "h23"];
  }
  getNumberingSystems() {
    const id = slotsOf(this);
    const nu = id.keywords.get("nu");
    if (nu) return [nu];
    const { nu: table } = root();
    const max = maximized(id);
    for (const start of max === undefined ? [id] : [id, max]) {
      let tag = languageText({ ...start, variants: [] }, true);
      while (tag !== "") {
        const hit = findIn(table, tag);
        if (hit !== undefined) return [hit];
        tag = tag.slice(0, Math.max(tag.lastIndexOf("-"), 0));
      }
    }
    return ["latn"];
  }
  getTimeZones() {
    const id = slotsOf(this);
    if (id.region === "") return undefined;
    const list = load("zones", "root")?.[id.region.toUpperCase()];
    return list === undefined ? [] : list.split(" ").sort();
  }
  getTextInfo() {
    const id = slotsOf(this);
    const script = id.script || maximized(id)?.script || "";
    return { direction: RTL.includes(" " + script + " ") && script !== "" ? "rtl" : "ltr" };
  }
  getWeekInfo() {
    const id = slotsOf(this);
    const { first, weekend } = root();
    const region = regionOf(id);
    const own = WEEKDAYS.indexOf(id.keywords.get("fw") ?? "");
    const firstDay = own >= 0 ? own + 1 : Number(findIn(first, region) ?? 1);
    const days = findIn(weekend, region) ?? "67";
    return { firstDay, weekend: days[0] === days[1] ? [Number(days[0])] : [Number(days[0]), Number(days[1])] };
  }
}
finishClass(Locale, "Locale", 1);

export function isLocale(value) {
  return typeof value === "object" && value !== null && localeSlots.has(value);
}
