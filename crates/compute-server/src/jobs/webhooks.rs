//! Tells others that jobs have ended, over HTTP: only those that the operator allows, signed as Standard Webhooks has it
//! (<https://www.standardwebhooks.com>).

use std::net::ToSocketAddrs as _;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compute_state::Webhook;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use sha2::Sha256;
use tokio::sync::Semaphore;
use url::{Origin, Url};

use crate::Problem;

/// How long whoever is told may take to be reached, and to answer.
const REACHED: Duration = Duration::from_secs(3);
const ANSWERS: Duration = Duration::from_secs(10);
/// How many names are looked up at once. The system may take half a minute for one, on a thread that others need, too.
const LOOKED_UP: usize = 16;
/// What a secret begins with that is written as Standard Webhooks has it: what follows is base64.
const PREFIX: &str = "whsec_";

/// An origin that jobs of any tenant may tell of their ends: a scheme, a host and a port.
///
/// ```
/// use compute_server::WebhookOrigin;
///
/// assert!("https://hooks.example.com".parse::<WebhookOrigin>().is_ok());
/// assert!("http://127.0.0.1:9000".parse::<WebhookOrigin>().is_ok());
/// assert!("https://hooks.example.com/path".parse::<WebhookOrigin>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOrigin(Origin);

/// A text that is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no origin of webhooks: write `https://HOST`, or `https://HOST:PORT`")]
pub struct WebhookOriginError(String);

impl FromStr for WebhookOrigin {
    type Err = WebhookOriginError;

    fn from_str(text: &str) -> Result<Self, WebhookOriginError> {
        let wrong = || WebhookOriginError(text.chars().take(200).collect());
        let url = Url::parse(text).map_err(|_| wrong())?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_http = matches!(url.scheme(), "http" | "https") && url.username().is_empty();
        (is_bare && is_http).then(|| Self(url.origin())).ok_or_else(wrong)
    }
}

/// Who may be told, and what tells them.
#[derive(Debug, Default)]
pub(crate) struct Webhooks {
    allowed: OnceLock<Vec<WebhookOrigin>>,
    client: OnceLock<Client>,
}

/// What became of telling somebody.
pub(crate) enum Told {
    /// They took it.
    Taken(StatusCode),
    /// They, or what is between, may take it the next time.
    NotNow(String),
    /// They want no more of it.
    Never(String),
}

impl Webhooks {
    /// Allows these from now on, if none were named before.
    pub(crate) fn allow(&self, origins: Vec<WebhookOrigin>) {
        let _ = self.allowed.set(origins);
    }

    /// The address, if it may be told.
    pub(crate) fn check(&self, webhook: &Webhook) -> Result<Url, Problem> {
        let url = Url::parse(webhook.url()).map_err(|error| {
            let detail = format!("the address of a webhook is none: {error}");
            Problem::bad("invalid_webhook", detail)
        })?;
        let origin = url.origin();
        let allowed = self.allowed.get().map(Vec::as_slice).unwrap_or_default();
        if allowed.iter().any(|WebhookOrigin(one)| *one == origin) {
            return Ok(url);
        }
        let detail = format!(
            "webhooks of {} are not allowed here: the operator allows origins with `compute serve --webhook-origin`",
            origin.ascii_serialization()
        );
        Err(Problem::new(StatusCode::FORBIDDEN, "webhook_not_allowed", detail))
    }

    /// Tells somebody, once.
    pub(crate) async fn tell(&self, url: Url, id: &str, secret: &str, body: Vec<u8>) -> Told {
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return Told::NotNow(compute::with_causes(&error)),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let timestamp = now.as_secs().to_string();
        let Some(signature) = signature(secret, id, &timestamp, &body) else {
            let why = "the secret that signs a webhook is no base64 after `whsec_`, or empty";
            return Told::Never(why.to_owned());
        };
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Told::Taken(answer.status()),
            Ok(answer) if answer.status() == StatusCode::GONE => {
                Told::Never("it answered 410: it wants no more of these".to_owned())
            }
            Ok(answer) => Told::NotNow(format!("it answered {}", answer.status().as_u16())),
            // The address may have what only its owner is to see.
            Err(error) => Told::NotNow(compute::with_causes(&error.without_url())),
        }
    }

    fn client(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // What it answers is not read, and where it sends us was allowed by nobody.
        let client = Client::builder()
            .connect_timeout(REACHED)
            .timeout(ANSWERS)
            .redirect(Policy::none())
            .dns_resolver(Names(Arc::new(Semaphore::new(LOOKED_UP))))
            .user_agent(concat!("compute/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Looks names up as the system does, a few at once.
struct Names(Arc<Semaphore>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let places = Arc::clone(&self.0);
        Box::pin(async move {
            let place = places.acquire_owned().await?;
            // Whoever gives up leaves the place taken for as long as the system looks.
            let found = tokio::task::spawn_blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                drop(place);
                found
            });
            Ok(Box::new(found.await??) as Addrs)
        })
    }
}

/// What Standard Webhooks has in `webhook-signature`: `v1,` and the HMAC-SHA256 of `ID.TIMESTAMP.BODY`, in base64.
fn signature(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    let key = match secret.strip_prefix(PREFIX) {
        Some(key) => STANDARD.decode(key).ok()?,
        None => secret.as_bytes().to_vec(),
    };
    if key.is_empty() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use compute_state::Webhook;

    use super::{WebhookOrigin, Webhooks, signature};

    /// The example of the Standard Webhooks' own libraries.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(signature("whsec_?", "a", "1", b""), None);
        assert_eq!(signature("", "a", "1", b""), None);
    }

    #[test]
    fn only_what_is_allowed_is_told() {
        let webhooks = Webhooks::default();
        let may = |url: &str| Webhook::new(url, "k").is_ok_and(|one| webhooks.check(&one).is_ok());
        assert!(!may("https://a.example/x"));
        let origins = ["https://a.example", "http://127.0.0.1:9000/"];
        webhooks.allow(origins.map(|one| one.parse().unwrap()).into());
        assert!(may("https://a.example/x?y=z") && may("https://a.example:443/"));
        assert!(may("http://127.0.0.1:9000/a"));
        for url in [
            "http://a.example/x",
            "https://a.example:444/x",
            "https://b.a.example/",
            "https://a.example.evil.example/",
            "https://a.example@evil.example/",
            "http://127.0.0.1/",
            "http://127.0.0.1:90000/",
        ] {
            assert!(!may(url), "{url}");
        }
        for wrong in ["a.example", "ftp://a", "https://a/b", "https://a?b", "https://u@a", ""] {
            wrong.parse::<WebhookOrigin>().unwrap_err();
        }
    }
}
