import { op } from "@compute/op";
import * as c from "change-case";
export default op(() => [c.camelCase("hello world_foo"), c.snakeCase("helloWorld"), c.pascalCase("a-b"), c.constantCase("fooBar")]);
