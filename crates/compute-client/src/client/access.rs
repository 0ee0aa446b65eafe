//! Who may use a server, and the secrets that its rules may name.

use compute_api::{
    AuditOf, AuditPage, DayUsage, NewToken, SecretInfo, SecretList, SecretValue, TokenInfo,
    TokenList, TokenRequest, UsageList,
};

use jiff::civil::Date;

use super::ApiClient;
use crate::mode::Mode;
use crate::request::Request;

impl<M: Mode> ApiClient<M> {
    /// The names of the secrets, in order. Their values are never given back.
    pub fn secrets(&self) -> M::Answer<'_, Vec<SecretInfo>> {
        self.call(Request::get(["v1", "secrets"]).json_as(|SecretList { secrets }| secrets))
    }

    /// Sets a secret.
    ///
    /// Fails with [`ErrorKind::Quota`](crate::ErrorKind::Quota) if there are too many.
    pub fn set_secret(&self, name: &str, value: &str) -> M::Answer<'_, ()> {
        let value = SecretValue { value: value.to_owned() };
        self.call(Request::put(["v1", "secrets", name]).json_body(&value).done())
    }

    /// Forgets a secret.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub fn delete_secret(&self, name: &str) -> M::Answer<'_, ()> {
        self.call(Request::delete(["v1", "secrets", name]).done())
    }

    /// Who changed what of the tenant whose token this client has: at most so many entries (1,000), those after this number, or
    /// without one the newest.
    pub fn audit(&self, of: AuditOf, after: Option<u64>, last: usize) -> M::Answer<'_, AuditPage> {
        let request = Request::get(["v1", "audit"]).query("of", of.name());
        let request = match after {
            Some(after) => request.query("after", &after.to_string()),
            None => request,
        };
        self.call(request.query("last", &last.to_string()).json())
    }

    /// What the tenant used whose token this client has, on the days from one to another, the oldest first.
    pub fn usage(&self, from: Option<Date>, to: Option<Date>) -> M::Answer<'_, Vec<DayUsage>> {
        let mut request = Request::get(["v1", "usage"]);
        for (name, day) in [("from", from), ("to", to)] {
            if let Some(day) = day {
                request = request.query(name, &day.to_string());
            }
        }
        self.call(request.json_as(|UsageList { days }| days))
    }

    /// The tokens of the tenant whose token this client has, the oldest first.
    pub fn tokens(&self) -> M::Answer<'_, Vec<TokenInfo>> {
        self.call(Request::get(["v1", "tokens"]).json_as(|TokenList { tokens }| tokens))
    }

    /// Makes a token for the tenant whose token this client has. It is shown here, and never again. It is asked for a second
    /// time only if the server had no room for the first, or was not reached.
    ///
    /// Fails with [`ErrorKind::Quota`](crate::ErrorKind::Quota) if there are too many.
    pub fn create_token(&self, token: &TokenRequest) -> M::Answer<'_, NewToken> {
        self.call(Request::post(["v1", "tokens"]).json_body(token).once().json())
    }

    /// Ends a token.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub fn revoke_token(&self, id: &str) -> M::Answer<'_, ()> {
        self.call(Request::delete(["v1", "tokens", id]).done())
    }
}
