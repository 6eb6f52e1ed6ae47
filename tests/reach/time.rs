//! Time: one deadline over everything, few round trips, and many look-ups at once.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use super::{ASKED, GIFT, Setup, both_fail, both_give, stored};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::relay::Relay;
use crate::support::servers::{Bao, Moto};
use crate::support::tls::TlsFront;

/// Both give up after the configured second, and say so.
#[track_caller]
fn both_time_out(url: &str) {
    let helper = Setup::new(url, url).top("timeout = \"1s\"").helper();
    let started = Instant::now();
    both_fail(&helper, &["timed out after 1s", "hint: "]);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_server_that_never_answers_is_left_at_the_deadline() {
    both_time_out(&Hostile::silent().url());
}

#[test]
fn a_server_that_never_answers_the_handshake_is_left_at_the_deadline() {
    both_time_out(&format!("https://{}", Hostile::silent().authority));
}

#[test]
fn a_body_that_only_trickles_is_left_at_the_deadline() {
    let double = Hostile::new(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
        for byte in GIFT.bytes() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    both_time_out(&double.url());
}

#[test]
fn a_server_that_takes_no_connection_is_left_at_the_deadline() {
    // Once its queue is full, a listener's machine answers no further connection at all.
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&listener).unwrap()).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(stream);
        assert!(waiting.len() < 16, "the queue never fills");
    }
    both_time_out(&format!("http://{address}"));
}

#[test]
fn throttling_does_not_outlast_the_deadline() {
    let double = Hostile::new(|stream| {
        thread::sleep(Duration::from_millis(700));
        let body = r#"{"__type":"ThrottlingException"}"#;
        let head = format!("HTTP/1.1 400 X\r\nConnection: close\r\nContent-Length: {}", body.len());
        let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
    });
    let helper = Setup::new(&double.url(), "http://127.0.0.1:1").top("timeout = \"1s\"").helper();
    helper.get("docker.io").fails_with(&["timed out after 1s"]);
}

#[test]
fn what_comes_before_the_deadline_is_given() {
    let double = Hostile::new(|stream| {
        thread::sleep(Duration::from_millis(500));
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", GIFT.len());
        let _ = stream.write_all(format!("{head}\r\n\r\n{GIFT}").as_bytes());
    });
    both_give(&Setup::new(&double.url(), &double.url()).top("timeout = \"5s\"").helper());
}

fn time(helper: &Helper, asked: &str) -> Duration {
    let started = Instant::now();
    helper.get(asked).is_found(asked, "acme", "s3cr-et");
    started.elapsed()
}

#[test]
fn a_far_server_costs_three_round_trips() {
    let (Some(moto), Some(bao)) = (Moto::find(), Bao::find()) else { return };
    let name = stored(&moto, &bao);
    let (one_way, folder) = (Duration::from_millis(25), tempfile::tempdir().unwrap());
    for (asked, server) in ASKED.into_iter().zip([&moto.url, &bao.address]) {
        let target = server.trim_start_matches("http://");
        let front = TlsFront::new(target, &["127.0.0.1"], folder.path());
        let helper_at = |relay: &Relay| {
            let url = format!("https://{}", relay.authority);
            let setup = Setup::new(&url, &url).secret(&name);
            let setup = setup.both(&format!("ca-cert = \"{}\"", front.ca.display()));
            setup.helper().env("VAULT_TOKEN", bao.token.as_str())
        };
        let (near, far) = (Relay::to(&front.authority), Relay::far(&front.authority, one_way));
        let (near, far) = (helper_at(&near), helper_at(&far));
        // One for the connection, one for TLS 1.3, one for the request.
        let distance = 3 * 2 * one_way;
        let limit = distance + Duration::from_millis(30);
        // The nearby look-up shows what this build and this machine take for all the rest. What a busy machine adds to
        // either passes; a round trip more would stay in the quickest too.
        let (mut quick, mut slow) = (Duration::MAX, Duration::MAX);
        for turn in 0.. {
            quick = quick.min(time(&near, asked));
            slow = slow.min(time(&far, asked));
            assert!(slow >= distance, "{asked}: the relay was not far: {slow:?}");
            if turn >= 2 && slow <= quick + limit {
                break;
            }
            assert!(turn < 30, "{asked}: {quick:?} nearby, {slow:?} far away");
        }
    }
}

#[test]
fn two_hundred_look_ups_at_once_are_all_answered_in_time() {
    const WAVE: usize = 50;
    let (Some(moto), Some(bao)) = (Moto::find(), Bao::find()) else { return };
    let name = stored(&moto, &bao);
    let helper = Setup::new(&moto.url, &bao.address).secret(&name).helper();
    let helper = helper.env("VAULT_TOKEN", bao.token.as_str());
    let start = |asked: &'static str| {
        let mut child = helper.command(&["get"]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
        (asked, child)
    };
    for _ in 0..200 / WAVE {
        let wave: Vec<(&str, Child)> = ASKED.into_iter().cycle().take(WAVE).map(start).collect();
        for (asked, child) in wave {
            let output = child.wait_with_output().unwrap();
            let line =
                format!("{{\"ServerURL\":\"{asked}\",\"Username\":\"acme\",\"Secret\":\"s3cr-et\"}}\n");
            let told = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!((output.status.code(), told), (Some(0), (line.as_str().into(), "".into())));
        }
    }
}

#[test]
fn the_answer_does_not_wait_for_a_connection_that_stays_open() {
    // A server that keeps the connection alive must not keep the look-up.
    let double = Hostile::new(|stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}", GIFT.len());
        let _ = stream.write_all(format!("{head}\r\n\r\n{GIFT}").as_bytes());
        thread::sleep(Duration::from_secs(20));
    });
    let started = Instant::now();
    both_give(&Setup::new(&double.url(), &double.url()).helper());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
