// Schemas for inputs, in zod's manner, and small. An op that needs more of zod can import zod.

export class SchemaError extends Error {
  constructor(issues) {
    super(issues.map(({ path, message }) => `${path === "" ? "the value" : path} ${message}`).join("; "));
    this.name = "SchemaError";
    this.issues = issues;
  }
}

const show = (value) => (value === null ? "null" : Array.isArray(value) ? "an array" : typeof value === "object" ? "an object" : `${JSON.stringify(value)}`);
const at = (path, step) => (typeof step === "number" ? `${path}[${step}]` : path === "" ? step : `${path}.${step}`);

class Schema {
  // `check(value, path, issues)` gives back the value as the schema has it, and adds what is wrong with it.
  constructor(check) {
    this.check = check;
  }
  safeParse(value) {
    const issues = [];
    const data = this.check(value, "", issues);
    return issues.length === 0 ? { success: true, data } : { success: false, error: new SchemaError(issues) };
  }
  parse(value) {
    const result = this.safeParse(value);
    if (!result.success) throw result.error;
    return result.data;
  }
  is(value) {
    return this.safeParse(value).success;
  }
  // A schema that goes on from this one's value, unless something was wrong with it.
  then(next) {
    return new this.constructor((value, path, issues) => {
      const before = issues.length;
      const checked = this.check(value, path, issues);
      return issues.length > before ? checked : next(checked, path, issues);
    });
  }
  refine(test, message = "is not valid") {
    return this.then((value, path, issues) => {
      if (!test(value)) issues.push({ path, message });
      return value;
    });
  }
  transform(change) {
    return new Schema(this.then((value) => change(value)).check);
  }
  optional() {
    return new Schema((value, path, issues) => (value === undefined ? undefined : this.check(value, path, issues)));
  }
  nullable() {
    return new Schema((value, path, issues) => (value === null ? null : this.check(value, path, issues)));
  }
  nullish() {
    return this.nullable().optional();
  }
  default(fallback) {
    const value = typeof fallback === "function" ? fallback : () => fallback;
    return new Schema((given, path, issues) => this.check(given === undefined ? value() : given, path, issues));
  }
  catch(fallback) {
    return new Schema((value, path) => {
      const issues = [];
      const checked = this.check(value, path, issues);
      return issues.length === 0 ? checked : fallback;
    });
  }
  or(other) {
    return union([this, other]);
  }
  describe() {
    return this;
  }
}

class Text extends Schema {
  min = (least) => this.refine((value) => value.length >= least, `must have at least ${least} characters`);
  max = (most) => this.refine((value) => value.length <= most, `must have at most ${most} characters`);
  length = (exact) => this.refine((value) => value.length === exact, `must have ${exact} characters`);
  regex = (pattern, message = `must match ${pattern}`) => this.refine((value) => pattern.test(value), message);
  email = () => this.regex(/^[^\s@]+@[^\s@]+\.[^\s@]+$/, "must be an e-mail address");
  url = () => this.refine((value) => URL.canParse(value), "must be a URL");
  uuid = () => this.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, "must be a UUID");
  startsWith = (start) => this.refine((value) => value.startsWith(start), `must start with ${JSON.stringify(start)}`);
  endsWith = (end) => this.refine((value) => value.endsWith(end), `must end with ${JSON.stringify(end)}`);
  trim = () => this.then((value) => value.trim());
  toLowerCase = () => this.then((value) => value.toLowerCase());
  toUpperCase = () => this.then((value) => value.toUpperCase());
}

class Numeric extends Schema {
  min = (least) => this.refine((value) => value >= least, `must be at least ${least}`);
  max = (most) => this.refine((value) => value <= most, `must be at most ${most}`);
  int = () => this.refine(Number.isInteger, "must be a whole number");
  gte = this.min;
  lte = this.max;
  gt = (than) => this.refine((value) => value > than, `must be more than ${than}`);
  lt = (than) => this.refine((value) => value < than, `must be less than ${than}`);
  finite = () => this.refine(Number.isFinite, "must be finite");
  multipleOf = (of) => this.refine((value) => value % of === 0, `must be a multiple of ${of}`);
  negative = () => this.refine((value) => value < 0, "must be less than 0");
  positive = () => this.refine((value) => value > 0, "must be more than 0");
  nonnegative = () => this.refine((value) => value >= 0, "must not be negative");
}

class List extends Schema {
  min = (least) => this.refine((value) => value.length >= least, `must have at least ${least} items`);
  max = (most) => this.refine((value) => value.length <= most, `must have at most ${most} items`);
  nonempty = () => this.min(1);
}

