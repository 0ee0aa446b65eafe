//! Stacks: their versions, drafts and files, and what is active.

use compute_api::{
    Activation, ActiveStack, Draft, File, FileDiff, NewDraft, RuleFile, StackName, StackVersion,
    Stacks, Validated, Version, VersionDiff, VersionFiles, VersionInfo, Versions,
};
use reqwest::Method;

use super::ApiClient;
use crate::mode::Mode;
use crate::request::Request;

impl<M: Mode> ApiClient<M> {
    /// All stacks, and what is active of each.
    pub fn stacks(&self) -> M::Answer<'_, Vec<ActiveStack>> {
        self.call(Request::get(["v1", "stacks"]).json_as(|Stacks { stacks }| stacks))
    }

    /// The versions of a stack, the newest first.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such stack.
    pub fn versions(&self, stack: &StackName) -> M::Answer<'_, Vec<VersionInfo>> {
        let request = Request::get(["v1", "stacks", stack.as_str()]);
        self.call(request.json_as(|Versions { versions }| versions))
    }

    /// How two versions of a stack differ, file by file: the older one, and the newer.
    pub fn diff(&self, stack: &StackName, from: u32, to: u32) -> M::Answer<'_, Vec<FileDiff>> {
        let request = Request::get(["v1", "stacks", stack.as_str(), "diff"]);
        let request = request.query("from", &from.to_string()).query("to", &to.to_string());
        self.call(request.json_as(|VersionDiff { files }| files))
    }

    /// Keeps a version that is not active yet. Of the same files there is one version, which is given if it is there
    /// already.
    ///
    /// Fails with [`ErrorKind::Quota`](crate::ErrorKind::Quota) if there are too many.
    pub fn create_draft(&self, stack: &StackName, files: &[File]) -> M::Answer<'_, VersionInfo> {
        let file = |file: &File| RuleFile { path: file.path.clone(), text: file.text.clone() };
        let draft = NewDraft { files: files.iter().map(file).collect() };
        let request = Request::post(["v1", "stacks", stack.as_str(), "drafts"]);
        self.call(request.json_body(&draft).json())
    }

    /// A version with its files.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such version.
    pub fn version(&self, stack: &StackName, number: u32) -> M::Answer<'_, Version> {
        let request = version(Method::GET, stack, number);
        self.call(request.json_as(|VersionFiles { info, files }| {
            let file = |file: RuleFile| File::new(file.path, file.text);
            Version::new(info, files.into_iter().map(file).collect())
        }))
    }

    /// Forgets a version that was never active.
    ///
    /// Fails with [`ErrorKind::Immutable`](crate::ErrorKind::Immutable) if it was.
    pub fn delete_version(&self, stack: &StackName, number: u32) -> M::Answer<'_, ()> {
        self.call(version(Method::DELETE, stack, number).done())
    }

    /// The text of a version's file; its path is `SCOPE/NAME.txcl`.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub fn file(&self, stack: &StackName, number: u32, path: &str) -> M::Answer<'_, String> {
        self.call(file(Method::GET, stack, number, path).text())
    }

    /// Writes a file of a version that was never active.
    ///
    /// Fails with [`ErrorKind::Immutable`](crate::ErrorKind::Immutable) if it was.
    pub fn write_file(
        &self,
        stack: &StackName,
        number: u32,
        path: &str,
        text: &str,
    ) -> M::Answer<'_, VersionInfo> {
        let request = file(Method::PUT, stack, number, path);
        self.call(request.body("text/plain; charset=utf-8", text.to_owned()).json())
    }

    /// Takes a file out of a version that was never active.
    ///
    /// Fails with [`ErrorKind::Immutable`](crate::ErrorKind::Immutable) if it was.
    pub fn delete_file(
        &self,
        stack: &StackName,
        number: u32,
        path: &str,
    ) -> M::Answer<'_, VersionInfo> {
        self.call(file(Method::DELETE, stack, number, path).json())
    }

    /// Whether a version could become active, and what keeps it from it.
    pub fn validate(&self, stack: &StackName, number: u32) -> M::Answer<'_, Validated> {
        self.call(version(Method::POST, stack, number).part("validate").json())
    }

    /// Makes a version active, or goes back to it.
    ///
    /// Fails with [`ErrorKind::Refused`](crate::ErrorKind::Refused) if something keeps it from it:
    /// [`Problem::activation_problems`](crate::Problem::activation_problems) says all of it, and nothing has changed.
    pub fn activate(&self, stack: &StackName, number: u32) -> M::Answer<'_, Vec<VersionInfo>> {
        let request = version(Method::POST, stack, number).part("activate");
        self.call(request.json_as(|Versions { versions }| versions))
    }

    /// Makes versions of several stacks active at one moment, all of them or none. It fails as
    /// [`activate`](Self::activate) does.
    pub fn activate_all(&self, versions: &[Draft]) -> M::Answer<'_, Vec<VersionInfo>> {
        let version = |one: &Draft| StackVersion { stack: one.stack.clone(), number: one.number };
        let versions = Activation { versions: versions.iter().map(version).collect() };
        let request = Request::post(["v1", "activate"]).json_body(&versions);
        self.call(request.json_as(|Versions { versions }| versions))
    }
}

/// A request about a version.
fn version(method: Method, stack: &StackName, number: u32) -> Request {
    Request::new(method, ["v1", "stacks", stack.as_str(), "versions", &number.to_string()])
}

/// A request about a file of a version.
fn file(method: Method, stack: &StackName, number: u32, path: &str) -> Request {
    path.split('/').fold(version(method, stack, number).part("files"), Request::part)
}
