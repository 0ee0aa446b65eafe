//! From WebAssembly to code that is ready to run: found on disk, or compiled and kept there.

use std::fs::File;
use std::io::Seek as _;
use std::sync::Arc;

use bytes::Bytes;
use compute::{Artifact, Error, Load};
use wasmtime::Module;

use super::{WasmEngine, host, unwanted};
use crate::NAME;
use crate::code::{
    self, Compiled, Language, Prepared, ProfileEngines, Shard, Uncompiled, write_sparse,
};
use crate::module;

/// What is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody's functions, which are checked first, and compiled where the settings say.
    Code,
    /// A memory, and no functions: there is nothing to compile.
    Memory,
}

impl WasmEngine {
    /// Compiled code made ready, from disk if it is there, else from the WebAssembly that `wasm` makes.
    pub(super) fn prepare<T, E: From<Error>>(
        &self,
        (of, kind): (&Compiled<'_>, Kind),
        engines: &Arc<ProfileEngines>,
        make: fn(&Shard, Module) -> wasmtime::Result<T>,
        load: &Load<'_>,
        wasm: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Prepared<T>, E> {
        let cache = self.code_cache.as_ref();
        if let Some(code) = cache.and_then(|cache| cache.get(of, engines, load.tenant)) {
            // SAFETY: the cache gives back only what it was given below, under this machine's key, for
            // this version of wasmtime and this profile.
            #[expect(unsafe_code, reason = "compiled code is loaded")]
            if let Ok(prepared) = unsafe { Prepared::new(engines, code, make) } {
                return Ok(prepared);
            }
        }
        let wasm = wasm()?;
        let code = match kind {
            Kind::Memory => code::compile_here(engines, &wasm),
            Kind::Code => module::check_bodies(&wasm, &self.caps(of.reference))
                .map_err(Uncompiled::Refused)
                .and_then(|()| self.compilers.compile(engines, &wasm, load)),
        };
        let code = code.map_err(|uncompiled| match uncompiled {
            Uncompiled::Refused(refusal) => Error::refused(of.reference.clone(), refusal),
            Uncompiled::Stopped => unwanted(),
            Uncompiled::Failed(message) => Error::engine(NAME, message),
        })?;
        let file = match cache.and_then(|cache| cache.put(of, engines, load.tenant, &code)) {
            Some(file) => file,
            None => file_of(&code).map_err(|error| Error::engine(NAME, error))?,
        };
        // SAFETY: the code was just compiled for this profile; nobody else has the file, or as above.
        #[expect(unsafe_code, reason = "compiled code is loaded")]
        let prepared = unsafe { Prepared::new(engines, file, make) };
        Ok(prepared.map_err(host)?)
    }

    /// The artifact's own module, compiled.
    pub(super) fn module<T>(
        &self,
        artifact: &Artifact,
        engines: &Arc<ProfileEngines>,
        make: fn(&Shard, Module) -> wasmtime::Result<T>,
        load: &Load<'_>,
    ) -> Result<Prepared<T>, Error> {
        if engines.language() != Language::Usual {
            // It comes from anybody, and is no more than anybody's.
            code::validate(artifact.wasm())
                .map_err(|refusal| Error::refused(artifact.reference().clone(), refusal))?;
        }
        let of = Compiled { reference: artifact.reference(), part: "module".into() };
        self.prepare((&of, Kind::Code), engines, make, load, || Ok(artifact.wasm().clone()))
    }
}

/// A file without a name that holds these bytes.
fn file_of(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = code::nameless_file()?;
    write_sparse(&mut file, bytes)?;
    file.rewind()?;
    Ok(file)
}
