#!/bin/sh
# Builds docker-credential-lease from this checkout and installs it. It edits no configuration.
set -eu

usage() {
    cat <<'END'
usage: ./install.sh [--bin-dir DIR]

Builds the release with cargo and puts docker-credential-lease into DIR (default: ~/.local/bin).

  --bin-dir DIR   where the binary goes; made if it is not there
  --help          this text

Example: ./install.sh --bin-dir /usr/local/bin
END
}

fail() {
    echo "install.sh: $1" >&2
    exit "${2-1}"
}

program=docker-credential-lease
dir=
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --bin-dir) [ $# -ge 2 ] || fail "--bin-dir needs a folder" 2; dir=$2; shift 2 ;;
        --bin-dir=*) dir=${1#*=}; shift ;;
        *) fail "unknown argument: $1 (see ./install.sh --help)" 2 ;;
    esac
    [ -n "$dir" ] || fail "--bin-dir needs a folder" 2
done
if [ -z "$dir" ]; then
    [ -n "${HOME-}" ] || fail "HOME is not set; name the folder: ./install.sh --bin-dir DIR"
    dir=$HOME/.local/bin
fi

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
grep -qs "^name *= *\"$program\"" "$root/Cargo.toml" ||
    fail "no checkout of $program around this script; clone the repository and run ./install.sh in it"
command -v cargo >/dev/null 2>&1 || fail "cargo is not on PATH; install Rust 1.95 or newer first"

# Before the build, which takes minutes.
mkdir -p -- "$dir" 2>/dev/null || fail "cannot make the folder $dir; name another one with --bin-dir DIR"
dir=$(CDPATH='' cd -- "$dir" && pwd) || fail "cannot enter the folder $dir; name another one with --bin-dir DIR"
[ ! -d "$dir/$program" ] || fail "$dir/$program is a folder; name another place with --bin-dir DIR"
# Root may write to a folder that is mounted read-only as far as its mode goes: only a file tells.
new=$(mktemp "$dir/.$program.XXXXXX" 2>/dev/null) || fail "cannot write to $dir; name another folder with --bin-dir DIR"
trap 'rm -f -- "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

echo "building $program (a few minutes the first time)"
# cargo says itself where the binary is: CARGO_TARGET_DIR and cargo's own configuration may have moved it.
built=$(cd "$root" && cargo build --release --locked --bin "$program" --message-format=json-render-diagnostics) ||
    fail "the build failed; cargo says why above"
built=$(printf '%s\n' "$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$built" ] || fail "cargo built no $program"

# A new name, checked, then moved: whoever runs the helper meanwhile gets the old one or the new one, never half of it.
cat -- "$built" >"$new" || fail "cannot write to $dir (is the disk full?)"
chmod 0755 "$new" || fail "cannot make $new executable"
version=$("$new" version </dev/null 2>/dev/null) ||
    fail "$program does not run from $dir (is the folder mounted noexec?); nothing was installed"
mv -f -- "$new" "$dir/$program" || fail "cannot replace $dir/$program"
echo "installed $dir/$program: $version"

case :$PATH: in
    *":$dir:"*)
        first=$(command -v "$program" || true)
        if [ "$first" != "$dir/$program" ]; then
            echo "note: $first stands before it in PATH, and that is the one that docker will run"
        fi
        ;;
    *)
        echo "note: $dir is not on PATH, and docker looks for its helpers there. Add this line to ~/.profile:"
        # shellcheck disable=SC2016 # for the user's shell to fill in
        printf '  export PATH="%s:$PATH"\n' "$dir"
        ;;
esac
cat <<'END'

Next: name it in ~/.docker/config.json, for everything:
  { "credsStore": "lease" }
or for Docker Hub and ghcr.io only:
  { "credHelpers": { "https://index.docker.io/v1/": "lease", "ghcr.io": "lease" } }
podman, skopeo and buildah read ~/.config/containers/auth.json, and call Docker Hub docker.io:
  { "credHelpers": { "docker.io": "lease", "ghcr.io": "lease" } }
END
