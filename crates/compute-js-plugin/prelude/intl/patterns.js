// Skeletons, patterns and their matching (UTS 35, "Matching Skeletons").

export const ERA = 0, YEAR = 1, QUARTER = 2, MONTH = 3, WEEK = 4, WEEK_OF_MONTH = 5, WEEKDAY = 6, DAY_OF_YEAR = 7,
  WEEKDAY_IN_MONTH = 8, DAY = 9, DAY_PERIOD = 10, HOUR = 11, MINUTE = 12, SECOND = 13, FRACTION = 14, ZONE = 15;
const FIELDS = 16;
const DATE_MASK = (1 << DAY_PERIOD) - 1;
const TIME_MASK = (1 << FIELDS) - 1 - DATE_MASK;

// A field's type: text widths are negative, numbers positive and counted by length.
const NARROW = -0x101, SHORTER = -0x102, SHORT = -0x103, LONG = -0x104, NUMERIC = 0x100, DELTA = 0x10;
const text = (delta) => [[1, SHORT - delta], [4, LONG - delta], [5, NARROW - delta]];
const digits = (delta) => [[1, NUMERIC + delta]];

// letter -> [field, [[least length, type]...]]
const LETTERS = new Map(Object.entries({
  G: [ERA, text(0)],
  y: [YEAR, digits(0)],
  Y: [YEAR, digits(DELTA)],
  u: [YEAR, digits(2 * DELTA)],
  r: [YEAR, digits(3 * DELTA)],
  U: [YEAR, text(0)],
  Q: [QUARTER, [[1, NUMERIC], [3, SHORT], [4, LONG], [5, NARROW]]],
  q: [QUARTER, [[1, NUMERIC + DELTA], [3, SHORT - DELTA], [4, LONG - DELTA], [5, NARROW - DELTA]]],
  M: [MONTH, [[1, NUMERIC], [3, SHORT], [4, LONG], [5, NARROW]]],
  L: [MONTH, [[1, NUMERIC + DELTA], [3, SHORT - DELTA], [4, LONG - DELTA], [5, NARROW - DELTA]]],
  w: [WEEK, digits(0)],
  W: [WEEK_OF_MONTH, digits(0)],
  E: [WEEKDAY, [...text(0), [6, SHORTER]]],
  c: [WEEKDAY, [[1, NUMERIC + 2 * DELTA], [3, SHORT - 2 * DELTA], [4, LONG - 2 * DELTA], [5, NARROW - 2 * DELTA], [6, SHORTER - 2 * DELTA]]],
  e: [WEEKDAY, [[1, NUMERIC + DELTA], [3, SHORT - DELTA], [4, LONG - DELTA], [5, NARROW - DELTA], [6, SHORTER - DELTA]]],
  d: [DAY, digits(0)],
  g: [DAY, digits(DELTA)],
  D: [DAY_OF_YEAR, digits(0)],
  F: [WEEKDAY_IN_MONTH, digits(0)],
  a: [DAY_PERIOD, text(0)],
  b: [DAY_PERIOD, text(DELTA)],
  B: [DAY_PERIOD, text(3 * DELTA)],
  H: [HOUR, digits(10 * DELTA)],
  k: [HOUR, digits(11 * DELTA)],
  h: [HOUR, digits(0)],
  K: [HOUR, digits(DELTA)],
  m: [MINUTE, digits(0)],
  s: [SECOND, digits(0)],
  A: [SECOND, digits(DELTA)],
  S: [FRACTION, digits(0)],
  v: [ZONE, [[1, SHORT - 2 * DELTA], [4, LONG - 2 * DELTA]]],
  z: [ZONE, [[1, SHORT], [4, LONG]]],
  Z: [ZONE, [[1, NARROW - DELTA], [4, LONG - DELTA], [5, SHORT - DELTA]]],
  O: [ZONE, [[1, SHORT - DELTA], [4, LONG - DELTA]]],
  V: [ZONE, [[1, SHORT - DELTA], [2, LONG - DELTA], [3, LONG - 1 - DELTA], [4, LONG - 2 - DELTA]]],
  X: [ZONE, [[1, NARROW - DELTA], [2, SHORT - DELTA], [4, LONG - DELTA]]],
  x: [ZONE, [[1, NARROW - DELTA], [2, SHORT - DELTA], [4, LONG - DELTA]]],
}));

export const fieldOf = (letter) => LETTERS.get(letter)?.[0];

