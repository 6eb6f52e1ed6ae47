# shellcheck shell=bash
# `run`: one command with an agent of its own, sourced by clients.sh. Each look-up has a one-time password made that no other
# look-up gets, and the registry lets in the first one only: what pulls ten times has asked once.
#
# shellcheck disable=SC2154  # $BIN, $ENGINE and the like are the sourcing script's

# Compose, as plugins.sh builds it, and buildx where it was asked to.
PLUGINS=$REPO/target/clients/plugins
# Done inside: lets the password in that the command will pull with.
# shellcheck disable=SC2016 # the inner shell expands it
LET_IN='{ echo docker.io | docker-credential-lease get | sed "s/.*\"Secret\":\"\([^\"]*\)\".*/\1/" | htpasswd -niB otp-user; } >>"$let_in"'

run_checks() {
  world_otp
  local i rules=$HOME/.config/docker-credential-lease
  for i in {1..10}; do world_image "$HUB_HOST" acme-ci "$HUB_PASSWORD" "acme/app$i"; done
  printf '[registry."docker.io"]\nsource = "vault"\npath = "ssh/creds/pull"\nmethod = "POST"\nbody = { ip = "127.0.0.1" }\npassword-key = "key"\n' >"$rules/otp.toml"
  from_vault docker.io acme/hub >"$rules/hub.toml"
  local VAULT_TOKEN=$OTP_TOKEN DOCKER_CREDENTIAL_LEASE_CONFIG=$rules/otp.toml
  export DOCKER_CREDENTIAL_LEASE_CONFIG
  plugins
  cp "$HOME/.docker/config.json" "$WORLD/config.before"
  cp "$REGISTRY_AUTH_FILE" "$WORLD/auth.before"
  if [ -n "$ENGINE" ]; then
    for DOCKER in "${CLIS[@]}"; do
      CLI="docker $(docker version --format '{{.Client.Version}}' 2>/dev/null || true)"
      no_images
      check "run: ten pulls at once with $CLI are one lease, and none afterwards" ten_at_once "$DOCKER" pull
      if has_plugin docker-compose; then compose_checks; fi
      if [ -x "$PLUGINS/docker-buildx" ]; then buildx_checks; fi
    done
    if has_plugin docker-compose; then compose_signals; fi
  fi
  if have podman; then
    check "run: ten pulls at once with podman are one lease, and none afterwards" \
      ten_at_once podman --root "$WORLD/podman" --runroot /run/podman --storage-driver vfs --cgroup-manager cgroupfs pull
  fi
  if have skopeo; then
    check "run: ten inspections at once with skopeo are one lease, and none afterwards" ten_at_once skopeo inspect docker://
    check "control: without run there is one for each" two_without_run
  fi
  # shellcheck disable=SC2034 # it is exported
  VAULT_TOKEN=$PULL_TOKEN DOCKER_CREDENTIAL_LEASE_CONFIG=$rules/hub.toml
  for DOCKER in "${CLIS[@]}"; do
    CLI="docker $(docker version --format '{{.Client.Version}}' 2>/dev/null || true)"
    check "run: $CLI login inside at a registry without a rule, and what it asks then" login_inside
    refused "run: $CLI afterwards knows nothing of that login" "$NO_ENTRY|no such manifest" docker manifest inspect "$LOCAL"
    DOCKER_CONFIG=$WORLD/inline check "run: $CLI finds the user's own inline login" inline_login
  done
  if have skopeo; then
    check "run: skopeo finds the login in /run/containers" login_in_runtime
  fi
  check "run: config.json and auth.json are byte for byte as they were" \
    cmp_both "$HOME/.docker/config.json" "$WORLD/config.before" "$REGISTRY_AUTH_FILE" "$WORLD/auth.before"
  check "run: no folder and no agent is left" nothing_left
}

# ends_with_no_lease CODE: what `run` ended with; the password is let in no more.
ends_with_no_lease() {
  sed -i '/^otp-user:/d' "$WORLD/servers/docker.io/htpasswd"
  echo "exit code $1, leases: $(otp_leases)"
  [ "$1" = 0 ] && [ "$(otp_leases)" = 0 ]
}

