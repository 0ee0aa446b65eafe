// What a person should look at.

import { op } from "@compute/op";

interface Cleaned {
  clean: { name: string; phone: string }[];
  duplicates: number;
}

export default op<Cleaned>(({ input, emit }) => {
  const without = input.clean.filter((row) => row.phone === "").map((row) => row.name);
  for (const name of without) emit("no-phone", { name });
  return { report: { rows: input.clean.length, duplicates: input.duplicates, without_phone: without } };
});
