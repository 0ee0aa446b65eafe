//! A server, through the traits of what is kept: it passes the suite that every keeper does.

use std::sync::Arc;

use compute_client::blocking::Client;
use compute_state::{Traces as _, TracesError, conformance};

use crate::served::Served;

#[test]
fn a_server_keeps_stacks_secrets_tokens_and_schedules_as_every_keeper_does() {
    let mut servers = Vec::new();
    let mut client = || {
        servers.push(Served::new());
        Arc::new(servers.last().unwrap().client())
    };
    conformance::stacks(&mut || client());
    conformance::secrets(&mut || client());
    conformance::tokens(&mut || client());
    conformance::schedules(&mut || client());
}

#[test]
fn a_server_that_has_no_traces_says_so() {
    let served = Served::new();
    let client: Client = served.client();
    assert_eq!(client.ids().unwrap(), Vec::<String>::new());
    assert!(matches!(client.read_text("none"), Err(TracesError::NotFound(id)) if id == "none"));
    assert!(client.newest(10, &mut |_| true).unwrap().is_empty());
}
