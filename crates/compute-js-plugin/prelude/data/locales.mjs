// Writes json/locale.root.json and json/zones.root.json from CLDR.
import { readFileSync, writeFileSync, readdirSync } from "node:fs";

const root = new URL("./node_modules/", import.meta.url);
const json = (path) => JSON.parse(readFileSync(new URL(path, root), "utf8"));
const sup = (name) => json("cldr-core/supplemental/" + name + ".json").supplemental;

const alias = sup("aliases").metadata.alias;
const language = [];
for (const [from, { _replacement: to }] of Object.entries(alias.languageAlias)) {
  const key = from.replaceAll("_", "-").toLowerCase();
  if (!/^[a-z]{2,3}(-|$)|^[a-z]{5,8}(-|$)/.test(key)) continue;
  language.push(key + "=" + to.replaceAll("_", "-"));
}
const territory = [];
for (const [from, { _replacement: to }] of Object.entries(alias.territoryAlias)) {
  if (/^([A-Z]{2}|\d{3})$/.test(from)) territory.push(from + "=" + to);
}
const types = [];
const subdivision = Object.entries(alias.subdivisionAlias);
for (const [from, { _replacement: to }] of subdivision) {
  const first = to.split(" ")[0].toLowerCase();
  types.push("sd-" + from.toLowerCase() + "=" + (first.length === 2 ? first + "zzzz" : first));
}
const ZONES = { gaza: "PS", gazastrp: "PS", hebron: "PS", jeruslm: "IL" };
const zones = {};
const retired = {};
for (const file of readdirSync(new URL("cldr-bcp47/bcp47/", root))) {
  if (!file.endsWith(".json")) continue;
  const data = json("cldr-bcp47/bcp47/" + file);
  const u = data.keyword?.u;
  if (!u) continue;
  for (const [key, entries] of Object.entries(u)) {
    const keyAlias = entries._alias;
    for (const [type, info] of Object.entries(entries)) {
      if (type[0] === "_" || typeof info !== "object") continue;
      const to = info._preferred;
      if (to && to !== type) types.push(key + "-" + type.toLowerCase() + "=" + to);
      for (const a of (info._alias ?? "").split(" ")) {
        const lower = a.toLowerCase();
        if (a && /^[a-z0-9]{3,8}(-[a-z0-9]{3,8})*$/.test(lower) && lower !== type) types.push(key + "-" + lower + "=" + (to ?? type));
      }
      if (key === "tz" && !info._deprecated && !to && !/^(utc|unk|gmt)/.test(type)) {
        const names = info._alias.split(" ");
        (zones[ZONES[type] ?? type.slice(0, 2).toUpperCase()] ??= []).push(names[0]);
      }
    }
  }
}

// Likely subtags: every two-letter language, every language with modern or
// moderate coverage, all "und" entries with one script or region.
const coverage = json("cldr-core/coverageLevels.json").effectiveCoverageLevels ?? json("cldr-core/coverageLevels.json").coverageLevels;
const common = new Set(Object.keys(coverage).map((l) => l.split(/[-_]/)[0]));
const likely = [];
const table = sup("likelySubtags").likelySubtags;
for (const [from, to] of Object.entries(table)) {
  const lang = from.split("-")[0];
  if (lang !== "und" && lang.length > 2 && !common.has(lang)) continue;
  const [tl, ts, tr] = to.split("-");
  const parts = from.split("-");
  const left = [];
  if (tl !== lang) left.push(tl);
  if (!parts.includes(ts)) left.push(ts);
  if (!parts.includes(tr)) left.push(tr);
  likely.push(from + "=" + left.join("-"));
}

const parents = {};
for (const [child, parent] of Object.entries(sup("parentLocales").parentLocales.parentLocale)) {
  if (/^(en|es|pt|zh|fr|de|ar|hi|nl|it|pl|ja|ko)-/.test(child) && parent !== "und" && !/Latn/.test(child)) (parents[parent] ??= []).push(child);
}

const first = sup("weekData").weekData.firstDay;
const start = sup("weekData").weekData.weekendStart;
const end = sup("weekData").weekData.weekendEnd;
const days = { mon: 1, tue: 2, wed: 3, thu: 4, fri: 5, sat: 6, sun: 7 };
const byFirst = {};
for (const [region, day] of Object.entries(first)) if (/^([A-Z]{2}|001)$/.test(region) && day !== "mon") (byFirst[days[day]] ??= []).push(region);
const weekend = {};
for (const region of new Set([...Object.keys(start), ...Object.keys(end)])) {
  if (!/^[A-Z]{2}$/.test(region)) continue;
  const s = days[start[region] ?? start["001"]];
  const e = days[end[region] ?? end["001"]];
  (weekend["" + s + e] ??= []).push(region);
}
const hours = {};
for (const [region, { _preferred }] of Object.entries(sup("timeData").timeData)) {
  if (_preferred !== "H") (hours[_preferred] ??= []).push(region.replace("_", "-"));
  else if (/[_-]/.test(region)) (hours.H ??= []).push(region.replace("_", "-"));
}
const calendars = {};
for (const [region, list] of Object.entries(sup("calendarPreferenceData").calendarPreferenceData)) {
  const names = (Array.isArray(list) ? list : list.split(" ")).map((c) => c === "gregorian" ? "gregory" : c).join(" ");
  if (region !== "001" && names !== "gregory") (calendars[names] ??= []).push(region);
}
const systems = {};
const system = (l) => json("cldr-numbers-full/main/" + l + "/numbers.json").main[l].numbers.defaultNumberingSystem;
for (const l of readdirSync(new URL("cldr-numbers-full/main/", root))) {
  if (l === "und") continue;
  const nu = system(l);
  const at = l.lastIndexOf("-");
  let parent = "latn";
  try {
    if (at > 0) parent = system(l.slice(0, at));
  } catch {}
  if (nu !== parent) (systems[nu] ??= []).push(l);
}
const join = (map) => Object.fromEntries(Object.entries(map).map(([k, v]) => [k, v.join(" ")]));
const out = {
  language: "," + language.join(",") + ",",
  territory: "," + territory.join(",") + ",",
  variant: "," + Object.entries(alias.variantAlias).map(([k, v]) => k + "=" + v._replacement.toLowerCase()).join(",") + ",",
  type: "," + types.join(",") + ",",
  likely: "," + likely.join(",") + ",",
  parent: join(parents),
  first: join(byFirst),
  weekend: join(weekend),
  hour: join(hours),
  calendar: join(calendars),
  nu: join(systems),
};
writeFileSync(new URL("./json/locale.root.json", import.meta.url), JSON.stringify(out));
writeFileSync(new URL("./json/zones.root.json", import.meta.url), JSON.stringify(join(zones)));
