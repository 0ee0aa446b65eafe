//! The client on a server, and on things that are none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod batches;
mod fake;
mod jobs;
mod retries;
mod routes;
mod served;
mod state;
mod strangers;

use std::time::Duration;

use compute_client::Retries;

/// Retries that keep no test waiting.
const QUICK: Retries = Retries { first_wait: Duration::from_millis(2), ..Retries::DEFAULT };

#[test]
fn clients_are_shared_by_threads_and_hide_their_tokens() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let builder = compute_client::Client::builder("http://127.0.0.1:1").token("hidden");
    assert!(!format!("{builder:?}").contains("hidden"));
    let client = builder.build().unwrap();
    shared(&client);
    assert!(!format!("{client:?}").contains("hidden"));
    let client = compute_client::blocking::Client::builder("http://h").token("t").build().unwrap();
    shared(&client);
    assert!(client.exposes_token());
    assert_eq!(client.base(), "http://h/");
}
