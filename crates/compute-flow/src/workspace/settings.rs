//! A workspace's file: `compute.toml`, and the `txco.yaml` of the original.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

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
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
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

/// The original's file has more than is read here.
#[derive(Debug, Default, Deserialize)]
struct Yaml {
    #[serde(default)]
    operations: BTreeMap<String, YamlOperation>,
}

#[derive(Debug, Deserialize)]
struct YamlOperation {
    #[serde(default)]
    url: Option<String>,
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
                settings
                    .operations
                    .extend(Self::from_yaml(&text).map_err(|one| one.at(&file))?.operations);
            }
        }
        let file = folder.join(OWN);
        if let Some(text) = text_of(&file)? {
            let own = Self::from_toml(&text).map_err(|one| one.at(&file))?;
            settings.operations.extend(own.operations);
            settings.targets = own.targets;
        }
        Ok(settings)
    }

    /// What a `compute.toml` says.
    ///
    /// # Errors
    /// What cannot be read, and where.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        let read: Toml = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let operations = read.operations.into_iter().map(|(name, one)| (name, one.url)).collect();
        Ok(Self { operations, targets: read.targets })
    }

    /// What a `txco.yaml` says of operations; the rest of it is left alone.
    ///
    /// # Errors
    /// What cannot be read, and where.
    pub fn from_yaml(text: &str) -> Result<Self, SettingsError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let read: Yaml = serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let named = |(name, one): (String, YamlOperation)| Some((name, one.url?));
        let operations = read.operations.into_iter().filter_map(named).collect();
        Ok(Self { operations, targets: BTreeMap::new() })
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
