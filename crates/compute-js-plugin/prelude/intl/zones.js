// Time zones: names, offsets and localized names.
import { load } from "./data.js";

// --- Names ---

const index = { text: undefined, lower: "" };

// The canonical CLDR name of a zone, or undefined.
function cldrName(name) {
  if (!/^[A-Za-z0-9_+\-/]{1,40}$/.test(name)) return undefined;
  if (index.text === undefined) {
    index.text = load("tz", "root").names;
    index.lower = index.text.toLowerCase().replaceAll(";", ",");
  }
  const at = index.lower.indexOf("," + name.toLowerCase() + ",");
  if (at < 0) return undefined;
  const start = index.text.lastIndexOf(";", at + 1) + 1;
  return index.text.slice(start, index.text.indexOf(",", start));
}

// As V8 reads the option: { id (as shown), zone }, or undefined when there is no such zone.
export function findZone(name) {
  if (name === "UTC") return { id: name, zone: getZone("Etc/UTC") };
  const offset = /^([+\-\u2212])([01]\d|2[0-3])(?::?([0-5]\d))?$/.exec(name);
  if (offset !== null) {
    const minutes = offset[2] * 60 + Number(offset[3] ?? 0);
    const id = (minutes === 0 || offset[1] === "+" ? "+" : "-") + offset[2] + ":" + (offset[3] ?? "00");
    return { id, zone: fixedZone(id, (offset[1] === "+" ? 60 : -60) * minutes) };
  }
  const cldr = cldrName(name);
  if (cldr === undefined) return undefined;
  if (cldr === "Etc/UTC" || cldr === "Etc/GMT") {
    const greenwich = /^(?:etc\/)?greenwich$|^etc\/gmt[+-]?0$|^gmt[+-]0$|^gmt0$/i.test(name);
    return { id: "UTC", zone: getZone(greenwich ? "Etc/GMT" : "Etc/UTC") };
  }
  return { id: cldr, zone: getZone(cldr) };
}

export function zoneNames() {
  return load("tz", "root").names.split(";").slice(1).map((s) => s.slice(0, s.indexOf(",")));
}

// --- Offsets ---

// A zone: offsets in seconds by type; type i holds from at[i - 1] (in seconds) on,
// and the two rules hold from the year ruleYear.
const zones = new Map();

function fixedZone(id, offset) {
  return { id: offset === 0 ? "Etc/GMT" : id, fixed: true, offsets: [offset], dst: [false], at: [], types: [0], rules: undefined, country: "", meta: offset === 0 ? "GMT" : "", primary: false, last: undefined };
}

const span = (s) => s[0] === "." ? parseInt(s.slice(1), 36) : parseInt(s, 36) * 900;

export function getZone(id) {
  let zone = zones.get(id);
  if (zone !== undefined) return zone;
  const slash = id.indexOf("/");
  const [country, meta, head, types, deltas, tail] = load("tz", slash < 0 ? "Etc" : id.slice(0, slash))[id].split("|");
  zone = {
    id,
    fixed: false,
    offsets: [],
    dst: [],
    at: [],
    types: [],
    rules: undefined,
    ruleYear: Infinity,
    country: country.slice(0, 2),
    primary: country.length > 2,
    meta,
    last: undefined,
  };
  for (const s of head.split(" ")) {
    const dst = s.endsWith("+");
    zone.offsets.push(span(dst ? s.slice(0, -1) : s));
    zone.dst.push(dst);
  }
  for (let i = 0; i < types.length; i++) zone.types.push(parseInt(types[i], 36));
  if (deltas !== "") {
    let t = 0;
    for (const s of deltas.split(" ")) zone.at.push(t += span(s));
  }
  if (tail !== "") {
    const [year, ...n] = tail.split(" ").map(Number);
    zone.ruleYear = year;
    zone.rules = [n.slice(0, 5), n.slice(5)];
  }
  zones.set(id, zone);
  return zone;
}

