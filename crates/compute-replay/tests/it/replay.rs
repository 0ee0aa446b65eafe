//! Records run again, and what is otherwise.

use compute::{RecordKeep, RecordKey, RunOptions, Subject};
use compute_replay::{Against, Difference, Summary, Unrepeatable, Verdict, changes, replay_run};
use serde_json::json;

use crate::{key, manager, recorded, with_secret};

fn none(_: &str) -> Option<String> {
    None
}

#[test]
fn a_run_is_repeated_or_says_why_not() {
    let (manager, _) = manager();
    let replayed = |record: &compute::Record, secrets: &dyn Fn(&str) -> Option<String>, key| {
        let Subject::Run(run) = &record.subject else { panic!("it is of a run") };
        replay_run(run, &manager, secrets, &key, &Against::default()).0
    };
    let kept = recorded(b"{\"n\":1}", &RunOptions::default(), RecordKeep::Bytes);
    assert_eq!(replayed(&kept, &none, key()), Verdict::Identical);
    let bare = recorded(b"{\"n\":1}", &RunOptions::default(), RecordKeep::Digests);
    let why = Unrepeatable::NotKept("input".into());
    assert_eq!(replayed(&bare, &none, key()), Verdict::Incomparable(why));

    let secret = recorded(b"{\"n\":1}", &with_secret("first-secret"), RecordKeep::Bytes);
    let why = Unrepeatable::MissingSecret("KEY".into());
    assert_eq!(replayed(&secret, &none, key()), Verdict::Incomparable(why));
    let other = |_: &str| Some("second-secret".to_owned());
    let why = Unrepeatable::OtherSecret("KEY".into());
    assert_eq!(replayed(&secret, &other, key()), Verdict::Incomparable(why));
    let same = |_: &str| Some("first-secret".to_owned());
    assert_eq!(replayed(&secret, &same, key()), Verdict::Identical);
    // With another key, secrets cannot be told apart: the answer says whether it matters, and here it is masked in it.
    let elsewhere = RecordKey::new([8; 32]);
    assert_eq!(replayed(&secret, &other, elsewhere), Verdict::Identical);
    let masked =
        recorded(b"{\"n\":\"first-secret\"}", &with_secret("first-secret"), RecordKeep::Bytes);
    let why = Unrepeatable::Masked("input".into());
    assert_eq!(replayed(&masked, &same, key()), Verdict::Incomparable(why));
    let mut named = with_secret("first-secret");
    if let Some(op) = &mut named.op {
        op.meta.rid = "about first-secret".to_owned();
    }
    let masked = recorded(b"{}", &named, RecordKeep::Bytes);
    assert_eq!(masked.rid, "about [redacted]");
    assert!(!String::from_utf8_lossy(&masked.to_json()).contains("first-secret"));
    let why = Unrepeatable::Masked("request's id".into());
    assert_eq!(replayed(&masked, &same, key()), Verdict::Incomparable(why));
}

#[test]
fn an_artifact_that_is_gone_is_named() {
    let record = recorded(b"{}", &RunOptions::default(), RecordKeep::Bytes);
    let Subject::Run(run) = &record.subject else { panic!("it is of a run") };
    let empty = compute::Manager::builder().resolver(compute::ArtifactMap::default()).build();
    let (verdict, _) = replay_run(run, &empty, &none, &key(), &Against::default());
    let Verdict::Incomparable(Unrepeatable::Gone(why)) = verdict else { panic!("{verdict:?}") };
    assert!(why.contains(run.reference.digest()), "{why}");
}

#[test]
fn changes_name_their_path() {
    let before = json!({"a": 1, "b": {"c": [1, 2, {"d": "x"}]}, "gone": true, "odd key": 1});
    let after = json!({"a": 1, "b": {"c": [1, 3, {"d": "y"}, 4]}, "new": null, "odd key": 2});
    let shown: Vec<_> = changes(&before, &after).iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            ".b.c[1]: 2 → 3",
            ".b.c[2].d: \"x\" → \"y\"",
            ".b.c[3]: (nothing) → 4",
            ".gone: true → (nothing)",
            "[\"odd key\"]: 1 → 2",
            ".new: (nothing) → null",
        ]
    );
    assert_eq!(changes(&json!(1), &json!("1"))[0].path, ".");
    assert!(changes(&before, &before).is_empty());
    // Bounded, however much is otherwise.
    let many = |by: u64| json!((0..5000).map(|n| n + by).collect::<Vec<_>>());
    assert_eq!(changes(&many(0), &many(1)).len(), 1000);
}

#[test]
fn a_summary_groups_by_place_and_finds_the_one_change() {
    let mut summary = Summary::default();
    for number in 0..1000_u32 {
        let verdict = if number == 617 {
            let (before, after) =
                (json!({"items": [{"vat": 19}]}), json!({"items": [{"vat": 20}]}));
            Verdict::Different(vec![Difference::Output(changes(&before, &after))])
        } else {
            Verdict::Identical
        };
        summary.add(&format!("id-{number}"), &verdict);
        summary.measure(Some((100, 200 + u64::from(number))), (65536, 65536));
    }
    let summary = summary.done();
    assert_eq!((summary.records, summary.same, summary.different), (1000, 999, 1));
    assert_eq!(summary.groups.len(), 1);
    let group = &summary.groups[0];
    assert_eq!((group.place.as_str(), group.records), ("output .items[*].vat", 1));
    assert_eq!(group.ways, [("19".to_owned(), "20".to_owned(), 1)]);
    assert_eq!(group.example, "id-617");
    let (before, after) = summary.fuel.unwrap();
    assert_eq!((before.median, before.max), (100, 100));
    assert_eq!((after.median, after.p99, after.max), (699, 1189, 1199));
}
