//! Records on disk: appended, bounded, read back whatever happened to them.

use std::sync::Arc;
use std::time::Duration;

use compute::{Content, Record, RecordError, RecordKeep, RecordSink as _, RunOptions, Subject};
use compute_replay::{LogSettings, RecordLog, read_records, write_record};
use proptest::prelude::*;

use crate::{recorded, with_secret};

fn numbered(number: usize) -> Record {
    let input = format!("{{\"n\":{number}}}");
    let mut record = recorded(input.as_bytes(), &RunOptions::default(), RecordKeep::Bytes);
    record.rid = format!("r-{number}");
    record
}

fn rids(folder: &std::path::Path) -> (Vec<String>, Vec<String>) {
    let (mut rids, mut damages) = (Vec::new(), Vec::new());
    for one in read_records(folder) {
        match one {
            Ok(kept) => rids.push(kept.record.rid),
            Err(damage) => damages.push(damage.to_string()),
        }
    }
    (rids, damages)
}

#[test]
fn what_was_flushed_is_read_back_in_order_and_a_later_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let log = RecordLog::open(folder.path(), LogSettings::default()).unwrap();
        for number in 0..5 {
            log.take(numbered(round * 5 + number));
        }
        log.flush().unwrap();
        assert_eq!((log.stats().written, log.stats().lost), (5, 0));
    }
    let expected: Vec<_> = (0..10).map(|number| format!("r-{number}")).collect();
    assert_eq!(rids(folder.path()), (expected, vec![]));
}

#[test]
fn the_oldest_go_and_what_is_kept_stays_within_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = LogSettings { bytes: 64 << 10, ..LogSettings::default() };
    let log = RecordLog::open(folder.path(), settings).unwrap();
    for number in 0..500 {
        log.take(numbered(number));
    }
    log.flush().unwrap();
    let size: u64 = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|one| one.unwrap().metadata().unwrap().len())
        .sum();
    assert!(size <= 64 << 10, "{size}");
    let (rids, damages) = rids(folder.path());
    assert!(damages.is_empty(), "{damages:?}");
    assert_eq!(rids.last().unwrap(), "r-499");
    assert!(rids.len() > 20 && rids[0] != "r-0", "{}", rids.len());
}

#[test]
fn those_that_are_too_old_go() {
    let folder = tempfile::tempdir().unwrap();
    drop({
        let log = RecordLog::open(folder.path(), LogSettings::default()).unwrap();
        log.take(numbered(1));
        log.flush().unwrap();
        log
    });
    std::thread::sleep(Duration::from_millis(20));
    let settings = LogSettings { age: Duration::from_millis(10), ..LogSettings::default() };
    let log = RecordLog::open(folder.path(), settings).unwrap();
    log.take(numbered(2));
    log.flush().unwrap();
    assert_eq!(rids(folder.path()).0, ["r-2"]);
}

#[test]
fn more_than_may_wait_is_lost_and_counted_and_slows_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let settings = LogSettings { waiting: 1, ..LogSettings::default() };
    let log = RecordLog::open(folder.path(), settings).unwrap();
    log.take(numbered(1));
    log.flush().unwrap();
    assert_eq!((log.stats().written, log.stats().lost), (0, 1));
}

#[test]
fn a_folder_that_goes_away_loses_records_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("records");
    let settings = LogSettings { bytes: 8 << 10, ..LogSettings::default() };
    let log = Arc::new(RecordLog::open(&below, settings).unwrap());
    std::fs::remove_dir_all(&below).unwrap();
    std::fs::write(&below, "no folder").unwrap();
    for number in 0..10 {
        log.take(numbered(number));
    }
    let _ = log.flush();
    assert_eq!(log.stats().written + log.stats().lost, 10);
    assert!(log.stats().lost >= 9, "{:?}", log.stats());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_segment_that_was_cut_anywhere_gives_all_that_was_whole(cut in 0.0..1.0_f64) {
        let folder = tempfile::tempdir().unwrap();
        let log = RecordLog::open(folder.path(), LogSettings::default()).unwrap();
        for number in 0..4 {
            log.take(numbered(number));
        }
        log.flush().unwrap();
        drop(log);
        let segment = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(&segment).unwrap();
        let length = (bytes.len() as f64 * cut) as usize;
        std::fs::write(&segment, &bytes[..length]).unwrap();
        let whole = bytes[..length].iter().filter(|byte| **byte == b'\n').count();
        let torn = usize::from(length > 0 && bytes[length - 1] != b'\n');
        // What was written afterwards is in a segment of its own.
        let log = RecordLog::open(folder.path(), LogSettings::default()).unwrap();
        log.take(numbered(9));
        log.flush().unwrap();
        let (rids, damages) = rids(folder.path());
        let mut expected: Vec<_> = (0..whole).map(|number| format!("r-{number}")).collect();
        expected.push("r-9".to_owned());
        prop_assert_eq!(rids, expected);
        prop_assert_eq!(damages.len(), torn);
    }

    #[test]
    fn a_byte_that_was_changed_costs_one_record_and_is_told(at in 0.0..1.0_f64, with in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let log = RecordLog::open(folder.path(), LogSettings::default()).unwrap();
        for number in 0..4 {
            log.take(numbered(number));
        }
        log.flush().unwrap();
        drop(log);
        let segment = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&segment).unwrap();
        let at = ((bytes.len() - 1) as f64 * at) as usize;
        let same = bytes[at] == with;
        bytes[at] = with;
        std::fs::write(&segment, &bytes).unwrap();
        let (rids, damages) = rids(folder.path());
        // A line break in the middle makes two lines of one, and none at an end one of two.
        prop_assert!(same && rids.len() == 4 || rids.len() >= 2 && !damages.is_empty(), "{rids:?} {damages:?}");
    }
}