ten_at_once() { # CLIENT…: the last word may be a prefix of the image
  local prefix='' status=0
  case ${*: -1} in *://) prefix=${*: -1}; set -- "${@:1:$#-1}" ;; esac
  # shellcheck disable=SC2016 # the inner shell expands it
  timeout 120 "$BIN" run -- bash -c '
    let_in=$0 prefix=$1 pids=() status=0
    shift
    '"$LET_IN"'
    for i in {1..10}; do "$@" "${prefix}docker.io/acme/app$i:1" & pids+=($!); done
    for pid in "${pids[@]}"; do wait "$pid" || status=1; done
    docker-credential-lease agent status
    [ "$(docker-credential-lease agent status | grep -c "lease ssh/creds/pull/")" = 1 ] && exit "$status"
  ' "$WORLD/servers/docker.io/htpasswd" "$prefix" "$@" || status=$?
  ends_with_no_lease "$status"
}

two_without_run() {
  local i leases
  for i in 1 2; do skopeo inspect "docker://docker.io/acme/app$i:1" || true; done
  leases=$(otp_leases)
  say '{}' | bao_api PUT sys/leases/revoke-prefix/ssh/creds/pull
  echo "leases: $leases, then $(otp_leases)"
  [ "$leases" = 2 ] && [ "$(otp_leases)" = 0 ]
}

#### Docker's plugins: compose asks once for each image, all at once; buildx asks for its builder

plugins() { # where docker looks for a user's own
  local name
  mkdir -p "$HOME/.docker/cli-plugins" "$WORLD/compose" "$WORLD/buildx"
  for name in docker-compose docker-buildx; do
    if [ -x "$PLUGINS/$name" ]; then ln -s "$PLUGINS/$name" "$HOME/.docker/cli-plugins/$name"; fi
  done
  printf 'FROM docker.io/acme/app1:1\nCOPY Dockerfile /\n' >"$WORLD/buildx/Dockerfile"
  printf 'services:\n' >"$WORLD/compose/compose.yaml"
  printf '  app%s: { image: "docker.io/acme/app%s:1" }\n' {1,2,3,4,5,6,7,8,9,10}{,} >>"$WORLD/compose/compose.yaml"
}

has_plugin() { # said once, not for each CLI
  [ ! -e "$HOME/.docker/cli-plugins/$1" ] || return 0
  case " ${told_missing:-} " in *" $1 "*) ;; *) skip "$1: not built; tests/real/plugins.sh does it, with Go"; told_missing+=" $1" ;; esac
  return 1
}

