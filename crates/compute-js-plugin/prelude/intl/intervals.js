// Patterns of date intervals (UTS 35, "intervalFormats"), as ICU chooses them.
import { fill, tokens } from "./patterns.js";

export const ERA = 0, YEAR = 1, MONTH = 2, DATE = 3, AM_PM = 4, HOURS = 5, MINUTES = 6, SECONDS = 7, MILLIS = 8;
const FIELD_LETTERS = ["G", "y", "M", "d", "a", "h", "m"];
const KEYS = { G: ERA, y: YEAR, M: MONTH, d: DATE, a: AM_PM, B: AM_PM, h: HOURS, H: HOURS, m: MINUTES };
const LEVELS = [0, 10, 20, 30, 40, 50, 60, 70, 80];
const LETTER_LEVELS = { G: 0, y: 10, Y: 10, u: 10, M: 20, L: 20, Q: 20, q: 20, w: 20, D: 20, E: 30, c: 30, e: 30, d: 30, W: 30, F: 30,
  a: 40, h: 50, H: 50, k: 50, K: 50, m: 60, s: 70, S: 80, A: 40, z: 0, v: 0 };

// Whether no field of the pattern is as small as the given one.
function ignored(pattern, field) {
  for (const token of tokens(pattern)) if (LEVELS[field] <= (LETTER_LEVELS[token[0]] ?? -1)) return false;
  return true;
}

function widths(skeleton) {
  const map = new Map();
  for (const c of skeleton) map.set(c, (map.get(c) ?? 0) + 1);
  return map;
}

const has = (skeleton, letter) => skeleton.includes(letter);

class Intervals {
  constructor(data, generator, skeleton) {
    this.data = data;
    this.generator = generator;
    this.skeleton = skeleton;
    this.full = generator.best(skeleton, false);
    // by field: { first, second, later } with first === "" for a fallback to the whole pattern
    this.patterns = [];
    this.datePattern = undefined;
    this.timePattern = undefined;
    this.laterFirst = data.fb.indexOf("{1}") < data.fb.indexOf("{0}");
    this.initialize();
  }

  table(skeleton, field) {
    const list = this.data.iv[skeleton];
    if (list === undefined) return "";
    let found = "";
    for (let i = 0; i < list.length; i += 2) {
      if (KEYS[list[i]] === field) {
        found = list[i + 1];
        if (list[i] === "B") break;
      }
    }
    return found;
  }

  // Replaces the hour and its day period by those of the locale's pattern.
  normalizeHours(skeleton) {
    const hour = /[hHkK]/.exec(skeleton)?.[0];
    if (hour === undefined) return skeleton;
    const pattern = this.generator.best(hour, false).replace(/'[^']*'/g, "");
    let letter = /h/.test(pattern) ? "h" : /K/.test(pattern) ? "K" : /H/.test(pattern) ? "H" : /k/.test(pattern) ? "k" : hour;
    let period = /[abB]/.exec(skeleton)?.[0] ?? "";
    if (has(pattern, "B")) period = "B";
    else if (has(pattern, "b")) period = "b";
    else if (period === "") period = "a";
    const twelve = letter === "h" || letter === "K";
    const count = /[abB]+/.exec(skeleton)?.[0].length ?? 1;
    if (twelve) letter += count < 5 ? period : period.repeat(5);
    return skeleton.replace(/[abB]+/, "").replace(/[hHkK]+/, letter);
  }