const DAY = 86400;

// Days from 1970-01-01 to a date (month from 0); also for days beyond the month.
export function daysFrom(year, month, day) {
  if (month < 2) year--;
  const era = Math.floor(year / 400);
  const y = year - era * 400;
  const doy = Math.floor((153 * (month < 2 ? month + 10 : month - 2) + 2) / 5) + day - 1;
  return era * 146097 + y * 365 + Math.floor(y / 4) - Math.floor(y / 100) + doy - 719468;
}

export function yearOf(days) {
  const z = days + 719468;
  const era = Math.floor(z / 146097);
  const doe = z - era * 146097;
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36524) - Math.floor(doe / 146096)) / 365);
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  return era * 400 + yoe + (doy >= 306 ? 1 : 0);
}

function ruleTime(year, [month, day, weekday, seconds]) {
  const days = daysFrom(year, month, day);
  const on = ((days + 4) % 7 + 7) % 7;
  return (days + (weekday - on + 7) % 7) * DAY + seconds;
}

// The span that holds the time (in seconds): { from, to, type }
export function spanAt(zone, t) {
  const last = zone.last;
  if (last !== undefined && last.from <= t && t < last.to) return last;
  const { at, types, rules } = zone;
  let result;
  if (rules !== undefined && (at.length === 0 || t >= at[at.length - 1])) {
    const year = yearOf(Math.floor(t / DAY));
    const [a, b] = rules;
    const from = at.length > 0 ? at[at.length - 1] : -Infinity;
    const first = ruleTime(zone.ruleYear, a);
    if (t < first) result = { from, to: first, type: types[at.length] };
    else {
      const ta = ruleTime(year, a);
      const tb = ruleTime(year, b);
      if (t < ta) result = { from: ruleTime(year - 1, b), to: ta, type: b[4] };
      else if (t < tb) result = { from: ta, to: tb, type: a[4] };
      else result = { from: tb, to: ruleTime(year + 1, a), type: b[4] };
    }
  } else {
    let low = 0;
    let high = at.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (at[mid] <= t) low = mid + 1;
      else high = mid;
    }
    result = { from: low === 0 ? -Infinity : at[low - 1], to: low === at.length ? Infinity : at[low], type: types[low] };
  }
  zone.last = result;
  return result;
}

export const offsetAt = (zone, t) => zone.offsets.length === 1 ? zone.offsets[0] : zone.offsets[spanAt(zone, t).type];

// --- Names by locale ---

function chain(kind, locale, up) {
  const list = [];
  for (let l = locale; l !== undefined; l = up(l)) {
    const data = load(kind, l);
    if (data !== undefined) list.push(data);
  }
  return list;
}

function find(list, key) {
  for (const data of list) if (Object.hasOwn(data, key)) return data[key];
  return undefined;
}

const LONG_GENERIC = 0, LONG_STANDARD = 1, LONG_DAYLIGHT = 2, SHORT_GENERIC = 3, SHORT_STANDARD = 4, SHORT_DAYLIGHT = 5;
const HALF_YEAR = 184 * DAY;

function metazone(zone, t) {
  // CLDR's metazones span the years 1970 to 9999.
  if (zone.meta === "" || t < 0 || t >= 253402300740) return "";
  if (zone.periods === undefined) zone.periods = zone.meta.split(" ");
  const p = zone.periods;
  for (let i = 0; i + 1 < p.length; i += 2) if (t < parseInt(p[i + 1], 36) * 60) return p[i];
  return p.length % 2 === 1 ? p[p.length - 1] : "";
}

// The names of time zones in one locale. up tells a locale's parent, digits writes a number.
export class ZoneNames {
  constructor(locale, up, region) {
    this.names = chain("tzn", locale, up);
    this.places = undefined;
    this.locale = locale;
    this.up = up;
    this.region = region;
    const [gmt, hours, regionFormat, fallback] = find(this.names, "*");
    this.gmt = gmt;
    this.hours = hours.split(";").map((s) => /^(.*?)H+(.*?)mm(.*)$/.exec(s).slice(1));
    this.regionFormat = regionFormat;
    this.fallback = fallback;
  }

