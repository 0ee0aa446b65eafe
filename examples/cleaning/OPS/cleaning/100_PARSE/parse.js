// Lines of comma-separated values as objects, named by the first line.

import { op } from "@compute/op";

export default op(({ input }) => {
  const [head, ...lines] = input.csv.trim().split(/\r?\n/);
  const names = head.split(",").map((name) => name.trim().toLowerCase());
  const rows = lines.map((line) => {
    const cells = line.split(",");
    return Object.fromEntries(names.map((name, at) => [name, (cells[at] ?? "").trim()]));
  });
  return { rows };
});
