// `console`: what it is given goes to the log, as a level and a text. Nothing goes to stdout.

import inspect from "object-inspect";

const DEBUG = 0, INFO = 1, WARN = 2, ERROR = 3;

const OPTIONS = { depth: 4, quoteStyle: "double", maxStringLength: 1000 };
// How many errors are shown that others have as their causes.
const MAX_CAUSES = 8;
// Frames of the prelude in a stack.
const OURS = /^ {4}at .*\(<null>:\d+:\d+\)\n?/gm;

// A value as text. Nothing that it does stops whoever logs it: getters that throw, proxies, odd errors.
function show(value) {
  if (typeof value === "string") return value;
  try {
    return value instanceof Error ? showError(value, []) : inspect(value, OPTIONS);
  } catch {
    return showParts(value);
  }
}

// An error, its stack, and those that led to it with theirs.
function showError(error, seen) {
  const stack = typeof error.stack === "string" ? error.stack.replace(OURS, "").trimEnd() : "";
  return (stack ? `${error}\n${stack}` : String(error)) + causesOf(error, seen);
}

// What led to an error: its cause, and the errors that it stands for. Each is on lines of its own, indented.
export function causesOf(error, seen = []) {
  seen.push(error);
  let text = "";
  const add = (label, value) => {
    const shown = seen.includes(value) || seen.length >= MAX_CAUSES ? "…" : value instanceof Error ? showError(value, seen) : show(value);
    text += `\n  [${label}]: ${shown.replaceAll("\n", "\n  ")}`;
  };
  if (error.cause !== undefined) add("cause", error.cause);
  if (error instanceof AggregateError && Array.isArray(error.errors)) for (const one of error.errors) add("error", one);
  return text;
}

// The properties of an object that cannot be shown as a whole, each by itself.
function showParts(value) {
  try {
    const parts = Object.entries(Object.getOwnPropertyDescriptors(value)).map(([name, { get, value }]) => {
      if (get) return `${name}: [Getter]`;
      try {
        return `${name}: ${inspect(value, OPTIONS)}`;
      } catch {
        return `${name}: [cannot be shown]`;
      }
    });
    return `{ ${parts.join(", ")} }`;
  } catch {
    return `[${typeof value} that cannot be shown]`;
  }
}

// A number as %d, %i and %f show it.
function number(value, parse) {
  try {
    return typeof value === "bigint" ? `${value}n` : String(parse(value));
  } catch {
    return "NaN";
  }
}

function json(value) {
  try {
    return JSON.stringify(value) ?? "undefined";
  } catch {
    return show(value);
  }
}

// Values as one text. Where the first is a string, its %s, %d, %i, %f, %j, %o, %O and %c are filled in.
export function format(values) {
  let [first, ...rest] = values;
  if (typeof first !== "string" || rest.length === 0 || !first.includes("%")) return values.map(show).join(" ");
  const filled = first.replace(/%[sdifjoOc%]/g, (directive) => {
    if (directive === "%%") return "%";
    if (rest.length === 0) return directive;
    const value = rest.shift();
    switch (directive) {
      case "%s": return typeof value === "string" ? value : show(value);
      case "%d": return number(value, Number);
      case "%i": return number(value, (value) => parseInt(value, 10));
      case "%f": return number(value, parseFloat);
      case "%j": return json(value);
      case "%c": return "";
      default: return show(value);
    }
  });
  return [filled, ...rest.map(show)].join(" ");
}

export function consoleOf(host) {
  let indent = "";
  const counts = new Map();
  const timers = new Map();
  const write = (level, text) => host.log(level, indent ? text.replace(/^/gm, indent) : text);
  const at = (level) => (...values) => write(level, format(values));
  const elapsed = (label) => `${label}: ${(host.monotonic() - (timers.get(label) ?? 0)).toFixed(3)} ms`;
  const group = (...values) => {
    if (values.length > 0) write(INFO, format(values));
    indent += "  ";
  };
  return {
    log: at(INFO), info: at(INFO), debug: at(DEBUG), warn: at(WARN), error: at(ERROR),
    trace: (...values) => write(DEBUG, `${format(values)}\n${new Error().stack.trimEnd()}`),
    dir: (value) => write(INFO, show(value)),
    dirxml: at(INFO),
    table: (value) => write(INFO, show(value)),
    assert: (condition, ...values) => {
      if (!condition) write(ERROR, `assertion failed${values.length > 0 ? `: ${format(values)}` : ""}`);
    },
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      write(INFO, `${label}: ${counts.get(label)}`);
    },
    countReset: (label = "default") => void counts.delete(label),
    time: (label = "default") => void timers.set(label, host.monotonic()),
    timeLog: (label = "default", ...values) => write(INFO, format([elapsed(label), ...values])),
    timeEnd: (label = "default") => {
      write(INFO, elapsed(label));
      timers.delete(label);
    },
    group,
    groupCollapsed: group,
    groupEnd: () => void (indent = indent.slice(2)),
    clear: () => {},
  };
}
