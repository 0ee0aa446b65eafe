//! Plugins, what links to them, and the images that are made with them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use compute::{Artifact, Error, Load, Profile, Ref};

use super::prepare::Kind;
use super::{Purpose, Unprepared, WasmEngine};
use crate::code::{Compiled, Image, Language, Library, Prepared};
use crate::guest;
use crate::image::{self, IMAGE_VERSION, ImagePlugin, Making, Parts, Plugin};
use crate::module::{self, Refusal, Shape, check_linked};
use crate::program::Program;

impl WasmEngine {
    /// What a module that links to a plugin runs as.
    pub(super) fn load_linked(
        &self,
        artifact: &Artifact,
        shape: &Shape,
        namespace: &str,
        plugin: &Ref,
        load: &Load<'_>,
    ) -> Result<Program, Unprepared> {
        let linked = self.link(artifact, shape, namespace, plugin, load)?;
        let engines = linked.code.engines();
        if shape.exports("_start", "function") {
            let base = self.base(&linked, plugin, load)?;
            self.check_links(artifact, shape, &linked.shape, base.memory_minimum(), namespace)?;
            let module = self.module(artifact, engines, Library::new, load)?;
            return Ok(Program::Linked { plugin: linked, base, module });
        }
        // Another binding of the name makes another image.
        let part = format!("image{IMAGE_VERSION}-{}-{}", plugin.alg(), plugin.digest());
        let image = Compiled { reference: artifact.reference(), part };
        let make = || self.op_image(artifact, shape, namespace, plugin, load);
        let image = self.prepare((&image, Kind::Memory), engines, Image::new, load, make)?;
        Ok(Program::Op { plugin: linked, image })
    }

    /// What a plugin runs as that is run by itself. Its code is shared with the modules that link to it.
    pub(super) fn load_plugin(
        &self,
        artifact: &Artifact,
        load: &Load<'_>,
    ) -> Result<Program, Unprepared> {
        let reference = artifact.reference();
        let plugin = self.plugin(reference, load, || Ok(artifact.clone()))?;
        let part = Compiled { reference, part: format!("blank{IMAGE_VERSION}") };
        let blank = || {
            let parts = image::divide(artifact.wasm());
            let parts = parts.map_err(|refusal| Error::refused(reference.clone(), refusal))?;
            Ok::<_, Error>(parts.blank)
        };
        let engines = plugin.code.engines();
        let blank = self.prepare((&part, Kind::Memory), engines, Image::new, load, blank)?;
        Ok(Program::Plugin { plugin, blank })
    }

    /// The plugin that a module links to, once both are checked. It must be there for whoever loads the
    /// module, though another has it loaded already.
    pub(super) fn link(
        &self,
        artifact: &Artifact,
        shape: &Shape,
        namespace: &str,
        plugin: &Ref,
        load: &Load<'_>,
    ) -> Result<Arc<Plugin>, Unprepared> {
        let refused = |refusal| Error::refused(artifact.reference().clone(), refusal);
        check_linked(shape, guest::offered(), namespace).map_err(refused)?;
        if self.language(plugin) != Language::Usual && load.profile != Profile::default() {
            return Err(refused(Refusal::RuntimeProfile).into());
        }
        load.has(plugin)?;
        let linked = self.plugin(plugin, load, || load.linked(plugin))?;
        module::check_links(shape, &linked.shape, None, namespace).or_else(|refusal| {
            // What its memory has grown to is known later.
            let import_type = matches!(refusal, Refusal::ImportType { .. });
            let fits = module::check_links(shape, &linked.shape, Some(u64::MAX), namespace);
            if import_type && fits.is_ok() { Ok(()) } else { Err(refused(refusal)) }
        })?;
        if !shape.exports("_start", "function") {
            module::check_calls(&linked.shape).map_err(refused)?;
        }
        Ok(linked)
    }

    fn check_links(
        &self,
        artifact: &Artifact,
        shape: &Shape,
        plugin: &Shape,
        memory_bytes: u64,
        namespace: &str,
    ) -> Result<(), Error> {
        module::check_links(shape, plugin, Some(memory_bytes), namespace)
            .map_err(|refusal| Error::refused(artifact.reference().clone(), refusal))
    }

    /// The plugin of this ref, made ready once however many modules wait for it.
    fn plugin(
        &self,
        reference: &Ref,
        load: &Load<'_>,
        get: impl FnOnce() -> Result<Artifact, Error>,
    ) -> Result<Arc<Plugin>, Unprepared> {
        let engines = self.engines(load.profile, self.language(reference), Purpose::Calls)?;
        self.plugins.get(&(reference.clone(), load.profile), load, || {
            let (shape, parts) = self.take_apart(&get()?)?;
            let part = Compiled { reference, part: format!("plugin{IMAGE_VERSION}") };
            let code = || Ok::<_, Error>(parts.code.clone());
            let code = self.prepare((&part, Kind::Code), &engines, Library::new, load, code)?;
            let Parts { interrupt_flag, surroundings, .. } = parts;
            Ok(Plugin { code, base: OnceLock::new(), shape, interrupt_flag, surroundings })
        })
    }

