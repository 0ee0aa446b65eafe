// Writes json/*.json from CLDR and moment-timezone.
import { readFileSync, writeFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { Skeleton } from "../intl/patterns.js";

const modules = new URL("./node_modules/", import.meta.url);
const json = (path) => JSON.parse(readFileSync(new URL(path, modules), "utf8"));
const sup = (name) => json("cldr-core/supplemental/" + name + ".json").supplemental;
const out = new URL("./json/", import.meta.url);
mkdirSync(out, { recursive: true });
function write(kind, locale, value) {
  const s = JSON.stringify(value);
  writeFileSync(new URL(kind + "." + locale + ".json", out), s);
}

const LOCALES = ["en", "en-GB", "en-AU", "en-CA", "en-IN", "de", "de-AT", "de-CH", "fr", "fr-CA", "fr-CH", "es", "es-419", "es-MX", "es-AR",
  "pt", "pt-PT", "it", "nl", "nl-BE", "pl", "ja", "zh", "zh-Hant", "ko", "ar", "ar-EG", "ar-SA", "hi"];
const PARENTS = { "es-MX": "es-419", "es-AR": "es-419" };
export const parentOf = (locale) => locale === "zh-Hant" ? undefined : PARENTS[locale] ?? (locale.includes("-") ? locale.split("-")[0] : undefined);

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// --- Dates and times by locale ---

const cldrParents = sup("parentLocales").parentLocales.parentLocale;
function chain(locale) {
  const list = [locale];
  while (locale !== "und") {
    locale = cldrParents[locale] ?? (locale.includes("-") ? locale.slice(0, locale.lastIndexOf("-")) : "und");
    if (locale === "root") locale = "und";
    list.push(locale);
  }
  return list;
}

const dates = (locale, file) => json(`cldr-dates-full/main/${locale}/${file}.json`).main[locale].dates;
const gregorian = (locale) => dates(locale, "ca-gregorian").calendars.gregorian;
const available = (locale) => Object.fromEntries(Object.entries(gregorian(locale).dateTimeFormats.availableFormats).filter(([k]) => !k.includes("-")));

// ICU's list of patterns, in its order of preference for equal distances.
function patternList(locale) {
  const boot = new Map();
  const all = () => [...boot.values()].flat();
  function add(pattern, skeletonText, override) {
    const skeleton = new Skeleton(skeletonText ?? pattern);
    const base = skeleton.base.join("");
    const original = skeleton.original.join("");
    const list = boot.get(base[0]) ?? [];
    boot.set(base[0], list);
    const sameBase = list.find((e) => e.base === base);
    if (sameBase !== undefined && (!sameBase.specified || (skeletonText !== undefined && !override)) && !override) return;
    const equal = list.find((e) => e.original === original);
    if (equal !== undefined && (!override || (skeletonText !== undefined && equal.specified))) return;
    if (equal !== undefined) {
      equal.pattern = pattern;
      equal.specified = skeletonText !== undefined;
    } else list.push({ base, original, skeleton, pattern, specified: skeletonText !== undefined });
  }
  for (const letter of "GyQMwWEDFdaHmsSv") add(letter, undefined, false);
  const g = gregorian(locale);
  for (const style of ["full", "long", "medium", "short"]) {
    add(g.dateFormats[style], undefined, false);
    add(g.timeFormats[style], undefined, false);
  }
  const short = g.timeFormats.medium;
  const ms = /m+[^a-zA-Z]*s+/.exec(short);
  if (ms) add(ms[0], undefined, false);
  const levels = chain(locale);
  const done = new Set();
  for (let i = 0; i < levels.length; i++) {
    const here = available(levels[i]);
    // A language's own data name the values they share with the root too.
    const up = i + 2 < levels.length ? available(levels[i + 1]) : {};
    for (const key of Object.keys(here).sort()) {
      if (done.has(key) || here[key] === up[key]) continue;
      done.add(key);
      add(here[key], key, levels[i] !== "und");
    }
  }
  const result = [];
  for (const letter of [...boot.keys()].sort()) {
    for (const e of boot.get(letter)) {
      // An entry with a field that cannot be asked for never is the nearest.
      if (/[QwWDFqY]/.test(e.original)) continue;
      const text = e.specified ? e.skeleton.toString() : "*" + e.skeleton.toString();
      result.push(text, e.pattern);
    }
  }
  return result;
}

const WIDTHS = ["abbreviated", "wide", "narrow"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const STYLES = ["full", "long", "medium", "short"];
const APPEND = ["Era", "Year", "Quarter", "Month", "Week", "", "Day-Of-Week", "", "", "Day", "", "Hour", "Minute", "Second", "", "Timezone"];
const APPEND_NAMES = ["era", "year", "quarter", "month", "week", "weekOfMonth", "weekday", "dayOfYear", "weekdayOfMonth", "day", "dayperiod", "hour", "minute", "second", "", "zone"];
const timeData = sup("timeData").timeData;
const periodRules = sup("dayPeriods").dayPeriodRuleSet;
const likely = sup("likelySubtags").likelySubtags;

function hourLetter(locale) {
  const [language, ...rest] = locale.split("-");
  const region = rest.find((p) => /^([A-Z]{2}|\d{3})$/.test(p)) ?? likely[locale]?.split("-")[2] ?? likely[language].split("-")[2];
  return (timeData[language + "_" + region] ?? timeData[language + "-" + region] ?? timeData[region] ?? timeData["001"])._preferred[0];
}

function dayPeriods(locale) {
  let rules;
  for (let l = locale; l && !(rules = periodRules[l]); l = l.slice(0, Math.max(l.lastIndexOf("-"), 0)));
  if (!rules) return undefined;
  const names = [];
  const hours = new Array(24).fill(0);
  let exact = "";
  for (const [name, rule] of Object.entries(rules)) {
    if (rule._at) {
      exact += name === "midnight" ? "m" : "n";
      continue;
    }
    const index = names.push(name) - 1;
    const from = parseInt(rule._from, 10);
    const before = parseInt(rule._before, 10);
    for (let h = from; h !== before % 24 || h === from; h = (h + 1) % 24) hours[h] = index;
  }
  return { names, hours: hours.map((h) => h.toString(36)).join(""), exact };
}

function dateData(locale) {
  const g = gregorian(locale);
  const months = (context) => WIDTHS.map((w) => Object.values(g.months[context][w]));
  const days = (context) => WIDTHS.map((w) => DAYS.map((d) => g.days[context][w][d]));
  const data = {
    h: hourLetter(locale),
    m: months("format"),
    d: days("format"),
    e: [["eraAbbr", "eraNames", "eraNarrow"].map((k) => [g.eras[k][0], g.eras[k][1]])][0],
  };
  const rules = dayPeriods(locale);
  data.a = WIDTHS.map((w) => [g.dayPeriods.format[w].am, g.dayPeriods.format[w].pm]);
  if (rules) {
    data.b = [rules.hours, ...WIDTHS.map((w) => [...rules.names.map((n) => g.dayPeriods.format[w][n] ?? ""), rules.exact.includes("n") ? g.dayPeriods.format[w].noon ?? "" : ""])];
  }
  const ms = months("stand-alone");
  const ds = days("stand-alone");
  if (!same(ms, data.m)) data.M = ms.map((x, i) => same(x, data.m[i]) ? 0 : x);
  if (!same(ds, data.d)) data.D = ds.map((x, i) => same(x, data.d[i]) ? 0 : x);
  const f = g.dateTimeFormats;
  data.date = STYLES.map((s) => g.dateFormats[s]);
  data.time = STYLES.map((s) => g.timeFormats[s]);
  data.glue = STYLES.map((s) => g["dateTimeFormats-atTime"].standard[s]);
  data.std = STYLES.map((s) => f[s]);
  data.app = APPEND.map((k) => f.appendItems[k] ?? "{0} ├{2}: {1}┤");
  const fields = dates(locale, "dateFields").fields;
  data.appn = APPEND_NAMES.map((k) => fields[k]?.displayName ?? "F14");
  data.pats = patternList(locale);
  const { intervalFormatFallback, ...intervals } = f.intervalFormats;
  data.fb = intervalFormatFallback;
  data.iv = Object.fromEntries(Object.entries(intervals).filter(([k]) => !/[QwW]/.test(k)).map(([k, v]) => [k, Object.entries(v).filter(([f]) => f.length === 1).flat()]));
  const numbers = json(`cldr-numbers-full/main/${locale}/numbers.json`).main[locale].numbers;
  data.nu = numbers.defaultNumberingSystem;
  data.dec = numbers["symbols-numberSystem-latn"].decimal;
  return data;
}

const full = {};
for (const locale of LOCALES) full[locale] = dateData(locale);
for (const locale of LOCALES) {
  const parent = parentOf(locale);
  const data = {};
  for (const [key, value] of Object.entries(full[locale])) {
    if (parent !== undefined && same(value, full[parent][key])) continue;
    if (parent !== undefined && (key === "iv")) {
      const diff = {};
      for (const k in value) if (!same(value[k], full[parent].iv[k])) diff[k] = value[k];
      for (const k in full[parent].iv) if (!(k in value)) diff[k] = 0;
      data.iv = diff;
      continue;
    }
    data[key] = value;
  }
  if (parent !== undefined) {
    data.up = parent;
    for (const key of Object.keys(full[parent])) if (!(key in full[locale])) data[key] = null;
  }
  write("dt", locale, data);
}

// --- Time zones ---

const bcp = json("cldr-bcp47/bcp47/timezone.json").keyword.u.tz;
const canonical = new Map();
const region = new Map();
for (const [id, info] of Object.entries(bcp)) {
  if (id[0] === "_" || typeof info !== "object" || id === "unk" || !info._alias || info._preferred) continue;
  const names = info._alias.split(" ");
  canonical.set(names[0], new Set(names.slice(1)));
  if (!/^utc|^gmt$/.test(id)) region.set(names[0], info._region ?? id.slice(0, 2).toUpperCase());
}
for (const info of Object.values(bcp)) {
  if (!info._preferred || !info._alias) continue;
  for (const name of info._alias.split(" ")) canonical.get(bcp[info._preferred]._alias.split(" ")[0]).add(name);
}

const moment = json("moment-timezone/data/packed/latest.json");
const momentZones = new Map(moment.zones.map((z) => [z.split("|")[0], z.split("|")]));
const momentLinks = new Map();
for (const link of moment.links) {
  const [a, b] = link.split("|");
  momentLinks.set(b, a);
}

const SIXTY = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX";
// moment's base 60 numbers, as seconds when the unit is a minute
function sixty(s) {
  const sign = s[0] === "-" ? -1 : 1;
  if (sign < 0) s = s.slice(1);
  const [whole, part = ""] = s.split(".");
  let n = 0;
  for (const c of whole) n = n * 60 + SIXTY.indexOf(c);
  let seconds = n * 60;
  let unit = 60;
  for (const c of part) {
    unit /= 60;
    seconds += SIXTY.indexOf(c) * unit;
  }
  return sign * Math.round(seconds);
}

// zone -> Map(time -> is daylight time), from zdump's output as FormatJS packs it
const flags = new Map();
{
  const source = readFileSync(new URL("@formatjs/intl-datetimeformat/add-all-tz.js", modules), "utf8");
  const data = JSON.parse(source.slice(source.indexOf("__addTZData({") + 12, source.lastIndexOf("})") + 1));
  const offsets = data.offsets.split("|").map((s) => parseInt(s, 36));
  for (const line of data.zones) {
    const [name, ...rows] = line.split("|");
    const map = new Map();
    for (const r of rows) {
      const [t, , offset, dst] = r.split(",");
      map.set(t === "" ? -Infinity : parseInt(t, 36), { dst: dst === "1", offset: offsets[offset] });
    }
    flags.set(name, map);
  }
}

// From these on the source has "negative" daylight time, where ICU has none.
const DUBLIN = Date.UTC(1971, 9, 31) / 1000;
const NAMIBIA = Date.UTC(1994, 2, 20) / 1000;
const MOROCCO = Date.UTC(2018, 9, 28) / 1000;
const NEGATIVE = { "Europe/Dublin": DUBLIN, "Africa/Windhoek": NAMIBIA, "Africa/Casablanca": MOROCCO, "Africa/El_Aaiun": MOROCCO, "Europe/Prague": -Infinity, "Europe/Bratislava": -Infinity };

function zoneData(name, aliases) {
  let z = momentZones.get(name);
  let source = name;
  if (!z && momentLinks.has(name)) z = momentZones.get(source = momentLinks.get(name));
  if (!z) return undefined;
  const [, , offsets, indices, diffs] = z;
  const offs = offsets.split(" ").map((s) => -sixty(s));
  const abbr = z[1].split(" ");
  const types = [];
  const typeOf = (offset, dst) => {
    let i = types.findIndex((t) => t.offset === offset && t.dst === dst);
    if (i < 0) i = types.push({ offset, dst }) - 1;
    return i;
  };
  const flag = [name, source, ...aliases].map((n) => flags.get(n)).find((m) => m !== undefined) ?? new Map();
  const known = new Map();
  const idx = [...indices].map((c) => SIXTY.indexOf(c));
  let t = 0;
  let times = diffs === "" || diffs === undefined ? [] : diffs.split(" ").map((s) => t += sixty(s));
  for (let i = 1; i < idx.length; i++) if (flag.has(times[i - 1])) known.set(idx[i], flag.get(times[i - 1]).dst);
  const dstAt = (i) => {
    const at = times[i - 1];
    const offset = offs[idx[i]];
    let dst = flag.get(at)?.dst;
    // Sources differ by some days for a few old changes.
    if (dst === undefined) for (const [t, f] of flag) if (Math.abs(t - at) < 3 * 86400 && f.offset === offset) dst = f.dst;
    if (dst === undefined) {
      dst = known.get(idx[i]);
      if (dst === undefined) {
        dst = /DT$|[A-Z][A-Z]ST$/.test(abbr[idx[i]]);
      }
    }
    if (/^Africa\/(Casablanca|El_Aaiun)$/.test(name) && at >= MOROCCO) dst = offset === 3600;
    if (name === "Europe/Dublin" && at >= DUBLIN) dst = offset === 3600;
    if (name === "Africa/Windhoek" && at >= NAMIBIA) dst = offset === 7200;
    if (/^Europe\/(Prague|Bratislava)$/.test(name) && offset === 0) dst = false;
    if (name === "America/Vancouver" && offset === -25200) dst = true;
    if (name === "America/Bogota" && offset === -14400) dst = true;
    return dst;
  };
  const seq = [{ at: -Infinity, type: typeOf(offs[idx[0]], false) }];
  for (let i = 1; i < idx.length; i++) seq.push({ at: times[i - 1], type: typeOf(offs[idx[i]], dstAt(i)) });
  // Changes between standard and daylight time that leave the offset as it is
  for (const [at, { dst, offset }] of [...flag].sort((a, b) => a[0] - b[0])) {
    if (at === -Infinity || at >= (NEGATIVE[name] ?? Infinity)) continue;
    let k = seq.length - 1;
    while (seq[k].at > at) k--;
    const here = types[seq[k].type];
    if (here.dst !== dst && here.offset === offset && name !== "America/Bogota" && name !== "America/Vancouver") {
      seq.splice(k + 1, 0, { at, type: typeOf(offset, dst) });
    }
  }
  if (name === "Africa/Windhoek") seq.push({ at: Date.UTC(2017, 9, 24) / 1000, type: typeOf(7200, false) });
  return { types, seq: seq.filter((s, i) => i === 0 || s.type !== seq[i - 1].type) };
}

const YEAR_FIRST = 2470, YEAR_LAST = 2498;
function rule(types, seq) {
  const year = (t) => new Date(t * 1000).getUTCFullYear();
  const by = new Map();
  for (const s of seq) if (s.at > Date.UTC(YEAR_FIRST, 0, 1) / 1000) (by.get(year(s.at)) ?? by.set(year(s.at), []).get(year(s.at))).push(s);
  for (let y = YEAR_FIRST; y <= YEAR_LAST; y++) if (by.get(y)?.length !== 2) return undefined;
  const rules = [];
  for (const k of [0, 1]) {
    let found;
    for (const shift of [0, 86400, -86400]) {
      const items = [];
      for (let y = YEAR_FIRST; y <= YEAR_LAST; y++) {
        const s = by.get(y)[k];
        const before = types[seq[seq.indexOf(s) - 1].type].offset;
        const local = s.at + before + shift;
        const d = new Date(local * 1000);
        items.push({ month: d.getUTCMonth(), day: d.getUTCDate(), dow: d.getUTCDay(), secs: local % 86400 - before - shift, type: s.type });
      }
      const [first] = items;
      const min = Math.min(...items.map((x) => x.day));
      const max = Math.max(...items.map((x) => x.day));
      if (max - min <= 6 && items.every((x) => x.month === first.month && x.dow === first.dow && x.secs === first.secs && x.type === first.type)) {
        found = { ...first, min };
        break;
      }
    }
    if (!found) return undefined;
    rules.push(found);
  }
  const make = (y, r) => {
    const start = Date.UTC(y, r.month, r.min) / 1000;
    const dow = new Date(start * 1000).getUTCDay();
    return start + (r.dow - dow + 7) % 7 * 86400 + r.secs;
  };
  let from = seq.length;
  for (let y = YEAR_LAST; y > 1900; y--) {
    const here = seq.filter((s) => s.at !== -Infinity && year(s.at) === y);
    if (here.length !== 2 || here.some((s, i) => s.at !== make(y, rules[i]) || s.type !== rules[i].type)) break;
    from = seq.indexOf(here[0]);
  }
  return { rules, from, year: year(seq[from].at) };
}

const span = (n) => n % 900 === 0 ? (n / 900).toString(36) : "." + n.toString(36);
function packZone(name, aliases) {
  const data = zoneData(name, aliases);
  if (!data) return undefined;
  const { types, seq } = data;
  const r = rule(types, seq);
  const last = r ? r.from : seq.length;
  let t = 0;
  const deltas = [];
  let idx = seq[0].type.toString(36);
  for (const s of seq.slice(1, last)) {
    deltas.push(span(s.at - t));
    t = s.at;
    idx += s.type.toString(36);
  }
  const head = types.map((x) => span(x.offset) + (x.dst ? "+" : "")).join(" ");
  const tail = r ? r.year + " " + r.rules.map((x) => [x.month, x.min, x.dow, x.secs, x.type].join(" ")).join(" ") : "";
  return [head, idx, deltas.join(" "), tail];
}

const metaInfo = sup("metaZones").metaZones;
const minutes = (s) => (Date.parse(s.replace(" ", "T") + "Z") / 60000).toString(36);
function metaPeriods(name) {
  let node = metaInfo.metazoneInfo.timezone;
  for (const part of name.split("/")) node = node?.[part];
  if (!Array.isArray(node)) return "";
  const parts = [];
  let until;
  for (const { usesMetazone: u } of node) {
    if (u._from !== undefined && u._from !== until) {
      if (until === undefined) parts.push("", minutes(u._from));
      else parts.push("", minutes(u._from));
    }
    parts.push(u._mzone);
    if (u._to !== undefined) parts.push(minutes(u._to));
    until = u._to;
  }
  return parts.join(" ");
}

const { primaryZones } = sup("primaryZones");
const zonesIn = {};
for (const [zone, r] of region) (zonesIn[r] ??= []).push(zone);
const isPrimary = (zone) => zonesIn[region.get(zone)]?.length === 1 || primaryZones[region.get(zone)] === zone;

const areas = {};
const names = [];
for (const [zone, aliases] of canonical) {
  let packed;
  for (const n of [zone, ...aliases]) if ((packed = packZone(n, aliases))) break;
  const fixed = /^Etc\/GMT([+-])(\d+)$/.exec(zone);
  if (fixed) packed = [span((fixed[1] === "+" ? -1 : 1) * fixed[2] * 3600), "0", "", ""];
  if (zone === "Etc/UTC" || zone === "Etc/GMT") packed = ["0", "0", "", ""];
  const system = /^SystemV\/[A-Z]{3}(\d+)/.exec(zone);
  if (!packed && system) packed = [span(-system[1] * 3600), "0", "", ""];
  if (!packed) {
    throw new Error(`no data for zone ${zone}`);
  }
  names.push([zone, ...aliases].join(","));
  const at = zone.indexOf("/");
  const area = at < 0 ? "Etc" : zone.slice(0, at);
  const country = region.get(zone) ?? "";
  (areas[area] ??= {})[zone] = [country + (country && isPrimary(zone) ? "!" : ""), metaPeriods(zone), ...packed].join("|");
}
for (const [area, value] of Object.entries(areas)) write("tz", area, value);
const golden = {};
for (const { mapZone: m } of metaInfo.metazones) {
  const zone = m._type;
  let c = zone;
  for (const [k, v] of canonical) if (k === zone || v.has(zone)) c = k;
  if (m._territory === "001") golden[m._other] = c + (golden[m._other] ?? "");
  else golden[m._other] = (golden[m._other] ?? "") + " " + m._territory + "=" + c;
}
write("tz", "root", { names: ";" + names.join(",;") + ",", golden });

// --- Names of time zones ---

const KINDS = [["long", "generic"], ["long", "standard"], ["long", "daylight"], ["short", "generic"], ["short", "standard"], ["short", "daylight"]];
const six = (node) => {
  const list = KINDS.map(([w, k]) => node?.[w]?.[k] ?? "");
  for (let i = 0; i < 6; i++) if (list[i] === "∅∅∅") list[i] = "";
  while (list.length > 0 && list.at(-1) === "") list.pop();
  return list;
};
function zoneNames(locale) {
  const t = dates(locale, "timeZoneNames").timeZoneNames;
  const n = {};
  for (const [k, v] of Object.entries(t.metazone ?? {})) n[k] = six(v);
  const cities = {};
  const walk = (node, path) => {
    for (const [k, v] of Object.entries(node)) {
      const name = path ? path + "/" + k : k;
      if (v._type !== "zone") {
        walk(v, name);
        continue;
      }
      const s = six(v);
      if (s.length) n[name] = s;
      if (v.exemplarCity && canonical.has(name) && v.exemplarCity !== name.slice(name.lastIndexOf("/") + 1).replaceAll("_", " ")) cities[name] = v.exemplarCity;
    }
  };
  walk(t.zone, "");
  const territories = json(`cldr-localenames-full/main/${locale}/territories.json`).main[locale].localeDisplayNames.territories;
  for (const r of new Set(region.values())) cities[r] = territories[r];
  return { n: { ...n, "*": [t.gmtFormat, t.hourFormat, t.regionFormat, t.fallbackFormat] }, cities };
}
const allNames = {};
for (const locale of LOCALES) allNames[locale] = zoneNames(locale);
for (const locale of LOCALES) {
  const parent = parentOf(locale);
  const { n, cities } = allNames[locale];
  const diff = (a, b, none) => {
    if (b === undefined) return a;
    const d = {};
    for (const k in a) if (!same(a[k], b[k])) d[k] = a[k];
    for (const k in b) if (!(k in a)) d[k] = none;
    return d;
  };
  const dn = diff(n, parent && allNames[parent].n, []);
  const dc = diff(cities, parent && allNames[parent].cities, "");
  if (Object.keys(dn).length || !parent) write("tzn", locale, dn);
  if (Object.keys(dc).length || !parent) write("tzc", locale, dc);
}