function expect(test, what) {
  return (value, path, issues) => {
    if (!test(value)) issues.push({ path, message: value === undefined ? `is missing; it must be ${what}` : `must be ${what}, and is ${show(value)}` });
    return value;
  };
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

class Shape extends Schema {
  constructor(check, shape, rest) {
    super(check ?? checkShape(shape, rest));
    this.shape = shape;
  }
  then(next) {
    return new Schema(super.then.call(new Schema(this.check), next).check);
  }
  strict = () => new Shape(undefined, this.shape, "refuse");
  passthrough = () => new Shape(undefined, this.shape, "keep");
  partial = () => new Shape(undefined, Object.fromEntries(Object.entries(this.shape).map(([key, schema]) => [key, schema.optional()])));
  extend = (more) => new Shape(undefined, { ...this.shape, ...more });
  pick = (keys) => new Shape(undefined, Object.fromEntries(namesOf(keys).map((key) => [key, this.shape[key]])));
  omit = (keys) => new Shape(undefined, Object.fromEntries(Object.entries(this.shape).filter(([key]) => !namesOf(keys).includes(key))));
}

// A list of names, or `{ name: true }` as in zod.
const namesOf = (keys) => (Array.isArray(keys) ? keys : Object.keys(keys).filter((key) => keys[key]));

function checkShape(shape, rest) {
  const check = expect(isObject, "an object");
  return (value, path, issues) => {
    check(value, path, issues);
    if (!isObject(value)) return value;
    const checked = {};
    for (const [key, schema] of Object.entries(shape)) {
      const found = schema.check(Object.hasOwn(value, key) ? value[key] : undefined, at(path, key), issues);
      if (found !== undefined) checked[key] = found;
    }
    if (rest === undefined) return checked;
    for (const key of Object.keys(value)) {
      if (Object.hasOwn(shape, key)) continue;
      if (rest === "refuse") issues.push({ path: at(path, key), message: "is not expected" });
      else checked[key] = value[key];
    }
    return checked;
  };
}

export const string = () => new Text(expect((value) => typeof value === "string", "a text"));
export const number = () => new Numeric(expect((value) => typeof value === "number" && !Number.isNaN(value), "a number"));
export const boolean = () => new Schema(expect((value) => typeof value === "boolean", "true or false"));
export const any = () => new Schema((value) => value);
export const unknown = any;
export const literal = (only) => new Schema(expect((value) => value === only, JSON.stringify(only)));
const oneOf = (values) => new Schema(expect((value) => values.includes(value), `one of ${values.map((value) => JSON.stringify(value)).join(", ")}`));
export { oneOf as enum };
export const object = (shape) => new Shape(undefined, shape);
export const array = (item) => {
  const check = expect(Array.isArray, "an array");
  return new List((value, path, issues) => {
    check(value, path, issues);
    return Array.isArray(value) ? value.map((one, index) => item.check(one, at(path, index), issues)) : value;
  });
};
export const tuple = (items) => {
  const check = expect((value) => Array.isArray(value) && value.length === items.length, `an array of ${items.length} items`);
  return new Schema((value, path, issues) => {
    const before = issues.length;
    check(value, path, issues);
    return issues.length > before ? value : items.map((item, index) => item.check(value[index], at(path, index), issues));
  });
};
export const record = (first, second) => {
  // With two, the first is for the keys.
  const [names, item] = second === undefined ? [undefined, first] : [first, second];
  const check = expect(isObject, "an object");
  return new Schema((value, path, issues) => {
    check(value, path, issues);
    if (!isObject(value)) return value;
    for (const key of names === undefined ? [] : Object.keys(value)) names.check(key, at(path, key), issues);
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, item.check(one, at(path, key), issues)]));
  });
};
export const union = (options) =>
  new Schema((value, path, issues) => {
    const failures = [];
    for (const option of options) {
      const found = [];
      const checked = option.check(value, path, found);
      if (found.length === 0) return checked;
      failures.push(found);
    }
    // What came nearest: it went wrong deepest in the value.
    const depth = (found) => Math.max(...found.map((issue) => issue.path.length));
    issues.push(...failures.reduce((best, found) => (depth(found) > depth(best) ? found : best)));
    return value;
  });

export const lazy = (schema) => new Schema((value, path, issues) => schema().check(value, path, issues));
export const discriminatedUnion = (key, options) =>
  new Schema((value, path, issues) => {
    const found = isObject(value) ? options.find((option) => option.shape[key].is(value[key])) : undefined;
    return (found ?? union(options)).check(value, path, issues);
  });
export const date = () => new Schema(expect((value) => value instanceof Date && !Number.isNaN(value.getTime()), "a date"));
const from = (read, schema) => () => {
  const made = schema();
  return new made.constructor((value, path, issues) => made.check(value === undefined ? value : read(value), path, issues));
};
// Schemas that turn what they are given into their type first.
export const coerce = {
  string: from(String, string),
  number: from(Number, number),
  boolean: from(Boolean, boolean),
  date: from((value) => new Date(value), date),
};

export const s = { coerce, date, discriminatedUnion, lazy, string, number, boolean, any, unknown, literal, enum: oneOf, object, array, tuple, record, union };
// As zod calls its own.
export { s as z };
