//! What is said comes out as it went in; what is not understood is told without a word of it.

use std::fmt::Debug;
use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::super::made::{about, ending, failure, leased, seconds, want};
use super::*;
use crate::ask::Ask;

const SECRET: &str = "dckr_pat_s3cret";

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A stream that never gives more than seven bytes.
struct Few<'a>(&'a [u8]);

impl AsyncRead for Few<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(7).min(buffer.remaining()));
        buffer.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

/// The line that is written, with its end.
fn written(line: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    run(write(&mut bytes, line)).unwrap();
    bytes
}

/// What is read of it, line by line until the end or the first that is not understood.
fn read_all<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> (Vec<T>, Option<String>) {
    run(async {
        let mut lines = Lines::new(Few(bytes));
        let mut all = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => all.push(line),
                Ok(None) => return (all, None),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
                    return (all, Some(error.to_string()));
                }
            }
        }
    })
}

/// What is not understood, in words.
fn refused(bytes: &[u8]) -> String {
    let (lines, why) = read_all::<Said>(bytes);
    assert!(lines.is_empty());
    why.unwrap()
}

fn login(secret: &str) -> Login {
    let (registry, username) = ("ghcr.io".to_owned(), "octocat".to_owned());
    Login { registry, username, secret: SecretString::from(secret) }
}

fn said(said: Said) -> Said {
    Said { v: VERSION, ..said }
}

fn told(told: Told) -> Told {
    Told { v: VERSION, ..told }
}

#[test]
fn whatever_a_client_says_comes_out_as_it_went_in() {
    let have = |brought| Have { want: want("a"), brought };
    let all = [
        said(Said::default()),
        said(Said { want: Some(want("a")), ..Said::default() }),
        said(Said { have: Some(have(leased("l", seconds(60)))), ..Said::default() }),
        said(Said { have: Some(have(ending(60))), ..Said::default() }),
        said(Said { have: Some(have(Brought { cap: Some(seconds(1)), ..ending(60) })), ..Said::default() }),
        said(Said { failed: Some(failure("a", Kind::RefusedLogin)), ..Said::default() }),
        said(Said { flush: Some(vec![]), ..Said::default() }),
        said(Said { flush: Some(vec!["ghcr.io".to_owned()]), ..Said::default() }),
        said(Said { login: Some(login(SECRET)), ..Said::default() }),
        said(Said { recall: Some("ghcr.io".to_owned()), ..Said::default() }),
        said(Said { logins: true, ..Said::default() }),
        said(Said { status: true, ..Said::default() }),
        said(Said { stop: true, ..Said::default() }),
    ];
    let lines: Vec<Vec<u8>> = all.iter().map(written).collect();
    for (number, line) in lines.iter().enumerate() {
        assert!(line.ends_with(b"\n") && line.iter().filter(|c| **c == b'\n').count() == 1, "{number}");
        assert!(!lines[..number].contains(line), "{number} says what another one does");
    }
    let (read, why) = read_all::<Said>(&lines.concat());
    assert_eq!((read.iter().map(written).collect::<Vec<_>>(), why), (lines, None));
}

#[test]
fn whatever_the_agent_answers_comes_out_as_it_went_in() {
    let status = Status { pid: 7, version: "1".to_owned(), socket: "/s".to_owned(), credentials: vec![] };
    let proxied = Failed { proxy: Some("proxy:3128".to_owned()), ..failure("a", Kind::Unavailable) };
    let all = [
        told(Told { kept: Some(login("\"\\\n\u{1f511}")), ..Told::default() }),
        told(Told { failed: Some(proxied), ..Told::default() }),
        told(Told { fetch: true, ..Told::default() }),
        told(Told { wait: true, ..Told::default() }),
        told(Told { done: true, left: vec!["l".to_owned()], ..Told::default() }),
        told(Told { none: true, ..Told::default() }),
        told(Told { logins: Some(vec![("ghcr.io".to_owned(), "octocat".to_owned())]), ..Told::default() }),
        told(Told { status: Some(status), ..Told::default() }),
        told(Told { refused: Some("why".to_owned()), ..Told::default() }),
    ];
    let lines: Vec<Vec<u8>> = all.iter().map(written).collect();
    let (read, why) = read_all::<Told>(&lines.concat());
    assert_eq!((read.iter().map(written).collect::<Vec<_>>(), why), (lines, None));
    assert_eq!(read[0].kept.as_ref().unwrap().secret.expose_secret(), "\"\\\n\u{1f511}");
}

#[test]
fn every_kind_of_failure_stays_what_it_is() {
    for kind in [
        Kind::Denied,
        Kind::Malformed,
        Kind::Missing,
        Kind::RefusedLogin,
        Kind::Unauthenticated,
        Kind::Unavailable,
        Kind::Untrusted,
    ] {
        let line = written(&said(Said { failed: Some(failure("a", kind)), ..Said::default() }));
        let (read, _) = read_all::<Said>(&line);
        assert_eq!(read[0].failed.as_ref().unwrap().kind, kind);
    }
}

