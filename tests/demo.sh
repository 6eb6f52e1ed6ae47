#!/usr/bin/env bash
# From nothing to an image out of a private registry, in under a minute: `bash tests/demo.sh`.
# It starts OpenBao and a registry that plays docker.io, all on loopback and in namespaces of their own (real/world.sh), so nothing
# of this machine is changed and nothing is left, but for missing tools: tests/setup.sh installs those. Best as root, with Docker installed; else it uses skopeo or podman.
# shellcheck disable=SC2016,SC2088  # commands stand in quotes here: they are shown as they are, then run
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=real/world.sh disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/real/world.sh"

IMAGE=docker.io/acme/hello:1

main() {
  # Only on this machine itself; inside the namespace it is all there.
  inside || { the_helper; the_servers; }
  world_enter "$@"
  trap '[ $? = 0 ] || say "The demo broke off here."' EXIT
  pick_client
  the_stage
  the_demo
}

the_demo() {
  step "The team's Docker Hub credential lies in OpenBao. (Here somebody who may write there puts it in.)"
  BAO_ADDR=$BAO_URL BAO_TOKEN=$BAO_ROOT \
    show 'printf %s "$PASSWORD" | bao kv put secret/acme/dockerhub username=acme-ci password=-'
  step "docker-credential-lease is told where: a path, no secret. (The job's own VAULT_ADDR and VAULT_TOKEN do the rest.)"
  show 'cat ~/.config/docker-credential-lease/config.toml'
  step "The client is told to ask docker-credential-lease. That is its whole config; this is its checksum before we begin."
  show "cat $CONFIG"
  show "sha256sum $CONFIG | tee ~/before"
  step "The image is private: without the helper there is nothing to be had. This must fail."
  show "$PULL_WITHOUT" | tee ~/refusal && die "It was pulled without a credential: the demo is broken."
  grep -Eq "no basic auth credentials|unauthorized|denied" ~/refusal || die "That was refused for another reason."
  step "What a client does to get a credential: it asks the helper. (The secret is blotted out here.)"
  show "echo https://index.docker.io/v1/ | docker-credential-lease get | sed 's/\(\"Secret\": *\)\"[^\"]*/\1\"…/'"
  step "Now the pull itself. No login before it, no logout after it."
  show "$PULL"
  step "Here is the image."
  show "$PROOF"
  say "    $SECONDS seconds from nothing to the image."
  step "The config is what it was…"
  show "sha256sum $CONFIG | diff - ~/before && echo unchanged"
  step "…and the secret stands in no file: neither as it is, nor as the base64 that a login would have left."
  # From a pipe, so that it does not stand in the command's arguments either.
  show '! { echo "$PASSWORD"; printf "acme-ci:%s" "$PASSWORD" | base64; } | grep -rF -D skip -f - ~ "$TMPDIR" /run && echo "not found"'
  say
  say "Done. Everything that was started here ends now; nothing is left behind."
}

step() { say; say "# $1"; }

show() {
  say "\$ $1"
  (set -o pipefail; eval "$1") 2>&1 | sed 's/^/    /'
}

#### What is needed, on this machine

the_helper() {
  BIN=${BIN:-$REPO/target/release/docker-credential-lease}
  if [ ! -x "$BIN" ]; then
    [ -z "$(missing cargo)" ] || die "docker-credential-lease is not built yet, and there is no cargo to build it."
    say "# docker-credential-lease is not built yet: cargo build --release"
    (cd "$REPO" && cargo build --release --target-dir target)
  fi
  BIN=$(realpath "$BIN")
}

the_servers() {
  local lacking tools=(unshare setpriv mount openssl curl htpasswd docker-registry bao)
  if [ -n "$(missing "${tools[@]}")" ]; then
    say "# The demo's servers are not there yet: bash tests/setup.sh"
    bash "$REPO/tests/setup.sh"
    hash -r
  fi
  lacking=$(missing "${tools[@]}")
  [ -z "$lacking" ] || die "Not installed: ${lacking//$'\n'/ }. As root, tests/setup.sh installs it."
  local mapped=()
  [ "$(id -u)" = 0 ] || mapped=(--user --map-root-user)
  unshare "${mapped[@]}" --mount --net --pid --fork true 2>/dev/null ||
    die "The demo needs namespaces of its own, and this machine does not allow them to $(id -un). Run it as root, not in a confined container."
}

# docker with an engine of its own; that takes root. skopeo and podman need no engine.
pick_client() {
  CLIENT=
  if real_root && [ -z "$(missing docker dockerd)" ] && world_dockerd; then CLIENT=docker; return; fi
  for CLIENT in skopeo podman ''; do
    if [ -z "$CLIENT" ] || [ -z "$(missing "$CLIENT")" ]; then break; fi
  done
  [ -n "$CLIENT" ] || die "No client: the demo needs docker with dockerd (as root), or skopeo, or podman."
  say "# No Docker engine of our own can run here (it takes root, docker and dockerd): this demo uses $CLIENT instead."
}

#### Behind the scenes: the servers, and three files

the_stage() {
  step "Starting on loopback: OpenBao, and a registry that plays docker.io, with a private image in it."
  PASSWORD=$(openssl rand -hex 16)  # never exported; it goes through pipes
  world_registry docker.io "$HUB_HOST" acme-ci "$PASSWORD"
  world_image "$HUB_HOST" acme-ci "$PASSWORD"
  world_openbao
  PATH=$WORLD/bin:$PATH
  ln -s "$BIN" "$WORLD/bin/docker-credential-lease"
  export VAULT_ADDR=$BAO_URL VAULT_TOKEN=$PULL_TOKEN AWS_EC2_METADATA_DISABLED=true

  cd
  mkdir -p ~/.docker ~/.config/docker-credential-lease ~/empty
  printf '[registry."docker.io"]\nsource = "vault"\npath = "secret/data/acme/dockerhub"\n' >~/.config/docker-credential-lease/config.toml
  say '{}' >~/empty/config.json
  if [ "$CLIENT" = docker ]; then
    CONFIG='~/.docker/config.json'
    say '{ "credsStore": "lease" }' >~/.docker/config.json
  else
    CONFIG='~/auth.json'
    say '{ "credHelpers": { "docker.io": "lease" } }' >~/auth.json
    export REGISTRY_AUTH_FILE=$HOME/auth.json
  fi
  commands
}

commands() {
  case $CLIENT in
    docker)
      PULL="docker pull $IMAGE"
      PULL_WITHOUT="docker --config ~/empty pull $IMAGE"
      PROOF="docker image ls" ;;
    skopeo)
      PULL="skopeo copy docker://$IMAGE dir:hello"
      PULL_WITHOUT="skopeo copy --authfile ~/empty/config.json docker://$IMAGE dir:hello"
      PROOF="ls -l hello" ;;
    podman)
      # Storage of its own, without what takes the rights of a real root.
      local podman='podman --root ~/storage --runroot /run/podman --storage-driver vfs --cgroup-manager cgroupfs'
      PULL="$podman pull $IMAGE"
      PULL_WITHOUT="$podman pull --authfile ~/empty/config.json $IMAGE"
      PROOF="$podman image ls" ;;
  esac
}

main "$@"
