#!/usr/bin/env bash
# Builds docker's plugin compose from its Go module, in the version below, under target/clients/plugins; with the word
# `buildx` also that one, which takes minutes more (buildctl, which fetch.sh builds, asks as it does).
# Called by ../run.sh; what is there already is left alone, what can't be had is said on stderr (SKIPPED …), and is
# clients.sh's to judge.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

# plugin:package@version
plugins='docker-compose:github.com/docker/compose/v5/cmd@v5.4.0'
if [ "${1-}" = buildx ]; then plugins+=' docker-buildx:github.com/docker/buildx/cmd/buildx@v0.37.2'; fi

at=$PWD/target/clients/plugins
mkdir -p "$at"

# Their go.mod files replace and exclude others' versions, so they can only be built as tools of another module.
build() ( # PLUGIN PACKAGE@VERSION
    made=$at/.$1
    rm -rf "$made"
    mkdir "$made" && cd "$made" && export CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false -mod=mod'
    go mod init clients && go get -tool "$2" && go build -ldflags '-s -w' -o plugin "${2%@*}" &&
        mv plugin "$at/$1@${2##*@}" && ln -sf "$1@${2##*@}" "$at/$1"
    status=$?
    rm -rf "$made"
    exit "$status"
)

for plugin in $plugins; do
    name=${plugin%%:*} package=${plugin#*:}
    if [ -x "$at/$name@${package##*@}" ]; then continue; fi
    if ! command -v go >/dev/null; then
        echo "SKIPPED $name: no go on PATH to build it" >&2
        continue
    fi
    echo "setup: go build $package"
    if ! build "$name" "$package" >"$at/log.$name" 2>&1 </dev/null; then
        tail -n 5 "$at/log.$name" >&2
        echo "SKIPPED $name: go could not build $package" >&2
    fi
done
exit 0
