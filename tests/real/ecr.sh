# shellcheck shell=bash
# Sourced by clients.sh: a registry that is called as a private one of Amazon ECR is, and lets in who has moto's token.
#
# shellcheck disable=SC2034,SC2154  # WORLD, DOCKER and the like are clients.sh's and world.sh's

ecr_checks() {
  local token=123456789012-auth-token image=$ECR_HOST/acme/hello:1 rules=$HOME/.config/docker-credential-lease/ecr.toml
  world_registry ecr "$ECR_HOST" AWS "$token"
  world_image "$ECR_HOST" AWS "$token"
  USERS+=$'\n'"AWS $token"  # no_secret looks for it too
  printf '[registry."*.dkr.ecr.*.amazonaws.com"]\nsource = "ecr"\n' >"$rules"
  printf '{"credHelpers": {"%s": "lease"}}\n' "$ECR_HOST" >"$WORLD/ecr-auth.json"
  local DOCKER_CREDENTIAL_LEASE_CONFIG=$rules REGISTRY_AUTH_FILE=$WORLD/ecr-auth.json
  export DOCKER_CREDENTIAL_LEASE_CONFIG REGISTRY_AUTH_FILE
  for DOCKER in "${CLIS[@]}"; do
    CLI="docker $(docker version --format '{{.Client.Version}}' 2>/dev/null || true)"
    if [ -n "$ENGINE" ]; then
      check "$CLI pull from ECR" fresh_pull "$image"
      check "$CLI pull from ECR with no config, by the built-in default" ecr_without_config fresh_pull "$image"
    fi
    check "$CLI manifest inspect, ECR" docker manifest inspect "$image"
    DOCKER_CONFIG=$PLAIN refused "$CLI manifest inspect, ECR, without the helper" "$NO_ENTRY|no such manifest" docker manifest inspect "$image"
    check "$CLI login at ECR as AWS" login "$ECR_HOST" AWS "$token"
    check "$CLI logout at ECR" quiet docker logout "$ECR_HOST"
  done
  if have podman; then check "podman pull from ECR" podman pull "$image"; fi
  if have skopeo; then
    check "skopeo copy from and to ECR" skopeo copy "docker://$image" "docker://$ECR_HOST/acme/copied:1"
    AWS_SECRET_ACCESS_KEY='' AWS_ACCESS_KEY_ID='' refused "skopeo inspect says why: no AWS credentials" \
      "ecr: 123456789012 in us-east-1: no AWS credentials" skopeo inspect "docker://$image"
  fi
}

ecr_without_config() { # CMD…
  local DOCKER_CREDENTIAL_LEASE_CONFIG=
  export DOCKER_CREDENTIAL_LEASE_CONFIG
  without_config "$@"
}