// The row [least length, type] of a run of one letter.
function row(letter, length) {
  const rows = LETTERS.get(letter)[1];
  let best = rows[0];
  for (let i = 1; i < rows.length && rows[i][0] <= length; i++) best = rows[i];
  return best;
}

const TOKEN = /'(?:[^']|'')*'?|([A-Za-z])\1*|[^A-Za-z']+/g;

// Splits a pattern into runs of a letter and other text; quotes are kept.
export const tokens = (pattern) => pattern.match(TOKEN) ?? [];

export class Skeleton {
  constructor(pattern) {
    this.original = new Array(FIELDS).fill("");
    this.base = new Array(FIELDS).fill("");
    this.type = new Array(FIELDS).fill(0);
    this.addedPeriod = false;
    for (const token of tokens(pattern)) {
      const entry = LETTERS.get(token[0]);
      if (entry !== undefined) this.set(entry[0], token);
    }
    if (this.type[MINUTE] !== 0 && this.type[FRACTION] !== 0 && this.type[SECOND] === 0) this.set(SECOND, "s");
    if (this.type[HOUR] !== 0) {
      const hour = this.original[HOUR][0];
      if (hour === "h" || hour === "K") {
        if (this.type[DAY_PERIOD] === 0) {
          this.set(DAY_PERIOD, "a");
          this.addedPeriod = true;
        }
      } else {
        this.original[DAY_PERIOD] = this.base[DAY_PERIOD] = "";
        this.type[DAY_PERIOD] = 0;
      }
    }
    this.mask = 0;
    for (let i = 0; i < FIELDS; i++) if (this.type[i] !== 0) this.mask |= 1 << i;
  }

  set(field, token) {
    const [least, type] = row(token[0], token.length);
    this.original[field] = token;
    this.base[field] = token[0].repeat(least);
    this.type[field] = type > 0 ? type + token.length : type;
  }

  toString() {
    const s = this.original.join("");
    return this.addedPeriod ? s.replace("a", "") : s;
  }
}

export const skeletonOf = (pattern) => new Skeleton(pattern).toString();

function bits(n) {
  let count = 0;
  for (; n !== 0; n &= n - 1) count++;
  return count;
}

// Fills "{0}" and "{1}" (and "{2}") of a CLDR pattern; literal quotes stay for the later parse.
export function fill(pattern, ...values) {
  return pattern.replace(/\{([0-2])\}/g, (_, n) => values[n]);
}

// Matches skeletons against a locale's list of patterns.
//   data.pats: [skeleton, pattern, ...]; a skeleton beginning with "*" was derived from the pattern
//   data.app: append patterns by field, data.appn: the fields' names, data.glue: patterns that join date and time by style
// With plain set, the locale's full to short patterns do not count.
export class Generator {
  constructor(data, hour, decimal, plain = false) {
    this.data = data;
    this.hour = hour;
    this.decimal = decimal;
    this.cache = new Map();
    if (data.entries === undefined) {
      // Kept with the loaded data: shared by every generator of the locale.
      const entries = [];
      for (let i = 0; i < data.pats.length; i += 2) {
        const derived = data.pats[i][0] === "*";
        const skeleton = new Skeleton(derived ? data.pats[i].slice(1) : data.pats[i]);
        entries.push({ skeleton, mask: skeleton.mask, pattern: data.pats[i + 1], specified: !derived });
      }
      Object.defineProperty(data, "entries", { value: entries });
    }
    this.entries = plain ? data.entries.filter((e) => e.specified || e.pattern.length === 1) : data.entries;
  }

  mapHours(skeleton) {
    let result = "";
    for (let i = 0; i < skeleton.length; i++) {
      if (skeleton[i] !== "j") {
        result += skeleton[i];
        continue;
      }
      let extra = 0;
      while (skeleton[i + 1] === "j") {
        extra++;
        i++;
      }
      const hour = this.hour;
      if (hour === "h" || hour === "K") result += "a".repeat(extra < 2 ? 1 : 3 + (extra >> 1));
      result += hour.repeat(1 + (extra & 1));
    }
    return result;
  }

  // The pattern for a skeleton; keepHours says that the asked length of the hour counts.
  best(skeleton, keepHours) {
    const key = keepHours ? "+" + skeleton : skeleton;
    let pattern = this.cache.get(key);
    if (pattern === undefined) {
      pattern = this.find(this.mapHours(skeleton), keepHours);
      if (this.cache.size < 200) this.cache.set(key, pattern);
    }
    return pattern;
  }

