import { graphemeSegments, countGraphemes } from "unicode-segmenter/grapheme";
import { load } from "./data.js";
import {
  canonicalizeLocaleList, resolveLocale, getOptionsObject, getOption, getMatcher, supportedLocales,
} from "./locale.js";

// ---- Properties ------------------------------------------------------------

// The class of each code point out of a coded table (see generate.mjs). The
// table is decoded at the first look-up, then read by pages of 128.
class Classes {
  #name;
  #starts = null;
  #values = null;
  #pages = [];

  constructor(name) {
    this.#name = name;
  }

  #decode() {
    const text = load("seg", this.#name);
    const starts = [0];
    const values = [0];
    let at = 0;
    let gap = 0;
    let number = 0;
    let length = -1;
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c === 44) {
        gap = number;
        number = 0;
        length = 0;
      } else if (c > 64 && c < 91) {
        if (length < 0) {
          gap = number;
          number = 1;
        }
        if (gap > 0) at += gap;
        else starts.pop(), values.pop();
        starts.push(at, at += number);
        values.push(c - 64, 0);
        gap = number = 0;
        length = -1;
      } else {
        number = number * 36 + (c < 58 ? c - 48 : c - 87);
      }
    }
    this.#starts = starts;
    this.#values = values;
  }

  page(number) {
    if (this.#starts === null) this.#decode();
    const starts = this.#starts;
    const values = this.#values;
    const base = number << 7;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= base) low = middle;
      else high = middle - 1;
    }
    const page = new Uint8Array(128);
    for (let i = 0; i < 128; i++) {
      while (low + 1 < starts.length && starts[low + 1] <= base + i) low++;
      page[i] = values[low];
    }
    this.#pages[number] = page;
    return page;
  }

  of(point) {
    return (this.#pages[point >> 7] ?? this.page(point >> 7))[point & 127];
  }

  before(text, i) {
    let unit = text.charCodeAt(i - 1);
    if ((unit & 0xfc00) === 0xdc00 && i > 1 && (text.charCodeAt(i - 2) & 0xfc00) === 0xd800) unit = text.codePointAt(i - 2);
    return this.of(unit);
  }
}

const words = new Classes("word");
const sentences = new Classes("sentence");

const insidePair = (text, i) => i > 0 && i < text.length
  && (text.charCodeAt(i) & 0xfc00) === 0xdc00 && (text.charCodeAt(i - 1) & 0xfc00) === 0xd800;

// ---- Words (UAX #29, WB) ---------------------------------------------------

const CR = 1, LF = 2, NEWLINE = 3, EXTEND = 4, ZWJ = 5, RI = 6, KATAKANA = 7, HEBREW = 8, ALETTER = 9;
const SINGLE_QUOTE = 10, DOUBLE_QUOTE = 11, MID_NUM_LET = 12, MID_LETTER = 13, MID_NUM = 14, NUMERIC = 15;
const EXTEND_NUM_LET = 16, SPACE = 17, PICTOGRAPH = 18, IDEOGRAPH = 19, HIRAGANA = 20, HANGUL = 21, ITERATION = 22, LETTER_PICTOGRAPH = 23;

const PROLONGED = 0x30fc;

// Properties of the word classes: is a letter of WB5, makes a segment a word,
// never joins with anything but what is said below.
const LETTER = 1, WORD = 2, ALONE = 4;
const TRAITS = new Uint8Array(24);
for (const k of [HEBREW, ALETTER, LETTER_PICTOGRAPH]) TRAITS[k] |= LETTER;
for (const k of [KATAKANA, HEBREW, ALETTER, NUMERIC, IDEOGRAPH, HIRAGANA, HANGUL, LETTER_PICTOGRAPH]) TRAITS[k] |= WORD;
for (const k of [0, CR, LF, NEWLINE, SPACE]) TRAITS[k] |= ALONE;

// The class of the next code point at i which is neither Extend, Format nor ZWJ.
function wordClassAfter(text, i) {
  while (i < text.length) {
    const point = text.codePointAt(i);
    const k = words.of(point);
    if (k !== EXTEND && k !== ZWJ) return k;
    i += point > 0xffff ? 2 : 1;
  }
  return 0;
}

