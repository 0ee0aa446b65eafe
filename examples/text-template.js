// A text from a template, with values escaped for HTML.

import { op } from "@compute/op";
import Mustache from "mustache";

export default op(({ input, env }) => {
  const text = Mustache.render(input.template, { ...input.values, shop: env.shop ?? "the shop" });
  return { text };
});
