//! JSON is read and written by the plugin where it is plain, as QuickJS would.

use std::path::Path;

use compute::{Limits, Seed};

use crate::{LIMITS, build_file, call, value};

#[test]
fn plain_json_is_read_and_written_as_quickjs_does() {
    let built = build_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/json.ts"));
    for seed in 0..10 {
        let limits = Limits { seed: Some(Seed::new([seed; 32])), ..LIMITS };
        let answer = value(&call(&built, r#"{"n":2000}"#, limits));
        assert_eq!(answer["differ"], serde_json::json!([]), "with the seed {seed}");
        assert_eq!(answer["plain"], true);
    }
}
