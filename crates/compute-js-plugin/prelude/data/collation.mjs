// How texts are sorted, asked of Node.js's Intl.Collator (ICU) letter by letter: tables for src/collate.h.

const text = String.fromCodePoint;
const collator = (locale, sensitivity = "variant") => new Intl.Collator(locale, { sensitivity });
const isUpper = (c) => text(c).toLowerCase() !== text(c);

// Those with an order of their own; English has that of all others.
export const LOCALES = ["en", "es", "pl", "ja", "zh", "ko", "ar", "hi"];
// Those that sort Han by how it is read, or written.
const SORTS_HAN = ["ja", "zh"];

// Han: the block of most, and the rarer ones behind it.
const HAN = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
];
const isHan = (c) => HAN.some(([first, last]) => c >= first && c <= last);
const HAN_LETTERS = HAN.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => first + index));
// Beyond the basic plane: letters of mathematics, and pictures.
const FURTHER = [
  [0x1d400, 0x1d7ff],
  [0x1f000, 0x1fbff],
];

const root = { variant: collator("en"), accent: collator("en", "accent"), base: collator("en", "base") };
const differs = (sensitivity, one, other) => root[sensitivity].compare(one, other) !== 0;

// ---- What there is: letters, marks, and what counts for nothing ----

const all = [];
for (let c = 0; c < 0x20000; c++) {
  if (c >= 0x10000 && !FURTHER.some(([first, last]) => c >= first && c <= last)) continue;
  const isOther = (c >= 0xd800 && c <= 0xf8ff) || (c >= 0xac00 && c <= 0xd7a3) || isHan(c);
  if (isOther || !/\p{Assigned}/u.test(text(c)) || text(c).normalize("NFD") !== text(c)) continue;
  all.push(c);
}
const ignorable = new Set(all.filter((c) => !differs("base", `a${text(c)}`, "a") && !differs("base", `${text(c)}a`, "a")));
const marks = [...ignorable].filter((c) => differs("variant", `a${text(c)}`, "a"));
const letters = all.filter((c) => !ignorable.has(c));

// Code point -> its weights.
const weights = new Map();
// Code point -> what it sorts as.
const expansions = new Map();

marks.sort((x, y) => root.variant.compare(`a${text(x)}`, `a${text(y)}`) || x - y);
marks.reduce(
  ({ mark, secondary, tertiary }, next) => {
    if (mark === undefined || differs("accent", `a${text(mark)}`, `a${text(next)}`)) [secondary, tertiary] = [secondary + 1, 0];
    else if (differs("variant", `a${text(mark)}`, `a${text(next)}`)) tertiary++;
    weights.set(next, { primary: 0, secondary, tertiary });
    return { mark: next, secondary, tertiary };
  },
  { mark: undefined, secondary: 0, tertiary: 0 },
);

// ---- Letters that sort as several ----

const ascii = [..."abcdefghijklmnopqrstuvwxyz"];
for (const c of letters) {
  const parts = text(c).normalize("NFKD").normalize("NFD");
  if ([...parts].length > 1 && !differs("base", text(c), parts)) expansions.set(c, parts);
  if (expansions.has(c) || c < 0x80 || !/\p{L}|\p{So}/u.test(text(c))) continue;
  for (const one of ascii) {
    if (root.base.compare(text(c), one) <= 0) break;
    for (const other of ascii) if (!differs("base", text(c), one + other)) expansions.set(c, one + other);
  }
}

// ---- The others, by their primary weight ----

const single = letters.filter((c) => !expansions.has(c));
single.sort((x, y) => root.variant.compare(text(x), text(y)) || x - y);
const groups = [];
for (const c of single) {
  const last = groups.at(-1);
  if (last && !differs("base", text(last[0]), text(c))) last.push(c);
  else groups.push([c]);
}
for (const [index, group] of groups.entries()) {
  const first = text(group[0]);
  let before, secondary = 0, tertiary = 0;
  for (const c of group) {
    // One with a mark that is part of it: ø.
    const mark = c > 0x7f && differs("accent", first, text(c)) ? marks.find((mark) => !differs("accent", first + text(mark), text(c))) : undefined;
    if (mark !== undefined) {
      expansions.set(c, first + text(mark));
      continue;
    }
    if (before !== undefined && differs("accent", text(before), text(c))) [secondary, tertiary] = [secondary + 1, 0];
    else if (before !== undefined && differs("variant", text(before), text(c))) tertiary++;
    weights.set(c, { primary: index + 1, secondary, tertiary });
    before = c;
  }
}

// ---- The order of one language ----

const FIRST_HAN = groups.length + 1;

