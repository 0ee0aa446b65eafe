//! Names that the host, modules and plugins know each other's things by.

/// The namespace of WASI preview 1.
pub(crate) const WASI: &str = "wasi_snapshot_preview1";
/// The namespace of what a sandbox has beyond it.
pub(crate) const HOST: &str = "compute";
/// The namespace and name under which a plugin's code imports its memory.
pub(crate) const MEMORY_IMPORT: (&str, &str) = ("compute:image", "memory");
/// The custom section with what a plugin is given on stdin when it is initialised.
pub(crate) const INIT_SECTION: &str = "compute:init";
/// A custom section with a file that a plugin has in its sandbox: the path, a zero byte, and the contents.
pub(crate) const FILE_SECTION: &str = "compute:file";
/// A custom section with a variable of the environment that a plugin has: `NAME=value`.
pub(crate) const ENVIRONMENT_SECTION: &str = "compute:environment";
/// A custom section with the memory that a plugin's calls may use unless somebody says otherwise: bytes, in decimal.
pub(crate) const MEMORY_SECTION: &str = "compute:memory";
/// The global in which a plugin says where it looks whether it is to stop.
pub(crate) const INTERRUPT_FLAG: &str = "interrupt_flag";
/// A plugin's function that makes what it is initialised with from what its file carries.
pub(crate) const PREPARE: &str = "prepare";
/// A plugin's function that calls an op.
pub(crate) const CALL: &str = "call";
/// What a plugin exports that draws random bytes, none at least, when an op looks at what its request is called.
pub(crate) const NOTES_REQUEST: &str = "notes_request";
/// The function by which plugins of Javy's are initialised.
pub(crate) const JAVY_INITIALIZE: &str = "initialize-runtime";
