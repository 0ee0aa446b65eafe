// The names that algorithms are given by. crypto.js needs them too, without the keys.

export const isObject = (value) => Object(value) === value;

// An algorithm is given as its name, or as an object that has it.
export function nameOf(algorithm) {
  const name = isObject(algorithm) ? algorithm.name : algorithm;
  if (name === undefined || name === null) throw new TypeError("an algorithm has a name: give the name, or an object with a `name`");
  return `${name}`;
}

// Capital and small letters of ASCII make no difference in a name, and other letters do: "ſ" is no "S".
export const inCapitals = (name) => name.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