# A pull, then ten at once by compose; the rest of the words go on from there, in a bash.
pull_and_compose() { # PROGRAM… RUN…
  # shellcheck disable=SC2016 # the inner shell expands it
  set -- "$@" -- bash -c '
    let_in=$0 docker=$1 folder=$2 ready=$3 after=$4
    '"$LET_IN"'
    "$docker" pull docker.io/acme/app1:1 && "$docker" compose --project-directory "$folder" --progress plain pull || exit
    [ "$("$docker" image ls -q "acme/*" | wc -l)" = 10 ] && eval "$after"' \
    "$WORLD/servers/docker.io/htpasswd" "$DOCKER" "$WORLD/compose" "$WORLD/tmp/ready" "$after"
  no_images
  "$@"
}

compose_checks() {
  check "run: a pull and ten by docker compose pull with $CLI are one lease, and none afterwards" compose_pull
  check "control: without run docker compose pull makes one for each" compose_without_run
}

compose_pull() {
  local status=0 after
  # shellcheck disable=SC2016 # the inner shell expands it
  after='docker-credential-lease agent status; [ "$(docker-credential-lease agent status | grep -c "lease ssh/creds/pull/")" = 1 ]'
  pull_and_compose timeout 120 "$BIN" run || status=$?
  ends_with_no_lease "$status"
}

compose_without_run() {
  local leases
  no_images
  docker compose --project-directory "$WORLD/compose" --progress plain pull --ignore-pull-failures || true
  leases=$(otp_leases)
  say '{}' | bao_api PUT sys/leases/revoke-prefix/ssh/creds/pull
  echo "leases: $leases, then $(otp_leases)"
  [ "$leases" = 10 ] && [ "$(otp_leases)" = 0 ]
}

# However it ends.
compose_signals() {
  check "run: after compose, TERM to the command leaves no lease" ended_by TERM command 143
  check "run: after compose, INT to the command leaves no lease" ended_by INT command 130
  check "run: after compose, KILL of the command leaves no lease" ended_by KILL command 137
  check "run: after compose, TERM to run leaves no lease" ended_by TERM run 143
  check "run: after compose, KILL of run leaves no lease" ended_by KILL run 137
}

ended_by() { # SIGNAL WHO CODE
  local run after command code=0 i
  # shellcheck disable=SC2016 # the inner shell expands it
  after='echo $$ >"$ready.new" && mv "$ready.new" "$ready" && exec sleep 60'
  rm -f "$WORLD/tmp/ready"
  # What a script starts in the background ignores INT, and what it starts would too.
  (pull_and_compose exec env --default-signal=INT,QUIT "$BIN" run) &
  run=$!
  for i in {1..600}; do
    if [ -e "$WORLD/tmp/ready" ] || ! kill -0 "$run" 2>/dev/null; then break; fi
    sleep 0.1
  done
  command=$(cat "$WORLD/tmp/ready") || { wait "$run"; return 1; }
  echo "leases while it runs: $(otp_leases)"
  [ "$(otp_leases)" = 1 ] || code=1
  kill -s "$1" "${!2}"
  wait "$run" || { [ $? = "$3" ] || code=1; }
  for i in {1..50}; do # whoever killed `run` itself waits for nothing
    [ "$(otp_leases)" != 0 ] || break
    sleep 0.1
  done
  kill "$command" 2>/dev/null || true # it has outlived `run`
  ends_with_no_lease "$code"
}

buildx_checks() {
  check "run: docker buildx build with $CLI FROM a private image is one lease, and none afterwards" buildx_build
  check "run: a builder and a context made inside with $CLI are there afterwards" made_inside
}

buildx_build() {
  local status=0
  no_images
  # shellcheck disable=SC2016 # the inner shell expands it
  timeout 120 "$BIN" run -- bash -c '
    let_in=$0
    '"$LET_IN"'
    "$1" buildx build --pull --no-cache --progress plain -t acme/built "$2" || exit
    docker-credential-lease agent status
    [ "$(docker-credential-lease agent status | grep -c "lease ssh/creds/pull/")" = 1 ]
  ' "$WORLD/servers/docker.io/htpasswd" "$DOCKER" "$WORLD/buildx" || status=$?
  docker image inspect --format '{{.RootFS}}' acme/built || status=1
  ends_with_no_lease "$status"
}

made_inside() {
  # shellcheck disable=SC2016 # the inner shell expands it
  timeout 60 "$BIN" run -- bash -c '
    "$0" buildx create --name made-inside && "$0" context create made-inside --docker host=unix:///run/docker.sock
  ' "$DOCKER" || return
  docker buildx ls && docker context ls || return
  docker buildx ls | grep -q '^made-inside' && docker context ls | grep -q '^made-inside' || return
  docker buildx rm made-inside && docker context rm made-inside
}

#### Logins made inside, and the user's own

login_inside() {
  # shellcheck disable=SC2016 # the inner shell expands it
  printf %s "$LOCAL_PASSWORD" | timeout 60 "$BIN" run -- bash -c '
    "$1" login localhost:5000 -u robot --password-stdin && "$1" manifest inspect "$2" && "$1" manifest inspect "$3" &&
      ! grep -Eq "\"(auth|identitytoken)\"" "$DOCKER_CONFIG/config.json" && "$1" logout localhost:5000 && ! "$1" manifest inspect "$2"
  ' bash "$DOCKER" "$LOCAL" "$HUB"
}

inline_login() { # an earlier docker login without any helper; gone again before the search for secrets
  local status=0
  mkdir -p "$DOCKER_CONFIG"
  login localhost:5000 robot "$LOCAL_PASSWORD" && cp "$DOCKER_CONFIG/config.json" "$DOCKER_CONFIG/before" || return
  timeout 60 "$BIN" run -- "$DOCKER" manifest inspect "$LOCAL" || status=1
  cmp "$DOCKER_CONFIG/config.json" "$DOCKER_CONFIG/before" || status=1
  rm -rf "$DOCKER_CONFIG"
  return "$status"
}

login_in_runtime() { # where podman and skopeo write without XDG_RUNTIME_DIR
  local status=0
  printf %s "$LOCAL_PASSWORD" | env -u REGISTRY_AUTH_FILE skopeo login localhost:5000 -u robot --password-stdin || return
  ls -l "/run/containers/$(id -u)/auth.json" || status=1
  env -u REGISTRY_AUTH_FILE timeout 60 "$BIN" run -- skopeo inspect "docker://$LOCAL" || status=1
  rm -rf "/run/containers/$(id -u)/auth.json"
  return "$status"
}

cmp_both() { cmp "$1" "$2" && cmp "$3" "$4"; }

nothing_left() {
  ! ls -d "$TMPDIR"/lease-* 2>/dev/null && ! grep -las -e '[-]-for' /proc/[0-9]*/cmdline
}
