import { op } from "@compute/op";

// Takes a document apart and puts it together again.
export default op(({ input }) => ({
  rows: input.rows.map(({ id, name, tags, price }) => ({ id, name: name.toUpperCase(), tags: [...tags, "seen"], price: price * 2 })),
}));
