import { op } from "@compute/op";
import Big from "big.js";
export default op(() => [new Big("0.1").plus("0.2").toString(), new Big(1).div(3).toFixed(10), new Big("123.456").round(1).toString()]);
