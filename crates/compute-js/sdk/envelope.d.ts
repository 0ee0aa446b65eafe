/** A path such as `a.b[0].c`, or its steps. `__proto__`, `constructor` and `prototype` are refused. */
export type Path = string | (string | number)[];

/** What is at this path; the fallback if nothing is there. */
export function get<T = any>(document: unknown, path: Path, fallback?: T): T;

/** A copy of the document with this value at this path. What is missing on the way is made. */
export function set<T = any>(document: unknown, path: Path, value: unknown): T;

/** A document with only what is at these paths. */
export function pick<T = any>(document: unknown, paths: Path[]): T;