function orderOf(locale) {
  const own = { variant: collator(locale), base: collator(locale, "base") };
  const items = groups.map(([c], index) => ({ id: index + 1, text: text(c), count: 1 }));
  if (SORTS_HAN.includes(locale)) {
    for (const [index, c] of HAN_LETTERS.entries()) if (/\p{Assigned}/u.test(text(c))) items.push({ id: FIRST_HAN + index, text: text(c), count: 1 });
  } else {
    // All together, by their numbers: Korean has each beside how it is read, which is left out, so they are behind all that is read.
    items.push({ id: FIRST_HAN, text: locale === "ko" ? "\ud7a3\uffff" : text(HAN[0][0]), count: HAN_LETTERS.length });
  }

  // Letters with marks that are letters of their own here.
  const composites = [];
  const isOwn = (c, base) => own.base.compare(text(c), base) !== 0;
  for (let c = 0xc0; c < 0x2000; c++) {
    const [base, mark, ...more] = text(c).normalize("NFD");
    if (mark !== undefined && more.length === 0 && isOwn(c, base)) composites.push({ c, base: base.codePointAt(0), mark: mark.codePointAt(0) });
  }
  for (const [c, to] of expansions) {
    const [base, mark, ...more] = to;
    const isMarked = mark !== undefined && more.length === 0 && ignorable.has(mark.codePointAt(0));
    if (isMarked && isOwn(c, base)) composites.push({ c, base: c, mark: 0 });
  }
  composites.sort((x, y) => own.variant.compare(text(x.c), text(y.c)));
  let number = 0, before;
  for (const one of composites) {
    const isSame = before !== undefined && own.base.compare(text(before.c), text(one.c)) === 0;
    one.number = isSame ? number : ++number;
    one.tertiary = isSame ? before.tertiary + 1 : 0;
    if (!isSame) items.push({ id: -one.number, text: text(one.c), count: 1 });
    before = one;
  }

  items.sort((x, y) => own.base.compare(x.text, y.text) || x.id - y.id);
  const runs = [];
  for (const { id, count } of items) {
    const last = runs.at(-1);
    if (last && id > 0 && last.id > 0 && last.id + last.count === id) last.count += count;
    else runs.push({ id, count });
  }
  return { runs, composites };
}

// ---- Packed ----

class Packed {
  #bytes = [];
  byte(value) {
    this.#bytes.push(value);
  }
  // Seven bits a byte, the lowest first.
  number(value) {
    for (; value >= 128; value = Math.floor(value / 128)) this.byte((value % 128) | 128);
    this.byte(value);
  }
  signed(value) {
    this.number(value < 0 ? -2 * value - 1 : 2 * value);
  }
  done() {
    return Uint8Array.from(this.#bytes);
  }
}

const UPPER = 128, JOINED = 64;

export function packRoot() {
  const packed = new Packed();
  const shifted = new Intl.Collator("en", { ignorePunctuation: true });
  const punctuation = groups.findLastIndex(([c]) => shifted.compare(text(c), "") === 0) + 1;
  packed.number(groups.length);
  packed.number(punctuation);
  for (const digit of "01") packed.number(weights.get(digit.codePointAt(0)).primary);

  const weighed = [...weights].sort(([x], [y]) => x - y);
  packed.number(weighed.length);
  let before = 0, last = 0;
  for (const [c, { primary, secondary, tertiary }] of weighed) {
    packed.number(c - before);
    packed.signed(primary - last);
    packed.byte(secondary);
    packed.byte(tertiary | (isUpper(c) ? UPPER : 0));
    [before, last] = [c, primary];
  }

  const expanded = [...expansions].sort(([x], [y]) => x - y);
  packed.number(expanded.length);
  before = 0;
  for (const [c, to] of expanded) {
    packed.number(c - before);
    packed.byte([...to].length | (differs("accent", text(c), to) ? JOINED : 0) | (isUpper(c) ? UPPER : 0));
    for (const letter of to) packed.number(letter.codePointAt(0));
    before = c;
  }

  const runs = [];
  for (const c of ignorable) {
    if (weights.has(c)) continue;
    const run = runs.at(-1);
    if (run && run[0] + run[1] === c) run[1]++;
    else runs.push([c, 1]);
  }
  packed.number(runs.length);
  before = 0;
  for (const [first, count] of runs) {
    packed.number(first - before);
    packed.number(count);
    before = first;
  }
  return packed.done();
}

export function packLocale(locale) {
  const packed = new Packed();
  const { runs, composites } = orderOf(locale);
  packed.number(composites.length);
  for (const { c, base, mark, number, tertiary } of composites) {
    for (const part of [base, mark, number]) packed.number(part);
    packed.byte(tertiary | (isUpper(c) ? UPPER : 0));
  }
  packed.number(runs.length);
  let end = 0;
  for (const { id, count } of runs) {
    // A letter of its own is a run of none.
    packed.number(id < 0 ? 0 : count);
    if (id < 0) {
      packed.number(-id);
      continue;
    }
    packed.signed(id - end);
    end = id + count;
  }
  return packed.done();
}
