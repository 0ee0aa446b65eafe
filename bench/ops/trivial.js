import { op } from "@compute/op";

export default op(({ input }) => ({ ...input, greeting: "hi " + input.name }));
