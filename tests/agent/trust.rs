//! Whom the agent and the helper believe: nobody but the user, and nothing of what is kept shows.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Kv, Otp};
use crate::support::agent::{Agent, Detached, Line, SOCKET, private_folder, until};
use crate::support::program::Ends;
use crate::support::servers::Bao;
use crate::support::{Answer, Helper};

/// An account that owns nothing here.
const STRANGER: u32 = 65534;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: only root can be two users");
    }
    root
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A socket with somebody behind it, who counts who comes.
fn trap(socket: &Path) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(socket).unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes);
        }
    });
    came
}

#[test]
fn folder_and_socket_are_for_the_user_alone() {
    let folder = private_folder();
    let helper = Helper::new().env("XDG_RUNTIME_DIR", folder.path().to_str().unwrap());
    // Whatever the caller's mask lets through.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "umask 000; exec \"$0\" agent --detach",
        env!("CARGO_BIN_EXE_docker-credential-lease"),
    ]);
    command.env_clear().env("XDG_RUNTIME_DIR", folder.path());
    assert_eq!(Answer::of(&mut command, b"").code, Some(0));
    let _agent = Detached::of(&helper);
    let own = folder.path().join("docker-credential-lease");
    assert_eq!((mode(&own), mode(&own.join("agent.sock"))), (0o700, 0o600));
    assert_eq!(mode(&own.join("agent.sock.lock")), 0o600);
}

#[test]
fn root_is_not_answered_by_another_users_agent() {
    if !is_root() {
        return;
    }
    let folder = private_folder();
    chown(folder.path(), Some(STRANGER), Some(STRANGER)).unwrap();
    let socket = folder.path().join("agent.sock");
    let mut command = Helper::new().command(&["agent"]);
    command.uid(STRANGER).gid(STRANGER).current_dir("/").env(SOCKET, &socket).stdin(Stdio::null());
    let theirs = Ends(command.spawn().unwrap());
    until("it listens", || UnixStream::connect(&socket).is_ok());
    let told = Line::to(&socket).ask_now(json!({"status": true}));
    // Nor does root's own helper speak to it.
    let answer = Helper::new().env(SOCKET, socket.to_str().unwrap()).run(&["agent", "status"], "");
    // Nobody else of the user's may look into it: what is not dumpable belongs to root.
    let memory = fs::metadata(format!("/proc/{}/environ", theirs.0.id())).unwrap().uid();
    assert_eq!(told, None);
    assert_eq!(memory, 0, "the agent is dumpable");
    let line = format!(
        "docker-credential-lease: the agent's socket {}: {} belongs to user {STRANGER}, not to user 0",
        socket.display(),
        folder.path().display()
    );
    assert!(answer.code == Some(1) && answer.stderr.starts_with(&line), "{answer:?}");
}

