//! What the command gets of `run`: words, streams, environment, process group; and what `run` gets of it: the exit code.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::thread;

use super::User;
use crate::support::Answer;

#[test]
fn the_exit_code_is_the_commands_own() {
    let user = User::new();
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]
    {
        let answer = user.script(script);
        assert_eq!(
            (answer.code, answer.stdout.as_str(), answer.stderr.as_str()),
            (Some(code), "", ""),
            "{script}"
        );
    }
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_be_run_126() {
    let user = User::new();
    let text = user.file("text", "not a program");
    for (program, code, why) in [
        ("no-such-program", 127, "No such file or directory"),
        ("/no/such/program", 127, "No such file or directory"),
        ("", 127, "No such file or directory"),
        (text.to_str().unwrap(), 126, "Permission denied"),
        ("/", 126, "Permission denied"),
    ] {
        let answer = Answer::of(&mut user.command(&[program, "argument"]), b"");
        let said = format!("docker-credential-lease: cannot run {program}: {why}");
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(code), ""), "{program}");
        assert!(answer.stderr.starts_with(&said) && answer.stderr.ends_with('\n'), "{}", answer.stderr);
        user.has_nothing_left();
    }
}

#[test]
fn its_own_failure_is_125_and_the_command_is_not_run() {
    let user = User::with_config("[registry.\"ghcr.io\"]\nsource = \"vault\"\npaht = \"x\"\n");
    let answer = user.script("echo it ran");
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(125), ""));
    let said = format!(
        "docker-credential-lease: config: {}:3:1: unknown key `paht`",
        user.helper.config_file().display()
    );
    assert!(answer.stderr.starts_with(&said), "{}", answer.stderr);
}

#[test]
fn words_that_name_no_command_are_told_how_to() {
    let user = User::new();
    let usage = "Usage: docker-credential-lease run -- COMMAND [ARGUMENT…]\n";
    for (words, why) in [
        (&["run"][..], "run needs a command"),
        (&["run", "--"], "run needs a command"),
        (&["run", "-x", "true"], "cannot take: run -x true"),
    ] {
        let answer = user.helper.run(words, "");
        let said = format!("docker-credential-lease: {why}\n{usage}");
        assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr), (Some(2), "", said), "{words:?}");
    }
}

#[test]
fn the_dashes_may_be_left_out_and_later_ones_are_the_commands() {
    let user = User::new();
    let script = "printf '%s|' \"$@\"";
    let answer = user.helper.run(&["run", "sh", "-c", script, "sh", "--", "-x"], "");
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "--|-x|"));
    let answer = user.helper.run(&["run", "--", "sh", "-c", script, "sh", "--", "-h"], "");
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "--|-h|"));
}

#[test]
fn arguments_go_on_as_they_are() {
    let user = User::new();
    let words: [&[u8]; 8] = [
        b"a b",
        b"",
        b"  ",
        b"new\nline",
        b"$HOME `id` \"'\\*",
        "\u{e4}\u{1f433}".as_bytes(),
        b"\xff\xfe",
        b"--",
    ];
    let mut command = user.command(&["sh", "-c", "printf '%s\\0' \"$@\"", "sh"]);
    command.args(words.iter().map(|word| OsStr::from_bytes(word)));
    let output = command.output().unwrap();
    let expected: Vec<u8> = words.iter().flat_map(|word| [*word, b"\0"].concat()).collect();
    assert_eq!((output.status.code(), output.stdout), (Some(0), expected));
}

/// What the command does with these bytes on its stdin.
fn fed(command: &mut Command, bytes: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).unwrap());
        child.wait_with_output().unwrap()
    })
}

#[test]
fn the_streams_are_passed_through_byte_for_byte() {
    let user = User::new();
    // Every byte in every position of a line, and more than any pipe holds.
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|at| (at * 7 + at / 251) as u8).collect();
    let output = fed(&mut user.command(&["cat"]), &bytes);
    assert!(output.stdout == bytes && output.stderr.is_empty() && output.status.success());
    let output = fed(&mut user.command(&["sh", "-c", "cat >&2"]), &bytes);
    assert!(output.stderr == bytes && output.stdout.is_empty() && output.status.success());
}

#[test]
fn a_command_that_reads_nothing_leaves_stdin_to_the_next_one() {
    let user = User::new();
    let script = "\"$0\" run -- sh -c 'read -r first; echo \"1 $first\"'; \"$0\" run -- true; cat";
    let mut shell = user.like(&user.bare(&[]), "sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_docker-credential-lease")]);
    let answer = Answer::of(&mut shell, b"one\ntwo\nthree\n");
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "1 one\ntwo\nthree\n"));
}

