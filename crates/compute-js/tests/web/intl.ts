import { op } from "@compute/op";

// Each case is a kind, a language, options, and what is written.
export default op(({ input }: any) =>
  input.map(([kind, locale, options, value]: any) => {
    try {
      return write(kind, locale, options, value);
    } catch (error: any) {
      return error.name;
    }
  }),
);

export function write(kind: string, locale: string, options: any, value: any): any {
  const I: any = Intl;
  switch (kind) {
    case "date":
      return new I.DateTimeFormat(locale, options).format(value);
    case "date parts":
      return JSON.stringify(new I.DateTimeFormat(locale, options).formatToParts(value));
    case "date range":
      return new I.DateTimeFormat(locale, options).formatRange(value[0], value[1]);
    case "date options":
      return JSON.stringify(new I.DateTimeFormat(locale, options).resolvedOptions());
    case "date text":
      return [new Date(value).toLocaleString(locale, options), new Date(value).toLocaleDateString(locale), new Date(value).toLocaleTimeString(locale)].join("|");
    case "number":
      return new I.NumberFormat(locale, options).format(value);
    case "number parts":
      return JSON.stringify(new I.NumberFormat(locale, options).formatToParts(value));
    case "number range":
      return new I.NumberFormat(locale, options).formatRange(value[0], value[1]);
    case "number text":
      return Number(value).toLocaleString(locale, options);
    case "plural":
      return new I.PluralRules(locale, options).select(value);
    case "relative":
      return new I.RelativeTimeFormat(locale, options).format(value[0], value[1]);
    case "list":
      return new I.ListFormat(locale, options).format(value);
    case "name":
      return new I.DisplayNames(locale, options).of(value);
    case "order":
      return value.toSorted(new I.Collator(locale, options).compare).join("|");
    case "compare":
      return value[0].localeCompare(value[1], locale, options);
    case "segments":
      return [...new I.Segmenter(locale, options).segment(value)].map((one: any) => one.segment).join("|");
    default:
      return "unknown";
  }
}
