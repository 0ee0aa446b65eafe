import { op } from "@compute/op";

export default op(({ input }) => {
  return { total: input.total * };
});
