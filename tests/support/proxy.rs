//! A forward proxy that leads to one server, whatever it is asked for, and remembers what that was.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::hostile::read_request;

/// A proxy for both kinds of requests: `CONNECT`, and a whole URL in the request line.
pub(crate) struct Proxy {
    /// `127.0.0.1:PORT`.
    pub(crate) authority: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Leads everything to `target`, `host:port`.
    pub(crate) fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (target, heads) = (target.to_owned(), Arc::clone(&asked));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (target, heads) = (target.clone(), Arc::clone(&heads));
                thread::spawn(move || serve(client, &target, &heads));
            }
        });
        Self { authority, asked }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The head of every request so far, as the proxy read it.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The request lines alone: `CONNECT host:port HTTP/1.1` or `GET http://host/path HTTP/1.1`.
    pub(crate) fn request_lines(&self) -> Vec<String> {
        self.asked().iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect()
    }
}

/// One connection; the second request on it would not be noticed.
fn serve(mut client: TcpStream, target: &str, heads: &Mutex<Vec<String>>) {
    let request = read_request(&mut client);
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return };
    heads.lock().unwrap().push(head.to_owned());
    let Ok(mut server) = TcpStream::connect(target) else { return };
    let begun = if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
    } else {
        server.write_all(format!("{}\r\n\r\n{body}", without_origin(head)).as_bytes())
    };
    if begun.is_err() {
        return;
    }
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Write);
}

/// The head as a server expects it: the path alone, and nothing that is for the proxy.
fn without_origin(head: &str) -> String {
    let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let (method, url) = line.split_once(' ').unwrap_or((line, ""));
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let kept = headers.lines().filter(|header| !header.to_ascii_lowercase().starts_with("proxy-"));
    [format!("{method} /{path}")].into_iter().chain(kept.map(str::to_owned)).collect::<Vec<_>>().join("\r\n")
}
