import { op } from "@compute/op";
import { type Item, sum } from "./money.ts";

export default op<{ items: Item[]; tier: string }>(({ input, env }) => {
  const rates = env.rates as Record<string, number>;
  const rate = rates[input.tier] ?? 0;
  return { quote: { discount: Math.round(sum(input.items) * rate), parts: ["discount"] } };
});