    fn take_apart(&self, plugin: &Artifact) -> Result<(Shape, Parts), Error> {
        let refused = |refusal| Error::refused(plugin.reference().clone(), refusal);
        let shape = self.shape(plugin).map_err(refused)?;
        module::check_plugin(&shape, guest::offered()).map_err(refused)?;
        let mut parts = image::divide(plugin.wasm()).map_err(refused)?;
        if !self.is_admitted(plugin.reference()) {
            parts.surroundings = None;
        }
        Ok((shape, parts))
    }

    /// A plugin's base image, which linked commands start on.
    fn base(
        &self,
        plugin: &Plugin,
        reference: &Ref,
        load: &Load<'_>,
    ) -> Result<Arc<Prepared<Image>>, Unprepared> {
        if let Some(base) = plugin.base.get() {
            return Ok(Arc::clone(base));
        }
        let part = Compiled { reference, part: format!("base{IMAGE_VERSION}") };
        let engines = plugin.code.engines();
        let base = self.prepare((&part, Kind::Memory), engines, Image::new, load, || {
            let bench = self.image_plugin(reference, load)?;
            let engines = bench.code.engines();
            let making = Making { engines, memory: self.shared.caps.memory_minimum, load };
            Ok::<_, Unprepared>(Bytes::from(image::copy_of_base(making, &bench)?))
        })?;
        Ok(Arc::clone(plugin.base.get_or_init(|| Arc::new(base))))
    }

    /// An op's memory image, made now.
    pub(super) fn op_image(
        &self,
        artifact: &Artifact,
        shape: &Shape,
        namespace: &str,
        plugin: &Ref,
        load: &Load<'_>,
    ) -> Result<Bytes, Unprepared> {
        let bench = self.image_plugin(plugin, load)?;
        self.check_links(artifact, shape, &bench.shape, bench.base_bytes, namespace)?;
        let engines = bench.code.engines();
        let module = self.module(artifact, engines, Library::new, load)?;
        let making = Making { engines, memory: self.shared.caps.memory_minimum, load };
        Ok(image::op_image(making, &bench, &module)?.into())
    }

    /// A plugin with which images are made.
    fn image_plugin(
        &self,
        reference: &Ref,
        load: &Load<'_>,
    ) -> Result<Arc<ImagePlugin>, Unprepared> {
        let language = self.language(reference);
        let profile = match language {
            // Metered, so that what is made does not depend on how busy the machine is.
            Language::Usual => Profile::new(true, load.profile.stack()),
            // A runtime that takes minutes to compile makes its images with the code that calls use.
            Language::Exceptions => load.profile,
        };
        let engines = self.engines(profile, language, Purpose::Images)?;
        self.image_plugins.get(&(reference.clone(), profile), load, || {
            let (shape, parts) = self.take_apart(&load.linked(reference)?)?;
            let part = |name: &str| Compiled { reference, part: format!("{name}{IMAGE_VERSION}") };
            let code = || Ok::<_, Error>(parts.code.clone());
            let plugin = (&part("plugin"), Kind::Code);
            let code = self.prepare(plugin, &engines, Library::new, load, code)?;
            let base = (&part("base"), Kind::Memory);
            let base = self.prepare(base, &engines, Image::new, load, || {
                let blank = || Ok::<_, Error>(parts.blank.clone());
                let part = (&part("blank"), Kind::Memory);
                let blank = self.prepare(part, &engines, Image::new, load, blank)?;
                let making =
                    Making { engines: &engines, memory: self.shared.caps.memory_minimum, load };
                let image = image::base_image(making, &parts, &blank, &code, &shape);
                image.map(Bytes::from).map_err(|error| refuse_plugin(reference, error.into()))
            })?;
            let Parts { memory, interrupt_flag, surroundings, .. } = parts;
            let base_bytes = base.memory_minimum();
            Ok(ImagePlugin { code, base, shape, memory, interrupt_flag, surroundings, base_bytes })
        })
    }
}

/// What a plugin does wrong while its base image is made is its own fault, not that of what links to it.
fn refuse_plugin(reference: &Ref, error: Unprepared) -> Unprepared {
    match error {
        Unprepared::Guest(died) => {
            let message = format!("the plugin cannot initialise itself: {}", died.failure);
            Unprepared::Host(Error::refused(reference.clone(), Refusal::Invalid { message }))
        }
        host => host,
    }
}
