//! What is written: as the published schema says, vouched for by a signature, of documents too, and found again.

use std::sync::Arc;

use compute::{
    RECORD_JSON_SCHEMA, Record, RecordKeep, RecordKey, RecordQuery, RecordSink as _, RunOptions,
    Subject,
};
use compute_flow::{Processor, Request, Snapshot, Stack};
use compute_replay::{
    DocumentRecorder, LogSettings, ReadError, RecordSigner, RecordWriter, find_records, read_record,
};
use compute_state::File;
use serde_json::Value;

use crate::{key, manager, recorded, with_secret};

/// The record of a document that runs two computes, one of which fails where the document says so.
fn document(input: &str) -> Record {
    let (manager, reference) = manager();
    let rules = [
        File::new("100/a.txcl", format!("EXEC \"{reference}\"")),
        File::new("200/b.txcl", "EMIT @web.res.status = 201, .done = true"),
    ];
    let stack = Stack::compile("shop".parse().unwrap(), &rules).unwrap();
    let snapshot: Snapshot = [stack].into_iter().collect();
    let processor = Processor::new(Arc::new(manager));
    let mut request = Request::new("shop/0".parse().unwrap(), input.as_bytes().to_vec());
    let recorder = DocumentRecorder::new(&processor, &mut request, key(), RecordKeep::Bytes);
    let answer = processor.process(&snapshot, &request);
    recorder.record(&request, &answer).sealed()
}

#[test]
fn records_are_as_the_published_schema_says() {
    let schema: Value = serde_json::from_str(RECORD_JSON_SCHEMA).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let run = |input: &[u8], options, keep| recorded(input, &options, keep);
    let signer = RecordSigner::new(&key());
    let well = document("{\"n\":1}");
    let Subject::Document(one) = &well.subject else { panic!("it is of a document") };
    assert_eq!((&*one.status, one.steps.len()), ("ok", 1), "{:?}", one.reason);
    assert!(one.web.is_some());
    for record in [
        run(b"{\"n\":1}", RunOptions::default(), RecordKeep::Bytes),
        run(b"{\"n\":1}", with_secret("hunter2-hunter2"), RecordKeep::Digests),
        run(b"\"\xff\"", RunOptions { raw: true, ..RunOptions::default() }, RecordKeep::Bytes),
        signer.sign(run(b"{}", RunOptions::default(), RecordKeep::Bytes)),
        well,
        document("[]"),
    ] {
        let json: Value = serde_json::from_slice(&record.to_json()).unwrap();
        let wrong: Vec<_> = schema.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{json}: {wrong:?}");
    }
    let json = serde_json::json!({ "schema": "compute-record/1", "more": 1 });
    assert!(!schema.is_valid(&json));
}

#[test]
fn a_signature_is_of_one_record_and_one_key() {
    let signer = RecordSigner::new(&key());
    let record = signer.sign(recorded(b"{\"n\":1}", &RunOptions::default(), RecordKeep::Bytes));
    let json = String::from_utf8(record.to_json()).unwrap();
    assert_eq!(read_record(json.as_bytes()).unwrap(), record);
    assert_eq!(record.signature.as_ref().unwrap().key, signer.public_key());
    let other = RecordSigner::new(&RecordKey::new([8; 32]));
    assert_ne!(other.public_key(), signer.public_key());
    // Times are no part of the id; the signature vouches for them all the same.
    let later = format!("\"wall_ns\":{}", record.wall_ns + 1);
    let later =
        json.replacen(&format!("\"wall_ns\":{}}}", record.wall_ns), &format!("{later}}}"), 1);
    for changed in [
        later,
        json.replace(&signer.public_key(), &other.public_key()),
        json.replace(&record.signature.as_ref().unwrap().value, &"0".repeat(128)),
        json.replace(&signer.public_key(), "zz"),
    ] {
        assert_ne!(changed, json);
        let error = read_record(changed.as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::Signature(_)), "{error}");
    }
    let changed = json.replace("\"status\":\"ok\"", "\"status\":\"trapped\"");
    assert!(matches!(read_record(changed.as_bytes()), Err(ReadError::Record(_))));
}

