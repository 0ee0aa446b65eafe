// `console`: what it is given goes to the log, as a level and a text. Nothing goes to stdout.

import inspect from "object-inspect";

const DEBUG = 0, INFO = 1, WARN = 2, ERROR = 3;

function show(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return value.stack ? `${value}\n${value.stack.trimEnd()}` : String(value);
  return inspect(value, { depth: 4, quoteStyle: "double", maxStringLength: 1000 });
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
      case "%d": return String(Number(value));
      case "%i": return String(parseInt(value, 10));
      case "%f": return String(parseFloat(value));
      case "%j": return JSON.stringify(value) ?? "undefined";
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
  const console = {
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
  Object.defineProperty(console, Symbol.for("compute.format"), { value: { format } });
  return console;
}
