# shellcheck shell=bash
# Sourced by clients.sh: the clients that Debian does not have (fetch.sh), each wired with the very lines that
# docs/clients.md shows for it, and podman's other ways. Docker Hub is asked as outside: its registry wants a token, and
# auth.docker.io (tokens.py) gives one for a credential.
#
# shellcheck disable=SC2034,SC2154,SC2153  # the variables are clients.sh's

# shellcheck source-path=SCRIPTDIR source=languages.sh disable=SC1091
. "$REPO/tests/real/languages.sh"
# shellcheck source-path=SCRIPTDIR source=containers.sh disable=SC1091
. "$REPO/tests/real/containers.sh"
# shellcheck source-path=SCRIPTDIR source=identities.sh disable=SC1091
. "$REPO/tests/real/identities.sh"
# shellcheck source-path=SCRIPTDIR source=logins.sh disable=SC1091
. "$REPO/tests/real/logins.sh"

PUBLIC=docker.io/library/hello:1   # needs no credential, but a token; no rule is for it
BUILDKIT=unix:///run/buildkit/buildkitd.sock

more_checks() { # [logins]
  DOCKER=${CLIS[0]:-docker}
  if [ "${1:-}" = logins ]; then logins_checks logins; return; fi
  hub_with_tokens
  more_rules
  check "docs: every block that is to be written is one" all_blocks
  if [ -n "$ENGINE" ]; then docker_with_tokens; fi
  go_checks
  docker_py_checks
  testcontainers_checks
  docker_credential_checks
  containers_checks
  if have podman; then podman_remote_checks; fi
  two_identities
  logins_checks
}

# client_checks CLIENT NAME PULL…: what each must do. PULL gets an image's name.
client_checks() {
  local why="secret/data/acme/none" denied="$NO_ENTRY|credential not found|nothing found|server error|connection reset by peer"
  if [ -n "${SWALLOWS:-}" ]; then why=$denied; fi  # it takes every failure for "none"
  wire "$1"
  check "$2, docker.io" "${@:3}" "$HUB"
  check "$2, localhost:5000" "${@:3}" "$LOCAL"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$ONLY_LOCAL check "$2, a public image of a registry without a rule" "${@:3}" "$PUBLIC"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$GONE refused "$2, the secret is missing" "$why" "${@:3}" "$HUB"
  # A client that is let in otherwise would have shown nothing above.
  unwired
  refused "control: $2 without the helper, docker.io" "$denied" "${@:3}" "$HUB"
  refused "control: $2 without the helper, localhost:5000" "$denied" "${@:3}" "$LOCAL"
  wire "$1"
}

docker_with_tokens() {
  # The engine remembers for some seconds where the registry was.
  wait_for auth "$token_server" env DOCKER_CONFIG="$PLAIN" timeout 60 "$DOCKER" pull "$PUBLIC" || return
  for DOCKER in "${CLIS[@]}"; do
    CLI="docker $(docker version --format '{{.Client.Version}}' 2>/dev/null || true)"
    if at_least 29; then client_checks docker "$CLI with tokens" fresh_pull
    else SWALLOWS=1 client_checks docker "$CLI with tokens" fresh_pull; fi
    block docker json 2 >"$HOME/.docker/config.json"
    check "$CLI by credHelpers, docker.io" fresh_pull "$HUB"
    check "$CLI by credHelpers, localhost:5000" fresh_pull "$LOCAL"
  done
}

#### The lines of docs/clients.md

