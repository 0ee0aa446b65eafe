//! Batches: lines go and come at once.

use std::io::{self, Write as _};

use bytes::Bytes;
use compute::Seed;
use compute_client::api::File;
use compute_client::{BatchAnswer, BatchInput, CallOptions, Client, ErrorKind};
use futures_util::{StreamExt as _, stream};

use crate::fake::{Fake, problem};
use crate::served::{Served, echo};

#[test]
fn answers_come_while_lines_are_still_sent() {
    let served = Served::new();
    let client = served.client();
    client.put_artifact(&echo()).unwrap();
    let (read, mut write) = io::pipe().unwrap();
    let options = CallOptions { fuel: Some(1_000_000), ..CallOptions::default() };
    let mut answers = client.invoke_lines(echo().reference(), BatchInput::reader(read), &options);
    for number in 0..3 {
        // Parts of lines are parts of lines.
        write.write_all(b"\n{\"n\": ").unwrap();
        write.write_all(format!("{number}}}\n").as_bytes()).unwrap();
        let answer = answers.next().unwrap().unwrap();
        assert_eq!(answer.output.unwrap().get(), format!("{{\"n\": {number}}}"));
        assert!(answer.fuel.unwrap() > 0 && answer.rid.is_none() && !answer.cached);
        assert!(answer.line.starts_with(b"{\"output\":"));
    }
    write.write_all(b"null\nno\n").unwrap();
    drop(write);
    assert_eq!(answers.next().unwrap().unwrap().output.unwrap().get(), "null");
    let problem = answers.next().unwrap().unwrap().output.unwrap_err();
    assert_eq!((problem.kind(), problem.code.as_str()), (ErrorKind::Invalid, "invalid_input"));
    assert_eq!(problem.members["line"], 5);
    assert!(answers.next().is_none());
    // Whoever takes no more of them keeps nobody.
    let endless = BatchInput::reader(io::repeat(b'\n'));
    drop(client.invoke_lines(echo().reference(), endless, &options));
    let numbers = stream::iter(0..).map(|number: u32| Ok(Bytes::from(format!("{number}\n"))));
    let mut answers =
        client.invoke_lines(echo().reference(), BatchInput::stream(numbers), &options);
    for number in 0..100 {
        let answer = answers.next().unwrap().unwrap();
        assert_eq!(answer.output.unwrap().get(), number.to_string());
    }
}

#[test]
fn more_is_sent_and_taken_than_buffers_hold() {
    let served = Served::new();
    let client = served.client();
    client.put_artifact(&echo()).unwrap();
    // Whoever sent all of it first would never end.
    let line = Bytes::from(format!("\"{}\"\n", "x".repeat(50_000)));
    let lines = || {
        let line = line.clone();
        BatchInput::stream(stream::repeat_with(move || Ok(line.clone())).take(600))
    };
    let (echo, options) = (echo(), CallOptions::default());
    let answers = client.invoke_lines(echo.reference(), lines(), &options);
    assert_eq!(answers.filter(|one| one.as_ref().unwrap().output.is_ok()).count(), 600);
    // The same on tokio.
    let client = Client::builder(client.base()).build().unwrap();
    let answers = client.invoke_lines(echo.reference(), lines(), &options);
    let count = answers.map(|one| one.unwrap().output.unwrap()).count();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(count), 600);
}

#[test]
fn documents_go_through_a_stack_with_seeds_of_their_own() {
    let served = Served::new();
    let client = served.client();
    let stack = "shop/eu".parse().unwrap();
    let rule = File::new("100/draw.txcl", "EMIT .drawn = &uuid()");
    client.create_draft(&stack, &[rule]).unwrap();
    client.activate(&stack, 1).unwrap();
    let seed = Seed::new([3; 32]);
    let now = Some("2026-01-31T12:00:00Z".parse().unwrap());
    let rid = Some("batch".to_owned());
    let options = CallOptions { seed: Some(seed), now, rid, ..CallOptions::default() };
    let answers: Result<Vec<_>, _> =
        client.process_lines("shop/eu", "{}\n{}".to_owned(), &options).collect();
    let answers = answers.unwrap();
    for (number, answer) in (1..).zip(&answers) {
        let seed = Some(seed.of_line(number));
        let rid = Some(format!("batch-{number}"));
        assert_eq!(answer.rid, rid);
        let alone = CallOptions { seed, rid, ..options.clone() };
        let alone = client.process("shop/eu", "{}", &alone).unwrap();
        assert_eq!(answer.output.as_ref().unwrap().get(), alone.text());
    }
    assert_eq!(answers.len(), 2);
    let mut none = client.process_lines("none", "{}".to_owned(), &CallOptions::default());
    let problem = none.next().unwrap().unwrap().output.unwrap_err();
    assert_eq!(problem.code, "unknown_stage");
}

#[test]
fn what_is_no_batch_is_an_error() {
    let served = Served::new();
    let client = served.client();
    let options = CallOptions { rid: Some("r".repeat(128)), ..CallOptions::default() };
    let mut answers = client.process_lines("shop", "{}".to_owned(), &options);
    let error = answers.next().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "invalid_header"));
    assert!(answers.next().is_none());
    let options = CallOptions::default();
    let broken = stream::iter([Err(io::Error::other("gone"))]);
    let mut answers = client.process_lines("shop", BatchInput::stream(broken), &options);
    assert_eq!(answers.next().unwrap().unwrap_err().kind(), ErrorKind::Invalid);
    let busy = Fake::new(&[&problem(429, "busy", "")]);
    let client = busy.client();
    let mut answers = client.process_lines("shop", "{}".to_owned(), &options);
    assert_eq!(answers.next().unwrap().unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(busy.requests().len(), 1, "it is sent once");
    for text in ["", "{", "[]", "{\"error\":{}}", "{\"error\":{\"code\":7}}"] {
        assert!(BatchAnswer::read(Bytes::from(text)).is_err(), "{text}");
    }
}
