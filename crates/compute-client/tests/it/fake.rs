//! Something that listens and says what it was told to say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use compute_client::ClientBuilder;
use compute_client::blocking::{Blocking, Client};

use crate::QUICK;

/// A listener that gives each connection the next answer, and the last one to all that follow.
pub(crate) struct Fake {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(crate) fn new(answers: &[&str]) -> Self {
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), move |number, stream| {
            let answer = answers.get(number).or(answers.last()).unwrap();
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    /// A listener that does this with the connection of this number, once its request is read.
    pub(crate) fn on(
        listener: TcpListener,
        answer: impl Fn(usize, &mut TcpStream) + Send + 'static,
    ) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                seen.lock().unwrap().push(request(&stream));
                answer(number, &mut stream);
            }
        });
        Self { url, requests }
    }

    /// What was asked so far: heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn builder(&self) -> ClientBuilder<Blocking> {
        Client::builder(&self.url).retries(QUICK)
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }
}

fn request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let begin = text.len();
        if reader.read_line(&mut text).unwrap() <= 2 {
            break;
        }
        let line = text[begin..].to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8_lossy(&body)
}

/// An answer of this status, with these headers and this body.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Status\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// A problem of this status and code, with these headers.
pub(crate) fn problem(status: u16, code: &str, headers: &str) -> String {
    let body = format!(
        r#"{{"type":"about:blank","title":"t","status":{status},"code":"{code}","detail":"what happened","limit":7}}"#
    );
    answer(status, &format!("content-type: application/problem+json\r\n{headers}"), &body)
}

/// An empty list of stacks.
pub(crate) const STACKS: &str = r#"{"stacks":[]}"#;
