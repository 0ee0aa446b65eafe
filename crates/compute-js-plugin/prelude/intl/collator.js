// Intl.Collator: the plugin compares (src/collate.h).

import { PRIMITIVES } from "../primitives.js";
import { canonicalizeLocaleList, coerceOptions, finishClass, getMatcher, getOption, resolveLocale, supportedLocales } from "./locale.js";

const { collate } = crypto[PRIMITIVES];

// The flags of collate.h.
const NUMERIC = 1, IGNORE_PUNCTUATION = 2, ACCENTS = 4, CASE = 8, FORMS = 16, UPPER_FIRST = 32, LOWER_FIRST = 64;
const SENSITIVITY = { base: 0, accent: ACCENTS, case: CASE, variant: ACCENTS | FORMS };
// Languages whose order is not that of all, which is the order of English.
const ALL = "en";
const OWN = ["es", "pl", "ja", "zh", "ko", "ar", "hi"];

class Implementation {
  #resolved;
  #language;
  #flags;
  #compare;

  constructor(locales, options) {
    const requested = canonicalizeLocaleList(locales);
    const given = coerceOptions(options);
    const usage = getOption(given, "usage", ["sort", "search"], "sort");
    getMatcher(given);
    getOption(given, "collation");
    const kn = given.numeric;
    const kf = getOption(given, "caseFirst", ["upper", "lower", "false"]);
    const resolved = resolveLocale(requested, ["co", "kn", "kf"], { kn: kn === undefined ? undefined : String(Boolean(kn)), kf });
    const sensitivity = getOption(given, "sensitivity", ["base", "accent", "case", "variant"], "variant");
    const ignorePunctuation = given.ignorePunctuation === undefined ? false : Boolean(given.ignorePunctuation);
    const numeric = resolved.kn === "true" || resolved.kn === "", caseFirst = resolved.kf || "false";
    this.#resolved = { locale: resolved.locale, usage, sensitivity, ignorePunctuation, collation: "default", numeric, caseFirst };
    const language = resolved.dataLocale.split("-")[0];
    this.#language = OWN.includes(language) ? language : ALL;
    this.#flags =
      SENSITIVITY[sensitivity] |
      (numeric ? NUMERIC : 0) |
      (ignorePunctuation ? IGNORE_PUNCTUATION : 0) |
      (caseFirst === "upper" ? UPPER_FIRST : caseFirst === "lower" ? LOWER_FIRST : 0);
  }

  get compare() {
    const language = this.#language, flags = this.#flags;
    this.#compare ??= ((one, other) => collate(language, flags, one, other));
    return this.#compare;
  }

  resolvedOptions() {
    return { ...this.#resolved };
  }

  static supportedLocalesOf(locales, options) {
    return supportedLocales(locales, options);
  }
}

// As the standard has it, `new` may be left out.
export function Collator(locales = undefined, options = undefined) {
  return Reflect.construct(Implementation, [locales, options], new.target ?? Collator);
}
Collator.prototype = Implementation.prototype;
finishClass(Collator, "Collator", 0, { supportedLocalesOf: Implementation.supportedLocalesOf });
Object.defineProperty(Collator.prototype, "constructor", { value: Collator, writable: true, configurable: true });

export function localeCompare(string, other, locales, options) {
  if (locales === undefined && options === undefined) return collate(ALL, ACCENTS | FORMS, string, other);
  return collatorFor(locales, options).compare(string, other);
}

// The last one made for a locale's name alone: sorting asks for it again and again.
let lastLocale, last;

function collatorFor(locales, options) {
  if (options !== undefined || typeof locales !== "string") return new Collator(locales, options);
  if (locales !== lastLocale) [last, lastLocale] = [new Collator(locales), locales];
  return last;
}
