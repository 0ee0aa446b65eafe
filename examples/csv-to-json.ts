// Rows of CSV as objects; numbers and booleans become what they look like.

import { op } from "@compute/op";
import Papa from "papaparse";

export default op<{ csv: string; delimiter?: string }>(({ input }) => {
  const { data, errors, meta } = Papa.parse(input.csv.trim(), {
    header: true,
    dynamicTyping: true,
    skipEmptyLines: true,
    delimiter: input.delimiter ?? ",",
  });
  if (errors.length > 0) throw new Error(`row ${(errors[0].row ?? 0) + 1}: ${errors[0].message}`);
  return { columns: meta.fields, rows: data };
});
