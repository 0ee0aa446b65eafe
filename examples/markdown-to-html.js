// Markdown as HTML, without the HTML that the text itself may hold.

import { op } from "@compute/op";
import { marked } from "marked";

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
marked.use({ renderer: { html: ({ text }) => escape(text) } });

export default op(async ({ input }) => ({ html: await marked.parse(input.markdown) }));
