/** What JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Who calls the op. */
export interface Meta {
  /** The id of the request. */
  rid: string;
  /** `stack/scope/name` of the op. */
  op: string;
  stack: string;
  scope: number;
  name: string;
}

/** Writes to the run's log. The first value may be a text with %s, %d, %j; others are shown after it. */
export interface Log {
  debug(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
}

/** What a handler is called with. */
export interface Context<Input = any> {
  /** The input, as JSON has it. */
  input: Input;
  meta: Meta;
  /** Environment values, by name. */
  env: Record<string, any>;
  /** Secrets, by name. */
  secrets: Record<string, string>;
  log: Log;
  /** Tells the caller something besides the output; it is in the run's record. */
  emit(event: string, data?: unknown): void;
}

export interface Options<Input = any> {
  /**
   * An input that the handler is run on when the op's image is made, so that what libraries do on their first
   * call is done already. What that leaves in the module's variables is what each call starts from. The
   * clock shows 1970-01-01 then, and random numbers come from a fixed seed.
   */
  warmup?: Input;
}

/** An op, to be the default export of its module. */
export interface Op<Input = any, Output = any> {
  readonly "@compute/op": (context: Context<Input>) => Output | Promise<Output>;
}

/**
 * Makes an op.
 *
 * ```ts
 * import { op } from "@compute/op";
 *
 * export default op(async ({ input, log }) => {
 *   log.info("greeting %s", input.name);
 *   return { greeting: `Hello, ${input.name}!` };
 * });
 * ```
 */
export function op<Input = any, Output = any>(
  handler: (context: Context<Input>) => Output | Promise<Output>,
  options?: Options<Input>,
): Op<Input, Output>;
