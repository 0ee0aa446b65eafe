//! A request as a method describes it, and how its answer is read. How it is sent, `send.rs` knows.

use bytes::Bytes;
use compute_store::MAX_BYTES;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{BoxError, Error};

/// What has a meaning in a URL, or may have one: all but what RFC 3986, 2.3, says never has.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Marks the answer of what ran, whatever came of it.
const RAN: &str = "x-compute-status";

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Below the server's URL, percent-encoded.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether sending it twice does no more than sending it once.
    pub(crate) repeatable: bool,
    /// Whether it is sent again also where nobody knows if it arrived.
    pub(crate) sent_if_lost: bool,
    /// How many bytes the answer may have, if that is less than the client allows.
    pub(crate) limit: Option<u64>,
    /// Whether an answer that is no success is one all the same.
    pub(crate) accepts: fn(&Received) -> bool,
    /// What cannot be sent.
    wrong: Option<String>,
}

/// An answer that came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// Whether it is of something that ran.
    pub(crate) fn ran(&self) -> bool {
        self.headers.contains_key(RAN)
    }

    /// The text of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What reads an answer.
type Read<T> = Box<dyn FnOnce(Received) -> Result<T, BoxError> + Send>;

/// A request, and how its answer is read.
pub(crate) struct Call<T> {
    pub(crate) request: Request,
    pub(crate) read: Read<T>,
}

impl Request {
    /// A request of this method for a path of these parts, each encoded.
    pub(crate) fn new<'a>(method: Method, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut request = Self {
            // Reading twice is reading.
            sent_if_lost: method.is_safe(),
            method,
            path: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            repeatable: true,
            limit: None,
            accepts: |received| received.status.is_success(),
            wrong: None,
        };
        for part in parts {
            request = request.part(part);
        }
        request
    }

    pub(crate) fn get<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::GET, parts)
    }

    pub(crate) fn put<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::PUT, parts)
    }

    pub(crate) fn post<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::POST, parts)
    }

    pub(crate) fn delete<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::DELETE, parts)
    }

    /// This, with one more part of the path.
    pub(crate) fn part(mut self, part: &str) -> Self {
        // These would lead to another path, encoded or not.
        if ["", ".", ".."].contains(&part) {
            self.wrong = Some(format!("`{part}`"));
        }
        if !self.path.is_empty() {
            self.path.push('/');
        }
        self.path.extend(utf8_percent_encode(part, ENCODED));
        self
    }

    /// This, with a value after the `?`.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        self.path.extend(utf8_percent_encode(value, ENCODED));
        self
    }

    /// This, with a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.insert(HeaderName::from_static(name), value);
            }
            Err(_) => self.wrong = Some(format!("the value of {name}")),
        }
        self
    }

    /// This, with a body.
    pub(crate) fn body(mut self, kind: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    /// This, with a body of JSON.
    pub(crate) fn json_body<T: Serialize>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.body("application/json", bytes),
            Err(error) => {
                self.wrong = Some(format!("what was given ({error})"));
                self
            }
        }
    }

    /// This, which sent twice would do more than once.
    pub(crate) const fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// This, which the server knows again by its key or its digest: it is sent again also where it may have arrived.
    pub(crate) const fn known(mut self) -> Self {
        self.sent_if_lost = true;
        self
    }

    /// This, whose answer is also one if it is no success.
    pub(crate) fn accept(mut self, accepts: fn(&Received) -> bool) -> Self {
        self.accepts = accepts;
        self
    }

    /// This, if it can be sent.
    pub(crate) fn checked(&self) -> Result<(), Error> {
        match &self.wrong {
            Some(what) => Err(Error::Request { what: what.clone() }),
            None => Ok(()),
        }
    }

    /// Its answer is read so.
    pub(crate) fn read<T>(
        self,
        read: impl FnOnce(Received) -> Result<T, BoxError> + Send + 'static,
    ) -> Call<T> {
        Call { request: self, read: Box::new(read) }
    }

    /// Its answer is JSON.
    pub(crate) fn json<T: DeserializeOwned + 'static>(self) -> Call<T> {
        self.json_as(std::convert::identity)
    }

    /// Its answer is JSON, of which this is wanted.
    pub(crate) fn json_as<W: DeserializeOwned, T>(
        self,
        take: impl FnOnce(W) -> T + Send + 'static,
    ) -> Call<T> {
        self.read(|received| Ok(take(serde_json::from_slice(&received.body)?)))
    }

    /// Its answer is text.
    pub(crate) fn text(self) -> Call<String> {
        self.read(|received| Ok(String::from_utf8(received.body.into())?))
    }

    /// Its answer is bytes, as many as an artifact may have.
    pub(crate) fn bytes(mut self) -> Call<Bytes> {
        self.limit = Some(MAX_BYTES);
        self.read(|received| Ok(received.body))
    }

    /// Its answer says nothing more than that it is done.
    pub(crate) fn done(self) -> Call<()> {
        self.read(|_| Ok(()))
    }
}
