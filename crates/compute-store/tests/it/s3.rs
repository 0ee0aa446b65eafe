//! The same over the network: a server that speaks S3's protocol, started here.

use std::process::Command;

use compute_guests::S3Server;

#[test]
fn s3_conforms() {
    // The store takes its credentials from the environment, which a test must not change under other
    // threads; so the suite runs in a process of its own.
    const CHILD: &str = "COMPUTE_TEST_S3_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let mut number = 0;
        super::conformance::all(&mut || {
            number += 1;
            compute_store::open(&format!("s3://artifacts/test/{number}")).unwrap()
        });
        return;
    }
    let server = S3Server::start();
    server.make_bucket("artifacts");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "s3::s3_conforms", "--nocapture"])
        .env(CHILD, "1")
        .envs(server.variables())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{printed}{}", String::from_utf8_lossy(&child.stderr));
    assert!(printed.contains("1 passed"), "{printed}");
}
