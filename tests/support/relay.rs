//! A relay in front of a server that counts connections and requests, and can be far away.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Counts what passes. It lives as long as the test process, which is short.
pub(crate) struct Relay {
    /// `127.0.0.1:PORT`.
    pub(crate) authority: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Relay {
    /// In front of `host:port`, or of the server that the URL names.
    pub(crate) fn to(target: &str) -> Self {
        Self::far(target, Duration::ZERO)
    }

    /// The same, each direction `delay` away. A connection costs its round trip too, as it does over a network.
    pub(crate) fn far(target: &str, delay: Duration) -> Self {
        let target = target.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, seen) = (Arc::clone(&connections), Arc::clone(&requests));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect(&target).unwrap();
                // What comes in two pieces would else wait for an acknowledgement, which is late by 40 ms.
                let _ = client.set_nodelay(true).and(server.set_nodelay(true));
                let (client_out, server_in) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (seen, opened) = (Arc::clone(&seen), Instant::now() + 2 * delay);
                thread::spawn(move || pass(client, server, opened, delay, Some(&seen)));
                thread::spawn(move || pass(server_in, client_out, opened, delay, None));
            }
        });
        Self { authority, connections, requests }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Connections and HTTP requests since it began.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

/// Passes bytes on, each `delay` after it came, but none that came before the connection was `opened`; a client's
/// writes begin with a request line wherever one of ours does.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    opened: Instant,
    delay: Duration,
    requests: Option<&AtomicUsize>,
) {
    let (line, arrived) = mpsc::channel::<(Instant, Vec<u8>)>();
    let writer = thread::spawn(move || {
        for (due, bytes) in arrived {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = [0; 65536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if let Some(requests) = requests {
            let text = String::from_utf8_lossy(&buffer[..read]);
            requests.fetch_add(text.matches(" HTTP/1.1\r\n").count(), Ordering::SeqCst);
        }
        let due = Instant::now().max(opened) + delay;
        if line.send((due, buffer[..read].to_vec())).is_err() {
            break;
        }
    }
    drop(line);
    let _ = writer.join();
}
