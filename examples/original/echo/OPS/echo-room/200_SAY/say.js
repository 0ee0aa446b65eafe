import { op } from "@txco/op";
import { pick, set } from "@txco/op/envelope";

export default op(({ input }) => {
  const said = pick(input, ["room", "text"]);
  set(said, "echo[0]", input.text.toUpperCase());
  return said;
});
