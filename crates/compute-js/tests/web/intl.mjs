// Compares what Intl writes in the sandbox with what it writes here: `node intl.mjs COMPUTE`.

import { execFileSync } from "node:child_process";
import { stripTypeScriptTypes } from "node:module";
import { readFileSync } from "node:fs";

const compute = process.argv[2];
const folder = new URL("./", import.meta.url);
const source = stripTypeScriptTypes(readFileSync(new URL("intl.ts", folder), "utf8")).replace(/import .*\n/, "const op = (handler) => handler;\n");
const { default: here } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const LOCALES = ["en-US", "en-GB", "de", "de-CH", "fr", "fr-CA", "es", "es-MX", "pt-BR", "pt-PT", "it", "nl", "pl", "ja", "zh-CN", "zh-TW", "ko", "ar", "ar-EG", "hi"];
const ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"];
const DATES = [-1e12, 0, 1704423845678, 1793027229000];
const styles = ["full", "long", "medium", "short"];
const DATE_OPTIONS = [
  {},
  ...styles.map((dateStyle) => ({ dateStyle })),
  ...styles.map((timeStyle) => ({ timeStyle })),
  ...styles.flatMap((dateStyle) => styles.map((timeStyle) => ({ dateStyle, timeStyle }))),
  { year: "numeric", month: "long", day: "numeric" },
  { year: "numeric", month: "short", day: "numeric" },
  { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  { weekday: "short", month: "short", day: "numeric" },
  { year: "2-digit", month: "2-digit", day: "2-digit" },
  { year: "numeric", month: "2-digit" },
  { month: "long" },
  { weekday: "short" },
  { hour: "numeric", minute: "2-digit" },
  { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false },
  { hour: "numeric", hour12: true },
  { hour: "numeric", minute: "2-digit", timeZoneName: "short" },
  { timeZoneName: "long" },
  { hour: "numeric", timeZoneName: "longOffset" },
  { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" },
  { minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 },
  { era: "short", year: "numeric" },
];
const NUMBER_OPTIONS = [
  {},
  { style: "percent", maximumFractionDigits: 1 },
  ...["USD", "EUR", "JPY", "INR"].map((currency) => ({ style: "currency", currency })),
  { style: "currency", currency: "USD", currencyDisplay: "name" },
  { style: "currency", currency: "EUR", currencySign: "accounting" },
  { notation: "compact" },
  { notation: "compact", compactDisplay: "long" },
  { notation: "scientific" },
  { style: "unit", unit: "kilometer-per-hour" },
  { style: "unit", unit: "liter", unitDisplay: "long" },
  { style: "unit", unit: "megabyte", unitDisplay: "narrow" },
  { minimumFractionDigits: 2 },
  { maximumSignificantDigits: 3 },
  { useGrouping: false, signDisplay: "always" },
];
const NUMBERS = [0, -1, 1, 2, 1234.5, -1234567.891, 0.000123, 1e21, 12, 999999];
const WORDS = ["Zebra", "apple", "Äpfel", "résumé", "resume", "Résumé", "ñandú", "nandu", "łódź", "lodz", "日本", "中国", "あい", "アイ", "가나", "한글", "كتاب", "कमल", "a10", "a2", "_x", "-y", "", "ß", "ss", "é", "E"];

const TEXTS = ["Hello, world! It's 3.14 o'clock. Is it?", "Dr. Who said: “No.” Then left…\nNew line", "👨‍👩‍👧 🇩🇪 e\u0301 नमस्ते", "مرحبا بك. كيف حالك؟", "안녕하세요 세계"];

const cases = [];
for (const locale of LOCALES) {
  for (const options of DATE_OPTIONS)
    for (const timeZone of ZONES)
      for (const date of DATES) cases.push(["date", locale, { ...options, timeZone }, date]);
  for (const options of DATE_OPTIONS) {
    const given = { ...options, timeZone: "Europe/Berlin" };
    cases.push(["date parts", locale, given, DATES[2]], ["date options", locale, given, 0], ["date text", locale, given, DATES[3]]);
    for (const range of [[DATES[2], DATES[2] + 36e5], [DATES[2], DATES[3]]]) cases.push(["date range", locale, given, range]);
  }
  for (const options of NUMBER_OPTIONS) {
    for (const number of NUMBERS) cases.push(["number", locale, options, number]);
    cases.push(["number parts", locale, options, -1234.5], ["number range", locale, options, [3, 5]], ["number text", locale, options, 0.5]);
  }
  for (const type of ["cardinal", "ordinal"]) for (const number of [0, 1, 2, 3, 5, 11, 21, 1.5]) cases.push(["plural", locale, { type }, number]);
  for (const unit of ["second", "minute", "hour", "day", "week", "month", "quarter", "year"])
    for (const numeric of ["always", "auto"]) for (const count of [-2, -1, 0, 1, 5]) cases.push(["relative", locale, { numeric }, [count, unit]]);
  for (const type of ["conjunction", "disjunction", "unit"]) for (const count of [1, 2, 3]) cases.push(["list", locale, { type }, ["a", "b", "c"].slice(0, count)]);
  for (const [type, codes] of [["language", ["de", "zh-Hant"]], ["region", ["US", "DE"]], ["currency", ["USD", "JPY"]]]) for (const code of codes) cases.push(["name", locale, { type }, code]);
  for (const options of [{}, { numeric: true }, { sensitivity: "base" }, { caseFirst: "upper" }]) cases.push(["order", locale, options, WORDS]);
  for (const granularity of ["grapheme", "word", "sentence"]) for (const value of TEXTS) cases.push(["segments", locale, { granularity }, value]);
  for (const one of WORDS) for (const other of WORDS) cases.push(["compare", locale, {}, [one, other]]);
}

const limits = ["--input", "-", "--wall", "300s", "--memory", "512MiB"];
const [counts, shown] = [new Map(), []];
for (let at = 0; at < cases.length; at += 4000) {
  const some = cases.slice(at, at + 4000);
  const expected = here({ input: some });
  const given = JSON.parse(execFileSync(compute, ["run", "intl.ts", ...limits], { cwd: folder, input: JSON.stringify(some), encoding: "utf8", maxBuffer: 1 << 28, stdio: ["pipe", "pipe", "inherit"] }));
  for (const [index, one] of some.entries()) {
    const count = counts.get(one[0]) ?? [0, 0];
    counts.set(one[0], [count[0] + (given[index] === expected[index]), count[1] + 1]);
    if (given[index] !== expected[index]) shown.push(`${JSON.stringify(one)}\n  Node.js  ${expected[index]}\n  sandbox  ${given[index]}`);
  }
}
console.log(shown.slice(0, 40).join("\n"));
let [same, all] = [0, 0];
for (const [kind, [right, count]] of counts) {
  console.log(`${kind}: ${right} of ${count}`);
  [same, all] = [same + right, all + count];
}
console.log(`Intl: ${same} of ${all} as in Node.js, ${((100 * same) / all).toFixed(2)} %`);
process.exit(same / all >= 0.99 ? 0 : 1);
