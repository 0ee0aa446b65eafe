// Paths into JSON documents: `a.b[0].c`.

const FORBIDDEN = new Set(["__proto__", "constructor", "prototype"]);
const STEP = /([^.[\]]+)|\[(\d+)\]/y;

function steps(path) {
  if (Array.isArray(path)) return path.map(check);
  if (typeof path !== "string" || path === "") throw new TypeError("a path is a text such as a.b[0].c");
  const found = [];
  for (let at = 0; at < path.length; ) {
    STEP.lastIndex = at;
    const match = STEP.exec(path);
    if (match === null) throw new TypeError(`${path} is not a path: see its character ${at + 1}`);
    found.push(check(match[2] === undefined ? match[1] : Number(match[2])));
    at = STEP.lastIndex;
    if (path[at] === ".") {
      at++;
      if (at === path.length || path[at] === "[") throw new TypeError(`${path} is not a path: a name is missing after a dot`);
    } else if (at < path.length && path[at] !== "[") {
      throw new TypeError(`${path} is not a path: see its character ${at + 1}`);
    }
  }
  return found;
}

function check(step) {
  if (FORBIDDEN.has(step)) throw new TypeError(`a path must not go through ${step}`);
  return step;
}

export function get(document, path, fallback) {
  let value = document;
  for (const step of steps(path)) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, step)) return fallback;
    value = value[step];
  }
  return value;
}

export function set(document, path, value) {
  const way = steps(path);
  const made = (old, step) => (old !== null && typeof old === "object" ? old : typeof step === "number" ? [] : {});
  const root = made(document, way[0]);
  let place = root;
  way.forEach((step, index) => {
    if (index === way.length - 1) {
      place[step] = value;
    } else {
      place[step] = made(Object.hasOwn(place, step) ? place[step] : undefined, way[index + 1]);
      place = place[step];
    }
  });
  return root;
}

export function pick(document, ...paths) {
  const picked = {};
  for (const path of paths.length === 1 && Array.isArray(paths[0]) ? paths[0] : paths) {
    // A key that is written so comes before a path.
    if (typeof path === "string" && path.includes(".") && Object.hasOwn(Object(document), path)) {
      picked[path] = document[path];
      continue;
    }
    const value = get(document, path);
    if (value !== undefined) set(picked, path, value);
  }
  return picked;
}
