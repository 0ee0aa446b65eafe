import { canonicalizeLocaleList, canonicalizeTag, finishClass, getMatcher, getOption, resolveLocale, statics } from "./locale.js";
import { data, methods, receiver } from "./util.js";

const slots = new WeakMap();
const of = (self) => receiver(slots, self, "DisplayNames");
const FIELDS = ["era", "year", "quarter", "month", "weekOfYear", "weekday", "day", "dayPeriod", "hour", "minute", "second", "timeZoneName"];

export function DisplayNames(locales, options) {
  if (new.target === undefined) throw new TypeError("Constructor Intl.DisplayNames requires 'new'");
  const requested = canonicalizeLocaleList(locales);
  if (options === null || (typeof options !== "object" && typeof options !== "function")) throw new TypeError("Options must be an object");
  const localeMatcher = getMatcher(options);
  const style = getOption(options, "style", ["narrow", "short", "long"], "long");
  const type = getOption(options, "type", ["language", "region", "script", "currency", "calendar", "dateTimeField"], undefined);
  if (type === undefined) throw new TypeError('Required option "type" must not be undefined');
  const fallback = getOption(options, "fallback", ["code", "none"], "code");
  const languageDisplay = getOption(options, "languageDisplay", ["dialect", "standard"], "dialect");
  const r = resolveLocale(requested, [], { localeMatcher });
  slots.set(this, { locale: r.locale, dataLocale: r.dataLocale, style, type, fallback, languageDisplay: type === "language" ? languageDisplay : undefined });
}

const bad = (code) => { throw new RangeError("Invalid argument to Intl.DisplayNames.prototype.of: " + code); };

function language(f, code) {
  if (/-[a-z0-9]-/i.test(code) || !/^(?:[a-z]{2,3}|[a-z]{5,8})(?:-|$)/i.test(code)) bad(code);
  const tag = canonicalizeTag(code);
  const n = data("names", f.dataLocale);
  const parts = tag.split("-");
  const lang = parts.shift();
  let script = parts.length > 0 && parts[0].length === 4 && !/^[0-9]/.test(parts[0]) ? parts.shift() : "";
  let region = parts.length > 0 && /^(?:[A-Z]{2}|[0-9]{3})$/.test(parts[0]) ? parts.shift() : "";
  const short = f.style !== "long";
  const get = (id) => (short ? n.ls[id] : undefined) ?? n.l[id] ?? undefined;
  let name;
  if (f.languageDisplay === "dialect") {
    if (script !== "" && region !== "") {
      if ((name = get(lang + "-" + script + "-" + region)) !== undefined) script = region = "";
    } else if (script !== "") {
      if ((name = get(lang + "-" + script)) !== undefined) script = "";
    } else if (region !== "" && (name = get(lang + "-" + region)) !== undefined) region = "";
  }
  name ??= get(lang);
  const none = f.fallback === "none";
  if (name === undefined) {
    if (none) return undefined;
    name = lang;
  }
  const rest = [];
  if (script !== "") rest.push((short ? n.ss[script] : undefined) ?? n.s[script] ?? (none ? undefined : script));
  if (region !== "") rest.push((short ? n.rs[region] : undefined) ?? n.r[region] ?? (none ? undefined : region));
  for (const v of parts) rest.push(n.v[v] ?? (none ? undefined : v.toUpperCase()));
  if (rest.length === 0) return name;
  if (rest.includes(undefined)) return undefined;
  const wide = n.p[0].includes("（");
  const [open, close, from, to] = wide ? ["［", "］", /（/g, /）/g] : ["[", "]", /\(/g, /\)/g];
  const inner = (s) => s.replace(from, open).replace(to, close);
  const all = rest.map(inner).join(n.p[1].slice(3, -3));
  return n.p[0].replace("{0}", () => name).replace("{1}", () => all);
}

function nameOf(f, code) {
  const short = f.style !== "long";
  switch (f.type) {
    case "language": return language(f, code);
    case "region": {
      if (!/^(?:[A-Za-z]{2}|[0-9]{3})$/.test(code)) bad(code);
      const n = data("names", f.dataLocale);
      const id = code.toUpperCase();
      return (short ? n.rs[id] : undefined) ?? n.r[id];
    }
    case "script": {
      if (!/^[A-Za-z]{4}$/.test(code)) bad(code);
      const n = data("names", f.dataLocale);
      const id = code[0].toUpperCase() + code.slice(1).toLowerCase();
      return (short ? n.ss[id] : undefined) ?? n.s[id];
    }
    case "currency": {
      if (!/^[A-Za-z]{3}$/.test(code)) bad(code);
      const id = code.toUpperCase();
      const entry = data("curr", f.dataLocale)[id];
      return Array.isArray(entry) ? entry[0] : entry;
    }
    case "calendar": {
      if (!/^[A-Za-z0-9]{3,8}(?:-[A-Za-z0-9]{3,8})*$/.test(code)) bad(code);
      return data("names", f.dataLocale).c[code.toLowerCase()];
    }
    default: {
      if (!FIELDS.includes(code)) bad(code);
      const forms = data("names", f.dataLocale).f[code];
      if (!Array.isArray(forms)) return forms;
      return forms[Math.min(f.style === "long" ? 0 : f.style === "short" ? 1 : 2, forms.length - 1)];
    }
  }
}

function canonicalCode(type, code) {
  switch (type) {
    case "language": return canonicalizeTag(code);
    case "region": return code.toUpperCase();
    case "script": return code[0].toUpperCase() + code.slice(1).toLowerCase();
    case "currency": return code.toUpperCase();
    case "calendar": return code.toLowerCase();
    default: return code;
  }
}

methods(DisplayNames, {
  resolvedOptions() {
    const f = of(this);
    const out = { locale: f.locale, style: f.style, type: f.type, fallback: f.fallback };
    if (f.languageDisplay !== undefined) out.languageDisplay = f.languageDisplay;
    return out;
  },
  of(code) {
    const f = of(this);
    code = String(code);
    const name = nameOf(f, code);
    if (name != null) return name;
    return f.fallback === "none" ? undefined : canonicalCode(f.type, code);
  },
});
finishClass(DisplayNames, "DisplayNames", 2, statics);
