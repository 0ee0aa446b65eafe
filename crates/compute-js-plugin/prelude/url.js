// URL and URLSearchParams: a script of its own, which libraries.js has loaded.

import { URL, URLSearchParams } from "whatwg-url";

import { define } from "./globals.js";

define(globalThis, { URL, URLSearchParams });
