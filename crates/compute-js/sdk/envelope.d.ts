/** A path such as `a.b[0].c`, or its steps. `__proto__`, `constructor` and `prototype` are refused. */
export type Path = string | (string | number)[];

/** What is at this path; the fallback if nothing is there. */
export function get<T = any>(document: unknown, path: Path, fallback?: T): T;

/** Sets what is at this path, in the document itself, which it gives back. What is missing on the way is made. */
export function set<T = any>(document: unknown, path: Path, value: unknown): T;

/** A new document with only what is at these paths, or under keys that are written so. */
export function pick<T = any>(document: unknown, paths: Path[]): T;
export function pick<T = any>(document: unknown, ...paths: Path[]): T;