  find(skeleton, keepHours) {
    const wanted = new Skeleton(skeleton);
    const found = this.nearest(wanted, -1);
    if (found.missing === 0 && found.extra === 0) return this.adjust(wanted, found.pattern, found.specified, keepHours, false);
    const date = this.append(wanted, wanted.mask & DATE_MASK, keepHours);
    const time = this.append(wanted, wanted.mask & TIME_MASK, keepHours);
    if (date === "") return time;
    if (time === "") return date;
    let style = 3;
    const month = wanted.base[MONTH].length;
    if (month === 4) style = wanted.base[WEEKDAY] !== "" ? 0 : 1;
    else if (month === 3) style = 2;
    return fill(this.data.glue[style], time, date);
  }

  nearest(wanted, include) {
    const mask = wanted.mask & include;
    let best = 0x7fffffff;
    let result;
    let bestMissing = -1;
    for (const entry of this.entries) {
      const extra = entry.mask & ~mask;
      const missing = mask & ~entry.mask;
      let distance = extra === 0 ? 0 : 0x10000 * bits(extra);
      if (distance > best) continue;
      if (missing !== 0) distance += 0x1000 * bits(missing);
      if (distance > best) continue;
      const a = wanted.type;
      const b = entry.skeleton.type;
      for (let rest = mask & entry.mask; rest !== 0; rest &= rest - 1) {
        const i = 31 - Math.clz32(rest & -rest);
        if (a[i] !== b[i]) distance += Math.abs(a[i] - b[i]);
      }
      if (distance < best || (distance === best && bestMissing < missing)) {
        best = distance;
        bestMissing = missing;
        result = { pattern: entry.pattern, specified: entry.specified ? entry.skeleton : undefined, extra, missing };
        if (distance === 0) break;
      }
    }
    return result;
  }

  append(wanted, needed, keepHours) {
    if (needed === 0) return "";
    let found = this.nearest(wanted, needed);
    let pattern = this.adjust(wanted, found.pattern, found.specified, keepHours, false);
    let missing = found.missing;
    let last = 0;
    const both = (1 << SECOND) | (1 << FRACTION);
    while (missing !== 0 && missing !== last) {
      if ((missing & both) === 1 << FRACTION && (needed & both) === both) {
        pattern = this.adjust(wanted, pattern, found.specified, keepHours, true);
        missing &= ~(1 << FRACTION);
        continue;
      }
      const start = missing;
      found = this.nearest(wanted, missing);
      // As ICU does: fields still missing after this one are left out.
      last = missing = found.missing;
      const more = this.adjust(wanted, found.pattern, found.specified, keepHours, false);
      const top = start & ~missing;
      if (top !== 0) {
        const field = 31 - Math.clz32(top);
        pattern = fill(this.data.app[field], pattern, more, "'" + this.data.appn[field].replaceAll("'", "''") + "'");
      }
    }
    return pattern;
  }

  // Gives a found pattern's fields the asked widths.
  adjust(wanted, pattern, specified, keepHours, addFraction) {
    let result = "";
    for (const token of tokens(pattern)) {
      const entry = LETTERS.get(token[0]);
      if (entry === undefined) {
        result += token;
        continue;
      }
      const field = entry[0];
      if (addFraction && field === SECOND) {
        result += token + this.decimal + wanted.original[FRACTION];
        continue;
      }
      if (wanted.type[field] === 0) {
        result += token;
        continue;
      }
      const askedLetter = wanted.original[field][0];
      let asked = wanted.original[field].length;
      if (askedLetter === "E" && asked < 3) asked = 3;
      let length = asked;
      if ((field === HOUR && !keepHours) || field === MINUTE || field === SECOND) length = token.length;
      else if (specified !== undefined && askedLetter !== "c" && askedLetter !== "e") {
        const numeric = row(token[0], token.length)[1] > 0;
        const skeletonNumeric = specified.type[field] > 0;
        if (specified.original[field].length === asked || numeric !== skeletonNumeric) length = token.length;
      }
      let letter = askedLetter;
      if (field === HOUR || field === MONTH || field === WEEKDAY || (field === YEAR && askedLetter !== "Y")) letter = token[0];
      if (letter === "E" && length < 3) letter = "e";
      if (field === HOUR) {
        const own = this.hour;
        if (askedLetter === own) letter = own;
        else if (askedLetter === "h" && own === "K") letter = "K";
        else if (askedLetter === "H" && own === "k") letter = "k";
        else if (askedLetter === "k" && own === "H") letter = "H";
        else if (askedLetter === "K" && own === "h") letter = "h";
      }
      result += letter.repeat(length);
    }
    return result;
  }
}
