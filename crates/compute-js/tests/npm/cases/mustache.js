import { op } from "@compute/op";
import Mustache from "mustache";
export default op(() => Mustache.render("{{#items}}<{{name}}>{{/items}}{{^none}}none{{/none}}", { items: [{ name: "a&b" }, { name: "c" }] }));