#[test]
fn a_record_of_another_version_or_one_that_was_changed_says_so() {
    let record = recorded(b"{\"n\":1}", &RunOptions::default(), RecordKeep::Bytes);
    let json = String::from_utf8(record.to_json()).unwrap();
    assert_eq!(Record::read(json.as_bytes()).unwrap(), record);
    let next = json.replace("compute-record/1", "compute-record/2");
    let error = Record::read(next.as_bytes()).unwrap_err();
    assert_eq!(error, RecordError::UnknownSchema("compute-record/2".into()));
    assert!(error.to_string().contains("use the version that wrote it"), "{error}");
    let changed = json.replace("\"status\":\"ok\"", "\"status\":\"trapped\"");
    assert!(matches!(Record::read(changed.as_bytes()), Err(RecordError::Changed { .. })));
    // The wall limit is one of the limits, and no time that was measured.
    let wall = json.replace("\"wall_ns\":250000000", "\"wall_ns\":250000001");
    assert_ne!(wall, json);
    assert!(matches!(Record::read(wall.as_bytes()), Err(RecordError::Changed { .. })));
    let other = json.replace("{\\\"n\\\":1}", "{\\\"n\\\":2}");
    assert!(matches!(Record::read(other.as_bytes()), Err(RecordError::ChangedContent("input"))));
    for wrong in
        ["", "{}", "null", "[1]", "{\"schema\":\"compute-record/1\"}", &json[..json.len() / 2]]
    {
        let error = Record::read(wrong.as_bytes()).unwrap_err();
        assert!(matches!(error, RecordError::Malformed(_)), "{wrong}: {error}");
    }
    // Without its bytes it is the same record.
    let Subject::Run(mut run) = record.subject.clone() else { panic!("it is of a run") };
    for content in [&mut run.input, run.output.as_mut().unwrap()] {
        content.data = None;
    }
    let bare = Record { subject: Subject::Run(run), ..record.clone() };
    assert_eq!(Record::read(&bare.to_json()).unwrap().id, record.id);
}

#[test]
fn no_record_holds_a_secret_wherever_it_is_repeated() {
    let secret = "hunter2-and-\"more\"";
    let input = serde_json::json!({ "said": secret, "plain": 1 }).to_string();
    let record = recorded(input.as_bytes(), &with_secret(secret), RecordKeep::Bytes);
    let json = String::from_utf8(record.to_json()).unwrap();
    assert!(!json.contains("hunter2"), "{json}");
    assert!(json.contains("\"KEY\""), "{json}");
    let Subject::Run(run) = &record.subject else { panic!("it is of a run") };
    assert!(run.input.masked && run.output.as_ref().unwrap().masked);
    let bare = Content::new(input.as_bytes(), &compute::Mask::default(), false);
    assert_ne!(bare.sha256, run.input.sha256, "a digest of the secret itself could be guessed at");
}

#[test]
fn a_file_is_written_whole_and_read_with_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let record = numbered(3);
    write_record(&record.clone().sealed(), &folder.path().join("one.json")).unwrap();
    std::fs::write(folder.path().join("two.json"), "{").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no record").unwrap();
    let (rids, damages) = rids(folder.path());
    assert_eq!(rids, ["r-3"]);
    assert!(damages.len() == 1 && damages[0].contains("two.json: it is no record"), "{damages:?}");
}
