//! What becomes of a helper that fails, hangs or answers what is no credential.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{Chain, KNOWS, RULE};
use crate::support::program::write_script;
use crate::support::{Answer, Helper};

const BY_HAND: &str = "; hint: run `docker-credential-pass get` by hand to see what it says";

#[track_caller]
fn says(script: &str, cause: &str) {
    let chain = Chain::new(script);
    chain.helper.get("ghcr.io").is_line(&format!("helper: docker-credential-pass: {cause}{BY_HAND}"));
    assert_eq!(chain.calls(), "docker-credential-pass get <ghcr.io> 1\n");
}

#[test]
fn its_own_words_are_passed_on_in_one_line() {
    says("echo 'the keychain is locked'; exit 1", "the keychain is locked");
    says("printf '\\n the \\033[31mkeychain\\t is  locked\\r\\n\\n'; exit 2", "the [31mkeychain is locked");
    says("echo 'no credentials server URL'; echo noise >&2; exit 1", "no credentials server URL");
    says(
        "echo 'pass: credentials not found in native keychain'; exit 1",
        "pass: no credentials in the native keychain",
    );
    let long = "printf 'ü%.0s' $(seq 3000); exit 1";
    says(long, &format!("{}…", "ü".repeat(118)));
}

#[test]
fn what_stands_on_its_stderr_or_in_several_lines_is_nobody_s() {
    says("echo 'pw-needle' >&2; exit 2", "it failed with exit status: 2 and said nothing on stdout");
    // What a shell traces.
    says("set -x; token=pw-needle; exit 1", "it failed with exit status: 1 and said nothing on stdout");
    says("head -c 9000000 /dev/zero >&2; exit 2", "it failed with exit status: 2 and said nothing on stdout");
    says("kill -KILL $$", "it failed with signal: 9 (SIGKILL) and said nothing on stdout");
    for printed in ["octocat\\npw-needle", "it is locked\\r\\npw-needle\\n", "\\noctocat\\n\\npw-needle"] {
        says(
            &format!("printf '{printed}'; exit 1"),
            "it failed with exit status: 1, and what it printed is not repeated",
        );
    }
}

#[test]
fn what_could_be_an_answer_is_never_passed_on() {
    for printed in [
        r#"{"Username":"octocat","Secret":"pw-needle"}"#,
        r#"error: {"Secret":"pw-needle"}"#,
        r#"["pw-needle"]"#,
        r#""pw-needle""#,
    ] {
        says(
            &format!("echo '{printed}'; exit 1"),
            "it failed with exit status: 1, and what it printed is not repeated",
        );
    }
}

