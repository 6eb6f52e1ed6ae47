# shellcheck shell=bash
# Sourced by more.sh: two identities for one registry. acme-pull may only pull, acme-ci also push; auth.docker.io's log
# tells who asked for what.
#
# shellcheck disable=SC2154  # the variables are clients.sh's

two_identities() {
  local chapter="two identities for one registry" rules=$HOME/.config/docker-credential-lease
  block "$chapter" toml >"$rules/config.toml"
  block "$chapter" toml 2 >"$rules/push.toml"
  block "$chapter" sh >"$WORLD/bin/docker-credential-push"
  chmod +x "$WORLD/bin/docker-credential-push"
  mkdir -p "$HOME/.docker-push"
  block "$chapter" json >"$HOME/.docker-push/config.json"
  as_file auth.json
  block "$chapter" json 2 >"$HOME/.config/containers/push.json"
  if have skopeo; then
    check "two identities: skopeo copy pulls as one and pushes as the other" pulled_and_pushed skopeo copy \
      --dest-authfile "$HOME/.config/containers/push.json" "docker://$HUB" docker://docker.io/acme/by-skopeo:1
    refused "control: skopeo copy with the one alone" "denied|unauthorized" skopeo copy "docker://$HUB" docker://docker.io/acme/by-skopeo:2
  fi
  wire docker
  if [ -n "$ENGINE" ]; then
    check "two identities: docker pulls as one and pushes as the other" pulled_and_pushed docker_pull_and_push "$HOME/.docker-push"
    check "two identities: docker pushes as the other by the variable alone" docker_push_by_variable
    refused "control: docker push with the one alone" "denied|unauthorized" docker push docker.io/acme/by-docker:1
  fi
}

pulled_and_pushed() { # CMD…
  local log=$WORLD/servers/auth.log before
  before=$(wc -l <"$log")
  "$@" || return
  tail -n "+$((before + 1))" "$log" | tee "$WORLD/tmp/asked"
  grep -q '^acme-pull .*acme/hello:pull$' "$WORLD/tmp/asked" && grep -Eq '^acme-ci .*acme/by-[a-z]*:(pull,push|push,pull)' "$WORLD/tmp/asked"
}

docker_pull_and_push() {
  fresh_pull "$HUB" && docker tag "$HUB" docker.io/acme/by-docker:1 && DOCKER_CONFIG=$1 docker push docker.io/acme/by-docker:1
}

docker_push_by_variable() {
  docker tag "$HUB" docker.io/acme/by-docker:2 &&
    DOCKER_CREDENTIAL_LEASE_CONFIG=$HOME/.config/docker-credential-lease/push.toml docker push docker.io/acme/by-docker:2
}

