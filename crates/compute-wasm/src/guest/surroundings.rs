//! What a plugin's sandbox has around it: files that are read, and an environment. They come with the plugin, are the same in each
//! call, and are kept once in a process.

use std::collections::BTreeMap;

use bytes::Bytes;
use wasmparser::{Parser, Payload};

use crate::module::{FILE_SECTION, MEMORY_SECTION, Refusal, malformed};

/// How many files a sandbox may have open at once.
const MOST_OPEN: usize = 64;
/// The most that the paths of an op's files may take, in bytes of memory, and what each takes beside its text.
const MOST_PATHS: u64 = 4 << 20;
const NODE: u64 = 128;
/// The first descriptor of a file: stdin, stdout, stderr and the root come before it.
const FIRST: usize = 4;

/// Files and an environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// What is there, by its path from the root, without a slash at either end. The root itself is the empty path.
    nodes: BTreeMap<String, Node>,
    /// `NAME=value`, with a zero byte at the end of each.
    pub(crate) environment: Vec<u8>,
    pub(crate) variables: u32,
    /// The memory that calls may use unless somebody says otherwise, in bytes.
    pub(crate) memory: u64,
    /// What files and paths an op has added, in bytes.
    pub(crate) own_bytes: u64,
}

/// What stands at a path.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Folder,
    File(Bytes),
}

impl Surroundings {
    /// Adds a file: its path, a zero byte, and its contents. What is no such thing is left out.
    pub(crate) fn add_file(&mut self, section: &Bytes) {
        let Some(end) = section.iter().position(|byte| *byte == 0) else { return };
        let Ok(path) = std::str::from_utf8(&section[..end]) else { return };
        let Some(path) = resolve("", path) else { return };
        let mut folder = path.as_str();
        while let Some((above, _)) = folder.rsplit_once('/') {
            self.nodes.insert(above.to_owned(), Node::Folder);
            folder = above;
        }
        self.nodes.insert(String::new(), Node::Folder);
        self.nodes.insert(path, Node::File(section.slice(end + 1..)));
    }

    /// What an op has around it that is linked to this plugin: the plugin's, and the files that the op brings, which never take the
    /// place of the plugin's own; with the memory that the op says it needs, up to the most that it may say. Nothing if it brings
    /// nothing and says nothing.
    pub(crate) fn of_op(&self, op: &Bytes, most_memory: u64) -> Result<Option<Self>, Refusal> {
        let mut own = Self { memory: 0, ..Self::default() };
        let mut paths = 0_u64;
        for payload in Parser::new(0).parse_all(op) {
            let Payload::CustomSection(section) = payload.map_err(malformed)? else { continue };
            let start = section.data_offset();
            match section.name() {
                FILE_SECTION => {
                    let file = op.slice(start..start + section.data().len());
                    let path = file.iter().position(|byte| *byte == 0).unwrap_or_default() as u64;
                    let folders =
                        file[..path as usize].iter().filter(|byte| **byte == b'/').count();
                    paths = paths.saturating_add((path + NODE).saturating_mul(folders as u64 + 1));
                    if paths > MOST_PATHS {
                        return Err(Refusal::AboveCap {
                            what: "bytes of memory for the paths of its files".to_owned(),
                            count: paths,
                            cap: MOST_PATHS,
                        });
                    }
                    own.own_bytes += file.len() as u64;
                    own.add_file(&file);
                }
                MEMORY_SECTION => own.set_memory(section.data()),
                _ => {}
            }
        }
        if own.nodes.is_empty() && own.memory == 0 {
            return Ok(None);
        }
        let mut all = self.clone();
        if own.memory > 0 {
            all.memory = own.memory.min(most_memory);
        }
        all.own_bytes = own.own_bytes + paths;
        for (path, node) in own.nodes {
            all.nodes.entry(path).or_insert(node);
        }
        Ok(Some(all))
    }

    /// Adds a variable of the environment.
    pub(crate) fn add_variable(&mut self, section: &[u8]) {
        if !section.contains(&0) {
            self.environment.extend_from_slice(section);
            self.environment.push(0);
            self.variables += 1;
        }
    }

    /// Sets the memory of calls, in decimal.
    pub(crate) fn set_memory(&mut self, section: &[u8]) {
        let text = std::str::from_utf8(section).ok();
        self.memory = text.and_then(|text| text.parse().ok()).unwrap_or_default();
    }

    /// Whether there are files.
    pub(crate) fn has_files(&self) -> bool {
        !self.nodes.is_empty()
    }

    pub(crate) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The names in a folder after the first so many, in their order, and whether each is a folder.
    pub(crate) fn entries(&self, folder: &str, skip: usize) -> impl Iterator<Item = (&str, bool)> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = self.nodes.range(prefix.clone()..);
        below
            .map_while(move |(path, node)| Some((path.strip_prefix(&prefix)?, node)))
            .filter(|(name, _)| !name.is_empty() && !name.contains('/'))
            .map(|(name, node)| (name, matches!(node, Node::Folder)))
            .skip(skip)
    }
}

/// A path from the root, from one that is relative to a folder; nothing if it leads out of the root.
pub(crate) fn resolve(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What a sandbox has opened of its files.
#[derive(Debug, Default)]
pub(crate) struct Opened(Vec<Option<Open>>);

/// An open file or folder.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) path: String,
    pub(crate) node: Node,
    /// Where it is read next.
    pub(crate) at: u64,
}

impl Opened {
    /// Gives a descriptor to what was opened; none if too much is open.
    pub(crate) fn add(&mut self, path: String, node: Node) -> Option<i32> {
        let free = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if free >= MOST_OPEN {
            return None;
        }
        let open = Some(Open { path, node, at: 0 });
        match self.0.get_mut(free) {
            Some(place) => *place = open,
            None => self.0.push(open),
        }
        i32::try_from(FIRST + free).ok()
    }

    pub(crate) fn get(&mut self, fd: i32) -> Option<&mut Open> {
        let place = usize::try_from(fd).ok()?.checked_sub(FIRST)?;
        self.0.get_mut(place)?.as_mut()
    }

    /// Closes a descriptor. Whether it was open.
    pub(crate) fn close(&mut self, fd: i32) -> bool {
        let place = usize::try_from(fd).ok().and_then(|fd| fd.checked_sub(FIRST));
        place.and_then(|place| self.0.get_mut(place)?.take()).is_some()
    }
}
