#!/usr/bin/env bash
# Builds and fetches the clients that Debian does not have, in the versions below, under target/clients/: crane, regctl,
# oras and buildctl with its daemon from their Go modules, testcontainers from npm. (docker-py comes with moto,
# docker_credential with cargo.) Called by ../run.sh; what is there already is left alone, what can't be had is said on
# stderr (SKIPPED …), and is clients.sh's to judge.
#
# shellcheck disable=SC2317  # `attempt` calls the functions
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

# client:package@version
programs='crane:github.com/google/go-containerregistry/cmd/crane@v0.22.1
          regctl:github.com/regclient/regclient/cmd/regctl@v0.11.7
          oras:oras.land/oras/cmd/oras@v1.3.6'
# Its go.mod excludes versions, so it can only be built as what another module needs.
buildkit=github.com/moby/buildkit@v0.34.2
testcontainers=testcontainers@11.14.0   # the last line that runs with Node 20

at=$PWD/target/clients
mkdir -p "$at/bin" "$at/made"
skip() { echo "SKIPPED $1: $2" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
made() { [ -e "$at/made/$1" ] && [ -e "$at/$2" ]; }   # VERSION FILE

# The log is shown only where it failed.
attempt() { # WHAT CMD…
    local log=$at/made/${1##*[ /]}.log
    echo "setup: $1"
    "${@:2}" >"$log" 2>&1 </dev/null && return
    tail -n 5 "$log" >&2
    return 1
}

npm_install() {
    rm -rf "$at/node"
    mkdir -p "$at/node"
    # Its dependencies' own scripts build native code that the look-up never loads.
    npm install --prefix "$at/node" --ignore-scripts --omit=optional --no-audit --no-fund "$testcontainers"
}

go_install() { GOBIN=$at/bin CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go install -ldflags '-s -w' "$1"; }

go_buildkit() (
    rm -rf "$at/buildkit"
    mkdir -p "$at/buildkit" && cd "$at/buildkit" && export CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false -mod=mod'
    go mod init clients && go get "$buildkit" &&
        go build -ldflags '-s -w' -o "$at/bin/" "${buildkit%@*}/cmd/buildctl" "${buildkit%@*}/cmd/buildkitd"
)

# npm waits for the network most of the time: meanwhile Go can compile.
npm=''
if ! made "$testcontainers" node/node_modules/testcontainers/package.json && have npm; then
    attempt "npm install $testcontainers" npm_install & npm=$!
fi

have go || skip 'crane, regctl, oras and buildctl' 'no go on PATH to build them'
for program in $programs; do
    name=${program%%:*} package=${program#*:}
    if ! have go || made "$name@${package##*@}" "bin/$name"; then continue; fi
    if attempt "go install $package" go_install "$package"; then : >"$at/made/$name@${package##*@}"
    else skip "$name" "go could not build $package"; fi
done
if have go && ! made "buildkit@${buildkit##*@}" bin/buildkitd; then
    if attempt "go build $buildkit" go_buildkit; then : >"$at/made/buildkit@${buildkit##*@}"
    else skip buildctl "go could not build $buildkit"; fi
fi
if [ -n "$npm" ] && wait "$npm"; then : >"$at/made/$testcontainers"; fi
made "$testcontainers" node/node_modules/testcontainers/package.json ||
    skip testcontainers "npm is not on PATH, or could not install $testcontainers"
exit 0
