//! A stack's files, and which of them a request of the web asks for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compute_state::File;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use txcl::TXC;

use super::path::served_path;

/// How large one of a stack's files may be, in bytes: 512 KiB.
pub(crate) const MAX_SERVED_FILE: usize = 512 << 10;
/// How many bytes a stack's files may have together: 8 MiB.
pub(crate) const MAX_SERVED: usize = 8 << 20;
/// How many files a stack may have: 2,048.
pub(crate) const MAX_SERVED_FILES: usize = 2048;

/// How long browsers keep a page, and anything else.
const PAGE: &str = "max-age=0, must-revalidate";
const REST: &str = "private, max-age=3600";

/// A stack's files, by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct StaticFiles {
    files: BTreeMap<String, StaticFile>,
    /// All of them, in bytes.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct StaticFile {
    /// In base64, as it is answered.
    body: String,
    /// Its hash, in quotes.
    etag: String,
}

impl StaticFiles {
    /// Takes in a file, if it is one of these; says so.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn add(&mut self, file: &File) -> Result<bool, String> {
        let Some(path) = served_path(&file.path) else { return Ok(false) };
        let decoded = STANDARD.decode(&file.text);
        let bytes = decoded.map_err(|error| format!("the file is not in base64: {error}"))?;
        self.bytes += bytes.len();
        let size = bytes.len();
        if size > MAX_SERVED_FILE {
            return Err(format!("the file has {size} bytes; the most is {MAX_SERVED_FILE}"));
        }
        if self.bytes > MAX_SERVED {
            return Err(format!("the files of a stack have at most {MAX_SERVED} bytes together"));
        }
        if self.files.len() == MAX_SERVED_FILES {
            return Err(format!("a stack has at most {MAX_SERVED_FILES} files"));
        }
        let etag = format!("\"{}\"", hex::encode(Sha256::digest(&bytes)));
        self.files.insert(path.to_owned(), StaticFile { body: file.text.clone(), etag });
        Ok(true)
    }

    /// What is answered to the request in a document, if it asks for a file; and about how many bytes that takes.
    pub(crate) fn answer(&self, document: &Value) -> Option<(Value, usize)> {
        let request = document.get(TXC)?.get("web")?.get("req")?;
        if !matches!(request.get("method")?.as_str()?, "GET" | "HEAD") {
            return None;
        }
        // As rules see it, without reading any escape once more: what a rule looks at is what is found here.
        let path = request.get("path")?.as_str()?.strip_prefix('/')?;
        // What begins with a dot is the rules' to answer, and what begins so is nobody's to see.
        if path.contains("//")
            || path.starts_with(['/', '.', '_'])
            || path.contains("/.")
            || path.contains("/_")
        {
            return None;
        }
        let Some((name, file)) = self.find(path) else {
            let is_gone = path.rsplit_once('/').is_some_and(|(folder, name)| {
                let below = format!("{folder}/");
                let mut from = self.files.range(below.clone()..);
                name.contains('.') && from.next().is_some_and(|(path, _)| path.starts_with(&below))
            });
            let gone = json!({ "status": 404, "headers": { "content-type": "text/plain" }, "body_text": "not found" });
            return is_gone.then(|| (halted(gone), 1 << 10));
        };
        let known = request.get("headers").and_then(|all| all.get("if-none-match"));
        let is_known = known.and_then(Value::as_str).is_some_and(|known| {
            known
                .split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == file.etag)
        });
        let kind = mime_guess::from_path(&*name).first_or_octet_stream();
        let is_text = kind.type_() == mime_guess::mime::TEXT;
        let kind = if is_text { format!("{kind}; charset=utf-8") } else { kind.to_string() };
        let keep = if name.ends_with(".html") { PAGE } else { REST };
        let mut answer = json!({
            "status": 304,
            "headers": { "etag": file.etag, "cache-control": keep },
        });
        if !is_known {
            answer["status"] = 200.into();
            answer["headers"]["content-type"] = kind.into();
            answer["body"] = file.body.as_str().into();
        }
        Some((halted(answer), file.body.len() + (1 << 10)))
    }

    /// The file at a path: itself, a page of that name, or the index of that folder.
    fn find<'a>(&self, path: &'a str) -> Option<(Cow<'a, str>, &StaticFile)> {
        let found = |path: Cow<'a, str>| self.files.get(&*path).map(|file| (path, file));
        if path.is_empty() || path.ends_with('/') {
            return found(Cow::Owned(format!("{path}index.html")));
        }
        let last = path.rsplit('/').next().unwrap_or(path);
        let pages = [".html", "/index.html"].into_iter().filter(|_| !last.contains('.'));
        let pages = pages.map(|ending| Cow::Owned(format!("{path}{ending}")));
        std::iter::once(Cow::Borrowed(path)).chain(pages).find_map(found)
    }
}

