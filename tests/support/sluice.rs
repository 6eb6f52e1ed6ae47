//! A gate in front of a server: open, closed (connections are hung up on) or slow.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What the state is where it is closed.
const CLOSED: u64 = u64::MAX;

/// It lives as long as the test process, which is short.
pub(crate) struct Gate {
    authority: String,
    /// The delay in milliseconds, or closed.
    state: Arc<AtomicU64>,
}

impl Gate {
    /// In front of the server that the URL names.
    pub(crate) fn to(target: &str) -> Self {
        let target = target.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let state = Arc::new(AtomicU64::new(0));
        let now = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if now.load(Ordering::SeqCst) == CLOSED {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let _ = client.set_nodelay(true).and(server.set_nodelay(true));
                let (client_out, server_in) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (there, back) = (Arc::clone(&now), Arc::clone(&now));
                thread::spawn(move || pass(client, server, &there));
                thread::spawn(move || pass(server_in, client_out, &back));
            }
        });
        Self { authority, state }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    pub(crate) fn open(&self) {
        self.slow(Duration::ZERO);
    }

    /// Each piece comes this much later.
    pub(crate) fn slow(&self, delay: Duration) {
        self.state.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn close(&self) {
        self.state.store(CLOSED, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &AtomicU64) {
    let mut buffer = [0; 65536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        match state.load(Ordering::SeqCst) {
            CLOSED => break,
            delay => thread::sleep(Duration::from_millis(delay)),
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
