import { op } from "@compute/op";
import { marked } from "marked";
export default op(() => marked.parse("# Hi\n\n* a\n* **b** `c`\n\n| x | y |\n|---|---|\n| 1 | 2 |\n"));
