import { op } from "@compute/op";

export default op<{ items: number[] }>(({ input, secrets, log }) => {
  log.info(`pricing ${input.items.length} items`);
  if (input.items.some((item) => item < 0)) throw new RangeError("an item is negative");
  return { total: input.items.reduce((sum, item) => sum + item, 0) * Number(secrets.RATE) };
});