#[test]
fn an_answer_that_is_no_credential_is_a_failure_and_not_repeated() {
    let no_object = "its answer is not the JSON object with Username and Secret that clients take";
    for printed in [
        "",
        "pw-needle",
        "nil",
        "[]",
        r#"{"Username":"u","Secret":["pw-needle"]}"#,
        r#"{"Username":1,"Secret":"pw-needle"}"#,
        r#"{"Username":"u","Secret":"pw-needle""#,
        r#"more {"Username":"u","Secret":"pw-needle"}"#,
        "credentials not found in native keychain",
    ] {
        says(&format!("echo '{printed}'"), no_object);
    }
    says(r#"printf '{"Username":"u","Secret":"\377"}'"#, no_object);
    says(
        r#"printf '{"Username":"u","Secret":"'; head -c 1100000 /dev/zero | tr '\0' x; echo '"}'"#,
        "its answer is larger than 1 MiB",
    );
    says("exec cat /dev/zero", "its answer is larger than 1 MiB");
}

#[test]
fn a_failure_is_anonymous_where_the_rule_says_so() {
    let chain =
        Chain::with_config(&format!("{RULE}on-error = \"anonymous\"\n"), "echo 'it is locked'; exit 1");
    chain.helper.get("ghcr.io").is_not_found();
    let logged = chain.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").helper.get("ghcr.io");
    assert!(logged.stderr.contains("helper: docker-credential-pass: it is locked"), "{logged:?}");
}

#[test]
fn a_missing_program_is_named() {
    let missing = "helper: docker-credential-pass: there is no such program on PATH; hint: install \
        docker-credential-pass where docker's PATH finds it";
    // What lies where a client happens to stand is not run.
    for path in ["/nowhere", ".", "bin", ":/nowhere:", ""] {
        let helper = Helper::with_config(RULE).env("PATH", path);
        write_script(&helper.home().join("docker-credential-pass"), KNOWS);
        write_script(&helper.home().join("bin/docker-credential-pass"), KNOWS);
        helper.get("ghcr.io").is_line(missing);
        helper.store("ghcr.io", "u", "pw-1").is_line(missing);
        helper.erase("ghcr.io").is_line(missing);
        assert_eq!(helper.list().stdout, "{}\n");
    }
}

#[test]
fn a_program_that_cannot_be_started_is_told() {
    let chain = Chain::new(KNOWS);
    let file = chain.helper.home().join("bin/docker-credential-pass");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    // This machine may have one.
    let chain = chain.env("PATH", file.parent().unwrap().to_str().unwrap());
    chain
        .helper
        .get("ghcr.io")
        .fails_with(&["helper: docker-credential-pass: it cannot be started: Permission denied"]);
    // One that can be run comes first, wherever it stands.
    let other = chain.helper.home().join("other/docker-credential-pass");
    write_script(&other, KNOWS);
    let path = format!(
        "{}:{}:{}",
        file.parent().unwrap().display(),
        other.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    chain.env("PATH", &path).helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let chain = Chain::new(KNOWS);
    let file = chain.helper.home().join("bin/docker-credential-pass");
    fs::write(&file, "#!/nowhere/sh\n").unwrap();
    chain.helper.get("ghcr.io").is_line(&format!(
        "helper: docker-credential-pass: it cannot be started: there is no program for its first line{BY_HAND}"
    ));
}

/// Whether the process that the script has noted in the file is gone, or goes soon.
fn is_ended(chain: &Chain, file: &str) {
    let id: i32 = fs::read_to_string(chain.helper.home().join(file)).unwrap().trim().parse().unwrap();
    let started = Instant::now();
    while test_kill_process(Pid::from_raw(id).unwrap()).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(5), "{file}: it is still there");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts one more, and does not end.
const HANGS: &str = "sleep 60 & echo $! >\"$HOME/below\"; echo $$ >\"$HOME/pid\"; wait";

/// The helper in a session of its own: without a terminal, as in CI.
fn without_terminal(chain: &Chain, action: &str) -> Command {
    let own = chain.helper.command(&[action]);
    let mut command = Command::new("setsid");
    command.arg(own.get_program()).args(own.get_args()).current_dir(chain.helper.home());
    command.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn one_that_hangs_is_ended_at_the_deadline_with_all_that_it_started() {
    let chain = Chain::with_config(&format!("timeout = \"500ms\"\n{RULE}"), HANGS);
    let started = Instant::now();
    let answer = Answer::of(&mut without_terminal(&chain, "get"), b"ghcr.io");
    answer.is_line(&format!("helper: docker-credential-pass: timed out after 500ms{BY_HAND}"));
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    is_ended(&chain, "pid");
    is_ended(&chain, "below");
}

#[test]
fn one_that_reads_nothing_and_never_ends_is_ended_too() {
    let chain = Chain::with_config(&format!("timeout = \"500ms\"\n{RULE}"), KNOWS);
    let file = chain.helper.home().join("bin/docker-credential-pass");
    write_script(&file, "while :; do sleep 1; done");
    let answer = chain.helper.store("ghcr.io", "u", &"x".repeat(200_000));
    answer.fails_with(&["helper: docker-credential-pass: timed out after 500ms"]);
    // One that answers without reading is its own affair.
    write_script(&file, KNOWS);
    chain.helper.store("ghcr.io", "u", &"x".repeat(200_000)).is_silent();
    chain.helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

/// What the command says that a signal has ended while the program hangs; nothing of that is left.
fn ended_by_a_signal(chain: &Chain, mut command: Command) -> Answer {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ghcr.io").unwrap();
    // The file is there before it is written.
    while fs::read_to_string(chain.helper.home().join("pid")).unwrap_or_default().is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended without the program");
        thread::sleep(Duration::from_millis(5));
    }
    let started = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let answer = Answer::from_output(child.wait_with_output().unwrap());
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    is_ended(chain, "pid");
    is_ended(chain, "below");
    fs::remove_file(chain.helper.home().join("pid")).unwrap();
    answer
}

#[test]
fn a_signal_ends_it_too_with_all_that_it_started() {
    let chain = Chain::new(HANGS);
    let ended = "helper: docker-credential-pass: ended by a signal";
    ended_by_a_signal(&chain, without_terminal(&chain, "get")).fails_with(&[ended]);
    let answer = ended_by_a_signal(&chain, without_terminal(&chain, "list"));
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "{}\n"));
    // The user's own credsStore, inside `run`.
    fs::write(chain.helper.home().join("config.json"), r#"{"credsStore": "pass"}"#).unwrap();
    fs::write(chain.helper.config_file(), "").unwrap();
    let folder = chain.helper.home().to_str().unwrap().to_owned();
    let chain = chain.env("DOCKER_CREDENTIAL_LEASE_FALLBACK", &folder);
    ended_by_a_signal(&chain, without_terminal(&chain, "get")).is_not_found();
    let answer = ended_by_a_signal(&chain, without_terminal(&chain, "list"));
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "{}\n"));
}
