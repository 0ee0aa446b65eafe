//! `cargo bench -p compute-bench`: the same echo under criterion, for comparing two states of the code.

use compute::{Algorithm, Artifact, ArtifactMap, Limits, Manager, RunOptions, Runner as _};
use compute_wasm as _;
use criterion::{Criterion, criterion_group, criterion_main};

fn echo(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("echo");
    for pages in [2, 18] {
        let artifact = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::echo(pages));
        let reference = artifact.reference().clone();
        let manager = Manager::builder().resolver(ArtifactMap::from([artifact])).build();
        for (name, fuel) in [("plain", None), ("metered", Some(1_000_000_000))] {
            let options = RunOptions::with_limits(Limits { fuel, ..Limits::default() });
            group.bench_function(format!("{pages} pages, {name}"), |bencher| {
                bencher.iter(|| {
                    let outcome = manager.run_blocking(&reference, br#"{"name":"Ada"}"#, &options);
                    outcome.expect("a run").result.expect("an echo")
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, echo);
criterion_main!(benches);
