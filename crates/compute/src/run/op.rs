//! What an op receives besides its input, and the envelope that carries it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Error, Mask};

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
    pub env: Env,
    /// Secrets, by name.
    pub secrets: Secrets,
    /// Send the envelope to a compute that does not declare it, too.
    pub always: bool,
}

/// Who is called, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// Environment values by name: the text of a JSON object, which is passed on as it is.
///
/// ```
/// let env: compute::Env = [("region".to_owned(), "eu".into())].into_iter().collect();
/// assert_eq!(env.get(), r#"{"region":"eu"}"#);
/// ```
#[derive(Clone, Debug)]
pub struct Env(Arc<RawValue>);

impl Serialize for Env {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Env {
    /// The values that this JSON has.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] unless it is an object.
    pub fn new(json: Box<RawValue>) -> Result<Self, Error> {
        if json.get().starts_with('{') {
            return Ok(Self(json.into()));
        }
        let source = Arc::from(Box::from("the environment values are not an object"));
        Err(Error::InvalidInput { source })
    }

    /// The JSON.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

impl Default for Env {
    fn default() -> Self {
        std::iter::empty().collect()
    }
}

impl FromIterator<(String, serde_json::Value)> for Env {
    fn from_iter<I: IntoIterator<Item = (String, serde_json::Value)>>(values: I) -> Self {
        let map: serde_json::Map<_, _> = values.into_iter().collect();
        // A map of values is always JSON.
        let json =
            serde_json::value::to_raw_value(&map).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self(json.into())
    }
}

/// Secrets by name, and what keeps them out of what is shown. They show in no debug output.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<String, String>,
    mask: OnceLock<Arc<Mask>>,
}

impl Serialize for Secrets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.values.serialize(serializer)
    }
}

impl Secrets {
    /// These secrets, with a mask that knows them already and may know others.
    #[must_use]
    pub fn masked_by(self, mask: Arc<Mask>) -> Self {
        Self { mask: mask.into(), ..self }
    }

    /// What keeps them out of what is shown.
    #[must_use]
    pub fn mask(&self) -> &Mask {
        self.mask.get_or_init(|| Arc::new(Mask::new(self.values.values().cloned())))
    }

    /// The names, without the values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The names with their values: for a record's digests, and no other eyes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl FromIterator<(String, String)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(secrets: I) -> Self {
        Self { values: secrets.into_iter().collect(), mask: OnceLock::new() }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// That these bytes are one JSON value.
///
/// # Errors
/// [`Error::InvalidInput`] unless they are.
pub fn check_json(input: &[u8]) -> Result<(), Error> {
    let invalid = |source| Error::InvalidInput { source };
    let text = std::str::from_utf8(input).map_err(|error| invalid(Arc::new(error)))?;
    let read = serde_json::from_str::<serde::de::IgnoredAny>(text);
    read.map(drop).map_err(|error| invalid(Arc::new(error)))
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
            env: &'a Env,
            secrets: &'a Secrets,
        }
        let input = if input.is_empty() { b"{}" } else { input };
        let invalid = |error| Error::InvalidInput { source: Arc::new(error) };
        let input: &RawValue = serde_json::from_slice(input).map_err(invalid)?;
        let envelope = Envelope { input, meta: &self.meta, env: &self.env, secrets: &self.secrets };
        serde_json::to_vec(&envelope).map_err(invalid)
    }
}
