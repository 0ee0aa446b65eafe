// URL and URLSearchParams: a script of its own, which libraries.js has loaded.

import "core-js/actual/url";
import "core-js/actual/url-search-params";
