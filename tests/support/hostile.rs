//! A server that misbehaves on purpose, and remembers what it was sent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::own_bao::free_addresses;

/// A server that answers every connection with one behaviour.
pub(crate) struct Hostile {
    /// `127.0.0.1:PORT`.
    pub(crate) authority: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Hostile {
    /// Hands each connection, its request already read, to `behave`.
    pub(crate) fn new(behave: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::at(listener.local_addr().unwrap().to_string(), move || listener, behave)
    }

    /// Refuses every connection at first, and listens `after` that time.
    pub(crate) fn late(after: Duration, behave: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let [authority] = free_addresses();
        let address = authority.clone();
        let listen = move || {
            thread::sleep(after);
            TcpListener::bind(address).unwrap()
        };
        Self::at(authority, listen, behave)
    }

    fn at(
        authority: String,
        listen: impl FnOnce() -> TcpListener + Send + 'static,
        behave: impl Fn(&mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (behave, requests) = (Arc::new(behave), Arc::clone(&heard));
        thread::spawn(move || {
            for mut stream in listen().incoming().flatten() {
                let (behave, requests) = (Arc::clone(&behave), Arc::clone(&requests));
                thread::spawn(move || {
                    let request = read_request(&mut stream);
                    requests.lock().unwrap().push(request);
                    behave(&mut stream);
                });
            }
        });
        Self { authority, heard }
    }

    /// Answers everything with this status, these headers and this body.
    pub(crate) fn answering(status: u16, headers: &str, body: &str) -> Self {
        Self::in_turn(&[(status, headers, body)])
    }

    /// Answers the requests in turn, each with its status, headers and body, and all that follow like the last one.
    pub(crate) fn in_turn(answers: &[(u16, &str, &str)]) -> Self {
        let answers: Vec<String> =
            answers.iter().map(|(status, headers, body)| answer(*status, headers, body)).collect();
        let next = AtomicUsize::new(0);
        Self::new(move |stream| {
            let at = next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let _ = stream.write_all(answers[at].as_bytes());
        })
    }

    /// Takes the request and never answers.
    pub(crate) fn silent() -> Self {
        Self::new(|_| thread::sleep(Duration::from_secs(60)))
    }

    /// Answers 200 and a body that never ends.
    pub(crate) fn endless() -> Self {
        Self::new(|stream| {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"data\":\"");
            while stream.write_all(&[b'x'; 65536]).is_ok() {}
        })
    }

    /// Resets the connection instead of answering.
    pub(crate) fn resetting() -> Self {
        Self::new(|stream| reset(stream))
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Every request so far, head and body.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// The bytes of an answer, after which the connection ends.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Has the connection reset as soon as it is closed.
pub(crate) fn reset(stream: &TcpStream) {
    // Closing a socket with unread bytes in it sends a reset; zero linger makes it certain.
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

/// Head and body of one request.
pub(super) fn read_request(stream: &mut TcpStream) -> String {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 8192]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned)
            });
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut chunk) {
            Ok(read @ 1..) => bytes.extend_from_slice(&chunk[..read]),
            _ => return text,
        }
    }
}
