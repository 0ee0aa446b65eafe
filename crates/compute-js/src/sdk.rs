//! The SDK that ops import: `@compute/op` and its helper modules, embedded, so that a build needs no
//! network and no `node_modules`.

/// The name that authors import from, and an older name that means the same.
const NAMES: [&str; 2] = ["@compute/op", "@txco/op"];

/// One module of the SDK.
#[derive(Clone, Copy, Debug)]
pub struct SdkModule {
    /// What follows the name: empty for the SDK itself, `/schema` for a helper.
    pub path: &'static str,
    /// Its source, in JavaScript.
    pub source: &'static str,
    /// Its types.
    pub types: &'static str,
}

/// All modules of the SDK.
pub const SDK: [SdkModule; 5] = [
    SdkModule {
        path: "",
        source: include_str!("../sdk/op.js"),
        types: include_str!("../sdk/op.d.ts"),
    },
    SdkModule {
        path: "/codec",
        source: include_str!("../sdk/codec.js"),
        types: include_str!("../sdk/codec.d.ts"),
    },
    SdkModule {
        path: "/crypto",
        source: include_str!("../sdk/crypto.js"),
        types: include_str!("../sdk/crypto.d.ts"),
    },
    SdkModule {
        path: "/envelope",
        source: include_str!("../sdk/envelope.js"),
        types: include_str!("../sdk/envelope.d.ts"),
    },
    SdkModule {
        path: "/schema",
        source: include_str!("../sdk/schema.js"),
        types: include_str!("../sdk/schema.d.ts"),
    },
];

/// The types of what an op finds in its global scope.
pub const GLOBAL_TYPES: &str = include_str!("../sdk/globals.d.ts");

/// The module that this import means, if it is one of the SDK: `Err` if it is under the SDK's name and
/// there is none such.
pub(crate) fn find(specifier: &str) -> Option<Result<SdkModule, String>> {
    let name = NAMES.into_iter().find(|name| specifier.starts_with(name))?;
    let path = &specifier[name.len()..];
    if !path.is_empty() && !path.starts_with('/') {
        return None;
    }
    let found = SDK.into_iter().find(|module| module.path == path);
    Some(found.ok_or_else(|| {
        let paths: Vec<_> = SDK.iter().map(|module| format!("{name}{}", module.path)).collect();
        format!("`{specifier}` is not in the SDK, which has {}", paths.join(", "))
    }))
}

/// The module's name in a bundle and its source map.
pub(crate) fn id(module: SdkModule) -> String {
    format!("{ID_PREFIX}{}", module.path)
}

/// The module of this id.
pub(crate) fn by_id(id: &str) -> Option<SdkModule> {
    let path = id.strip_prefix(ID_PREFIX)?;
    SDK.into_iter().find(|module| module.path == path)
}

const ID_PREFIX: &str = "\0@compute/op";
