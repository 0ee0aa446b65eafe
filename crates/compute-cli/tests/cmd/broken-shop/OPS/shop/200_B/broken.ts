import { op } from "@compute/op";

export default op(() => ({ a: 1 );
