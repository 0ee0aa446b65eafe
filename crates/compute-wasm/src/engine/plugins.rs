//! Plugins, what links to them, and the images that are made with them.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use compute::{Artifact, Error, Load, Profile, Ref};

use super::prepare::Kind;
use super::{Purpose, Unprepared, WasmEngine};
use crate::code::{Compiled, Image, Language, Library, Prepared, ProfileEngines};
use crate::guest::{self, Surroundings};
use crate::image::{self, Facts, IMAGE_VERSION, ImagePlugin, Making, Parts, Plugin};
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
        let surroundings = self.around_op(artifact, &linked.surroundings)?;
        if let Some(cache) = self.code_cache.as_ref().filter(|_| self.is_admitted(plugin)) {
            // What took minutes is not to be what was used least lately, of which ops are loaded all the time.
            cache.mark_used(&code_of(plugin), engines);
        }
        Ok(Program::Op { plugin: linked, image, surroundings })
    }

    /// What a plugin runs as that is run by itself. Its code is shared with the modules that link to it.
    pub(super) fn load_plugin(
        &self,
        artifact: &Artifact,
        load: &Load<'_>,
    ) -> Result<Program, Unprepared> {
        let reference = artifact.reference();
        let whole = Whole::new(reference, || Ok(artifact.clone()));
        let plugin = self.plugin(&whole, load)?;
        let part = Compiled { reference, part: format!("blank{IMAGE_VERSION}") };
        let blank = || Ok::<_, Error>(whole.divide()?.blank);
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
        if self.is_admitted(plugin) && !self.is_compiled_for(plugin, load.profile)? {
            return Err(refused(Refusal::RuntimeProfile).into());
        }
        load.has(plugin)?;
        let linked = self.plugin(&Whole::new(plugin, || load.linked(plugin)), load)?;
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

    /// Whether an admitted plugin is compiled for such runs, or may be: each kind takes minutes, and nobody has it done but the operator.
    fn is_compiled_for(&self, plugin: &Ref, profile: Profile) -> Result<bool, Error> {
        let usual = Profile::default();
        if profile == usual {
            return Ok(true);
        }
        if profile != Profile::new(true, usual.stack()) {
            return Ok(false);
        }
        if self.settings.compile_metered {
            return Ok(true);
        }
        let engines = self.engines(profile, self.language(plugin), Purpose::Calls)?;
        Ok(self.code_cache.as_ref().is_some_and(|cache| cache.has(&code_of(plugin), &engines)))
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
    fn plugin(&self, whole: &Whole<'_>, load: &Load<'_>) -> Result<Arc<Plugin>, Unprepared> {
        let reference = whole.reference;
        let engines = self.engines(load.profile, self.language(reference), Purpose::Calls)?;
        self.plugins.get(&(reference.clone(), load.profile), load, || {
            let (shape, facts) = self.facts(whole, &engines, load)?;
            // A whole runtime takes longer than any load: whoever wants it waits for as long as he likes, and it is as long as somebody does.
            let mut load = *load;
            load.deadline = load.deadline.filter(|_| !self.is_admitted(reference));
            let load = &load;
            let code = || Ok::<_, Error>(whole.divide()?.code);
            let code = self.prepare(
                (&code_of(reference), Kind::Code),
                &engines,
                Library::new,
                load,
                code,
            )?;
            let Facts { interrupt_flag, surroundings, .. } = facts;
            Ok(Plugin { code, base: OnceLock::new(), shape, interrupt_flag, surroundings })
        })
    }

    /// What is known of a plugin. Of one that is large, that is kept in an outline beside its code: the plugin itself is neither read nor
    /// checked again, and its files are mapped from there.
    fn facts(
        &self,
        whole: &Whole<'_>,
        engines: &ProfileEngines,
        load: &Load<'_>,
    ) -> Result<(Shape, Facts), Error> {
        let reference = whole.reference;
        let refused = |refusal| Error::refused(reference.clone(), refusal);
        let cache = self.code_cache.as_ref().filter(|_| self.is_admitted(reference));
        let part = Compiled { reference, part: format!("outline{IMAGE_VERSION}") };
        let kept = || cache.and_then(|cache| cache.map(&part, engines, load.tenant));
        if let Some(outline) = kept() {
            let shape = Shape::read(&outline, &self.caps(reference)).map_err(refused)?;
            return Ok((shape, image::divide(&outline).map_err(refused)?.facts));
        }
        let plugin = whole.get()?;
        let shape = self.shape(&plugin).map_err(refused)?;
        module::check_plugin(&shape, guest::offered()).map_err(refused)?;
        let mut facts = whole.divide()?.facts;
        if !self.is_admitted(reference) {
            facts.surroundings = None;
        }
        if let Some(cache) = cache {
            let outline = image::outline(plugin.wasm()).map_err(refused)?;
            cache.put(&part, engines, load.tenant, &outline);
            if let Some(outline) = kept() {
                facts = image::divide(&outline).map_err(refused)?.facts;
            }
        }
        Ok((shape, facts))
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

    /// What an op has around it that is linked to a plugin with this around it.
    fn around_op(
        &self,
        op: &Artifact,
        plugin: &Option<Arc<Surroundings>>,
    ) -> Result<Option<Arc<Surroundings>>, Error> {
        let Some(around) = plugin else { return Ok(None) };
        let own = around.of_op(op.wasm(), self.settings.declared_memory);
        let own = own.map_err(|refusal| Error::refused(op.reference().clone(), refusal))?;
        Ok(Some(own.map_or_else(|| Arc::clone(around), Arc::new)))
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
        let surroundings = self.around_op(artifact, &bench.surroundings)?;
        Ok(image::op_image(making, &bench, &surroundings, &module)?.into())
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
            let whole = Whole::new(reference, || load.linked(reference));
            let (shape, facts) = self.facts(&whole, &engines, load)?;
            let part = |name: &str| Compiled { reference, part: format!("{name}{IMAGE_VERSION}") };
            let code = || Ok::<_, Error>(whole.divide()?.code);
            let plugin = (&code_of(reference), Kind::Code);
            let code = self.prepare(plugin, &engines, Library::new, load, code)?;
            let base = (&part("base"), Kind::Memory);
            let base = self.prepare(base, &engines, Image::new, load, || {
                let blank = || Ok::<_, Error>(whole.divide()?.blank);
                let part = (&part("blank"), Kind::Memory);
                let blank = self.prepare(part, &engines, Image::new, load, blank)?;
                let making =
                    Making { engines: &engines, memory: self.shared.caps.memory_minimum, load };
                let image = image::base_image(making, &facts, &blank, &code, &shape);
                image.map(Bytes::from).map_err(|error| refuse_plugin(reference, error.into()))
            })?;
            let Facts { memory, interrupt_flag, surroundings, .. } = facts;
            let base_bytes = base.memory_minimum();
            Ok(ImagePlugin { code, base, shape, memory, interrupt_flag, surroundings, base_bytes })
        })
    }
}

/// What a plugin's code is kept as.
fn code_of(reference: &Ref) -> Compiled<'_> {
    Compiled { reference, part: format!("plugin{IMAGE_VERSION}") }
}

/// A plugin's own bytes, got and taken apart where they are needed.
struct Whole<'a> {
    reference: &'a Ref,
    get: Box<dyn Fn() -> Result<Artifact, Error> + 'a>,
    held: RefCell<Option<Artifact>>,
}

impl<'a> Whole<'a> {
    fn new(reference: &'a Ref, get: impl Fn() -> Result<Artifact, Error> + 'a) -> Self {
        Self { reference, get: Box::new(get), held: RefCell::default() }
    }

    fn get(&self) -> Result<Artifact, Error> {
        if let Some(held) = &*self.held.borrow() {
            return Ok(held.clone());
        }
        let got = (self.get)()?;
        *self.held.borrow_mut() = Some(got.clone());
        Ok(got)
    }

    fn divide(&self) -> Result<Parts, Error> {
        image::divide(self.get()?.wasm())
            .map_err(|refusal| Error::refused(self.reference.clone(), refusal))
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
