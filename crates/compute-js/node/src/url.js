const url = require("../node_modules/url/url.js");
const { parse, resolve, resolveObject, format, Url } = url;
module.exports = {
  parse,
  resolve,
  resolveObject,
  Url,
  format: (given, options) => (typeof given === "object" && given !== null && typeof given.href === "string" && given.searchParams ? formatUrl(given, options) : format(given)),
  fileURLToPath(given) {
    const { protocol, pathname } = new URL(given);
    if (protocol !== "file:") throw new TypeError("the URL must be of the scheme file");
    return decodeURIComponent(pathname);
  },
  pathToFileURL(path) {
    const given = new URL("file:///");
    given.pathname = require("path").resolve("/", path);
    return given;
  },
  domainToASCII(domain) {
    try {
      return new URL(`http://${domain}`).hostname;
    } catch {
      return "";
    }
  },
  domainToUnicode: (domain) => require("punycode").toUnicode(domain),
  urlToHttpOptions({ protocol, hostname, hash, search, pathname, href, port, username, password }) {
    const options = { protocol, hostname, hash, search, pathname, path: `${pathname}${search}`, href };
    if (port !== "") options.port = Number(port);
    if (username || password) options.auth = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return options;
  },
};
for (const name of ["URL", "URLSearchParams"]) Object.defineProperty(module.exports, name, { get: () => globalThis[name], enumerable: true });

function formatUrl(given, { auth = true, fragment = true, search = true } = {}) {
  const copy = new URL(given.href);
  if (!auth) copy.username = copy.password = "";
  if (!fragment) copy.hash = "";
  if (!search) copy.search = "";
  return copy.href;
}
