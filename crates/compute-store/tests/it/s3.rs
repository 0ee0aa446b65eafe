//! The same over the network: a server that speaks S3's protocol, started here.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A moto server on a free port, ended with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/moto");
        assert!(packages.is_dir(), "the S3 server is missing: run `cargo xtask test`");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONPATH", packages)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts");
        let server = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the S3 server does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    fn make_bucket(&self, name: &str) {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            connection,
            "PUT /{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
    let server = Server::start();
    server.make_bucket("artifacts");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "s3::s3_conforms", "--nocapture"])
        .env(CHILD, "1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ENDPOINT", format!("http://127.0.0.1:{}", server.port))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{printed}{}", String::from_utf8_lossy(&child.stderr));
    assert!(printed.contains("1 passed"), "{printed}");
}
