// The heap is made at the top level, and is part of the op's image. The fuzz target writes other numbers over these.
import { op } from "@compute/op";
import { heap } from "./heap.js";

const made = "seed=0000000000 steps=0000000000";
const [seed, steps] = made.match(/\d+/g).map(Number);
const change = heap(seed, steps);

export default op(({ input }) => change(input.seed, input.steps));
