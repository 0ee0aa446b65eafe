// The heap is made in the call, and no image has anything of it.
import { op } from "@compute/op";
import { heap } from "./heap.js";

export default op(({ input }) => heap(...input.made)(input.seed, input.steps));
