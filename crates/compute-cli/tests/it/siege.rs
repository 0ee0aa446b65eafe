//! Each bad neighbour of [`crate::neighbours`], for a moment, beside a good one.

use std::path::Path;

use crate::neighbours::{ROWS, run};

#[test]
fn no_neighbour_hurts_another() {
    let program = Path::new(env!("CARGO_BIN_EXE_compute"));
    let mut wrong = Vec::new();
    for row in ROWS {
        let done = run(row, program).expect(row.name);
        wrong.extend(done.wrong.into_iter().map(|what| format!("{}: {what}", row.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