// Without a dictionary, an ideograph is a word of its own; but a run of at most
// four which hiragana follows is one word (Japanese). Hiragana in a row are one
// word but for particles: "wo" anywhere, and a first one after other writing.
const RUN = 4;
const WO = 0x3092;
const PARTICLES = "\u304c\u3067\u3068\u306b\u306e\u306f\u3078\u3082";

// The end of the ideographs joined with the one before i.
function runAfter(text, i) {
  let end = i;
  for (let n = 1; end < text.length; n++) {
    const point = text.codePointAt(end);
    const k = words.of(point);
    if (k === HIRAGANA) return end;
    if ((k !== IDEOGRAPH && k !== ITERATION) || n === RUN) return i;
    end += point > 0xffff ? 2 : 1;
  }
  return i;
}

function isParticle(text, i, point, size) {
  if (point === WO) return true;
  if (point > WO || !PARTICLES.includes(text[i]) || i === 0) return false;
  const k = words.before(text, i);
  if (k !== IDEOGRAPH && k !== ITERATION && k !== KATAKANA) return false;
  // "desu", "deshita"
  const next = text.charCodeAt(i + size);
  return point !== 0x3067 || (next !== 0x3059 && next !== 0x3057);
}

// The end of the word segment which starts at i, doubled, plus 1 for a word.
function nextWord(text, i) {
  const { length } = text;
  let point = text.codePointAt(i);
  let last = words.of(point);
  const particle = last === HIRAGANA && isParticle(text, i, point, 1);
  i += point > 0xffff ? 2 : 1;
  if (last === IDEOGRAPH) i = runAfter(text, i);
  if (last <= NEWLINE && last >= CR) {
    if (last === CR && i < length && text.charCodeAt(i) === 10) i++;
    return i * 2;
  }
  let isWord = (TRAITS[last] & WORD) >> 1;
  let joiner = last === ZWJ;
  let direct = true;
  let oddFlag = last === RI;
  // A MidLetter or MidNum joined with what came before it: the class there.
  let held = 0;
  for (; i < length; i += point > 0xffff ? 2 : 1) {
    point = text.codePointAt(i);
    const k = words.of(point);
    if (k === EXTEND || k === ZWJ) {
      joiner = k === ZWJ;
      direct = false;
      continue;
    }
    const size = point > 0xffff ? 2 : 1;
    let join = false;
    const wasHeld = held;
    held = 0;
    if (wasHeld !== 0) {
      join = true;
    } else if (joiner && (k === PICTOGRAPH || k === LETTER_PICTOGRAPH)) {
      join = true;
    } else {
      switch (last) {
        case SPACE:
          join = k === SPACE && direct;
          break;
        case RI:
          join = k === RI && oddFlag;
          oddFlag = false;
          break;
        case HEBREW:
        case ALETTER:
        case LETTER_PICTOGRAPH:
          if ((TRAITS[k] & LETTER) !== 0 || k === NUMERIC || k === EXTEND_NUM_LET) join = true;
          else if (k === MID_LETTER || k === MID_NUM_LET || k === SINGLE_QUOTE) {
            if ((TRAITS[wordClassAfter(text, i + size)] & LETTER) !== 0) {
              join = true;
              held = last;
            } else join = k === SINGLE_QUOTE && last === HEBREW;
          } else if (k === DOUBLE_QUOTE && last === HEBREW && wordClassAfter(text, i + size) === HEBREW) {
            join = true;
            held = last;
          }
          break;
        case NUMERIC:
          if ((TRAITS[k] & LETTER) !== 0 || k === NUMERIC || k === EXTEND_NUM_LET) join = true;
          else if ((k === MID_NUM || k === MID_NUM_LET || k === SINGLE_QUOTE) && wordClassAfter(text, i + size) === NUMERIC) {
            join = true;
            held = last;
          }
          break;
        case KATAKANA:
          join = k === KATAKANA || k === EXTEND_NUM_LET;
          break;
        case EXTEND_NUM_LET:
          join = (TRAITS[k] & LETTER) !== 0 || k === NUMERIC || k === KATAKANA || k === EXTEND_NUM_LET;
          if (k === EXTEND_NUM_LET) isWord = 1;
          break;
        case HIRAGANA:
          join = !particle && ((k === HIRAGANA && point !== WO) || point === PROLONGED);
          break;
        case IDEOGRAPH:
          join = k === ITERATION;
          break;
        case HANGUL:
          join = k === HANGUL && direct;
          break;
      }
    }
    if (!join) break;
    if (k === PICTOGRAPH) isWord = 0;
    else isWord |= (TRAITS[k] & WORD) >> 1;
    if (!(last === HIRAGANA && point === PROLONGED)) last = k;
    joiner = false;
    direct = true;
  }
  // As in ICU: no word when one of these with marks is the last.
  if (!direct && (last === HANGUL || last === EXTEND_NUM_LET || last === SINGLE_QUOTE)) isWord = 0;
  return i * 2 + isWord;
}

