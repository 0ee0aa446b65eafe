import { op } from "@compute/op";
import Handlebars from "handlebars";
const template = Handlebars.compile("{{#each people}}{{name}}{{#unless @last}}, {{/unless}}{{/each}} &amp; {{{raw}}} {{esc}}");
export default op(() => template({ people: [{ name: "Ada" }, { name: "Bob" }], raw: "<b>", esc: "<i>" }));