#[test]
fn another_user_cannot_reach_the_agent() {
    if !is_root() {
        return;
    }
    let agent = Agent::start();
    let mut command = agent.talker().command(&["agent", "status"]);
    let answer = Answer::of(command.uid(STRANGER).gid(STRANGER).current_dir("/"), b"");
    let line = format!("docker-credential-lease: the agent's socket {}: ", agent.socket().display());
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""));
    assert!(answer.stderr.starts_with(&line) && answer.stderr.lines().count() == 1, "{answer:?}");
    // Nor with words of their own: not past the folder, and not past the socket once somebody has opened that.
    let code = "import os,socket,sys\n\
                def tried(what):\n \
                \ttry: return what()\n \
                \texcept OSError as error: return type(error).__name__\n\
                def ask():\n \
                \ts=socket.socket(socket.AF_UNIX)\n \
                \ts.connect(sys.argv[1])\n \
                \ts.sendall(b'{\"v\":1,\"status\":true}\\n')\n \
                \treturn s.recv(4096)\n\
                print(tried(lambda: os.listdir(os.path.dirname(sys.argv[1]))), tried(ask))";
    let ask = || {
        let mut command = Command::new("python3");
        command.args(["-I", "-c", code]).arg(agent.socket()).uid(STRANGER).gid(STRANGER).current_dir("/");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(ask(), "PermissionError PermissionError\n");
    fs::set_permissions(agent.folder(), fs::Permissions::from_mode(0o711)).unwrap();
    assert_eq!(ask(), "PermissionError PermissionError\n");
    fs::set_permissions(agent.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let asked = ask();
    assert!(
        ["b''\n", "ConnectionResetError\n", "BrokenPipeError\n"].iter().any(|end| asked.ends_with(end)),
        "{asked}"
    );
}

/// What the helper does about a trap: in the default place it goes on without, and by the variable it fails.
#[track_caller]
fn is_avoided(spoil: impl Fn(&Path, &Path), sentence: impl Fn(&Path, &Path) -> String) {
    let Some(kv) = Kv::find() else { return };
    for is_named in [false, true] {
        let folder = private_folder();
        let own = folder.path().join("docker-credential-lease");
        fs::create_dir(&own).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
        let socket = own.join("agent.sock");
        let came = trap(&socket);
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
        spoil(&own, &socket);
        if is_named {
            let helper = kv.helper("").env(SOCKET, socket.to_str().unwrap());
            let line = format!(
                "vault: secret/data/{}: the agent's socket {}: {}",
                kv.name,
                socket.display(),
                sentence(&own, &socket)
            );
            let answer = helper.get("ghcr.io");
            assert!(answer.fails_with(&[]).starts_with(&line), "{line} does not begin {answer:?}");
        } else {
            let helper = kv.helper("").env("XDG_RUNTIME_DIR", folder.path().to_str().unwrap());
            helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
            helper.erase("ghcr.io").is_silent();
            helper.store("gcr.io", "u", "not-for-strangers").fails_with(&["no rule for gcr.io"]);
        }
        assert_eq!(came.load(Ordering::SeqCst), 0, "it was spoken to");
    }
}

#[test]
fn a_socket_in_another_users_folder_is_not_spoken_to() {
    if is_root() {
        let strange = |own: &Path, _: &Path| chown(own, Some(STRANGER), None).unwrap();
        is_avoided(strange, |own, _| format!("{} belongs to user {STRANGER}, not to user 0", own.display()));
    }
}

#[test]
fn another_users_socket_is_not_spoken_to() {
    if is_root() {
        let strange = |_: &Path, socket: &Path| chown(socket, Some(STRANGER), None).unwrap();
        is_avoided(strange, |_, socket| {
            format!("{} belongs to user {STRANGER}, not to user 0", socket.display())
        });
    }
}

#[test]
fn a_folder_that_others_may_write_to_is_not_trusted() {
    let open = |own: &Path, _: &Path| fs::set_permissions(own, fs::Permissions::from_mode(0o777)).unwrap();
    is_avoided(open, |own, _| format!("{0} can be written by others; hint: chmod go-w {0}", own.display()));
}

#[test]
fn a_socket_that_others_may_write_to_is_not_trusted() {
    let open =
        |_: &Path, socket: &Path| fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
    is_avoided(open, |_, socket| {
        format!("{0} can be written by others; hint: chmod go-w {0}", socket.display())
    });
}

#[test]
fn a_link_in_place_of_the_folder_is_not_followed() {
    let link = |own: &Path, _: &Path| {
        fs::rename(own, own.with_extension("moved")).unwrap();
        symlink(own.with_extension("moved"), own).unwrap();
    };
    is_avoided(link, |own, _| format!("{} is ", own.display()));
}

#[test]
fn another_user_behind_ones_own_socket_is_not_spoken_to() {
    if !is_root() {
        return;
    }
    let Some(kv) = Kv::find() else { return };
    // A listener that somebody else holds, at a socket that was made to look like one's own.
    let folder = private_folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let socket = folder.path().join("agent.sock");
    let code = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen(9)\n\
                c,_=s.accept()\nprint(len(c.recv(4096)))";
    let mut command = Command::new("python3");
    command.args(["-I", "-c", code, socket.to_str().unwrap()]).uid(STRANGER).stdout(Stdio::piped());
    let mut theirs = Ends(command.spawn().unwrap());
    until("it listens", || socket.exists());
    thread::sleep(Duration::from_millis(100));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    chown(&socket, Some(0), Some(0)).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
    let answer = kv.helper("").env(SOCKET, socket.to_str().unwrap()).get("ghcr.io");
    let mut heard = String::new();
    let limit = Instant::now() + Duration::from_secs(3);
    while theirs.0.try_wait().unwrap().is_none() && Instant::now() < limit {
        thread::sleep(Duration::from_millis(10));
    }
    let _ = theirs.0.kill();
    theirs.0.stdout.take().unwrap().read_to_string(&mut heard).unwrap();
    answer.fails_with(&["another user listens there"]);
    assert_eq!(heard.trim(), "0");
}

#[test]
fn an_agent_that_started_itself_has_nothing_of_the_callers_secrets() {
    let Some(kv) = Kv::find() else { return };
    let folder = private_folder();
    let config = format!("{}[agent]\nautostart = true\n", kv.rule(""));
    let helper = kv.bao.helper(&config).envs(&[
        ("XDG_RUNTIME_DIR", folder.path().to_str().unwrap()),
        ("AWS_SECRET_ACCESS_KEY", "sesame"),
        ("CIRCLE_OIDC_TOKEN_V2", "sesame"),
        ("DOCKER_CREDENTIAL_LEASE_LOG", ""),
    ]);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let agent = Detached::of(&helper);
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", agent.pid)).unwrap();
    let command = read("cmdline");
    assert_eq!(command.split('\0').skip(1).collect::<Vec<_>>(), ["agent", "--detached", ""]);
    if rustix::process::geteuid().is_root() {
        let environment = read("environ");
        let names: Vec<&str> =
            environment.split('\0').filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        assert_eq!(names, [SOCKET]);
        assert!(!environment.contains("sesame"));
    }
    let limits = read("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"]);
}

