import { op } from "@compute/op";

interface Input {
  name: string;
}

export default op<Input>(async ({ input, log, emit, env }) => {
  log.info("greeting %s", input.name);
  if (env.tell) emit("greeted", { name: input.name });
  return { greeting: `Hello, ${input.name.trim()}!` };
});
