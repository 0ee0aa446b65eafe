import { op } from "@compute/op";
const RAW = "12 ";
const infinite = "Infinity\n";
export default op(() => [Number(RAW), Number("12\n"), +"3 ", Number(`0x1f `), Number(infinite) === Infinity, "1 " == (1 as any), Number("1 2"), Number(" "), "a ".length, { "5 ": 1 }["5 "], Number("\u00a0"), Number("1e3\t")]);
