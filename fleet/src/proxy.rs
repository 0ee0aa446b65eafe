//! What stands between the servers and the database: connections go through it, until they are cut off.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// A way to the database's socket.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Opens the way to a socket.
    pub(crate) fn open(socket: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (is_cut, open) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (cut, all, socket) = (Arc::clone(&is_cut), Arc::clone(&open), socket.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if cut.load(Ordering::Relaxed) {
                    continue;
                }
                let kept = stream.try_clone();
                all.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
                let socket = socket.clone();
                std::thread::spawn(move || drop(join(&stream, &socket)));
            }
        });
        Ok(Self { port, is_cut, open })
    }

    /// Ends all connections, and lets nobody through.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets them through again.
    pub(crate) fn mend(&self) {
        self.is_cut.store(false, Ordering::Relaxed);
    }
}

fn join(stream: &TcpStream, socket: &PathBuf) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let server = match UnixStream::connect(socket) {
        Ok(server) => server,
        Err(error) => {
            stream.shutdown(Shutdown::Both)?;
            return Err(error);
        }
    };
    let (from, to) = (server.try_clone()?, stream.try_clone()?);
    std::thread::spawn(move || {
        pass(from, &to);
        let _ = to.shutdown(Shutdown::Both);
    });
    pass(stream.try_clone()?, &server);
    server.shutdown(Shutdown::Both)
}

fn pass(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 16 << 10];
    while let Ok(number) = from.read(&mut buffer) {
        if number == 0 || to.write_all(&buffer[..number]).is_err() {
            return;
        }
    }
}
