// Intl (ECMA-402), and the functions of numbers, dates and texts that write as a language does: a script of its own, which
// libraries.js has loaded. It is for the languages of data/: others fall back as the standard says.

import { define } from "./globals.js";
import { Collator, localeCompare } from "./intl/collator.js";
import { DateTimeFormat, dateToLocale } from "./intl/datetime.js";
import { load } from "./intl/data.js";
import { DurationFormat } from "./intl/duration.js";
import { ListFormat } from "./intl/list.js";
import { CALENDARS, canonicalizeLocaleList, COLLATIONS, getCanonicalLocales, Locale, NUMBERING_SYSTEMS } from "./intl/locale.js";
import { DisplayNames } from "./intl/names.js";
import { NumberFormat, numberToLocale, SIMPLE_UNITS } from "./intl/numbers.js";
import { PluralRules } from "./intl/plurals.js";
import { RelativeTimeFormat } from "./intl/relative.js";
import { Segmenter } from "./intl/segmenter.js";
import { data } from "./intl/util.js";

function supportedValuesOf(key) {
  switch (String(key)) {
    case "calendar":
      return CALENDARS.slice();
    case "collation":
      return COLLATIONS.slice();
    case "currency":
      return data("num", "root").currencies.split(" ");
    case "numberingSystem":
      return NUMBERING_SYSTEMS.slice();
    case "timeZone":
      return Object.values(load("zones", "root")).flatMap((list) => list.split(" ")).sort();
    case "unit":
      return SIMPLE_UNITS.slice();
    default:
      throw new RangeError(`Invalid key : ${key}`);
  }
}

const Intl = {};
Object.defineProperty(Intl, Symbol.toStringTag, { value: "Intl", configurable: true });
define(Intl, {
  getCanonicalLocales,
  supportedValuesOf,
  Collator,
  DateTimeFormat,
  DisplayNames,
  DurationFormat,
  ListFormat,
  Locale,
  NumberFormat,
  PluralRules,
  RelativeTimeFormat,
  Segmenter,
});
define(globalThis, { Intl });

// Case by language: the dotless i of Turkish and Azerbaijani, the dots of Lithuanian.
function caseLanguage(locales) {
  return canonicalizeLocaleList(locales)[0]?.split("-")[0] ?? "";
}

const ABOVE = "[\\u0300-\\u0314\\u033d-\\u0344\\u0346\\u034a-\\u034c\\u0350-\\u0352\\u0357\\u035b\\u0363-\\u036f]";

function upperCase(text, locales) {
  const language = caseLanguage(locales);
  if (language === "tr" || language === "az") return text.replaceAll("i", "İ").toUpperCase();
  if (language === "lt") return text.replace(/([ijį][\u0316-\u033c]*)\u0307/g, "$1").toUpperCase();
  return text.toUpperCase();
}

function lowerCase(text, locales) {
  const language = caseLanguage(locales);
  if (language === "tr" || language === "az") return text.replace(/I\u0307/g, "i").replaceAll("I", "ı").replaceAll("İ", "i").toLowerCase();
  if (language !== "lt") return text.toLowerCase();
  const dotted = text.replace(new RegExp(`[IJĮ](?=${ABOVE})`, "g"), (letter) => `${letter.toLowerCase()}\u0307`);
  return dotted.replaceAll("Ì", "i\u0307\u0300").replaceAll("Í", "i\u0307\u0301").replaceAll("Ĩ", "i\u0307\u0303").toLowerCase();
}

const valueOfNumber = Number.prototype.valueOf, valueOfBigInt = BigInt.prototype.valueOf;

function textOf(self, method) {
  if (self === undefined || self === null) throw new TypeError(`String.prototype.${method} called on null or undefined`);
  return String(self);
}

// As methods, so that they are no constructors; all have no parameter that must be there but localeCompare.
define(Number.prototype, {
  toLocaleString: {
    toLocaleString(...given) {
      return numberToLocale(valueOfNumber.call(this), ...given);
    },
  }.toLocaleString,
});
define(BigInt.prototype, {
  toLocaleString: {
    toLocaleString(...given) {
      return numberToLocale(valueOfBigInt.call(this), ...given);
    },
  }.toLocaleString,
});
const { toLocaleString, toLocaleDateString, toLocaleTimeString } = {
  toLocaleString(...[locales, options]) {
    return dateToLocale(this, locales, options, "any", "all");
  },
  toLocaleDateString(...[locales, options]) {
    return dateToLocale(this, locales, options, "date", "date");
  },
  toLocaleTimeString(...[locales, options]) {
    return dateToLocale(this, locales, options, "time", "time");
  },
};
define(Date.prototype, { toLocaleString, toLocaleDateString, toLocaleTimeString });
// Each element's own, with a comma between.
function listToLocale(list, locales, options) {
  const texts = [];
  for (let index = 0; index < list.length; index++) {
    const one = list[index];
    texts.push(one === undefined || one === null ? "" : String(one.toLocaleString(locales, options)));
  }
  return texts.join(",");
}
const open = [];
const lists = {
  toLocaleString(...[locales, options]) {
    const list = Object(this);
    // One that is in itself is nothing there.
    if (open.includes(list)) return "";
    open.push(list);
    try {
      return listToLocale(list, locales, options);
    } finally {
      open.pop();
    }
  },
};
define(Array.prototype, lists);
define(Object.getPrototypeOf(Uint8Array.prototype), lists);
const texts = {
  localeCompare(other, ...[locales, options]) {
    return localeCompare(textOf(this, "localeCompare"), String(other), locales, options);
  },
  toLocaleUpperCase(...[locales]) {
    return upperCase(textOf(this, "toLocaleUpperCase"), locales);
  },
  toLocaleLowerCase(...[locales]) {
    return lowerCase(textOf(this, "toLocaleLowerCase"), locales);
  },
};
define(String.prototype, texts);
