//! A workspace's file: `compute.toml`, and the `txco.yaml` of the original.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// The workspace's own file.
pub(crate) const OWN: &str = "compute.toml";
/// The original's file, which is read as well.
pub(crate) const ORIGINAL: [&str; 2] = ["txco.yaml", "txco.yml"];
/// The longest of these files, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What a workspace's file says.
///
/// ```
/// let settings = compute_flow::Settings::from_toml(r#"
///     [operations.classify]
///     url = "compute://sha256/4a1f"
///
///     [targets.staging]
///     state = "/srv/staging"
/// "#)?;
/// assert_eq!(settings.operations["classify"], "compute://sha256/4a1f");
/// # Ok::<(), compute_flow::SettingsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Where ops are that are not in the workspace, by name.
    pub operations: BTreeMap<String, String>,
    /// Where the workspace can be applied to, by name.
    pub targets: BTreeMap<String, Target>,
    /// The target that is meant where none is named.
    pub target: Option<String>,
    /// Whether what the workspace is for may have no fixtures that rules answer with: a target says so with `mock = "deny"`.
    pub denies_mocks: bool,
    /// What these files say and nobody here reads: the file, and what it is.
    pub unread: Vec<(String, String)>,
}

/// Where a workspace can be applied to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Target {
    /// The folder that keeps the catalogue and the traces.
    #[serde(default)]
    pub state: Option<String>,
    /// The store of the artifacts, as `--store` takes it.
    #[serde(default)]
    pub store: Option<String>,
    /// The URL of a server that has both.
    #[serde(default)]
    pub server: Option<String>,
    /// The environment variable that holds the token for the server: `COMPUTE_TOKEN`, unless it is named.
    #[serde(default)]
    pub token_env: Option<String>,
    /// Where ops are, if the workspace is for this target: these come before its others.
    #[serde(default, deserialize_with = "urls")]
    pub operations: BTreeMap<String, String>,
    /// Whether the fixtures that rules answer with are sent there.
    #[serde(default)]
    pub mock: Mock,
}

/// Whether a target gets the fixtures that rules answer with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mock {
    /// It does.
    #[default]
    Allow,
    /// It does not, and so no rule there can answer with one.
    Deny,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    operations: BTreeMap<String, Operation>,
    #[serde(default)]
    targets: BTreeMap<String, Target>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    url: String,
}

fn urls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let operations: BTreeMap<String, Operation> = Deserialize::deserialize(deserializer)?;
    Ok(operations.into_iter().map(|(name, one)| (name, one.url)).collect())
}

/// The original's file has more than is read here.
#[derive(Debug, Default, Deserialize)]
struct Yaml {
    #[serde(default)]
    target: Option<String>,
    // A key with nothing below it is as good as none.
    #[serde(default)]
    targets: Option<BTreeMap<String, Option<YamlTarget>>>,
    #[serde(default)]
    operations: Option<BTreeMap<String, Option<YamlOperation>>>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
struct YamlTarget {
    /// The server.
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    chassis: Option<String>,
    #[serde(default)]
    mock: Option<Mock>,
    #[serde(default)]
    operations: Option<BTreeMap<String, Option<YamlOperation>>>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
struct YamlOperation {
    #[serde(default)]
    url: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

/// The URLs of operations; what else is said of them is not read.
fn read_operations(
    read: Option<BTreeMap<String, Option<YamlOperation>>>,
    at: &str,
    unread: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let mut operations = BTreeMap::new();
    for (name, one) in read.unwrap_or_default() {
        let one = one.unwrap_or_default();
        unread.extend(one.others.keys().map(|key| format!("{at}operations.{name}.{key}")));
        operations.extend(one.url.map(|url| (name, url)));
    }
    operations
}

/// A workspace's file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", .file.display())]
pub struct SettingsError {
    file: PathBuf,
    message: String,
}

impl Settings {
    /// Reads the files in a workspace's folder. What both say holds as `compute.toml` has it.
    ///
    /// # Errors
    /// A file that cannot be read, and where.
    pub fn read(folder: &Path) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for name in ORIGINAL {
            let file = folder.join(name);
            if let Some(text) = text_of(&file)? {
                let read = Self::from_yaml(&text).map_err(|one| one.at(&file))?;
                settings.operations.extend(read.operations);
                settings.targets.extend(read.targets);
                settings.target = read.target.or(settings.target);
                settings
                    .unread
                    .extend(read.unread.into_iter().map(|(_, key)| (name.to_owned(), key)));
            }
        }
        let file = folder.join(OWN);
        if let Some(text) = text_of(&file)? {
            let own = Self::from_toml(&text).map_err(|one| one.at(&file))?;
            settings.operations.extend(own.operations);
            settings.targets.extend(own.targets);
            settings.target = own.target.or(settings.target);
        }
        Ok(settings)
    }

    /// What holds for a target, or for the one that is meant where none is named.
    #[must_use]
    pub fn for_target(mut self, name: Option<&str>) -> Self {
        let target = name.or(self.target.as_deref()).and_then(|name| self.targets.get(name));
        if let Some(target) = target {
            self.operations.extend(target.operations.clone());
            self.denies_mocks = target.mock == Mock::Deny;
        }
        self
    }

    /// What a `compute.toml` says.
    ///
    /// # Errors
    /// What cannot be read, and where.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        let read: Toml = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let operations = read.operations.into_iter().map(|(name, one)| (name, one.url)).collect();
        Ok(Self { operations, targets: read.targets, target: read.target, ..Self::default() })
    }

    /// What a `txco.yaml` says of operations and targets; the rest of it is told as not read.
    ///
    /// # Errors
    /// What cannot be read, and where.
    pub fn from_yaml(text: &str) -> Result<Self, SettingsError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        // One that has nothing but a `---` is empty.
        let read: Option<Yaml> =
            serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let read = read.unwrap_or_default();
        let mut unread: Vec<_> = read.others.into_keys().collect();
        let operations = read_operations(read.operations, "", &mut unread);
        let mut targets = BTreeMap::new();
        for (name, one) in read.targets.unwrap_or_default() {
            let one = one.unwrap_or_default();
            let at = format!("targets.{name}.");
            unread.extend(one.others.keys().map(|key| format!("{at}{key}")));
            let operations = read_operations(one.operations, &at, &mut unread);
            targets.insert(
                name,
                Target {
                    server: one.url.or(one.chassis),
                    operations,
                    mock: one.mock.unwrap_or_default(),
                    ..Target::default()
                },
            );
        }
        let unread = unread.into_iter().map(|key| (ORIGINAL[0].to_owned(), key)).collect();
        Ok(Self { operations, targets, target: read.target, unread, ..Self::default() })
    }
}

impl SettingsError {
    fn at(self, file: &Path) -> Self {
        Self { file: file.to_owned(), ..self }
    }
}

fn wrong(message: String) -> SettingsError {
    SettingsError { file: OWN.into(), message: message.trim_end().to_owned() }
}

/// A file's text, if there is such a file.
fn text_of(file: &Path) -> Result<Option<String>, SettingsError> {
    let failed = |message: String| SettingsError { file: file.to_owned(), message };
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.to_string())),
        Ok(found) if found.len() > MAX_BYTES => {
            Err(failed(format!("the file has {} bytes; the most is {MAX_BYTES}", found.len())))
        }
        Ok(_) => std::fs::read_to_string(file).map(Some).map_err(|error| failed(error.to_string())),
    }
}
