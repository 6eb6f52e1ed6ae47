#!/usr/bin/env bash
# The real clients pull, push, build, log in and out through docker-credential-lease, from a docker.io and a second private
# registry that are played on loopback (world.sh). Each check prints `ok NAME`, or `FAIL NAME` with the output beneath it.
#
#   bash tests/real/clients.sh
#   BIN=…            the helper; else target/debug/docker-credential-lease, else target/release/…
#   REQUIRE_ALL=1    what is not installed is a failure, not a skip
#   run, more, logins  as the first word: only what that file checks; logins makes docs/logins.md anew
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=world.sh disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/world.sh"
# shellcheck source-path=SCRIPTDIR source=run.sh disable=SC1091
. "$REPO/tests/real/run.sh"
# shellcheck source-path=SCRIPTDIR source=ecr.sh disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/ecr.sh"
# shellcheck source-path=SCRIPTDIR source=more.sh disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/more.sh"

HUB=docker.io/acme/hello:1         # its credential: acme-ci
LOCAL=localhost:5000/acme/hello:1  # its credential: robot
passed=0 failed=0 skipped=0

main() {
  requirements
  trap 'broke_off=$?; finish' EXIT  # inside; outside, world_enter has its own
  world_enter "$@"
  servers
  clients_home
  case ${1:-} in
    more | logins) more_checks "$1"; return ;;
    run) run_checks; return ;;
  esac
  for DOCKER in "${CLIS[@]}"; do
    CLI="docker $(docker version --format '{{.Client.Version}}' 2>/dev/null || true)"
    cp "$WORLD/config.json" "$HOME/.docker/config.json"  # a login before may have laid it out anew
    if [ -n "$ENGINE" ]; then docker_engine; fi
    docker_without_engine
    docker_refusals
  done
  if [ ${#CLIS[@]} -gt 0 ]; then docker_control; fi
  if have podman; then podman_checks; fi
  if have skopeo; then skopeo_checks; fi
  if have buildah; then
    check "buildah pull" buildah pull "$HUB"
    check "buildah from, the other registry" buildah from --pull-always "$LOCAL"
  fi
  ecr_checks
  run_checks
  more_checks
  check "no secret anywhere in HOME, the temp folder, the engines' storage, logs or output" no_secret
}

#### docker: every CLI found, one engine

docker_engine() {
  check "$CLI pull, credential from OpenBao" fresh_pull "$HUB"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$SWAPPED check "$CLI pull, credential from Secrets Manager" fresh_pull "$HUB"
  CI_USER=acme-ci CI_PASSWORD=$HUB_PASSWORD DOCKER_CREDENTIAL_LEASE_CONFIG=$FROM_ENV \
    check "$CLI pull, credential from the environment" fresh_pull "$HUB"
  check "$CLI pull with no config, by DOCKERHUB_USERNAME and DOCKERHUB_TOKEN" without_config fresh_pull "$HUB"
  check "$CLI pulls from two registries at once, each with its own credential" pull_both
  check "$CLI push" push
  # The classic builder asks differently from a pull: list, then get for each name.
  check "$CLI build FROM a private image (classic builder)" build
  # The secret is wrong, or not there. A pull with a CLI before 29 hides what a helper says; create does not since 28.1.
  DOCKER_CREDENTIAL_LEASE_CONFIG=$WRONG refused "$CLI pull, a wrong password stored" "unauthorized: authentication required" fresh_pull "$HUB"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$GONE refused "$CLI pull, the secret is missing" "$NO_ENTRY|secret/data/acme/none" fresh_pull "$HUB"
  if at_least 28.1; then
    DOCKER_CREDENTIAL_LEASE_CONFIG=$GONE refused "$CLI create says why: the secret is missing" "secret/data/acme/none" create
  fi
  # Without this one, nothing above would show that it was the helper.
  DOCKER_CONFIG=$PLAIN refused "$CLI pull without the helper" "$NO_ENTRY" fresh_pull "$HUB"
  check "$CLI config.json is byte for byte as it was" cmp "$HOME/.docker/config.json" "$WORLD/config.json"
}

no_images() { # so that a pull is one
  local images
  mapfile -t images < <(docker image ls -aq | sort -u)
  [ ${#images[@]} = 0 ] || docker rmi -f "${images[@]}" >/dev/null 2>&1
}

fresh_pull() { # IMAGE
  no_images
  docker pull "$1" && docker image inspect --format '{{.RepoDigests}}' "$1"
}

pull_both() {
  no_images
  docker pull "$HUB" & local hub=$! status=0
  docker pull "$LOCAL" || status=1
  wait "$hub" && [ $status = 0 ] && docker image inspect --format '{{.RepoDigests}}' "$HUB" "$LOCAL"
}

push() {
  local name=acme/pushed tag
  tag=$(tr -c 'a-z0-9.\n' - <<<"${CLI##* }")
  fresh_pull "$HUB" && docker tag "$HUB" "docker.io/$name:$tag" && docker push "docker.io/$name:$tag" &&
    curl_as acme-ci "$HUB_PASSWORD" "https://$HUB_HOST/v2/$name/manifests/$tag"
}

build() {
  no_images
  DOCKER_BUILDKIT=0 docker build --pull --network none -t acme/built "$WORLD/build"
}

create() { no_images; docker create "$HUB"; }

# What the CLI does by itself. The engine is only asked first for a login, and left out if it is not there.
docker_without_engine() {
  check "$CLI manifest inspect" docker manifest inspect "$HUB"
  check "$CLI manifest inspect, the other registry" docker manifest inspect "$LOCAL"
  check "$CLI login with the password that is stored" login "" acme-ci "$HUB_PASSWORD"
  check "$CLI login at the other registry" login localhost:5000 robot "$LOCAL_PASSWORD"
  check "$CLI login wrote no secret" no_login_in "$HOME/.docker/config.json" credsStore
  check "$CLI logout" quiet docker logout
  check "$CLI logout at the other registry" quiet docker logout localhost:5000
  check "$CLI after logout the helper still answers" docker manifest inspect "$HUB"
}

docker_refusals() {
  DOCKER_CONFIG=$PLAIN refused "$CLI manifest inspect without the helper" "$NO_ENTRY|no such manifest" docker manifest inspect "$HUB"
  refused "$CLI login with a wrong password" "$NO_ENTRY" login "" acme-ci "$HUB_PASSWORD-not"
  # Right for the registry, but not what OpenBao holds: it must not look as if it were kept.
  refused "$CLI login as somebody else: nothing is stored" "Error saving credentials: $HELPER_SAYS" login "" acme-dev "$OTHER_PASSWORD"
  check "$CLI after all that the config holds no secret" no_login_in "$HOME/.docker/config.json" credsStore
}

login() { printf %s "$3" | docker login ${1:+"$1"} -u "$2" --password-stdin; } # SERVER USER PASSWORD

# logout reports a helper's failure as a warning only, with exit code 0.
quiet() {
  local out status=0
  out=$("$@" 2>&1) || status=1
  say "$out"
  [ $status = 0 ] && ! grep -qi warning <<<"$out"
}

# The clients themselves note an empty {} for each login; a login without a helper would write "auth".
no_login_in() { # FILE KEY, which must still name the helper
  cat "$1"
  grep -q "\"$2\": *\"lease\"" "$1" && ! grep -Eiq '"(auth|identitytoken|registrytoken|password)"' "$1"
}

# The search for secrets must be able to find one: a login without the helper leaves one.
docker_control() {
  DOCKER_CONFIG=$PLAIN refused "control: a login without the helper leaves a secret, and the search finds it" \
    "plain/config.json" login_and_search
  say '{}' >"$PLAIN/config.json"
}

login_and_search() { login "" acme-ci "$HUB_PASSWORD" && no_secret; }
#### podman, skopeo, buildah: credHelpers from auth.json, and the helper's own words when it fails

podman_checks() {
  check "podman pull, credential from OpenBao" podman pull "$HUB"
  podman rmi -f "$HUB" >/dev/null 2>&1 || true
  DOCKER_CREDENTIAL_LEASE_CONFIG=$SWAPPED check "podman pull, credential from Secrets Manager" podman pull "$HUB"
  check "podman pull, the other registry" podman pull "$LOCAL"
  check "podman build FROM a private image" podman build --pull-always --network none -t acme/built "$WORLD/build"
  check "podman auth.json is byte for byte as it was" cmp "$REGISTRY_AUTH_FILE" "$WORLD/auth.json"
  check "podman login with the password that is stored" podman_login docker.io acme-ci "$HUB_PASSWORD"
  refused "podman login with a wrong password" "invalid username/password" podman_login docker.io acme-ci "$HUB_PASSWORD-not"
  refused "podman login as somebody else: nothing is stored" "$HELPER_SAYS" podman_login docker.io acme-dev "$OTHER_PASSWORD"
  check "podman logout" podman logout docker.io
  check "podman login and logout left no secret" no_login_in "$REGISTRY_AUTH_FILE" docker.io
}

podman_login() { printf %s "$3" | podman login "$1" -u "$2" --password-stdin; } # SERVER USER PASSWORD

skopeo_checks() {
  check "skopeo inspect" skopeo inspect "docker://$HUB"
  check "skopeo copy from one registry to the other" skopeo copy "docker://$HUB" docker://localhost:5000/acme/copied:1
  DOCKER_CREDENTIAL_LEASE_CONFIG=$WRONG refused "skopeo inspect, a wrong password stored" "$NO_ENTRY" skopeo inspect "docker://$HUB"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$GONE refused "skopeo inspect says why: the secret is missing in OpenBao" \
    "vault.*secret/data/acme/none" skopeo inspect "docker://$HUB"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$GONE refused "skopeo inspect says why: the secret is missing in Secrets Manager" \
    "aws-secrets-manager.*acme/none.*ResourceNotFoundException" skopeo inspect "docker://$LOCAL"
  REGISTRY_AUTH_FILE=$PLAIN/config.json refused "skopeo inspect without the helper" "$NO_ENTRY" skopeo inspect "docker://$HUB"
}

#### What is left on disk

# The servers' files are searched as well: they hold hashes. `<&>` may have been escaped, so it is left out of the search.
no_secret() {
  local user password found
  found=$(grep -rlsF -D skip -f <(while read -r user password; do
    say "${password%%<*}"
    say "$(printf '%s:%s' "$user" "$password" | base64 -w0 | tr -d =)"
  done <<<"$USERS") "$WORLD" /run || true)
  say "$found"
  [ -z "$found" ]
}

#### The set-up

requirements() {
  local built tool
  BIN=${BIN:-}
  for tool in $(missing unshare setpriv mount openssl curl htpasswd docker-registry bao moto_server); do
    skip "everything: not installed: $tool"
  done
  if ! real_root || ! unshare --mount --net --pid --fork true; then skip "everything: needs root and namespaces"; fi
  for built in "$REPO"/target/{debug,release}/docker-credential-lease; do
    if [ -z "$BIN" ] && [ -x "$built" ]; then BIN=$built; fi
  done
  [ -x "$BIN" ] || { failed=1; say "FAIL the helper: no executable at '$BIN'; cargo build makes it"; }
  BIN=$(realpath -m "$BIN")
  if [ "$skipped" != 0 ] || [ "$failed" != 0 ]; then finish; fi
}

servers() {
  # `<&>` is what Go's JSON escapes on its way to `store`.
  HUB_PASSWORD="$(openssl rand -hex 12)<&>" LOCAL_PASSWORD="$(openssl rand -hex 12)<&>" OTHER_PASSWORD="$(openssl rand -hex 12)<&>"
  USERS=$(printf '%s %s\n' acme-ci "$HUB_PASSWORD" robot "$LOCAL_PASSWORD" acme-dev "$OTHER_PASSWORD")
  world_registry docker.io "$HUB_HOST" acme-ci "$HUB_PASSWORD" acme-dev "$OTHER_PASSWORD"
  world_registry local localhost:5000 robot "$LOCAL_PASSWORD"
  world_image "$HUB_HOST" acme-ci "$HUB_PASSWORD"
  world_image localhost:5000 robot "$LOCAL_PASSWORD"
  world_openbao
  bao_secret acme/hub acme-ci "$HUB_PASSWORD"
  bao_secret acme/local robot "$LOCAL_PASSWORD"
  bao_secret acme/wrong acme-ci "not-the-password"
  world_moto
  aws_secret acme/hub acme-ci "$HUB_PASSWORD"
  aws_secret acme/local robot "$LOCAL_PASSWORD"
  ENGINE='' CLIS=()
  have docker || return 0
  mapfile -t CLIS < <(type -ap docker | xargs -r realpath | sort -u)
  if have dockerd && world_dockerd; then ENGINE=1; return; fi
  skip "docker pull, push and build: NO ENGINE, falling back to what the CLI does by itself: login, logout, manifest inspect"
}

clients_home() {
  PATH=$WORLD/bin:$PATH PLAIN=$WORLD/plain
  ln -s "$BIN" "$WORLD/bin/docker-credential-lease"
  mkdir -p "$HOME/.docker" "$HOME/.config/docker-credential-lease" "$PLAIN" "$WORLD/build"
  printf 'FROM %s\nCOPY Dockerfile /\nLABEL built=1\n' "$HUB" >"$WORLD/build/Dockerfile"
  printf '{\n\t"credsStore": "lease"\n}\n' | tee "$WORLD/config.json" >"$HOME/.docker/config.json"
  say '{}' >"$PLAIN/config.json"
  export REGISTRY_AUTH_FILE=$HOME/auth.json
  printf '{\n\t"credHelpers": {\n\t\t"docker.io": "lease",\n\t\t"localhost:5000": "lease"\n\t}\n}' | tee "$WORLD/auth.json" >"$REGISTRY_AUTH_FILE"

  local rules=$HOME/.config/docker-credential-lease
  SWAPPED=$rules/swapped.toml WRONG=$rules/wrong.toml GONE=$rules/gone.toml FROM_ENV=$rules/env.toml
  { from_vault docker.io acme/hub; from_aws localhost:5000 acme/local; } >"$rules/config.toml"
  { from_vault localhost:5000 acme/local; from_aws docker.io acme/hub; } >"$SWAPPED"
  { from_vault docker.io acme/none; from_aws localhost:5000 acme/none; } >"$GONE"
  from_vault docker.io acme/wrong >"$WRONG"
  printf '[registry."docker.io"]\nsource = "env"\nusername-env = "CI_USER"\npassword-env = "CI_PASSWORD"\n' >"$FROM_ENV"

  export VAULT_ADDR=$BAO_URL VAULT_TOKEN=$PULL_TOKEN
  export AWS_ENDPOINT_URL=$MOTO_URL AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=eu-west-1 AWS_EC2_METADATA_DISABLED=true
}

from_vault() { printf '[registry."%s"]\nsource = "vault"\npath = "secret/data/%s"\n\n' "$@"; }
from_aws() { printf '[registry."%s"]\nsource = "aws-secrets-manager"\nsecret = "%s"\n\n' "$@"; }

without_config() { # CMD…: a HOME where no config of the helper lies
  local DOCKER_CONFIG=$HOME/.docker HOME=$WORLD/tmp DOCKERHUB_USERNAME=acme-ci DOCKERHUB_TOKEN=$HUB_PASSWORD
  export DOCKER_CONFIG HOME DOCKERHUB_USERNAME DOCKERHUB_TOKEN
  "$@"
}

# Nothing that hangs may hold up the run.
docker() { timeout 60 "$DOCKER" "$@"; }
podman() { timeout 60 podman --root "$WORLD/podman" --runroot /run/podman --storage-driver vfs --cgroup-manager cgroupfs "$@"; }
buildah() { timeout 60 buildah --root "$WORLD/buildah" --runroot /run/buildah --storage-driver vfs "$@"; }
skopeo() { timeout 60 skopeo "$@"; }

at_least() { [ "$(printf '%s\n' "$1" "${CLI##* }" | sort -V | head -n 1)" = "$1" ]; }

#### Checks

HELPER_SAYS='error storing credentials - err: exit status 1, out: `.'
NO_ENTRY='unauthorized|denied|no basic auth credentials|authentication required|incorrect username or password|invalid username/password'

check() { # NAME CMD…
  if "${@:2}" >"$WORLD/out" 2>&1; then verdict ok "$1"; else verdict FAIL "$1"; fi
}

refused() { # NAME PATTERN CMD…: it must fail, and say so
  if "${@:3}" >"$WORLD/out" 2>&1; then verdict FAIL "$1" "it succeeded"
  elif grep -Eiq -- "$2" "$WORLD/out"; then verdict ok "$1"
  else verdict FAIL "$1" "it failed, but does not say: $2"; fi
}

verdict() { # ok|FAIL NAME [REASON]
  cat "$WORLD/out" >>"$WORLD/output.log"
  say "$1 $2"
  if [ "$1" = ok ]; then passed=$((passed + 1)); return; fi
  failed=$((failed + 1))
  { say "${3:-it failed}:"; cat "$WORLD/out"; } | sed 's/^/    /'
}

have() { # a file: some functions here have the same names
  [ -n "$(type -P "$1")" ] || { skip "$1: not installed"; return 1; }
}

skip() { # WHAT AND WHY
  if [ "${REQUIRE_ALL:-}" = 1 ]; then say "FAIL $1"; failed=$((failed + 1)); else say "SKIPPED $1"; skipped=$((skipped + 1)); fi
}

finish() {
  local status=${broke_off:-0}
  trap - EXIT
  if [ "$status" != 0 ]; then
    failed=$((failed + 1))
    say "FAIL the run broke off with exit code $status"
  fi
  say "$passed passed, $failed failed$([ "$skipped" = 0 ] || say ", $skipped skipped")"
  exit $((failed > 0))
}

main "$@"
