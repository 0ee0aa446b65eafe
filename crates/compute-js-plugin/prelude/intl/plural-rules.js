import { data } from "./util.js";

const ONE_OTHER = ["one", "other"];
const WITH_MANY = ["one", "many", "other"];
const OTHER = ["other"];

// Rules by language over i (integer digits), n (the number), v (count of shown
// fraction digits), e (compact exponent).
const oneInteger = (o) => (o.i === 1 && o.v === 0 ? "one" : "other");
const million = (o) => (o.e === 0 && o.i !== 0 && o.i % 1000000 === 0 && o.v === 0) || o.e < 0 || o.e > 5;

const CARDINAL = new Map([
  ["en", oneInteger], ["de", oneInteger], ["nl", oneInteger],
  ["it", (o) => (million(o) ? "many" : oneInteger(o))],
  ["pt-PT", (o) => (million(o) ? "many" : oneInteger(o))],
  ["es", (o) => (million(o) ? "many" : o.n === 1 ? "one" : "other")],
  ["fr", (o) => (million(o) ? "many" : o.i <= 1 ? "one" : "other")],
  ["pt", (o) => (million(o) ? "many" : o.i <= 1 ? "one" : "other")],
  ["hi", (o) => (o.i === 0 || o.n === 1 ? "one" : "other")],
  ["pl", (o) => {
    if (o.v !== 0) return "other";
    if (o.i === 1) return "one";
    const a = o.i % 10;
    const b = o.i % 100;
    return a >= 2 && a <= 4 && (b < 12 || b > 14) ? "few" : "many";
  }],
  ["ar", (o) => {
    if (o.n === 0) return "zero";
    if (o.n === 1) return "one";
    if (o.n === 2) return "two";
    const b = o.n % 100;
    return b >= 3 && b <= 10 && b % 1 === 0 ? "few" : b >= 11 && b % 1 === 0 ? "many" : "other";
  }],
]);

const ORDINAL = new Map([
  ["en", ({ n }) => {
    const a = n % 10;
    const b = n % 100;
    return a === 1 && b !== 11 ? "one" : a === 2 && b !== 12 ? "two" : a === 3 && b !== 13 ? "few" : "other";
  }],
  ["fr", ({ n }) => (n === 1 ? "one" : "other")],
  ["it", ({ n }) => (n === 8 || n === 11 || n === 80 || n === 800 ? "many" : "other")],
  ["hi", ({ n }) => (n === 1 ? "one" : n === 2 || n === 3 ? "two" : n === 4 ? "few" : n === 6 ? "many" : "other")],
]);

const CARDINAL_NAMES = new Map([
  ["en", ONE_OTHER], ["de", ONE_OTHER], ["nl", ONE_OTHER], ["hi", ONE_OTHER], ["it", WITH_MANY], ["pt-PT", WITH_MANY],
  ["es", WITH_MANY], ["fr", WITH_MANY], ["pt", WITH_MANY],
  ["pl", ["one", "few", "many", "other"]], ["ar", ["zero", "one", "two", "few", "many", "other"]],
]);
const ORDINAL_NAMES = new Map([
  ["en", ["one", "two", "few", "other"]], ["fr", ONE_OTHER], ["it", ["many", "other"]], ["hi", ["one", "two", "few", "many", "other"]],
]);

const languageOf = (locale) => (locale === "pt-PT" ? locale : locale.split("-")[0]);

// The category of a number with these shown digits; e is the exponent of a
// compact or scientific form.
export function pluralOf(locale, type, int, frac, e = 0) {
  const rule = (type === "ordinal" ? ORDINAL : CARDINAL).get(languageOf(locale));
  if (rule === undefined) return "other";
  const v = frac.length;
  // As ICU: i is made of the last eighteen digits, n is the nearest double.
  const i = Number(int.length > 18 ? int.slice(-18) : int);
  return rule({ i, n: v === 0 ? Number(int) : Number(int + "." + frac), v, e });
}

export function categoriesOf(locale, type) {
  return (type === "ordinal" ? ORDINAL_NAMES : CARDINAL_NAMES).get(languageOf(locale)) ?? OTHER;
}

// Ranges are given for the cardinal categories only.
export function rangeCategory(locale, type, start, end) {
  if (type === "ordinal") {
    const names = categoriesOf(locale, "cardinal");
    if (!names.includes(start) || !names.includes(end)) return "other";
  }
  const { ranges } = data("num", "root");
  const table = ranges[languageOf(locale)] ?? ranges[locale.split("-")[0]];
  return table?.[start + "-" + end] ?? end;
}