# block CHAPTER KIND [N]: the Nth (else first) fenced block of the kind, with our registry for the example's.
block() {
  awk -v chapter="## $1" -v fence="\`\`\`$2" -v nth="${3:-1}" '
    /^## / { here = tolower($0) == chapter } !here { next }
    shown && /^```$/ { exit } shown { print } $0 == fence { shown = ++seen == nth }
  ' "$REPO/docs/clients.md" | sed 's/registry\.example\.com:5000/localhost:5000/g'
}

chapter_of() { # CLIENT: where its lines stand
  case $1 in
    crane) say "crane, ko, cosign" ;;
    oras | helm) say "oras, helm" ;;
    buildctl) say docker ;;
    docker-py | testcontainers | docker_credential) say "docker-py, testcontainers" ;;
    podman | skopeo | buildah) say "podman, skopeo, buildah" ;;
    *) say "$1" ;;
  esac
}

wire() { # CLIENT: as the first block of its chapter says
  block "$(chapter_of "$1")" json >"$HOME/.docker/config.json"
  export DOCKER_CONFIG=$HOME/.docker
  unset REGISTRY_AUTH_FILE
}

unwired() { export DOCKER_CONFIG=$PLAIN; }

all_blocks() {
  local client
  for client in crane oras regctl buildctl docker-py podman nerdctl; do
    block "$(chapter_of "$client")" json | tee "$WORLD/tmp/block" | grep lease && python3 -m json.tool "$WORLD/tmp/block" || return
  done
}

#### Go: crane, oras, regctl, buildctl

go_checks() {
  if have crane; then client_checks crane crane crane_pull; crane_checks; fi
  if have oras; then client_checks oras oras oras_pull; check "oras push" oras_push; fi
  if have regctl; then SWALLOWS=1 client_checks regctl regctl regctl_pull; regctl_checks; fi
  buildctl_checks
}

# Nothing that hangs may hold up the run.
crane() { timeout 60 crane "$@"; }
regctl() { timeout 60 regctl "$@"; }
oras() { timeout 60 oras "$@"; }
buildctl() { timeout 120 buildctl --addr "$BUILDKIT" "$@"; }

crane_pull() { crane export "$1" - | tar -xO hello.txt; }
regctl_pull() { regctl image get-file "$1" hello.txt; }
oras_pull() {
  local at
  at=$(mktemp -d)
  # It takes localhost for a registry without TLS.
  oras copy --from-plain-http=false --to-oci-layout "$1" "$at:1" && ls "$at/blobs/sha256"
}

crane_checks() {
  local rules=$HOME/.config/docker-credential-lease/paths.toml
  wire crane
  { from_vault docker.io acme/wrong; from_vault docker.io/acme acme/hub; } >"$rules"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$rules check "crane, a rule for the path counts" crane_pull "$HUB"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$rules refused "control: crane, and no other path" "$NO_ENTRY" crane_pull docker.io/other/hello:1
  block docker json 2 >"$HOME/.docker/config.json"
  check "crane by credHelpers" crane_pull "$HUB"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$rules refused "crane by credHelpers does not ask with the path" "$NO_ENTRY" crane_pull "$HUB"
  wire crane
  check "crane copy from one registry to the other" crane copy "$HUB" localhost:5000/acme/by-crane:1
  # A failure is fatal also where no credential is needed.
  DOCKER_CREDENTIAL_LEASE_CONFIG=$GONE refused "crane, a public image of a registry whose source fails" \
    "secret/data/acme/none" crane_pull "$PUBLIC"
  { from_vault docker.io acme/none; say 'on-error = "anonymous"'; } >"$rules"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$rules check "crane, the same with on-error" crane_pull "$PUBLIC"
}

regctl_checks() {
  local rules=$HOME/.config/docker-credential-lease/wildcard.toml
  wire regctl
  check "regctl copy from one registry to the other" regctl image copy "$HUB" localhost:5000/acme/by-regctl:1
  { say '[registry."*"]'; say 'source = "vault"'; say 'path = "secret/data/acme/{host}"'; } >"$rules"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$rules refused "regctl with credsStore does not ask for what no list names" "$NO_ENTRY" regctl_pull "$HUB"
  block docker json 2 >"$HOME/.docker/config.json"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$rules check "regctl with credHelpers does" regctl_pull "$HUB"
}

oras_push() {
  cd "$WORLD/tmp" && say artifact >artifact.txt && oras push docker.io/acme/artifact:1 artifact.txt &&
    oras push --plain-http=false localhost:5000/acme/artifact:1 artifact.txt
}

# The daemon has no helper and no credential: it asks whoever builds.
buildctl_checks() {
  have buildctl && have buildkitd || return 0
  real_root || { skip "buildctl: buildkitd needs root"; return; }
  mkdir -p /run/buildkit
  # It takes localhost for a registry without TLS, too.
  printf '[registry."localhost:5000"]\nhttp = false\n' >"$WORLD/tmp/buildkitd.toml"
  start buildkitd env -i PATH="${PATH#"$WORLD/bin:"}" HOME=/nonexistent buildkitd --config "$WORLD/tmp/buildkitd.toml" \
    --root "$WORLD/buildkit" --addr "$BUILDKIT" --oci-worker-snapshotter=native --oci-worker-net=host --containerd-worker=false
  if ! wait_for buildkitd "$started" buildctl debug workers; then
    skip "buildctl: buildkitd does not start here"
    return
  fi
  client_checks buildctl "buildctl build" buildctl_pull
}

buildctl_pull() {
  mkdir -p "$WORLD/tmp/build"
  printf 'FROM %s\nCOPY Dockerfile /\n' "$1" >"$WORLD/tmp/build/Dockerfile"
  buildctl prune --all >/dev/null  # what it has, it does not ask for
  buildctl build --progress plain --frontend dockerfile.v0 --no-cache \
    --local "context=$WORLD/tmp/build" --local "dockerfile=$WORLD/tmp/build" --opt image-resolve-mode=pull --output type=oci,dest=/dev/null
}

#### Servers and rules

# From here on Docker Hub is what it is outside. The images are those of before.
hub_with_tokens() {
  local dir=$WORLD/servers/tokens
  mkdir "$dir"
  world_image "$HUB_HOST" acme-ci "$HUB_PASSWORD" library/hello
  PULL_PASSWORD="$(openssl rand -hex 12)<&>"
  USERS=$(say "$USERS"; say "acme-pull $PULL_PASSWORD")
  # oras refuses to send a credential to a token server on loopback: an address that is nobody's is given to this
  # namespace's loopback interface.
  python3 -c '
import fcntl, socket, struct  # SIOCSIFADDR
fcntl.ioctl(socket.socket(), 0x8916, struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("198.51.100.1")))'
  start auth tokens acme-ci "$HUB_PASSWORD" pull,push acme-pull "$PULL_PASSWORD" pull
  token_server=$started
  cat >"$dir/config.yml" <<END
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $WORLD/servers/docker.io/storage}}
http:
  addr: 127.0.0.3:443
  tls: {certificate: $WORLD/servers/tls.crt, key: $WORLD/servers/tls.key}
auth:
  token: {realm: "https://auth.docker.io/token", service: registry.docker.io, issuer: auth.docker.io, rootcertbundle: $WORLD/servers/ca.crt}
END
  # podman's variable would be its setting auth.file.
  start tokens env -u REGISTRY_AUTH_FILE docker-registry serve "$dir/config.yml"
  { sed 's/^127\.0\.0\.1 .*/127.0.0.1 localhost/' /etc/hosts; say "127.0.0.3 $HUB_HOST index.docker.io"; say "198.51.100.1 auth.docker.io"; } \
    >"$WORLD/tmp/hosts"
  cat "$WORLD/tmp/hosts" >"$WORLD/servers/hosts"
  wait_for tokens "$started" gives_tokens
}

tokens() { # NAME PASSWORD ACTIONS…
  printf '%s %s %s\n' "$@" |
    exec python3 -I "$REPO/tests/real/tokens.py" 198.51.100.1 "$WORLD/servers/tls.crt" "$WORLD/servers/tls.key" auth.docker.io
}

gives_tokens() {
  curl -sS --fail 'https://auth.docker.io/token?service=registry.docker.io' &&
    [ "$(curl -sS -o /dev/null -w '%{http_code}' "https://$HUB_HOST/v2/")" = 401 ]
}

more_rules() {
  local rules=$HOME/.config/docker-credential-lease
  ONLY_LOCAL=$rules/only-local.toml
  { from_vault docker.io acme/hub; from_aws localhost:5000 acme/local; } >"$rules/config.toml"
  from_aws localhost:5000 acme/local >"$ONLY_LOCAL"
  bao_secret acme/docker.io acme-ci "$HUB_PASSWORD"
  bao_secret acme/push acme-ci "$HUB_PASSWORD"
  bao_secret acme/pull acme-pull "$PULL_PASSWORD"
  unset DOCKER_CREDENTIAL_LEASE_CONFIG
}
