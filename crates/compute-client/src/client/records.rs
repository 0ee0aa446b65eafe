//! What was recorded, what is, and what versions answer that nobody gets.

use compute_api::{
    CompletedRollout, NewRollout, NewShadow, RecordList, RecordPolicies, RecordPolicy, RecordQuery,
    Rollout, RolloutList, RolloutReport, Shadow, ShadowList, ShadowReport, StackName,
};
use reqwest::Method;

use super::ApiClient;
use crate::mode::Mode;
use crate::request::Request;

/// How many bytes of records are taken at once, at most.
const EXPORT: u64 = 512 << 20;

impl<M: Mode> ApiClient<M> {
    /// The newest records that are wanted, the oldest of them first: 10,000 at most; and how many lines are damaged.
    pub fn records(&self, query: &RecordQuery, last: usize) -> M::Answer<'_, RecordList> {
        let request = wanted(Request::get(["v1", "records"]), query, last);
        self.call(request.json())
    }

    /// The newest records that are wanted, the oldest of them first, each as the JSON that `compute::Record::read` reads: 10,000 at
    /// most.
    pub fn export_records(&self, query: &RecordQuery, last: usize) -> M::Answer<'_, Vec<Vec<u8>>> {
        let mut request = wanted(Request::get(["v1", "records", "export"]), query, last);
        request.limit = Some(EXPORT);
        self.call(request.read(|received| {
            let lines = received.body.split(|byte| *byte == b'\n');
            Ok(lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
        }))
    }

    /// The record of this id, or of the request of this id, as the JSON that `compute::Record::read` reads.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is none, with
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if there are several.
    pub fn record(&self, id: &str) -> M::Answer<'_, Vec<u8>> {
        let mut request = Request::get(["v1", "records", id]);
        request.limit = Some(EXPORT);
        self.call(request.read(|received| Ok(received.body.to_vec())))
    }

    /// What is recorded.
    pub fn record_policies(&self) -> M::Answer<'_, RecordPolicies> {
        self.call(Request::get(["v1", "record-policies"]).json())
    }

    /// Says what is recorded of a stack's documents, or of all else; without a policy, that it says nothing.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such stack.
    pub fn set_record_policy(
        &self,
        stack: Option<&StackName>,
        policy: Option<&RecordPolicy>,
    ) -> M::Answer<'_, ()> {
        let method = if policy.is_some() { Method::PUT } else { Method::DELETE };
        let mut request = match stack {
            Some(stack) => Request::new(method, ["v1", "stacks", stack.as_str(), "record-policy"]),
            None => Request::new(method, ["v1", "record-policies"]),
        };
        if let Some(policy) = policy {
            request = request.json_body(policy);
        }
        self.call(request.done())
    }

    /// The versions that get documents besides the active ones.
    pub fn shadows(&self) -> M::Answer<'_, Vec<Shadow>> {
        self.call(Request::get(["v1", "shadows"]).json_as(|ShadowList { shadows }| shadows))
    }

    /// What came of the version that gets a stack's documents besides the active one.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub fn shadow(&self, stack: &StackName) -> M::Answer<'_, ShadowReport> {
        self.call(Request::get(["v1", "stacks", stack.as_str(), "shadow"]).json())
    }

    /// Gives a part of a stack's documents to another version as well.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such version.
    pub fn set_shadow(&self, shadow: &Shadow) -> M::Answer<'_, ()> {
        let new = NewShadow { number: shadow.number, share: shadow.share };
        let request = Request::put(["v1", "stacks", shadow.stack.as_str(), "shadow"]);
        self.call(request.json_body(&new).done())
    }

    /// Gives a stack's documents to the active version alone.
    pub fn remove_shadow(&self, stack: &StackName) -> M::Answer<'_, ()> {
        self.call(Request::delete(["v1", "stacks", stack.as_str(), "shadow"]).done())
    }

    /// The versions that answer a part of a stack's documents in place of the active ones, by stack.
    pub fn rollouts(&self) -> M::Answer<'_, Vec<Rollout>> {
        self.call(Request::get(["v1", "rollouts"]).json_as(|RolloutList { rollouts }| rollouts))
    }

    /// The version that answers a part of a stack's documents, and what it answered otherwise if it is its shadow as well.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub fn rollout(&self, stack: &StackName) -> M::Answer<'_, RolloutReport> {
        self.call(Request::get(["v1", "stacks", stack.as_str(), "rollout"]).json())
    }

    /// Has a version answer a part of a stack's documents in place of the active one.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such version, with
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if no other one is active, with
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) if it could not become active.
    pub fn set_rollout(&self, rollout: &Rollout) -> M::Answer<'_, ()> {
        let Rollout { stack, number, share, by } = rollout;
        let new = NewRollout { number: *number, share: *share, by: by.clone() };
        let request = Request::put(["v1", "stacks", stack.as_str(), "rollout"]);
        self.call(request.json_body(&new).done())
    }

    /// Makes the version active that answers a part of a stack's documents, if it is this one.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if it is another, or none.
    pub fn complete_rollout(&self, stack: &StackName, number: u32) -> M::Answer<'_, ()> {
        let request = Request::post(["v1", "stacks", stack.as_str(), "rollout", "complete"]);
        self.call(request.json_body(&CompletedRollout { number }).done())
    }

    /// Has the active version answer all of a stack's documents, in place of this one, which answers a part.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if another does, or none.
    pub fn remove_rollout(&self, stack: &StackName, number: u32) -> M::Answer<'_, ()> {
        let request = Request::delete(["v1", "stacks", stack.as_str(), "rollout"]);
        self.call(request.query("number", &number.to_string()).done())
    }
}

/// This request, for these records.
fn wanted(mut request: Request, query: &RecordQuery, last: usize) -> Request {
    let times = [("since", &query.since), ("until", &query.until)];
    let texts = [
        ("id", &query.id),
        ("rid", &query.rid),
        ("stack", &query.stack),
        ("op", &query.op),
        ("status", &query.status),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            request = request.query(name, text);
        }
    }
    for (name, time) in times {
        if let Some(time) = time {
            request = request.query(name, &time.to_string());
        }
    }
    request.query("last", &last.to_string())
}
