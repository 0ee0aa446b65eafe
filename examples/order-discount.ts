// A discount on an order, which zod checks first.

import { op } from "@compute/op";
import { z } from "zod";

const Order = z.object({
  customer: z.object({ tier: z.enum(["basic", "silver", "gold"]) }),
  items: z.array(z.object({ sku: z.string().min(1), quantity: z.number().int().positive(), price: z.number().positive() })).min(1),
});

const RATES = { basic: 0, silver: 0.05, gold: 0.1 };
const cents = (amount: number) => Math.round(amount * 100) / 100;

export default op(
  ({ input, log }) => {
    const { customer, items } = Order.parse(input);
    const total = items.reduce((sum, { quantity, price }) => sum + quantity * price, 0);
    const rate = RATES[customer.tier] + (total >= 100 ? 0.02 : 0);
    log.info("%s customer, total %d, rate %d", customer.tier, total, rate);
    return { total: cents(total), discount: cents(total * rate), due: cents(total * (1 - rate)) };
  },
  // zod compiles a schema on its first use: that is done in the image.
  { warmup: { customer: { tier: "gold" }, items: [{ sku: "a", quantity: 1, price: 1 }] } },
);
