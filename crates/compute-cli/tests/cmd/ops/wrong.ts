// The same op, with fixtures that it does not meet.

export { default } from "./greet";