  initialize() {
    const { data, generator } = this;
    const converted = this.normalizeHours(this.skeleton);
    let date = "";
    let time = "";
    let dateRest = "";
    let timeRest = "";
    let hour = "";
    const n = { E: 0, d: 0, M: 0, y: 0, m: 0, v: 0, z: 0 };
    for (const c of converted) {
      if ("GYuQqLlWwDFgecUr".includes(c)) {
        date += c;
        dateRest += c;
      } else if ("EdMy".includes(c)) {
        date += c;
        n[c]++;
      } else if (c !== "O") {
        time += c;
        if ("hHkK".includes(c)) hour ||= c;
        else if (c in n) n[c]++;
        else if (c !== "a") timeRest += c;
      }
    }
    const normalDate = dateRest + "y".repeat(n.y) + (n.M < 3 ? "M".repeat(Math.min(n.M, 1)) : "M".repeat(Math.min(n.M, 5)))
      + (n.E === 0 ? "" : n.E <= 3 ? "E" : "E".repeat(Math.min(n.E, 5))) + (n.d > 0 ? "d" : "");
    const normalTime = timeRest + hour + (n.m > 0 ? "m" : "") + (n.z > 0 ? "z" : "") + (n.v > 0 ? "v" : "");
    const found = this.separate(normalDate, normalTime);
    if (time === "") return;
    if (date === "") {
      const pattern = generator.best("yMd" + time, false);
      for (const field of [DATE, MONTH, YEAR]) this.whole(field, pattern);
      this.whole(ERA, generator.best("GyMd" + time, false));
      return;
    }
    if (!found) return;
    let skeleton = this.skeleton;
    for (const [field, letter] of [[DATE, "d"], [MONTH, "M"], [YEAR, "y"], [ERA, "G"]]) {
      if (has(date, letter)) continue;
      skeleton = letter + skeleton;
      this.whole(field, generator.best(skeleton, false));
    }
    const datePattern = generator.best(date, false);
    for (const field of [AM_PM, HOURS, MINUTES]) {
      const p = this.patterns[field];
      if (p === undefined || p.first === "") continue;
      this.split(field, fill(data.std[2], p.first + p.second, datePattern), p.later);
    }
  }

  whole(field, pattern) {
    this.patterns[field] = { first: "", second: pattern, later: this.laterFirst };
  }

  separate(date, time) {
    const skeleton = time !== "" ? time : date;
    const best = this.bestSkeleton(skeleton);
    if (best.skeleton === undefined) return false;
    if (date !== "") this.datePattern = this.generator.best(date, false);
    if (time !== "") this.timePattern = this.generator.best(time, false);
    if (best.difference === -1) return false;
    if (time === "") {
      const extended = { skeleton: "", best: "" };
      this.take(DATE, skeleton, best.skeleton, best.difference, extended);
      let s = skeleton;
      let b = best.skeleton;
      if (this.take(MONTH, s, b, best.difference, extended)) {
        s = extended.skeleton;
        b = extended.best;
      }
      this.take(YEAR, s, b, best.difference, extended);
      this.take(ERA, s, b, best.difference, extended);
    } else {
      for (const field of [MINUTES, HOURS, AM_PM]) this.take(field, skeleton, best.skeleton, best.difference, undefined);
    }
    return true;
  }

  take(field, skeleton, best, difference, extended) {
    let pattern = this.table(best, field);
    if (pattern === "") {
      if (ignored(best, field)) return false;
      if (field === AM_PM) {
        pattern = this.table(best, HOURS);
        if (pattern !== "") this.split(field, this.adjust(skeleton, best, pattern, difference));
        return false;
      }
      if (extended !== undefined) {
        extended.skeleton = FIELD_LETTERS[field] + skeleton;
        extended.best = FIELD_LETTERS[field] + best;
        pattern = this.table(extended.best, field);
        if (pattern === "" && difference === 0) {
          const other = this.bestSkeleton(extended.best);
          if (other.skeleton !== undefined && other.difference !== -1) {
            pattern = this.table(other.skeleton, field);
            best = other.skeleton;
            difference = other.difference;
          }
        }
      }
    }
    if (pattern === "") return false;
    if (difference !== 0) pattern = this.adjust(skeleton, best, pattern, difference);
    this.split(field, pattern);
    return extended !== undefined && extended.skeleton !== "";
  }