// True when i is a boundary whatever comes before and after its neighbours.
function sureWord(text, i) {
  if (insidePair(text, i)) return false;
  const a = words.before(text, i);
  const b = words.of(text.codePointAt(i));
  if (a === EXTEND || a === ZWJ || b === EXTEND || b === ZWJ) return false;
  if ((TRAITS[a] & ALONE) !== 0 || (TRAITS[b] & ALONE) !== 0) return !(a === b && a === SPACE) && !(a === CR && b === LF);
  return (a === IDEOGRAPH || a === ITERATION) !== (b === IDEOGRAPH || b === ITERATION);
}

// ---- Sentences (UAX #29, SB) -----------------------------------------------

const SEP = 3, SP = 5, LOWER = 6, UPPER = 7, OLETTER = 8, SNUMERIC = 9, ATERM = 10, SCONTINUE = 11, STERM = 12, CLOSE = 13;

// SB8: the place of the Lower which the text at i leads to, or -1.
function lowerAfter(text, i) {
  while (i < text.length) {
    const point = text.codePointAt(i);
    const k = sentences.of(point);
    if (k === LOWER) return i;
    if (k === UPPER || k === OLETTER || k === ATERM || k === STERM || (k >= CR && k <= SEP)) return -1;
    i += point > 0xffff ? 2 : 1;
  }
  return -1;
}

function nextSentence(text, i) {
  const { length } = text;
  // 0: in the text, 1: after a terminator, 2: after Close, 3: after Sp.
  let state = 0;
  let full = false;
  let cased = false;
  let last = 0;
  while (i < length) {
    const point = text.codePointAt(i);
    const k = sentences.of(point);
    const next = i + (point > 0xffff ? 2 : 1);
    if (k === EXTEND) {
      i = next;
      continue;
    }
    if (k >= CR && k <= SEP) return (k === CR && next < length && text.charCodeAt(next) === 10 ? next + 1 : next) * 2;
    if (k === ATERM || k === STERM) {
      cased = state === 0 && (last === UPPER || last === LOWER);
      full = k === ATERM;
      state = 1;
    } else if (state !== 0) {
      if (k === SP) state = 3;
      else if (k === CLOSE && state < 3) state = 2;
      else if (k === SCONTINUE) state = 0;
      else if (!full || k === OLETTER) break;
      else if (k === LOWER) state = 0;
      else if (k === UPPER) {
        if (state !== 1 || !cased) break;
        state = 0;
      } else if (k === SNUMERIC && state === 1) state = 0;
      else {
        const lower = lowerAfter(text, next);
        if (lower < 0) break;
        state = 0;
        last = LOWER;
        i = lower + 1;
        if (insidePair(text, i)) i++;
        continue;
      }
    }
    last = k;
    i = next;
  }
  return i * 2;
}

