import { op } from "@compute/op";
const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];
export default op(({ input }: any) => {
  const failed: any[] = []; let passed = 0;
  const check = (name: string, ok: boolean, got?: unknown) => { if (ok) passed++; else failed.push([name, got]); };
  for (const test of input.parse) {
    if (typeof test === "string") continue;
    let url: any, threw = false;
    try { url = test.base === null || test.base === undefined ? new URL(test.input) : new URL(test.input, test.base); } catch { threw = true; }
    const name = `${test.input} against ${test.base}`;
    if (test.failure) check(name, threw, url?.href);
    else if (threw) check(name, false, "threw");
    else { const bad = PARTS.filter((p) => p in test && url[p] !== test[p]); check(name, bad.length === 0, bad.map((p) => [p, url[p], test[p]])); }
  }
  for (const [property, tests] of Object.entries<any>(input.setters)) {
    if (property === "comment") continue;
    for (const test of tests) {
      const url: any = new URL(test.href); url[property] = test.new_value;
      const bad = Object.keys(test.expected).filter((p) => url[p] !== test.expected[p]);
      check(`${test.href} ${property} = ${test.new_value}`, bad.length === 0, bad.map((p) => [p, url[p], test.expected[p]]));
    }
  }
  return { passed, failed };
});