#[test]
fn what_another_version_says_is_read_so_far_that_it_can_be_told() {
    let line = br#"{"v":7,"dance":{"with":["me"]},"want":null,"stop":false}"#;
    let (read, why) = read_all::<Said>(&[line.as_slice(), b"\n{}\n"].concat());
    assert_eq!((read.len(), why), (2, None));
    assert!(read[0].v == 7 && read[0].want.is_none());
    assert_eq!(read[1].v, 0, "no version is not ours");
}

#[test]
fn a_line_is_256_kib_long_and_no_longer() {
    let limit = LIMIT;
    assert_eq!(limit, 256 * 1024);
    let bare = written(&said(Said { login: Some(login("")), ..Said::default() })).len();
    let long = |length: usize| {
        written(&said(Said { login: Some(login(&"x".repeat(length - bare))), ..Said::default() }))
    };
    let (read, why) = read_all::<Said>(&[long(limit), long(limit)].concat());
    assert_eq!((read.len(), why), (2, None));
    for bytes in [long(limit + 1), vec![b'x'; limit + 1], vec![b'{'; 3 * limit]] {
        assert_eq!(refused(&bytes), "the line is too long");
    }
}

#[test]
fn what_is_not_understood_is_not_repeated() {
    let lines = [
        format!(r#"{{"v":1,"login":{{"registry":"r","username":"u","secret":"{SECRET}"}}"#),
        format!(r#"{{"v":1,"login":{{"registry":"r","username":"u","secret":["{SECRET}"]}}}}"#),
        format!(r#"{{"v":"{SECRET}"}}"#),
        format!(r#"{{"v":1,"login":"{SECRET}"}}"#),
        format!(r#"{{"v":1,"failed":{{"key":"k","login":"l","kind":"{SECRET}","cause":"","hint":""}}}}"#),
        format!("{SECRET}\0"),
        "[".repeat(100_000),
        r#"{"v":1,"v":2}"#.to_owned(),
        r#"{"v":-1}"#.to_owned(),
        r#"{"v":1} {"v":1}"#.to_owned(),
        String::new(),
    ];
    for line in lines {
        assert_eq!(refused(format!("{line}\n").as_bytes()), "the line is not understood", "{line:.80}");
    }
    assert_eq!(refused(b"{\"v\":1,\"recall\":\"\xff\"}\n"), "the line is not understood");
}

#[test]
fn a_line_without_its_end_is_none() {
    let whole = written(&said(Said { want: Some(want("a")), ..Said::default() }));
    for cut in 1..whole.len() {
        let why = refused(&whole[..cut]);
        assert_eq!(why, "the line ends too early", "{cut}");
    }
    assert_eq!(read_all::<Said>(b"").1, None);
}

#[test]
fn nothing_that_holds_a_secret_can_be_printed() {
    /// Ambiguous, and so an error when this is built, for a type that is `Debug`.
    trait Silent<A> {
        fn is_silent() {}
    }
    struct Prints;
    impl<T: ?Sized> Silent<()> for T {}
    impl<T: ?Sized + Debug> Silent<Prints> for T {}
    <Said as Silent<_>>::is_silent();
    <Told as Silent<_>>::is_silent();
    <Have as Silent<_>>::is_silent();
    <Brought as Silent<_>>::is_silent();
    <Leased as Silent<_>>::is_silent();
    <Login as Silent<_>>::is_silent();
    <super::super::kept::Kept as Silent<_>>::is_silent();
    <super::super::keeper::Held as Silent<_>>::is_silent();
    <crate::credential::Credential as Silent<_>>::is_silent();
    <crate::credential::Lease as Silent<_>>::is_silent();
    <Ask<'_> as Silent<_>>::is_silent();
}

proptest! {
    #[test]
    fn any_words_come_out_as_they_went_in(
        registry in ".*", username in ".*", secret in ".*", holder in ".*", time: u64, nanos in 0_u32..1_000_000_000,
    ) {
        let duration = Duration::new(time, nanos);
        let lease = Leased { holder: Some(SecretString::from(holder)), ..leased("l", duration).lease.unwrap() };
        let (secret, lease) = (SecretString::from(secret), Some(lease));
        let brought = Brought { username, secret, lease, ttl: duration, ..ending(u64::from(nanos)) };
        let want = Want { about: about(&registry), ..want(&registry) };
        let line = written(&said(Said { have: Some(Have { want, brought }), ..Said::default() }));
        let (read, why) = read_all::<Said>(&line);
        prop_assert_eq!(why, None);
        prop_assert_eq!(written(&read[0]), line);
    }

    #[test]
    fn any_bytes_are_a_line_or_a_sentence(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, why) = read_all::<Said>(&bytes);
        let known = ["the line is not understood", "the line ends too early"];
        prop_assert!(why.is_none_or(|why| known.contains(&why.as_str())));
    }
}