function sureSentence(text, i) {
  if (insidePair(text, i)) return false;
  let a = sentences.before(text, i);
  if (a === SEP || a === LF) return true;
  if (a === CR) return text.charCodeAt(i) !== 10;
  if (a !== SP) return false;
  const b = sentences.of(text.codePointAt(i));
  if (b !== UPPER && b !== OLETTER) return false;
  let j = i;
  while (j > 0 && a === SP) a = --j > 0 ? sentences.before(text, j) : 0;
  while (j > 0 && a === CLOSE) {
    j -= insidePair(text, j - 1) ? 2 : 1;
    a = j > 0 ? sentences.before(text, j) : 0;
  }
  return a === ATERM || a === STERM;
}

// ---- Graphemes -------------------------------------------------------------

const LIMIT = 512;

// A cluster's end, where limit is a boundary or -1.
function nextGrapheme(text, i, limit) {
  for (let size = 64; ; size *= 4) {
    let end = limit < 0 ? Math.min(i + size, text.length) : limit;
    if (insidePair(text, end)) end++;
    for (const { segment } of graphemeSegments(text.slice(i, end))) {
      if (segment.length < end - i || end === text.length || limit >= 0) return (i + segment.length) * 2;
      break;
    }
  }
}

function sureGrapheme(text, i) {
  if (insidePair(text, i)) return false;
  const b = text.charCodeAt(i);
  let a = text.charCodeAt(i - 1);
  // Below U+0300 only CR LF, U+00A9 and U+00AE may join with what is before.
  if (a < 0x300 && b < 0x300) return a !== 13 || b !== 10;
  a = insidePair(text, i - 1) ? text.slice(i - 2, i) : text[i - 1];
  // An Extend or ZWJ may carry what was before it.
  return countGraphemes(a + String.fromCodePoint(text.codePointAt(i))) === 2 && countGraphemes("a" + a) === 2;
}

// ---- Finding the segment at an index ---------------------------------------

const KINDS = {
  __proto__: null,
  grapheme: { next: nextGrapheme, sure: sureGrapheme },
  word: { next: nextWord, sure: sureWord },
  sentence: { next: nextSentence, sure: sureSentence },
};

// Long segments found, and where the text around an index has no sure boundary,
// marks: boundaries from the start on, with less than LIMIT units between two
// or one segment.
class Finder {
  #text;
  #kind;
  #long = new Map();
  #marks = null;
  #walk = null;

  constructor(text, kind) {
    this.#text = text;
    this.#kind = kind;
  }

