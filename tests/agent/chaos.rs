//! Everything at once, at random: servers that go away, agents that are killed, sockets that vanish, impatient callers.
//!
//! `CHAOS_SEED` repeats a run as far as threads let it, `CHAOS_SECONDS` makes it longer.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Otp, rule};
use crate::support::agent::Agent;
use crate::support::servers::{Bao, request};
use crate::support::sluice::Gate;
use crate::support::{Answer, Helper};

/// A look-up that made a lease: the lease, and between when.
struct Made {
    lease: String,
    from: Instant,
    to: Instant,
}

/// A time in which what an agent has taken may be lost: it was killed at its end, or could not be reached.
type Excused = (Instant, Instant);

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What a look-up of a secret, or of a one-time password, may end in.
#[track_caller]
fn is_right_or_clear(asked: &str, answer: &Answer, took: Duration) {
    assert!(took < Duration::from_secs(8), "{asked}: {took:?}: {answer:?}");
    if answer.code == Some(0) {
        let found: Value = serde_json::from_str(&answer.stdout).unwrap();
        let (user, secret) = (found["Username"].as_str().unwrap(), found["Secret"].as_str().unwrap());
        let right = match asked {
            "ghcr.io" => user == "hubuser" && secret.len() == 36,
            other => user == "u" && secret == format!("pw-{other}"),
        };
        assert!(right, "{asked}: {answer:?}");
    } else {
        let stdout = answer.stdout.as_str();
        assert!(answer.code == Some(1) && stdout.starts_with("vault: "), "{asked}: {answer:?}");
        assert!(stdout.lines().count() == 1 && stdout.len() <= 500, "{asked}: {answer:?}");
    }
    assert!(!answer.stderr.contains("panicked"), "{answer:?}");
}

/// Asks, and kills the caller now and then.
fn look_up(helper: &Helper, asked: &str, kill: Option<Duration>, made: &Mutex<Vec<Made>>) {
    let from = Instant::now();
    let mut child = helper.command(&["get"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    if let Some(after) = kill {
        thread::sleep(after);
        let _ = child.kill();
    }
    let answer = Answer::from_output(child.wait_with_output().unwrap());
    let to = Instant::now();
    let lease = answer.stderr.split("vault: lease ").nth(1).and_then(|rest| rest.split(' ').next());
    // One that was killed may not have come to hand it over.
    if let Some(lease) = lease.filter(|_| answer.code.is_some()) {
        made.lock().unwrap().push(Made { lease: lease.to_owned(), from, to });
    }
    if kill.is_none() {
        is_right_or_clear(asked, &answer, to - from);
    }
}

#[test]
fn whatever_happens_an_answer_is_right_or_clear_and_no_lease_is_forgotten() {
    let Some(otp) = Otp::find() else { return };
    let seed = setting("CHAOS_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos())
    });
    eprintln!("CHAOS_SEED={seed}");
    let time = Duration::from_secs(setting("CHAOS_SECONDS").unwrap_or(5));
    let secrets = ["a.example.com", "b.example.com", "c.example.com"];
    let mut config = format!("timeout = \"2s\"\n{}[agent]\nttl = \"700ms\"\n", otp.rule("ttl = \"900ms\""));
    for host in secrets {
        let name = otp.bao.secret(&json!({"username": "u", "password": format!("pw-{host}")}));
        config.push_str(&rule(host, &format!("secret/data/{name}"), ""));
    }
    let gate = Gate::to(&otp.bao.address);
    let mut agent = Agent::start();
    let helper = agent.serves(otp.bao.helper(&config)).env("VAULT_ADDR", gate.url());
    let helper = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1");
    let (made, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let mut excused: Vec<Excused> = Vec::new();
    thread::scope(|scope| {
        for thread in 0..4 {
            let (helper, made, is_over) = (&helper, &made, &is_over);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed.wrapping_add(thread));
                while !is_over.load(Ordering::SeqCst) {
                    let asked = match random.usize(0..6) {
                        at @ 0..3 => secrets[at],
                        _ => "ghcr.io",
                    };
                    let kill = (random.usize(0..8) == 0).then(|| Duration::from_millis(random.u64(0..60)));
                    match random.usize(0..20) {
                        0 => helper.erase(asked).succeeds(),
                        _ => look_up(helper, asked, kill, made),
                    }
                }
            });
        }
        // A panic here must end the others too.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut random = fastrand::Rng::with_seed(seed);
            let started = Instant::now();
            let mut born = Instant::now();
            while started.elapsed() < time {
                thread::sleep(Duration::from_millis(random.u64(20..400)));
                let from = Instant::now();
                match random.usize(0..7) {
                    0 => gate.close(),
                    1 => gate.slow(Duration::from_millis(random.u64(1..150))),
                    2 | 3 => gate.open(),
                    4 => {
                        // Whatever it had is lost.
                        agent.start_again(|_| {});
                        excused.push((born, Instant::now()));
                        born = Instant::now();
                    }
                    5 => {
                        gate.open();
                        let answer = agent.talker().run(&["agent", "stop"], "");
                        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
                        assert_eq!(agent.ended().0.code, Some(0));
                        thread::sleep(Duration::from_millis(random.u64(0..100)));
                        agent.start_again(|_| {});
                        excused.push((from, Instant::now()));
                        born = Instant::now();
                    }
                    _ if random.bool() => {
                        agent.signal(Signal::STOP);
                        thread::sleep(Duration::from_millis(random.u64(0..1500)));
                        agent.signal(Signal::CONT);
                        excused.push((from, Instant::now()));
                    }
                    _ => {
                        gate.open();
                        std::fs::remove_file(agent.socket()).unwrap();
                        let (answer, _) = agent.ended();
                        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
                        agent.start_again(|_| {});
                        excused.push((from, Instant::now()));
                        born = Instant::now();
                    }
                }
            }
        }));
        is_over.store(true, Ordering::SeqCst);
        ended.unwrap_or_else(|why| std::panic::resume_unwind(why));
    });
    gate.open();
    assert_eq!(agent.talker().run(&["agent", "stop"], "").code, Some(0));
    let made = made.into_inner().unwrap();
    // One whose caller was killed, or never heard what it had made, is not among them.
    let left: Vec<&Made> = made.iter().filter(|made| is_left(&otp.bao, &made.lease)).collect();
    eprintln!("{} leases made, {} left, {} excuses", made.len(), left.len(), excused.len());
    for made in left {
        let overlaps = |(from, to): &Excused| made.from <= *to && *from <= made.to;
        assert!(excused.iter().any(overlaps), "{} is forgotten; CHAOS_SEED={seed}", made.lease);
    }
}

fn is_left(bao: &Bao, lease: &str) -> bool {
    let url = format!("{}/v1/sys/leases/lookup", bao.address);
    let body = json!({ "lease_id": lease }).to_string();
    request("PUT", &url, &[("X-Vault-Token", &bao.token)], &body).0 == 200
}
