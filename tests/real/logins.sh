# shellcheck shell=bash
# Sourced by more.sh: what each client's login and logout come to under each `store` policy. The table of docs/logins.md is
# made here and must be what stands there; `clients.sh logins` writes it anew.
#
# shellcheck disable=SC2016,SC2034,SC2154  # cells are in backticks; the variables are clients.sh's

LOGINS=$REPO/docs/logins.md
MADE='<!-- Made by the test: bash tests/real/clients.sh logins -->'
HELD=registries/localhost:5000   # the rule's secret, below secret/data/

logins_checks() { # [logins]
  local table=$WORLD/tmp/table client
  OTHER=robot-dev DEV_PASSWORD="$(openssl rand -hex 12)<&>"
  USERS=$(say "$USERS"; say "$OTHER $DEV_PASSWORD")
  printf %s "$DEV_PASSWORD" | htpasswd -niB "$OTHER" >>"$WORLD/servers/local/htpasswd"
  logins_token
  {
    under refuse 'store = "refuse"'
    under ignore 'store = "ignore"'
    under write 'store = "write"'
    under delete 'store = "write"' 'erase = "delete"'
  } | as_table >"$table"
  if [ "${1:-}" = logins ]; then
    sed "\|^$MADE\$|q" "$LOGINS" | cat - "$table" >"$WORLD/tmp/logins.md"
    cat "$WORLD/tmp/logins.md" >"$LOGINS"
  fi
  while read -r client; do
    # Another version than the one that was tried: its rows are nobody's yet.
    grep -qF "| $client |" "$LOGINS" || say "note: docs/logins.md has no $client; clients.sh logins makes it anew"
  done < <(sed -n 's/^| \([a-z]* [0-9][^|]*\) |.*/\1/p' "$table" | sort -u)
  check "docs/logins.md says what login and logout come to" same_table "$table"
}

under() { # POLICY LINE…: all rows with these lines in the rule
  { from_vault localhost:5000 "registries/{host}"; printf '%s\n' "${@:2}"; } >"$WORLD/tmp/policy.toml"
  POLICY=$1 DOCKER_CREDENTIAL_LEASE_CONFIG=$WORLD/tmp/policy.toml VAULT_TOKEN=$LOGINS_TOKEN all_rows
}

# From lines `CLIENT, COMMAND, POLICY, RESULT` with tabs between: what came to the same is one row.
as_table() {
  say
  say "| client | command | \`store\` | exit code | the source then | the client's file then | printed |"
  say '|---|---|---|---|---|---|---|'
  awk -F '\t' '
    { what = $1 FS $2; result = what FS $4 }
    !(what in seen) { seen[what]; whats[++n] = what }
    !(result in policies) { results[what] = results[what] result "\n" }
    { policies[result] = policies[result] (policies[result] == "" ? "" : ", ") $3 }
    END {
      for (i = 1; i <= n; i++) {
        count = split(results[whats[i]], list, "\n")
        for (j = 1; j < count; j++) {
          split(list[j], cell, FS)
          policy = policies[list[j]] == "refuse, ignore, write, delete" ? "any" : policies[list[j]]
          print "| " cell[1] " | " cell[2] " | " policy " | " cell[3]
        }
      }
    }'
}

# A token that may do what our own policy for such a rule says, and nothing else.
logins_token() {
  python3 -c 'import json, sys; print(json.dumps({"policy": sys.stdin.read()}))' <"$REPO/packaging/policies/vault/write-kv2.hcl" |
    bao_api PUT sys/policies/acl/logins
  LOGINS_TOKEN=$(say '{"policies":["logins"],"ttl":"1h"}' | bao_api POST auth/token/create | sed 's/.*"client_token":"\([^"]*\)".*/\1/')
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
        row "$1" "$2 $verb" "where it holds nothing" "$OTHER" "$DEV_PASSWORD"
        ;;
      *) row "$1" "$2 $verb" "" ;;
    esac
  done
}

row() { # CLIENT COMMAND GIVEN [USER PASSWORD]; the source holds robot's, or nothing
  local words out status=0
  read -ra words <<<"$2"
  case $2 in *--all) ;; *) words+=(localhost:5000) ;; esac
  case $2 in oras*login) words+=(--plain-http=false) ;; esac
  if [ -n "${4:-}" ]; then words+=(-u "$4" --password-stdin); fi
  case ${3:-} in
    *nothing) bao_api DELETE "secret/metadata/$HELD" </dev/null ;;
    *) bao_secret "$HELD" robot "$LOCAL_PASSWORD" ;;
  esac
  wire docker
  case $1 in *registries.conf*) as_registries_conf ;; podman* | skopeo*) as_file auth.json ;; esac
  case $1 in podman* | skopeo*) rm "$HOME/.docker/config.json"; unset DOCKER_CONFIG ;; esac
  case $1 in *containers-auth.json) sed -i 's/\["lease"/["containers-auth.json", "lease"/' "$REGISTRIES_CONF" ;; esac
  out=$(printf %s "${5:-}" | "${words[@]}" 2>&1) || status=$?
  say "$out" >>"$WORLD/output.log"
  printf '%s\t`%s`%s\t%s\t%s | %s | %s | %s |\n' "$1" "$2" "${3:+ $3}" "$POLICY" "$status" "$(source_then)" "$(files_then "$1")" "$(as_code "$out")"
}

source_then() {
  local held
  held=$(bao_api GET "secret/data/$HELD" 2>/dev/null) || { say "nothing"; return; }
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
same_table() { # TABLE
  diff <(sed "1,\|^$MADE\$|d" "$LOGINS" | of_those_in "$1") <(of_those_in "$LOGINS" <"$1")
}

of_those_in() { # FILE: the lines of stdin, but for rows whose client has none in FILE
  local line
  while IFS= read -r line; do
    if [[ $line != '| '*[0-9].[0-9]* ]] || grep -qF "| $(client_of "$line") |" "$1"; then say "$line"; fi
  done
}

client_of() { local rest=${1#| }; say "${rest%% |*}"; }
