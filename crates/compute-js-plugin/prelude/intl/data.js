// The data of Intl, piece by piece: what a language needs is inflated and read when it is first asked for.

import { PRIMITIVES } from "../primitives.js";

const { data } = crypto[PRIMITIVES];
const loaded = new Map();

export function load(kind, locale) {
  const name = `${kind}.${locale}`;
  if (!loaded.has(name)) loaded.set(name, data(name));
  return loaded.get(name);
}