#[test]
fn streams_may_be_closed_on_either_side() {
    let user = User::new();
    assert_eq!(user.script("exec <&- >&- 2>&-; exit 3").code, Some(3));
    let mut shell = user.like(&user.bare(&[]), "sh");
    let program = env!("CARGO_BIN_EXE_docker-credential-lease");
    shell.args(["-c", "exec \"$0\" run -- sh -c 'exit 4' <&- >&- 2>&-", program]);
    assert_eq!(shell.status().unwrap().code(), Some(4));
    user.has_nothing_left();
}

#[test]
fn the_environment_is_the_callers_and_five_variables() {
    let user = User::new().env("OTHER", "a b\nc").env("AWS_PROFILE", "");
    let printed = |words: &[&str]| {
        let mut command = user.command(words);
        let output = command.output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let mut all: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        all.retain(|variable| !variable.starts_with("_="));
        all.sort();
        all
    };
    let inside = printed(&["env", "-0"]);
    let before = printed(&["env", "-u", "DOCKER_CREDENTIAL_LEASE_FALLBACK", "env", "-0"]);
    let new = |variable: &&String| {
        let names = ["DOCKER_CONFIG=", "REGISTRY_AUTH_FILE=", "DOCKER_CREDENTIAL_LEASE_", "PATH="];
        names.iter().any(|name| variable.starts_with(name))
    };
    assert_eq!(inside.iter().filter(new).count(), 5, "{inside:?}");
    assert_eq!(before.iter().filter(new).count(), 4, "{before:?}");
    let others: Vec<&String> = inside.iter().filter(|variable| !new(variable)).collect();
    let home = format!("HOME={}", user.home().display());
    let runtime = format!("XDG_RUNTIME_DIR={}", user.runtime().display());
    let expected =
        ["AWS_EC2_METADATA_DISABLED=true", "AWS_PROFILE=", home.as_str(), "OTHER=a b\nc", runtime.as_str()];
    assert_eq!(others, expected);
}

#[test]
fn the_program_itself_is_first_on_path() {
    let user = User::new();
    user.program("docker-credential-lease", "echo an older one");
    let asked = user.prints("docker-credential-lease version; docker-credential-lease run -- sh -c 'exit 0'");
    assert!(asked.contains(env!("CARGO_PKG_VERSION")), "{asked}");
}

#[test]
fn without_a_path_the_current_folder_does_not_become_one() {
    let user = User::new();
    for (unset, expected) in [(true, ":/bin:/usr/bin"), (false, ":/bin")] {
        let mut command = user.command(&["sh", "-c", "echo \"$PATH\""]);
        if unset {
            command.env_remove("PATH")
        } else {
            command.env("PATH", "/bin")
        };
        let output = command.output().unwrap();
        let path = String::from_utf8(output.stdout).unwrap();
        assert!(path.starts_with('/') && path.ends_with(&format!("/bin{expected}\n")), "{path}");
        assert!(!path.trim().split(':').any(str::is_empty));
    }
}

#[test]
fn the_command_is_in_the_process_group_of_run() {
    let user = User::new();
    let mut command = user.command(&["sh", "-c", "ps -o pgid= -p $$; ps -o pgid= -p $PPID"]);
    let child = command.process_group(0).spawn().unwrap();
    let own = child.id().to_string();
    let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(printed.split_whitespace().collect::<Vec<_>>(), [own.as_str(), own.as_str()]);
}

#[test]
fn what_the_command_leaves_in_the_background_is_not_waited_for() {
    let user = User::new();
    let go = user.home().join("go");
    let script = format!(
        "(while [ ! -e {0} ]; do sleep 0.05; done; echo late >{0}.done) </dev/null >/dev/null 2>&1 & exit 5",
        go.display()
    );
    assert_eq!(user.script(&script).code, Some(5));
    fs::write(&go, "").unwrap();
    let done = user.home().join("go.done");
    while !done.exists() {
        thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_run_within_a_run_is_one_more() {
    let user = User::new();
    let script = "outer=$DOCKER_CONFIG; docker-credential-lease run -- sh -c '\
        mkdir \"$DOCKER_CONFIG/buildx/instances\"; \
        test \"$DOCKER_CONFIG\" != \"$0\" && test -d \"$0\" && echo \"$DOCKER_CREDENTIAL_LEASE_FALLBACK\"; exit 9' \"$outer\"";
    let answer = user.script(script);
    let own = format!("{}\n", user.home().join(".docker").display());
    assert_eq!((answer.code, answer.stdout, answer.stderr.as_str()), (Some(9), own, ""));
    assert!(user.home().join(".docker/buildx/instances").is_dir());
}