  // difference: 0 none, 1 widths, 2 only z/v or h/K or H/k, -1 other fields
  bestSkeleton(skeleton) {
    let input = skeleton;
    const replaced = /[zkKab]/.test(skeleton);
    if (replaced) input = input.replaceAll("z", "v").replaceAll("k", "H").replaceAll("K", "h").replace(/[ab]/g, "");
    const asked = widths(input);
    let bestDistance = Infinity;
    const result = { skeleton: undefined, difference: 0 };
    if (this.data.ivw === undefined) {
      Object.defineProperty(this.data, "ivw", { value: Object.keys(this.data.iv).map((key) => [key, widths(key)]) });
    }
    for (const [key, given] of this.data.ivw) {
      let distance = 0;
      let difference = 1;
      for (const [c, w] of asked) {
        const other = given.get(c);
        if (other === undefined) {
          difference = -1;
          distance += 0x1000;
        } else if (other !== w) distance += c === "M" && other <= 2 !== w <= 2 ? 0x100 : Math.abs(other - w);
      }
      for (const c of given.keys()) {
        if (!asked.has(c)) {
          difference = -1;
          distance += 0x1000;
        }
      }
      if (distance < bestDistance) {
        bestDistance = distance;
        result.skeleton = key;
        result.difference = difference;
      }
      if (distance === 0) {
        result.difference = 0;
        break;
      }
    }
    if (replaced && result.difference !== -1) result.difference = 2;
    return result;
  }

  // Widens a pattern's fields to those of the asked skeleton.
  adjust(skeleton, best, pattern, difference) {
    if (difference === 2) {
      const swap = (from, to) => {
        pattern = tokens(pattern).map((t) => t[0] === from ? to.repeat(t.length) : t).join("");
      };
      if (has(skeleton, "z")) swap("v", "z");
      if (has(skeleton, "K")) swap("h", "K");
      if (has(skeleton, "k")) swap("H", "k");
      if (has(skeleton, "b")) swap("a", "b");
    }
    const asked = widths(skeleton);
    const given = widths(best);
    for (const c of "ab") if (has(pattern, c) && !given.has(c)) given.set(c, 1);
    let result = "";
    for (const token of tokens(pattern)) {
      result += token;
      if (!/[A-Za-z]/.test(token[0])) continue;
      const c = token[0] === "L" ? "M" : token[0];
      const want = asked.get(c) ?? 0;
      if (given.get(c) === token.length && want > token.length) result += token[0].repeat(want - token.length);
    }
    return result;
  }

  // Splits an interval's pattern before the first letter that occurs again.
  split(field, pattern, later = this.laterFirst) {
    if (pattern.startsWith("latestFirst:")) {
      later = true;
      pattern = pattern.slice(12);
    } else if (pattern.startsWith("earliestFirst:")) {
      later = false;
      pattern = pattern.slice(14);
    }
    const seen = new Set();
    let at = 0;
    for (const token of tokens(pattern)) {
      if (/[A-Za-z]/.test(token[0])) {
        if (seen.has(token[0])) break;
        seen.add(token[0]);
      }
      at += token.length;
    }
    this.patterns[field] = { first: pattern.slice(0, at), second: pattern.slice(at), later };
  }

  // The steps of formatting: [pattern, 0 start | 1 end | 2 literal]; undefined for a single date.
  plan(field) {
    if (field < 0) return undefined;
    const p = field >= SECONDS ? undefined : this.patterns[field];
    if (p === undefined) {
      if (ignored(this.full, field)) return undefined;
      if (field >= AM_PM && this.datePattern !== undefined && this.timePattern !== undefined) {
        return this.fallback(this.timePattern, this.datePattern);
      }
      return this.fallback(this.full);
    }
    if (p.first === "") return this.fallback(p.second);
    const steps = [[p.first, p.later ? 1 : 0]];
    if (p.second !== "") steps.push([p.second, p.later ? 0 : 1]);
    return { steps, later: p.later };
  }

  fallback(pattern, date) {
    const steps = [];
    const glue = (text, parts) => {
      for (const piece of text.split(/(\{[01]\})/)) {
        if (piece === "{0}" || piece === "{1}") parts[piece[1]]();
        else if (piece !== "") steps.push([piece.replace(/'([^']*)'/g, "$1"), 2]);
      }
    };
    const range = () => glue(this.data.fb, [() => steps.push([pattern, 0]), () => steps.push([pattern, 1])]);
    if (date === undefined) range();
    else glue(this.data.std[2], [range, () => steps.push([date, 0])]);
    return { steps, later: this.laterFirst };
  }
}

export const intervalPatterns = (data, generator, skeleton) => new Intervals(data, generator, skeleton);
