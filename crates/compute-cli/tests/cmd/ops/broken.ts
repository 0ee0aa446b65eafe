import { op } from "@compute/op";
import { readFileSync } from "node:fs";

export default op(() => readFileSync("/etc/passwd"));
