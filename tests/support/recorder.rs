//! A server that stands before another one, keeps what went through, and answers itself where the test says so.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::hostile::read_request;

/// One request with its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    /// `POST / HTTP/1.1`.
    pub(crate) line: String,
    /// By lower-case names.
    pub(crate) headers: BTreeMap<String, String>,
    /// What was sent.
    pub(crate) body: String,
    /// What was answered, head and body.
    pub(crate) answer: String,
}

impl Exchange {
    fn read(request: &str) -> Self {
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
        let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let headers = headers.lines().filter_map(|header| header.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { line: line.to_owned(), headers, body: body.to_owned(), answer: String::new() }
    }

    /// The header's value, empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The field of a form, empty where there is none.
    pub(crate) fn field(&self, name: &str) -> String {
        let mut fields = url::form_urlencoded::parse(self.body.as_bytes());
        fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    /// What an AWS service is asked: `AssumeRole`, `GetSecretValue`.
    pub(crate) fn action(&self) -> String {
        let target = self.header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned();
        if target.is_empty() { self.field("Action") } else { target }
    }

    /// The text of the answer's first XML element of this name.
    pub(crate) fn answered(&self, element: &str) -> &str {
        let rest = self.answer.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
        rest.split('<').next().unwrap_or_default()
    }
}

/// An answer of the recorder's own.
pub(crate) struct Reply(u16, String, String);

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self(status, String::new(), body.into())
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0, format!("{}{name}: {value}\r\n", self.1), self.2)
    }

    fn text(&self) -> String {
        let Self(status, headers, body) = self;
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// It lives as long as the test process, which is short.
pub(crate) struct Recorder {
    /// `127.0.0.1:PORT`.
    pub(crate) authority: String,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Recorder {
    /// Before the server that the URL names.
    pub(crate) fn to(url: &str) -> Self {
        Self::between(url, |_| None)
    }

    /// The same, and what `own` answers, does not reach it.
    pub(crate) fn between(
        url: &str,
        own: impl Fn(&Exchange) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::start(url, own, |_| None)
    }

    fn start(
        url: &str,
        own: impl Fn(&Exchange) -> Option<Reply> + Send + Sync + 'static,
        other: impl Fn(&Exchange) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let target = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let (kept, shared) = (Arc::clone(&exchanges), Arc::new((target, own, other)));
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let (kept, shared) = (Arc::clone(&kept), Arc::clone(&shared));
                thread::spawn(move || {
                    let request = read_request(&mut client);
                    if request.is_empty() {
                        return;
                    }
                    let mut exchange = Exchange::read(&request);
                    exchange.answer = match shared.1(&exchange) {
                        Some(reply) => reply.text(),
                        // moto looks through all its secrets, and breaks off where another test adds one meanwhile.
                        None => (0..5)
                            .map(|_| passed_on(&request, &shared.0))
                            .find(|answer| !answer.starts_with("HTTP/1.1 500"))
                            .unwrap_or_else(|| passed_on(&request, &shared.0)),
                    };
                    if let Some(reply) = shared.2(&exchange) {
                        exchange.answer = reply.text();
                    }
                    let answer = exchange.answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                    kept.lock().unwrap().push(exchange);
                    let _ = client.write_all(answer.as_bytes());
                });
            }
        });
        Self { authority, exchanges }
    }

    /// Before the server that the URL names, whose answers are given as `other` has them.
    pub(crate) fn rewording(
        url: &str,
        other: impl Fn(&Exchange) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::start(url, |_| None, other)
    }

    /// A server that answers everything itself.
    pub(crate) fn alone(own: impl Fn(&Exchange) -> Reply + Send + Sync + 'static) -> Self {
        Self::between("", move |exchange| Some(own(exchange)))
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Everything so far.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().unwrap().clone()
    }

    /// What AWS was asked so far, in its own words.
    pub(crate) fn actions(&self) -> Vec<String> {
        self.exchanges().iter().map(Exchange::action).collect()
    }
}

/// The target's whole answer, which ends with its connection.
fn passed_on(request: &str, target: &str) -> String {
    let mut server = TcpStream::connect(target).unwrap();
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap().replacen("Connection: close\r\n", "", 1)
}