#[test]
fn nothing_that_is_kept_shows_in_status_log_or_files() {
    let (Some(kv), Some(otp)) = (Kv::find(), Otp::find()) else { return };
    let agent = Agent::start();
    let helper = agent.serves(kv.helper("")).env("DOCKER_CREDENTIAL_LEASE_LOG", "1");
    let other = agent.serves(otp.helper("")).env("DOCKER_CREDENTIAL_LEASE_LOG", "1");
    let mut told = helper.get("ghcr.io").stderr + &helper.get("ghcr.io").stderr;
    let made = other.get("ghcr.io");
    told += &made.stderr;
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    helper.store("gcr.io", "me", "pw-login").succeeds();
    for words in [&["agent", "status"][..], &["agent", "status", "--json"], &["agent", "flush"]] {
        let answer = helper.run(words, "");
        told += &(answer.stdout + &answer.stderr);
    }
    assert!(told.contains("the agent has it"), "{told}");
    for hidden in ["pw-1", "pw-login", made["Secret"].as_str().unwrap(), &format!("\"{}\"", kv.bao.token)] {
        assert!(!told.contains(hidden), "{hidden} is in {told}");
    }
    for entry in fs::read_dir(agent.folder()).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.ends_with("agent.sock") || fs::read(&path).unwrap().is_empty(), "{path:?}");
    }
}

/// How often the text stands in what the agent has in memory.
fn copies(agent: &Agent, text: &str) -> usize {
    let maps = fs::read_to_string(format!("/proc/{}/maps", agent.pid())).unwrap();
    let memory = fs::File::open(format!("/proc/{}/mem", agent.pid())).unwrap();
    let written = maps.lines().filter(|line| line.contains(" rw"));
    let places = written.filter_map(|line| line.split(' ').next()?.split_once('-'));
    let found = places.map(|(from, to)| {
        let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        memory.read_exact_at(&mut bytes, from).unwrap();
        bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
    });
    found.sum()
}

#[test]
fn what_is_forgotten_is_in_no_memory() {
    // Nobody else may look at all.
    let Some(bao) = Bao::find().filter(|_| is_root()) else { return };
    // Longer than what is read at a time, and told by its middle.
    let secret = |middle: &str| format!("{}{middle}{}", "x".repeat(3000), "y".repeat(3000));
    let (kept, login) = ("kept-e7b1c4d2a9f3", "login-5d0c9a7e3b21");
    let name = bao.secret(&json!({"username": "octocat", "password": secret(kept)}));
    let agent = Agent::start();
    let helper = agent.serves(bao.helper(&super::rule("ghcr.io", &format!("secret/data/{name}"), "")));
    helper.store("gcr.io", "me", &secret(login)).succeeds();
    for _ in 0..20 {
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", &secret(kept));
        helper.get("gcr.io").is_found("gcr.io", "me", &secret(login));
    }
    assert_eq!((copies(&agent, kept), copies(&agent, login)), (1, 1), "what is kept");
    assert_eq!(helper.run(&["agent", "flush"], "").code, Some(0));
    assert_eq!((copies(&agent, kept), copies(&agent, login)), (0, 0), "what was forgotten");
}

#[test]
fn a_user_name_cannot_write_to_the_terminal() {
    let Some(kv) = Kv::find() else { return };
    let name = kv.bao.secret(&json!({"username": "a\u{1b}[31m\nagent b", "password": "pw-1"}));
    let agent = Agent::start();
    let config = super::rule("ghcr.io", &format!("secret/data/{name}"), "");
    assert_eq!(agent.serves(kv.bao.helper(&config)).get("ghcr.io").code, Some(0));
    let answer = agent.talker().run(&["agent", "status"], "");
    assert!(!answer.stdout.contains('\u{1b}') && answer.stdout.lines().count() == 2, "{answer:?}");
}
