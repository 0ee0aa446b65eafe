//! What is written: as the published schema says, vouched for by a signature, of documents too, and found again.

use std::sync::Arc;

use compute::{
    RECORD_JSON_SCHEMA, Record, RecordKeep, RecordKey, RecordQuery, RecordSink as _, RunOptions,
    Subject,
};
use compute_flow::{Processor, Request, Snapshot, Stack};
use compute_replay::{
    DocumentRecorder, LogSettings, LogSweep, ReadError, RecordSigner, RecordWriter, find_records,
    read_record,
};
use compute_state::{File, Rollout};
use proptest::prelude::*;
use serde_json::Value;
use sha2::Digest as _;

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
    let recorder =
        DocumentRecorder::new(&processor, &snapshot, &mut request, key(), RecordKeep::Bytes);
    let answer = processor.process(&snapshot, &request);
    recorder.record(&request, &answer).sealed()
}

#[test]
fn a_record_names_the_version_that_the_document_got() {
    let (manager, _) = manager();
    let version = |number, scope: &str| {
        let rule = File::new(format!("{scope}/a.txcl"), format!("EMIT .a = {number}"));
        Stack::compile("shop".parse().unwrap(), &[rule]).unwrap().numbered(number)
    };
    let (active, other) = (version(1, "300"), version(2, "100"));
    let hashes = [&active, &other].map(|stack| stack.hash().to_owned());
    let mut snapshot: Snapshot = [active].into_iter().collect();
    let (share, by) = ("100%".parse().unwrap(), ".id".parse().unwrap());
    let stack = "shop".parse().unwrap();
    snapshot.roll_out(Rollout { stack, number: 2, share, by }, other);
    let processor = Processor::new(Arc::new(manager));
    // From the second scope on, the other version has none: that it was this one is known all the same.
    for (stage, input, hash, value) in [
        ("shop/0", "{}", &hashes[0], Value::from(1)),
        ("shop/0", r#"{"id":1}"#, &hashes[1], Value::from(2)),
        ("shop/200", "{}", &hashes[0], Value::from(1)),
        ("shop/200", r#"{"id":1}"#, &hashes[1], Value::Null),
    ] {
        let mut request = Request::new(stage.parse().unwrap(), input.as_bytes().to_vec());
        let recorder =
            DocumentRecorder::new(&processor, &snapshot, &mut request, key(), RecordKeep::Bytes);
        let answer = processor.process(&snapshot, &request);
        assert_eq!(answer.result.as_ref().unwrap()["a"], value, "{stage} {input}");
        let record = recorder.record(&request, &answer);
        let Subject::Document(document) = &record.subject else { panic!("it is of a document") };
        let versions: Vec<_> = document.versions.iter().collect();
        assert_eq!(versions, [(&"shop".to_owned(), hash)], "{stage} {input}");
    }
}

#[test]
fn a_secret_that_one_step_was_given_is_in_no_record_of_another() {
    let secret = "hunter2-hunter2";
    // One step is given it, and writes it into the document, which the next one gets, without secrets.
    let reference = |name: &'static str| {
        let echo = compute::Artifact::new(compute::Algorithm::Sha256, "identity", name.as_bytes());
        (echo.reference().clone(), echo)
    };
    let ((first, one), (second, other)) = (reference("one"), reference("other"));
    let artifacts = compute::ArtifactMap::from([one, other]);
    let manager = compute::Manager::builder().resolver(artifacts).build();
    let rules = [
        File::new("100/a.txcl", format!("WITH secrets = \"KEY\"\nEXEC \"{first}\"")),
        File::new("200/b.txcl", format!("EXEC \"{second}\"")),
    ];
    let stack = Stack::compile("shop".parse().unwrap(), &rules).unwrap();
    let snapshot: Snapshot = [stack].into_iter().collect();
    let processor = Processor::new(Arc::new(manager));
    let input = serde_json::json!({ "said": secret, "b": secret }).to_string();
    for known in [true, false] {
        let mut request = Request::new("shop/0".parse().unwrap(), input.clone().into_bytes());
        request.secrets = Arc::new([("KEY".to_owned(), secret.to_owned())].into());
        if known {
            request.mask = Arc::new(compute::Mask::new([secret.to_owned()]));
        }
        let recorder =
            DocumentRecorder::new(&processor, &snapshot, &mut request, key(), RecordKeep::Bytes);
        let answer = processor.process(&snapshot, &request);
        let record = recorder.record(&request, &answer).sealed();
        let Subject::Document(document) = &record.subject else { panic!("it is of a document") };
        assert_eq!((&*document.status, document.steps.len()), ("ok", 2), "{:?}", document.reason);
        assert_eq!(document.secrets.digests.keys().collect::<Vec<_>>(), ["KEY"]);
        let json = String::from_utf8(record.to_json()).unwrap();
        assert!(!json.contains("hunter2"), "{json}");
        // Nor a digest of it, at which a guess could be tried.
        let bare = compute::Content::new(input.as_bytes(), &compute::Mask::default(), false);
        assert!(!json.contains(&bare.sha256), "{json}");
    }
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

/// The canonical form, and the id that what it says has, worked out as the schema describes it.
fn by_the_book(record: &Record) -> (Vec<u8>, String) {
    let canonical = |value: &Value| serde_json_canonicalizer::to_vec(value).unwrap();
    let whole = serde_json::to_value(record).unwrap();
    let mut bare = whole.clone();
    let without = |value: &mut Value, names: &[&str]| {
        value.as_object_mut().unwrap().retain(|name, _| !names.contains(&name.as_str()));
    };
    without(&mut bare, &["id", "at", "wall_ns", "signature"]);
    if let Some(Value::Array(steps)) = bare.pointer_mut("/subject/document/steps") {
        steps.iter_mut().for_each(|step| without(step, &["wall_ns"]));
    }
    fn forget(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if fields.contains_key("sha256") {
                    fields.shift_remove("data");
                }
                fields.values_mut().for_each(forget);
            }
            Value::Array(items) => items.iter_mut().for_each(forget),
            _ => {}
        }
    }
    forget(&mut bare);
    (canonical(&whole), hex::encode(sha2::Sha256::digest(canonical(&bare))))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_canonical_and_has_the_id_that_the_schema_says(
        text in any::<String>(),
        name in any::<String>(),
        fuel in proptest::option::of(any::<u64>()),
        keep in any::<bool>(),
    ) {
        let input = serde_json::json!({ "text": text }).to_string();
        let rid = text.clone();
        let mut options = with_secret("hunter2-hunter2");
        options.limits.fuel = fuel;
        if let Some(op) = &mut options.op {
            let values = [(name, "another-secret".to_owned()), ("\u{e000}".into(), "third-secret".into())];
            op.secrets = values.into_iter().collect();
            op.meta.rid = text;
        }
        let keep = if keep { RecordKeep::Bytes } else { RecordKeep::Digests };
        for (mut record, by) in [
            (recorded(input.as_bytes(), &options, keep), String::new()),
            (recorded(input.as_bytes(), &options, keep), rid.clone()),
            (document(&input), String::new()),
            (document(&input), rid),
        ] {
            record.by = by;
            let (mut at_once, mut text) = (record.clone(), b"> ".to_vec());
            at_once.id.clear();
            at_once.seal_into(&mut text);
            let record = record.sealed();
            prop_assert_eq!(&at_once, &record);
            prop_assert_eq!(&text[2..], record.to_json());
            let (json, id) = by_the_book(&record);
            prop_assert_eq!(String::from_utf8(record.to_json()).unwrap(), String::from_utf8(json).unwrap());
            prop_assert_eq!(&record.id, &id);
            prop_assert_eq!(Record::read(&record.to_json()).unwrap(), record);
        }
    }
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
        let id = if number % 10 == 0 { &theirs } else { &log }.take_now(record.clone());
        assert_eq!(id, record.sealed().id);
    }
    log.flush().unwrap();
    theirs.flush().unwrap();
    assert_eq!(writer.stats().written, 100);
    let find = |query: &RecordQuery, last| {
        let found = find_records(&one, query, last, &mut || true).unwrap();
        found.records.into_iter().map(|one| one.head.rid).collect::<Vec<_>>()
    };
    let all = RecordQuery::default();
    assert_eq!(find(&all, 3), ["r-97", "r-98", "r-99"]);
    assert_eq!(find(&all, 1000).len(), 90, "they are in several segments");
    assert!(std::fs::read_dir(&one).unwrap().count() > 1);
    let rid = RecordQuery { rid: Some("r-41".into()), ..all.clone() };
    let found = find_records(&one, &rid, 2, &mut || true).unwrap().records;
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
    assert_eq!(find_records(&one, &all, 1000, &mut || true).unwrap().damaged, 2);
    let stopped = find_records(&one, &all, 10, &mut || false).unwrap_err();
    assert_eq!(stopped.kind(), std::io::ErrorKind::TimedOut);
    assert!(
        find_records(&folder.path().join("nowhere"), &all, 10, &mut || true)
            .unwrap()
            .records
            .is_empty()
    );
}

#[test]
fn what_is_too_old_goes_from_folders_that_nobody_writes_to() {
    let root = tempfile::tempdir().unwrap();
    // More than are looked through at once: the first of them go at once, and nobody waits for the rest.
    let folders: Vec<_> = (0..150).map(|n| root.path().join(format!("{n:03}"))).collect();
    let then = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * 8);
    for folder in &folders {
        std::fs::create_dir(folder).unwrap();
        let path = folder.join("0000000000000001.records");
        std::fs::write(&path, "").unwrap();
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
    }
    let left = |folder: &std::path::PathBuf| std::fs::read_dir(folder).unwrap().count();
    let found = folders.clone();
    let sweep = LogSweep::new(LogSettings::default(), move || found.clone());
    let writer = RecordWriter::start_with(1 << 20, Some(sweep)).unwrap();
    let log = writer.log(&root.path().join("log"), LogSettings::default(), None);
    log.take(recorded(b"1", &RunOptions::default(), RecordKeep::Bytes));
    // It is written after that.
    log.flush().unwrap();
    assert_eq!(folders.iter().map(left).sum::<usize>(), 50);
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