/// An answer after which the document goes nowhere.
fn halted(answer: Value) -> Value {
    json!({ TXC: { "halt": true, "web": { "res": answer } } })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use compute_state::File;
    use serde_json::{Value, json};

    use super::{MAX_SERVED_FILE, StaticFiles};

    fn files() -> StaticFiles {
        let mut files = StaticFiles::default();
        for (path, text) in [
            ("index.html", "home"),
            ("about.html", "about"),
            ("blog/index.html", "blog"),
            ("app.js", "1"),
            ("logo.bin2", "\u{1}"),
            ("_mail/welcome.html", "hidden"),
            ("a b.txt", "spaced"),
        ] {
            let file = File::new(format!("FILES/{path}"), STANDARD.encode(text));
            assert_eq!(files.add(&file), Ok(true));
        }
        files
    }

    fn asked(path: &str, method: &str, headers: Value) -> Option<Value> {
        let request = json!({ "path": path, "method": method, "headers": headers });
        let document = json!({ "_txc": { "web": { "req": request } } });
        let (mut answer, _) = files().answer(&document)?;
        assert_eq!(answer["_txc"]["halt"], true);
        Some(answer["_txc"]["web"]["res"].take())
    }

    fn body(path: &str) -> Option<String> {
        let answer = asked(path, "GET", json!({}))?;
        let body = STANDARD.decode(answer["body"].as_str()?).unwrap();
        Some(String::from_utf8(body).unwrap())
    }

    #[test]
    fn files_are_found_as_static_hosts_find_them() {
        for (path, text) in [
            ("/", "home"),
            ("/about", "about"),
            ("/about.html", "about"),
            ("/blog", "blog"),
            ("/blog/", "blog"),
            ("/app.js", "1"),
            ("/a b.txt", "spaced"),
        ] {
            assert_eq!(body(path).as_deref(), Some(text), "{path}");
        }
        for path in [
            "/nothing",
            "/app",
            "/app.js/x",
            "/_mail/welcome.html",
            "/.env",
            "//about",
            "/blog//",
            "/a%20b.txt",
            "about",
            "/x.js",
        ] {
            assert_eq!(asked(path, "GET", json!({})), None, "{path}");
        }
        assert_eq!(asked("/", "POST", json!({})), None);
        assert_eq!(asked("/blog/gone.js", "GET", json!({})).unwrap()["status"], 404);
        assert_eq!(files().answer(&json!({ "a": 1 })).map(|_| ()), None);
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = asked("/app.js", "GET", json!({})).unwrap();
        let headers = &first["headers"];
        assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(headers["cache-control"], "private, max-age=3600");
        let tag = headers["etag"].as_str().unwrap();
        for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = asked("/app.js", "HEAD", json!({ "if-none-match": known })).unwrap();
            assert_eq!((&again["status"], again.get("body")), (&304.into(), None));
        }
        let page = asked("/", "GET", json!({ "if-none-match": "\"x\"" })).unwrap();
        assert_eq!(page["headers"]["cache-control"], "max-age=0, must-revalidate");
        assert_eq!(
            asked("/logo.bin2", "GET", json!({})).unwrap()["headers"]["content-type"],
            "application/octet-stream"
        );
    }

    #[test]
    fn files_are_bounded() {
        let mut files = StaticFiles::default();
        assert_eq!(files.add(&File::new("100/a.txcl", "")), Ok(false));
        assert!(files.add(&File::new("FILES/a", "no base64!")).is_err());
        let large = STANDARD.encode(vec![0; MAX_SERVED_FILE + 1]);
        assert!(files.add(&File::new("FILES/a", large)).unwrap_err().contains("524288"));
        let most = STANDARD.encode(vec![0; MAX_SERVED_FILE]);
        let mut all = StaticFiles::default();
        for number in 0..16 {
            assert_eq!(all.add(&File::new(format!("FILES/{number}"), most.clone())), Ok(true));
        }
        assert!(all.add(&File::new("FILES/x", "AAAA")).unwrap_err().contains("together"));
    }
}
