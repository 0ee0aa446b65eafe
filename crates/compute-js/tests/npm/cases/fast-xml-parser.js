import { op } from "@compute/op";
import { XMLBuilder, XMLParser } from "fast-xml-parser";
export default op(() => [new XMLParser({ ignoreAttributes: false }).parse('<a id="1"><b>2</b><b>x &amp; y</b></a>'), new XMLBuilder().build({ r: { i: [1, 2] } })]);
