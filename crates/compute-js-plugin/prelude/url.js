// URL and URLSearchParams: a script of its own, which lazy-url.js has loaded.

import "core-js/actual/url";
import "core-js/actual/url-search-params";