#[test]
fn the_newest_that_are_wanted_are_found_in_any_segment() {
    let folder = tempfile::tempdir().unwrap();
    let writer = RecordWriter::start(64 << 20).unwrap();
    let settings = LogSettings { bytes: 256 << 10, ..LogSettings::default() };
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let log = writer.log(&one, settings, Some(RecordSigner::new(&key())));
    let theirs = writer.log(&other, settings, None);
    for number in 0..100 {
        let mut record = recorded(
            format!("{{\"n\":{number}}}").as_bytes(),
            &with_secret("hunter2-hunter2"),
            RecordKeep::Bytes,
        );
        record.rid = format!("r-{number}");
        let record = record.sealed();
        if number % 10 == 0 { theirs.take(record) } else { log.take(record) }
    }
    log.flush().unwrap();
    theirs.flush().unwrap();
    assert_eq!(writer.stats().written, 100);
    let find = |query: &RecordQuery, last| {
        let found = find_records(&one, query, last, &mut || true).unwrap();
        found.into_iter().map(|one| one.head.rid).collect::<Vec<_>>()
    };
    let all = RecordQuery::default();
    assert_eq!(find(&all, 3), ["r-97", "r-98", "r-99"]);
    assert_eq!(find(&all, 1000).len(), 90, "they are in several segments");
    assert!(std::fs::read_dir(&one).unwrap().count() > 1);
    let rid = RecordQuery { rid: Some("r-41".into()), ..all.clone() };
    let found = find_records(&one, &rid, 2, &mut || true).unwrap();
    let mut json = Vec::new();
    std::io::Read::read_to_end(&mut found[0].open().unwrap(), &mut json).unwrap();
    assert_eq!(json.len() as u64, found[0].size());
    let record = read_record(&json).unwrap();
    assert_eq!((record.rid.as_str(), record.signature.is_some()), ("r-41", true));
    let id = RecordQuery { id: Some(record.id[..12].to_owned()), ..all.clone() };
    assert_eq!(find(&id, 2), ["r-41"]);
    for (query, expected) in [
        (RecordQuery { status: Some("failed".into()), ..all.clone() }, 0),
        (RecordQuery { status: Some("ok".into()), ..all.clone() }, 90),
        (RecordQuery { op: Some("s/1/a".into()), ..all.clone() }, 90),
        (RecordQuery { op: Some("s/1/b".into()), ..all.clone() }, 0),
        (RecordQuery { stack: Some("shop".into()), ..all.clone() }, 0),
        (RecordQuery { since: Some(record.at), until: Some(record.at), ..all.clone() }, 0),
    ] {
        assert_eq!(find(&query, 1000).len(), expected, "{query:?}");
    }
    // What is damaged is left out; whoever has no time is told so.
    let segment = std::fs::read_dir(&one).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&segment, "00000000 {}\nnothing").unwrap();
    assert!(find(&all, 1000).len() < 90);
    let stopped = find_records(&one, &all, 10, &mut || false).unwrap_err();
    assert_eq!(stopped.kind(), std::io::ErrorKind::TimedOut);
    assert!(
        find_records(&folder.path().join("nowhere"), &all, 10, &mut || true).unwrap().is_empty()
    );
}

#[test]
fn a_log_that_nobody_can_write_loses_its_own_records_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let writer = RecordWriter::start(1 << 20).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let broken = writer.log(&folder.path().join("file/below"), LogSettings::default(), None);
    let well = writer.log(&folder.path().join("well"), LogSettings::default(), None);
    for number in 0..50 {
        let record =
            || recorded(format!("{number}").as_bytes(), &RunOptions::default(), RecordKeep::Bytes);
        broken.take(record());
        well.take(record());
    }
    let _ = broken.flush();
    well.flush().unwrap();
    assert_eq!((broken.stats().written, broken.stats().lost), (0, 50));
    assert_eq!((well.stats().written, well.stats().lost), (50, 0));
}
