import { op } from "@compute/op";
import { type Item, sum } from "./money.ts";

const FREE_FROM = 50_00;

export default op<{ items: Item[]; country: string }>(({ input }) => {
  const home = input.country === "DE";
  const free = home && sum(input.items) >= FREE_FROM;
  const cents = free ? 0 : home ? 4_90 : 12_90;
  return { quote: { shipping: cents, parts: ["shipping"] } };
});
