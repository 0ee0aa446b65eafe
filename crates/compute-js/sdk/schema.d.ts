export interface Issue {
  /** Where: `items[0].price`; empty for the value itself. */
  path: string;
  message: string;
}

export class SchemaError extends Error {
  issues: Issue[];
}

export interface Schema<T> {
  /** The value as the schema has it. Throws a SchemaError that lists all that is wrong. */
  parse(value: unknown): T;
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: SchemaError };
  is(value: unknown): value is T;
  refine(test: (value: T) => boolean, message?: string): this;
  transform<U>(change: (value: T) => U): Schema<U>;
  optional(): Schema<T | undefined>;
  nullable(): Schema<T | null>;
  nullish(): Schema<T | null | undefined>;
  default(fallback: T | (() => T)): Schema<T>;
  /** This value in place of one that is wrong. */
  catch(fallback: T): Schema<T>;
  or<U>(other: Schema<U>): Schema<T | U>;
  describe(text: string): this;
}

/** What a schema's values are. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

export interface TextSchema extends Schema<string> {
  min(least: number): this;
  max(most: number): this;
  length(exact: number): this;
  regex(pattern: RegExp, message?: string): this;
  email(): this;
  url(): this;
  uuid(): this;
  startsWith(start: string): this;
  endsWith(end: string): this;
  trim(): this;
  toLowerCase(): this;
  toUpperCase(): this;
}

export interface NumericSchema extends Schema<number> {
  min(least: number): this;
  max(most: number): this;
  gt(than: number): this;
  gte(least: number): this;
  lt(than: number): this;
  lte(most: number): this;
  int(): this;
  finite(): this;
  multipleOf(of: number): this;
  negative(): this;
  positive(): this;
  nonnegative(): this;
}

export interface ListSchema<T> extends Schema<T[]> {
  min(least: number): this;
  max(most: number): this;
  nonempty(): this;
}

type Fields = Record<string, Schema<any>>;
type Optional<S extends Fields> = { [K in keyof S]: undefined extends Infer<S[K]> ? K : never }[keyof S];
type Values<S extends Fields> = { [K in Exclude<keyof S, Optional<S>>]: Infer<S[K]> } & { [K in Optional<S>]?: Infer<S[K]> };

export interface ObjectSchema<S extends Fields> extends Schema<Values<S>> {
  shape: S;
  /** Refuses keys that the schema does not name; they are dropped otherwise. */
  strict(): ObjectSchema<S>;
  /** Keeps keys that the schema does not name. */
  passthrough(): ObjectSchema<S>;
  partial(): Schema<Partial<Values<S>>>;
  extend<M extends Fields>(more: M): ObjectSchema<Omit<S, keyof M> & M>;
  pick<K extends keyof S>(keys: K[] | { [N in K]: true }): ObjectSchema<Pick<S, K>>;
  omit<K extends keyof S>(keys: K[] | { [N in K]: true }): ObjectSchema<Omit<S, K>>;
}

export function string(): TextSchema;
export function number(): NumericSchema;
export function boolean(): Schema<boolean>;
export function any(): Schema<any>;
export function unknown(): Schema<unknown>;
export function literal<const T extends string | number | boolean | null>(only: T): Schema<T>;
declare function oneOf<const T extends string | number>(values: readonly T[]): Schema<T>;
export { oneOf as enum };
export function object<S extends Fields>(shape: S): ObjectSchema<S>;
export function array<T>(item: Schema<T>): ListSchema<T>;
export function tuple<const S extends Schema<any>[]>(items: S): Schema<{ [K in keyof S]: Infer<S[K]> }>;
export function record<T>(item: Schema<T>): Schema<Record<string, T>>;
export function record<T>(key: Schema<string>, item: Schema<T>): Schema<Record<string, T>>;
export function lazy<T>(schema: () => Schema<T>): Schema<T>;
export function discriminatedUnion<const S extends ObjectSchema<any>[]>(key: string, options: S): Schema<Infer<S[number]>>;
export function date(): Schema<Date>;
/** Schemas that turn what they are given into their type first. */
export const coerce: { string(): TextSchema; number(): NumericSchema; boolean(): Schema<boolean>; date(): Schema<Date> };
export function union<const S extends Schema<any>[]>(options: S): Schema<Infer<S[number]>>;

/** All of them under one name, as with zod's `z`. */
export const s: {
  coerce: typeof coerce; date: typeof date; discriminatedUnion: typeof discriminatedUnion; lazy: typeof lazy;
  string: typeof string; number: typeof number; boolean: typeof boolean; any: typeof any; unknown: typeof unknown;
  literal: typeof literal; enum: typeof oneOf; object: typeof object; array: typeof array; tuple: typeof tuple;
  record: typeof record; union: typeof union;
};
/** The same, as zod names it. */
export { s as z };