  #next(from, limit) {
    const known = this.#long.get(from);
    if (known !== undefined) return known;
    const found = this.#kind.next(this.#text, from, limit);
    if ((found >> 1) - from >= LIMIT) this.#long.set(from, found);
    return found;
  }

  *#all() {
    const text = this.#text;
    if (this.#kind === KINDS.grapheme) {
      for (const { segment, index } of graphemeSegments(text)) yield [index, (index + segment.length) * 2];
    } else {
      for (let i = 0; i < text.length;) {
        const found = this.#kind.next(text, i, -1);
        yield [i, found];
        i = found >> 1;
      }
    }
  }

  #mark(index) {
    if (this.#marks === null) {
      this.#marks = [0];
      this.#walk = this.#all();
    }
    const marks = this.#marks;
    while (marks[marks.length - 1] <= index) {
      const { done, value } = this.#walk.next();
      if (done) {
        marks.push(this.#text.length);
        break;
      }
      const [start, found] = value;
      const end = found >> 1;
      if (end - marks[marks.length - 1] >= LIMIT) {
        if (start > marks[marks.length - 1]) marks.push(start);
        if (end - start >= LIMIT) {
          this.#long.set(start, found);
          marks.push(end);
        }
      }
    }
    let low = 0;
    let high = marks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (marks[middle] <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // [start, end doubled plus 1 for a word]
  find(index) {
    const { sure } = this.#kind;
    const least = Math.max(index - LIMIT, 0);
    let from = index;
    while (from > least && !sure(this.#text, from)) from--;
    let limit = -1;
    if (from > 0 && from === least && !sure(this.#text, from)) {
      const at = this.#mark(index);
      from = this.#marks[at];
      limit = this.#marks[at + 1];
    }
    for (;;) {
      const found = this.#next(from, limit);
      if (found >> 1 > index) return [from, found];
      from = found >> 1;
    }
  }
}

// ---- The classes -----------------------------------------------------------

const segmenters = new WeakMap();
const segmentsSlots = new WeakMap();
const iterators = new WeakMap();

function slotsOf(map, self, method) {
  const slots = typeof self === "object" && self !== null ? map.get(self) : undefined;
  if (slots === undefined) throw new TypeError("Method " + method + " called on incompatible receiver");
  return slots;
}

function segmentData(granularity, input, index, found) {
  const data = { segment: input.slice(index, found >> 1), index, input };
  if (granularity === "word") data.isWordLike = (found & 1) === 1;
  return data;
}

const hidden = (object, members) => {
  for (const key of Reflect.ownKeys(members)) {
    Object.defineProperty(object, key, { value: members[key], writable: true, enumerable: false, configurable: true });
  }
};

const SegmentsPrototype = {};
hidden(SegmentsPrototype, {
  containing(index) {
    const slots = slotsOf(segmentsSlots, this, "%SegmentsPrototype%.containing");
    const number = +index;
    const n = Number.isNaN(number) ? 0 : Math.trunc(number) + 0;
    const { text, granularity } = slots;
    if (n < 0 || n >= text.length) return undefined;
    slots.finder ??= new Finder(text, KINDS[granularity]);
    const [start, found] = slots.finder.find(n);
    return segmentData(granularity, text, start, found);
  },
  [Symbol.iterator]() {
    const { text, granularity } = slotsOf(segmentsSlots, this, "%SegmentsPrototype%[Symbol.iterator]");
    const iterator = Object.create(SegmentIteratorPrototype);
    iterators.set(iterator, {
      text, granularity, at: 0, clusters: granularity === "grapheme" ? graphemeSegments(text) : null,
    });
    return iterator;
  },
});

const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
const SegmentIteratorPrototype = Object.create(IteratorPrototype);
hidden(SegmentIteratorPrototype, {
  next() {
    const slots = slotsOf(iterators, this, "%SegmentIteratorPrototype%.next");
    const { text, granularity, at } = slots;
    if (at >= text.length) {
      slots.clusters = null;
      return { value: undefined, done: true };
    }
    let found;
    if (slots.clusters !== null) found = (at + slots.clusters.next().value.segment.length) * 2;
    else found = KINDS[granularity].next(text, at, -1);
    slots.at = found >> 1;
    return { value: segmentData(granularity, text, at, found), done: false };
  },
});
Object.defineProperty(SegmentIteratorPrototype, Symbol.toStringTag, { value: "Segmenter String Iterator", configurable: true });

export class Segmenter {
  constructor(locales = undefined, options = undefined) {
    const requested = canonicalizeLocaleList(locales);
    options = getOptionsObject(options);
    const localeMatcher = getMatcher(options);
    const { locale } = resolveLocale(requested, [], { localeMatcher });
    const granularity = getOption(options, "granularity", ["grapheme", "word", "sentence"], "grapheme");
    segmenters.set(this, { locale, granularity });
  }

  segment(string) {
    const { granularity } = slotsOf(segmenters, this, "Intl.Segmenter.prototype.segment");
    const text = `${string}`;
    const segments = Object.create(SegmentsPrototype);
    segmentsSlots.set(segments, { text, granularity, finder: null });
    return segments;
  }

  resolvedOptions() {
    const { locale, granularity } = slotsOf(segmenters, this, "Intl.Segmenter.prototype.resolvedOptions");
    return { locale, granularity };
  }

  static supportedLocalesOf(locales, options = undefined) {
    return supportedLocales(locales, options);
  }
}
Object.defineProperty(Segmenter.prototype, Symbol.toStringTag, { value: "Intl.Segmenter", configurable: true });
Object.defineProperty(Segmenter, "prototype", { writable: false });
