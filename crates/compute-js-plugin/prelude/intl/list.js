import { canonicalizeLocaleList, finishClass, getMatcher, getOption, getOptionsObject, resolveLocale, statics } from "./locale.js";
import { data, methods, receiver } from "./util.js";

const slots = new WeakMap();
const of = (self) => receiver(slots, self, "ListFormat");

export function ListFormat(locales, options) {
  if (new.target === undefined) throw new TypeError("Constructor Intl.ListFormat requires 'new'");
  const requested = canonicalizeLocaleList(locales);
  options = getOptionsObject(options);
  const r = resolveLocale(requested, [], { localeMatcher: getMatcher(options) });
  const type = getOption(options, "type", ["conjunction", "disjunction", "unit"], "conjunction");
  const style = getOption(options, "style", ["long", "short", "narrow"], "long");
  slots.set(this, { locale: r.locale, dataLocale: r.dataLocale, type, style });
}

function strings(list) {
  if (list === undefined) return [];
  const out = [];
  for (const item of list) {
    if (typeof item !== "string") throw new TypeError("Iterable yielded " + String(item) + " which is not a string");
    out.push(item);
  }
  return out;
}

// Spanish: "y" is "e" before an i sound, "o" is "u" before an o sound.
function spanish(pattern, next) {
  if (pattern === "{0} y {1}" && /^(?:i|hi(?![ae]))/i.test(next)) return "{0} e {1}";
  if (pattern === "{0} o {1}" && /^(?:ho|o|8|11(?: |$))/i.test(next)) return "{0} u {1}";
  return pattern;
}

// type, text, type, text, …
export function listParts(dataLocale, type, style, items) {
  const n = items.length;
  if (n === 0) return [];
  if (n === 1) return ["element", items[0]];
  const table = data("list", dataLocale);
  const patterns = (style === "long" ? undefined : table[type[0] + style[0]]) ?? table[type[0]];
  const es = dataLocale === "es" || dataLocale.startsWith("es-");
  const out = [];
  let tail = "";
  let literal = "";
  for (let i = 0; i + 1 < n; i++) {
    let pattern = patterns[n === 2 ? 0 : i === 0 ? 1 : i + 2 < n ? 2 : 3];
    if (es && i + 2 === n && typeof items[n - 1] === "string") pattern = spanish(pattern, items[n - 1]);
    const a = pattern.indexOf("{0}");
    const b = pattern.indexOf("{1}");
    literal += pattern.slice(0, a);
    if (literal !== "") out.push("literal", literal);
    out.push("element", items[i]);
    literal = pattern.slice(a + 3, b);
    tail = pattern.slice(b + 3) + tail;
  }
  if (literal !== "") out.push("literal", literal);
  out.push("element", items[n - 1]);
  if (tail !== "") out.push("literal", tail);
  return out;
}

methods(ListFormat, {
  resolvedOptions() {
    const f = of(this);
    return { locale: f.locale, type: f.type, style: f.style };
  },
  format(list) {
    const f = of(this);
    const parts = listParts(f.dataLocale, f.type, f.style, strings(list));
    let out = "";
    for (let i = 1; i < parts.length; i += 2) out += parts[i];
    return out;
  },
  formatToParts(list) {
    const f = of(this);
    const parts = listParts(f.dataLocale, f.type, f.style, strings(list));
    const out = [];
    for (let i = 0; i < parts.length; i += 2) out.push({ type: parts[i], value: parts[i + 1] });
    return out;
  },
});
finishClass(ListFormat, "ListFormat", 0, statics);