  offset(seconds, short, digits) {
    const [before, between, after] = this.hours[seconds < 0 ? 1 : 0];
    if (seconds < 0) seconds = -seconds;
    const h = Math.floor(seconds / 3600);
    const m = Math.floor(seconds / 60) % 60;
    const s = seconds % 60;
    let text = before + digits(h, short ? 1 : 2);
    if (m !== 0 || s !== 0 || !short) text += between + digits(m, 2);
    if (s !== 0) text += between + digits(s, 2);
    return this.gmt.replace("{0}", () => text + after);
  }

  specific(zone, t, short, digits) {
    const at = zone.offsets.length === 1 ? 0 : spanAt(zone, t).type;
    const kind = (short ? SHORT_STANDARD : LONG_STANDARD) + (zone.dst[at] ? 1 : 0);
    return this.display(zone, t, kind) || this.offset(zone.offsets[at], short, digits);
  }

  display(zone, t, kind) {
    return find(this.names, zone.id)?.[kind] || find(this.names, metazone(zone, t))?.[kind] || "";
  }

  place(key) {
    this.places ??= chain("tzc", this.locale, this.up);
    return find(this.places, key) || (key.length === 2 ? key : key.slice(key.lastIndexOf("/") + 1).replaceAll("_", " "));
  }

  generic(zone, t, short, digits) {
    return this.nonLocation(zone, t, short) || this.location(zone) || this.offset(offsetAt(zone, t), short, digits);
  }

  location(zone) {
    if (zone.country === "") return "";
    return this.regionFormat.replace("{0}", () => this.place(zone.primary ? zone.country : zone.id));
  }

  nonLocation(zone, t, short) {
    const kind = short ? SHORT_GENERIC : LONG_GENERIC;
    const own = find(this.names, zone.id)?.[kind];
    if (own) return own;
    const meta = metazone(zone, t);
    if (meta === "") return "";
    const names = find(this.names, meta);
    const here = spanAt(zone, t);
    const { from, to, type } = here;
    if (!zone.dst[type]) {
      const before = from !== -Infinity && t - from < HALF_YEAR && zone.dst[spanAt(zone, from - 1).type];
      const after = !before && to !== Infinity && to - t < HALF_YEAR && zone.dst[spanAt(zone, to).type];
      zone.last = here;
      if (!before && !after) {
        const standard = this.display(zone, t, kind + 1);
        if (standard !== "" && standard.toLowerCase() !== (names?.[kind] ?? "").toLowerCase()) return standard;
      }
    }
    const name = names?.[kind];
    if (!name) return "";
    const golden = this.golden(meta, this.region);
    if (golden !== "" && golden !== zone.id) {
      const other = getZone(golden);
      const offset = zone.offsets[type];
      // The reference zone at the same wall time
      const wall = t + offset;
      let o = spanAt(other, wall - offsetAt(other, wall - DAY)).type;
      o = spanAt(other, wall - other.offsets[o]).type;
      if (other.offsets[o] !== offset || other.dst[o] !== zone.dst[type]) {
        let place;
        if (zone.country !== "" && this.golden(meta, zone.country) === zone.id) place = this.place(zone.country);
        else place = this.place(zone.id);
        return this.fallback.replace("{1}", () => name).replace("{0}", () => place);
      }
    }
    return name;
  }

  golden(meta, region) {
    const entry = load("tz", "root").golden[meta] ?? "";
    const at = region === "" ? -1 : entry.indexOf(" " + region + "=");
    if (at < 0) return entry.split(" ")[0];
    return entry.slice(at + region.length + 2).split(" ")[0];
  }
}
