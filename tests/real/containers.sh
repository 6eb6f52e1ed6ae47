# shellcheck shell=bash
# Sourced by more.sh: podman, skopeo and buildah by registries.conf, and podman --remote.
#
# shellcheck disable=SC2154  # the variables are clients.sh's

containers_checks() {
  local client
  for client in podman skopeo buildah; do
    have "$client" || continue
    as_file auth.json
    check "$client by auth.json, docker.io with tokens" "${client}_pull" "$HUB"
    as_registries_conf
    check "$client by registries.conf, docker.io" "${client}_pull" "$HUB"
    check "$client by registries.conf, localhost:5000" "${client}_pull" "$LOCAL"
    DOCKER_CREDENTIAL_LEASE_CONFIG=$ONLY_LOCAL check "$client by registries.conf, a public image of a registry without a rule" \
      "${client}_pull" "$PUBLIC"
    DOCKER_CREDENTIAL_LEASE_CONFIG=$GONE refused "$client by registries.conf says why: the secret is missing" \
      "secret/data/acme/none" "${client}_pull" "$HUB"
    rm -r "$HOME/.config/containers"
    refused "control: $client without the helper" "$NO_ENTRY" "${client}_pull" "$HUB"
  done
}

as_file() { # NAME: ~/.config/containers/NAME is what the chapter says, and nothing else is there
  export REGISTRY_AUTH_FILE=$HOME/.config/containers/$1
  rm -rf "$HOME/.config/containers"
  mkdir -p "$HOME/.config/containers"
  block "$(chapter_of podman)" json >"$REGISTRY_AUTH_FILE"
  unwired
}

REGISTRIES_CONF=$HOME/.config/containers/registries.conf.d/lease.conf

as_registries_conf() {
  unset REGISTRY_AUTH_FILE
  rm -rf "$HOME/.config/containers"
  mkdir -p "$HOME/.config/containers/registries.conf.d"
  block "$(chapter_of podman)" ini >"$REGISTRIES_CONF"
  unwired
}

podman_pull() { podman rmi -f "$1" >/dev/null 2>&1 || true; podman pull "$1"; }
buildah_pull() { buildah pull --policy always "$1"; }
skopeo_pull() { skopeo copy "docker://$1" "dir:$(mktemp -d)"; }

podman_remote_checks() {
  local rules=$HOME/.config/docker-credential-lease/remote.toml
  # No helper and no login where the service runs.
  podman_service "${PATH#"$WORLD/bin:"}" "$WORLD/tmp" || { skip "podman --remote: its service does not start here"; return; }
  as_file auth.json
  check "podman --remote, docker.io" podman_remote_pull "$HUB"
  check "podman --remote, localhost:5000" podman_remote_pull "$LOCAL"
  check "podman --remote build FROM a private image" \
    podman_remote build --pull-always --network none -t acme/built "$WORLD/build"
  as_registries_conf
  refused "podman --remote by registries.conf wants bare hosts" "contains http" podman_remote_pull "$HUB"
  { block "$(chapter_of podman)" toml; cat "$HOME/.config/docker-credential-lease/config.toml"; } >"$rules"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$rules check "podman --remote by registries.conf with list-keys, docker.io" podman_remote_pull "$HUB"
  DOCKER_CREDENTIAL_LEASE_CONFIG=$rules check "podman --remote by registries.conf with list-keys, localhost:5000" podman_remote_pull "$LOCAL"
  rm -r "$HOME/.config/containers"
  refused "control: podman --remote without the helper" "$NO_ENTRY" podman_remote_pull "$HUB"
  podman_helper_on_both_sides
}

# The service's own rule is for one registry, and holds another credential than the client sends.
podman_helper_on_both_sides() {
  local home=$WORLD/tmp/service
  mkdir -p "$home/.config/docker-credential-lease" "$home/.config/containers/registries.conf.d"
  from_vault localhost:5000 acme/wrong >"$home/.config/docker-credential-lease/config.toml"
  as_registries_conf
  cp "$REGISTRIES_CONF" "$home/.config/containers/registries.conf.d/"
  as_file auth.json
  podman_service "$PATH" "$home" "VAULT_ADDR=$VAULT_ADDR" "VAULT_TOKEN=$VAULT_TOKEN"
  refused "podman --remote, the helper also in the service's registries.conf: what is sent is stored there" \
    "error storing credentials" podman_remote_pull "$LOCAL"
  rm -r "$home/.config/containers/registries.conf.d"
  cp "$REGISTRY_AUTH_FILE" "$home/.config/containers/auth.json"
  podman_service "$PATH" "$home" "VAULT_ADDR=$VAULT_ADDR" "VAULT_TOKEN=$VAULT_TOKEN"
  check "podman --remote, the helper also in the service's auth.json: what is sent counts" podman_remote_pull "$LOCAL"
}

podman_service() { # PATH HOME VARIABLE…; the one before ends
  if [ -n "${service:-}" ]; then { kill "$service" && wait "$service"; } || true; fi
  mkdir -p /run/podman
  start podman env -i PATH="$1" HOME="$2" "${@:3}" podman --root "$WORLD/podman" --runroot /run/podman --storage-driver vfs \
    --cgroup-manager cgroupfs system service --time 0 unix:///run/podman/podman.sock
  service=$started
  wait_for podman "$service" podman_remote version
}

podman_remote() { timeout 60 podman --remote --url unix:///run/podman/podman.sock "$@"; }
podman_remote_pull() { podman_remote rmi -f "$1" >/dev/null 2>&1 || true; podman_remote pull "$1"; }

