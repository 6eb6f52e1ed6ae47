# shellcheck shell=bash
# Sourced by more.sh: what each client's login and logout come to under each `store` policy. The tables of docs/logins.md
# are made here and must be what stands there; `clients.sh logins` writes them anew.
#
# shellcheck disable=SC2016,SC2034,SC2154  # cells are in backticks; the variables are clients.sh's

LOGINS=$REPO/docs/logins.md
MADE='<!-- Made by the test: bash tests/real/clients.sh logins -->'
POLICIES=('store = "refuse"' 'store = "ignore"')

logins_checks() { # [logins]
  local tables=$WORLD/tmp/tables policy client
  OTHER=robot-dev DEV_PASSWORD="$(openssl rand -hex 12)<&>"
  USERS=$(say "$USERS"; say "$OTHER $DEV_PASSWORD")
  printf %s "$DEV_PASSWORD" | htpasswd -niB "$OTHER" >>"$WORLD/servers/local/htpasswd"
  for policy in "${POLICIES[@]}"; do
    { from_vault localhost:5000 acme/login; say "$policy"; } >"$WORLD/tmp/policy.toml"
    say
    say "## ${policy//$'\n'/, }"
    say
    say "| client | command | exit code | the source then | the client's file then | printed |"
    say '|---|---|---|---|---|---|'
    DOCKER_CREDENTIAL_LEASE_CONFIG=$WORLD/tmp/policy.toml all_rows
  done >"$tables"
  if [ "${1:-}" = logins ]; then
    sed "\|^$MADE\$|q" "$LOGINS" | cat - "$tables" >"$WORLD/tmp/logins.md"
    cat "$WORLD/tmp/logins.md" >"$LOGINS"
  fi
  while read -r client; do
    grep -qF "| $client |" "$LOGINS" || skip "docs/logins.md: it has no $client; clients.sh logins makes it anew"
  done < <(sed -n 's/^| \([a-z]* [0-9][^|]*\) |.*/\1/p' "$tables" | sort -u)
  check "docs/logins.md says what login and logout come to" same_tables "$tables"
}

all_rows() {
  local DOCKER client
  for DOCKER in "${CLIS[@]}"; do
    rows "docker $(docker version --format '{{.Client.Version}}' 2>/dev/null || true)" docker login logout
  done
  if have podman; then
    rows "podman $(podman --version | grep -o '[^ ]*$')" podman login logout "logout --all"
    rows "podman $(podman --version | grep -o '[^ ]*$'), registries.conf" podman login "logout --all"
    rows "podman $(podman --version | grep -o '[^ ]*$'), registries.conf with containers-auth.json" podman login "logout --all"
  fi
  if have skopeo; then rows "skopeo $(skopeo --version | awk '{ print $3 }')" skopeo login logout "logout --all"; fi
  if have oras; then rows "oras $(oras version | awk '/^Version/ { print $2 }')" oras login logout; fi
  if have crane; then rows "crane $(crane version | tr -d v)" crane "auth login" "auth logout"; fi
}

rows() { # CLIENT CMD VERB…
  local verb
  for verb in "${@:3}"; do
    case $verb in
      *login)
        row "$1" "$2 $verb" "with what the source holds" robot "$LOCAL_PASSWORD"
        row "$1" "$2 $verb" "with another" "$OTHER" "$DEV_PASSWORD"
        ;;
      *) row "$1" "$2 $verb" "" ;;
    esac
  done
}

row() { # CLIENT COMMAND GIVEN [USER PASSWORD]; the source holds robot's
  local words out status=0
  read -ra words <<<"$2"
  case $2 in *--all) ;; *) words+=(localhost:5000) ;; esac
  case $2 in oras*login) words+=(--plain-http=false) ;; esac
  if [ -n "${4:-}" ]; then words+=(-u "$4" --password-stdin); fi
  bao_secret acme/login robot "$LOCAL_PASSWORD"
  wire docker
  case $1 in *registries.conf*) as_registries_conf ;; podman* | skopeo*) as_file auth.json ;; esac
  case $1 in podman* | skopeo*) rm "$HOME/.docker/config.json"; unset DOCKER_CONFIG ;; esac
  case $1 in *containers-auth.json) sed -i 's/\["lease"/["containers-auth.json", "lease"/' "$REGISTRIES_CONF" ;; esac
  out=$(printf %s "${5:-}" | "${words[@]}" 2>&1) || status=$?
  say "$out" >>"$WORLD/output.log"
  printf '| %s | `%s`%s | %s | %s | %s | %s |\n' "$1" "$2" "${3:+ $3}" "$status" "$(source_then)" "$(files_then "$1")" "$(as_code "$out")"
}

source_then() {
  local held
  held=$(bao_api GET secret/data/acme/login) || { say "nothing"; return; }
  case $held in
    *'"password":"'"$(sed 's/</\\u003c/; s/&/\\u0026/; s/>/\\u003e/' <<<"$LOCAL_PASSWORD")"'"'*'"username":"robot"'*) say "as it was" ;;
    *'"username":"'"$OTHER"'"'*) say "the new one" ;;
    *) say "something else" ;;
  esac
}

# Clients note an empty entry for a login; what counts is whether the helper is still asked, and whether a secret is there.
files_then() { # CLIENT
  local file=$HOME/.docker/config.json found
  case $1 in *registries.conf*) file=$REGISTRIES_CONF ;; podman* | skopeo*) file=$REGISTRY_AUTH_FILE ;; esac
  found=$(no_secret) || { say "**holds the secret**"; xargs rm <<<"$found"; return; }
  if grep -q '"lease"' "$file"; then say "names the helper"; else say "no longer names the helper"; fi
}

as_code() { # TEXT: as a table's cell, without what is another at each run
  local text
  text=$(sed -E 's/^time="[^"]*" //; s,^[0-9]{4}/[0-9/]* [0-9:]* ,,; s/localhost:5000/registry.example.com:5000/g' <<<"$1" | tr -s '\n\t ' ' ')
  text=${text//"$HOME"/\~} text=${text//|/\\|} text=${text% }
  if [ -n "$text" ]; then printf '`` %s ``' "$text"; fi
}

# A client that is here or there in another version only is left out of both.
same_tables() { # TABLES
  diff <(sed "1,\|^$MADE\$|d" "$LOGINS" | of_those_in "$1") <(of_those_in "$LOGINS" <"$1")
}

of_those_in() { # FILE: the lines of stdin, but for rows whose client has none in FILE
  local line
  while IFS= read -r line; do
    if [[ $line != '| '*[0-9].[0-9]* ]] || grep -qF "| $(client_of "$line") |" "$1"; then say "$line"; fi
  done
}

client_of() { local rest=${1#| }; say "${rest%% |*}"; }
