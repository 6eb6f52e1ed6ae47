# shellcheck shell=bash
# Sourced by more.sh: the clients that are libraries of a language. With an engine they pull; a look-up alone counts by
# what it found, which must open the image.
#
# shellcheck disable=SC2154  # the variables are clients.sh's

PROGRAMS=$REPO/tests/real/programs

docker_py_checks() {
  if ! python3 -c 'import docker' 2>/dev/null; then skip "docker-py: not installed"; return; fi
  if [ -z "$ENGINE" ]; then client_checks docker-py docker-py found_by docker_py look-up; return; fi
  client_checks docker-py docker-py docker_py pull
  check "docker-py build FROM a private image" docker_py_build
}

docker_py() { timeout 60 python3 "$PROGRAMS/docker_py.py" "$@"; }
docker_py_build() { no_images; docker_py build "$WORLD/build"; }

testcontainers_checks() {
  export TESTCONTAINERS=$REPO/target/clients/node/node_modules/testcontainers
  have node || return 0
  if ! [ -e "$TESTCONTAINERS/package.json" ]; then skip "testcontainers: not installed"; return; fi
  local way=(found_by testcontainers look-up)
  if [ -n "$ENGINE" ]; then way=(testcontainers pull); fi
  SWALLOWS=1 client_checks testcontainers "testcontainers for Node" "${way[@]}"
  check "testcontainers for Node, an image that names no registry" found_by testcontainers look-up acme/hello:1
}

testcontainers() { timeout 60 node "$PROGRAMS/testcontainers.cjs" "$@"; }

docker_credential_checks() {
  DOCKER_CREDENTIAL=$(dirname "$BIN")/examples/docker_credential
  if ! [ -x "$DOCKER_CREDENTIAL" ]; then skip "docker_credential: not there; cargo build --examples makes it"; return; fi
  SWALLOWS=1 client_checks docker_credential "docker_credential (testcontainers for Rust)" found_by docker_credential look-up
}

docker_credential() { # look-up IMAGE: by the names that testcontainers gives the registries
  case $2 in docker.io/*) "$DOCKER_CREDENTIAL" index.docker.io ;; *) "$DOCKER_CREDENTIAL" "${2%%/*}" ;; esac
}

# found_by LOOK-UP… IMAGE: what it prints, a name and a password, opens the image. For the public one it must print nothing.
found_by() {
  local image=${*: -1} found user password
  found=$("$@") || return
  if [ "$image" = "$PUBLIC" ]; then [ -z "$found" ]; return; fi
  [ -n "$found" ] || { say "nothing found"; return 1; }
  { read -r user; read -r password; } <<<"$found"
  case $image in
    "$LOCAL") curl_as "$user" "$password" "https://localhost:5000/v2/acme/hello/manifests/1" ;;
    *) curl_as "$user" "$password" -o /dev/null "https://auth.docker.io/token?service=registry.docker.io&scope=repository:acme/hello:pull" ;;
  esac
}
