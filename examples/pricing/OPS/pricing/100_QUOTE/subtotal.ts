import { op } from "@compute/op";
import { type Item, sum } from "./money.ts";

export default op<{ items: Item[] }>(({ input }) => {
  for (const { sku, quantity, cents } of input.items) {
    if (quantity < 1 || cents < 0) throw new RangeError(`the item ${sku} cannot be priced`);
  }
  return { quote: { subtotal: sum(input.items), parts: ["subtotal"] } };
});
