//! What an op receives besides its input, and the envelope that carries it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::Error;

/// The context of a call to an op: who calls, its environment values and its secrets.
///
/// A compute that declares the op ABI receives one JSON object on its input,
/// `{"input":…,"meta":{…},"env":{…},"secrets":{…}}`; every other compute receives its input alone,
/// unless [`OpCall::always`] is set.
#[derive(Clone, Debug, Default)]
pub struct OpCall {
    /// Who is called, and by whom.
    pub meta: Meta,
    /// Environment values, by name.
    pub env: BTreeMap<String, serde_json::Value>,
    /// Secrets, by name.
    pub secrets: Secrets,
    /// Send the envelope to a compute that does not declare it, too.
    pub always: bool,
}

/// Who is called, and by whom.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Meta {
    /// The id of the request.
    pub rid: String,
    /// `stack/scope/name` of the op.
    pub op: String,
    /// The stack.
    pub stack: String,
    /// The scope's number.
    pub scope: u32,
    /// The op's name.
    pub name: String,
}

/// Secrets by name. They show in no debug output.
#[derive(Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// The names, without the values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(secrets: I) -> Self {
        Self(secrets.into_iter().collect())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl OpCall {
    /// The envelope around this input; empty input counts as `{}`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] unless the input is one JSON value: anything else could close the
    /// envelope early and write its own secrets.
    pub fn envelope(&self, input: &[u8]) -> Result<Vec<u8>, Error> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            input: &'a RawValue,
            meta: &'a Meta,
            env: &'a BTreeMap<String, serde_json::Value>,
            secrets: &'a Secrets,
        }
        let input = if input.is_empty() { b"{}" } else { input };
        let invalid = |error| Error::InvalidInput { source: std::sync::Arc::new(error) };
        let input: &RawValue = serde_json::from_slice(input).map_err(invalid)?;
        let envelope = Envelope { input, meta: &self.meta, env: &self.env, secrets: &self.secrets };
        serde_json::to_vec(&envelope).map_err(invalid)
    }
}
