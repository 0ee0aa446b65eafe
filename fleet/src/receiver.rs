//! Who is told when jobs have ended.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The largest body that is read.
const MOST: u64 = 16 << 20;

/// Takes what it is told, and says yes.
pub(crate) struct Receiver {
    /// Its origin.
    pub(crate) origin: String,
    /// How jobs ended that it was told of, and how often.
    told: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

impl Receiver {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let origin = format!("http://{}", listener.local_addr()?);
        let told = Arc::new(Mutex::new(BTreeMap::new()));
        let kept = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                // What breaks off is told again.
                std::thread::spawn(move || drop(take(stream, &kept)));
            }
        });
        Ok(Self { origin, told })
    }

    /// What it was told of the end of a job.
    pub(crate) fn told(&self, job: &str) -> Vec<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(job).cloned().unwrap_or_default()
    }
}

fn take(mut stream: TcpStream, told: &Mutex<BTreeMap<String, Vec<String>>>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        line.clear();
    }
    let mut body = Vec::new();
    reader.take(u64::min(length, MOST)).read_to_end(&mut body)?;
    let said: Value = serde_json::from_slice(&body)?;
    let job = said["data"]["id"].as_str().context("a job")?.to_owned();
    let how = said["type"].as_str().context("a type")?.to_owned();
    told.lock().unwrap_or_else(PoisonError::into_inner).entry(job).or_default().push(how);
    write!(stream, "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")?;
    Ok(())
}
