//! A relay that reads what passes: it remembers every request with its answer, and can hold one up.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::hostile::read_request;

/// What becomes of a request.
pub(crate) enum Step {
    /// It is not passed on: this is the answer, as it goes over the wire.
    Instead(String),
    /// The server has it at once, the client its answer so much later.
    Late(Duration),
    /// It is not passed on, and nothing is answered.
    Never,
    Pass,
}

impl Step {
    /// It is not passed on: this is the answer.
    pub(crate) fn answering(status: u16, headers: &str, body: &str) -> Self {
        Self::Instead(format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
    }
}

/// One request, and what became of it.
#[derive(Clone, Default)]
pub(crate) struct Passed {
    /// `GET /v1/secret/data/x`.
    pub(crate) line: String,
    /// Head and body.
    pub(crate) request: String,
    /// The answer's status; 0 where there is none yet.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) answer: String,
}

/// Stands in front of a server. It lives as long as the test process, which is short.
pub(crate) struct Gate {
    /// `127.0.0.1:PORT`.
    pub(crate) authority: String,
    connections: Arc<AtomicUsize>,
    passed: Arc<Mutex<Vec<Passed>>>,
}

impl Gate {
    /// In front of the server that the URL names.
    pub(crate) fn to(target: &str) -> Self {
        Self::holding(target, |_| Step::Pass)
    }

    /// The same, and `step` says for a line such as `GET /v1/secret/data/x` what becomes of the request.
    pub(crate) fn holding(target: &str, step: impl Fn(&str) -> Step + Send + Sync + 'static) -> Self {
        let target = target.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (connections, passed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, heard, step) = (Arc::clone(&connections), Arc::clone(&passed), Arc::new(step));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let (target, heard, step) = (target.clone(), Arc::clone(&heard), Arc::clone(&step));
                thread::spawn(move || serve(client, &target, &heard, &*step));
            }
        });
        Self { authority, connections, passed }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// How often a client connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Every request so far.
    pub(crate) fn passed(&self) -> Vec<Passed> {
        self.passed.lock().unwrap().clone()
    }

    /// Line and status of every request so far: `GET /v1/secret/data/x 200`.
    pub(crate) fn told(&self) -> Vec<String> {
        self.passed().iter().map(|passed| format!("{} {}", passed.line, passed.status)).collect()
    }
}

/// One client: its requests one after the other, each on a connection of its own to the server.
fn serve(mut client: TcpStream, target: &str, heard: &Mutex<Vec<Passed>>, step: &dyn Fn(&str) -> Step) {
    let _ = client.set_nodelay(true);
    loop {
        let request = read_request(&mut client);
        let Some((line, rest)) = request.split_once(" HTTP/1.1\r\n") else { return };
        let (line, rest) = (line.to_owned(), rest.to_owned());
        let number = {
            let mut heard = heard.lock().unwrap();
            heard.push(Passed { line: line.clone(), request, ..Passed::default() });
            heard.len() - 1
        };
        let step = step(&line);
        let answer = match &step {
            Step::Instead(answer) => answer.clone(),
            // Until the client hangs up.
            Step::Never => {
                let _ = client.read(&mut [0; 1]);
                String::new()
            }
            Step::Late(_) | Step::Pass => ask(target, &line, &rest),
        };
        {
            let passed = &mut heard.lock().unwrap()[number];
            passed.status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            passed.answer =
                answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        }
        if let Step::Late(delay) = step {
            thread::sleep(delay);
        }
        if answer.is_empty() || client.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The server's answer, without the word that the connection ends with it.
fn ask(target: &str, line: &str, rest: &str) -> String {
    let Ok(mut server) = TcpStream::connect(target) else { return String::new() };
    let mut answer = Vec::new();
    let asked = server.write_all(format!("{line} HTTP/1.1\r\nConnection: close\r\n{rest}").as_bytes());
    if asked.and_then(|()| server.read_to_end(&mut answer)).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&answer).replace("Connection: close\r\n", "")
}
