// What JSON Web Keys of all algorithms say about themselves (RFC 7517, 4).

import { kindOf } from "../globals.js";
import { fail } from "./key.js";
import { isObject } from "./names.js";

export function jwkOf(data) {
  const isBytes = ArrayBuffer.isView(data) || data instanceof ArrayBuffer;
  if (!isObject(data) || isBytes) throw new TypeError(`a key of the format jwk is an object, and not ${isBytes ? "bytes" : kindOf(data)}`);
  return data;
}

// Whether a key may be imported for these usages. `kty` and `use` are those of its algorithm.
export function checkJwk(jwk, { name, kty, use }, extractable, usages) {
  if (jwk.kty !== kty) fail("DataError", `a key of ${name} has the kty ${kty}, and not ${jwk.kty}`);
  if (usages.length > 0 && jwk.use !== undefined && jwk.use !== use) fail("DataError", `a key of ${name} has the use ${use}, and not ${jwk.use}`);
  if (jwk.key_ops !== undefined) checkOperations(jwk.key_ops, usages);
  if (jwk.ext !== undefined && !jwk.ext && extractable) fail("DataError", "the key says that it may not be exported: import it as not extractable");
}

function checkOperations(operations, usages) {
  if (!Array.isArray(operations)) throw new TypeError(`the key_ops of a key are an array, and not ${kindOf(operations)}`);
  if (new Set(operations).size < operations.length) fail("DataError", "the key names an operation twice in its key_ops");
  const missing = usages.filter((usage) => !operations.includes(usage));
  if (missing.length > 0) fail("DataError", `the key's key_ops say that it is not for ${missing.join(", ")}`);
}

// Whether the algorithm that a key names, if it does, is one of these.
export function checkAlgorithm({ alg }, allowed) {
  if (alg !== undefined && !allowed.includes(alg)) fail("DataError", `the key has the alg ${alg}, and not ${allowed.join(" or ")}`);
}
