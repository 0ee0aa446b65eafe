// A table of prices with tax, exact to the cent.

import { op } from "@compute/op";
import Decimal from "decimal.js";

interface Line {
  name: string;
  net: string;
  quantity: number;
}

export default op<{ lines: Line[]; tax: string }>(({ input }) => {
  const tax = new Decimal(input.tax);
  const lines = input.lines.map(({ name, net, quantity }) => {
    const sum = new Decimal(net).times(quantity);
    return { name, net: sum.toFixed(2), tax: sum.times(tax).toFixed(2), gross: sum.times(tax.plus(1)).toFixed(2) };
  });
  const total = lines.reduce((sum, line) => sum.plus(line.gross), new Decimal(0));
  return { lines, total: total.toFixed(2) };
});
