import { op } from "@compute/op";
import { z } from "zod";
const Order = z.object({ id: z.string().min(2), items: z.array(z.object({ sku: z.string(), price: z.number().positive() })).nonempty(), note: z.string().optional() });
export default op(({ input }) => ({ good: Order.parse({ id: "a1", items: [{ sku: "x", price: 2 }] }), bad: Order.safeParse({ id: "a", items: [] }).error.issues.map((i) => [i.path, i.code]) }));
