import { op } from "@compute/op";
import jsonata from "jsonata";
export default op(async () => jsonata("$sum(items.(price * quantity))").evaluate({ items: [{ price: 2, quantity: 3 }, { price: 5, quantity: 1 }] }));
