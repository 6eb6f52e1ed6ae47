# shellcheck shell=bash
# A small world for real clients, sourced by clients.sh and ../demo.sh: docker.io and a second private registry, OpenBao,
# Secrets Manager (moto) and the Docker engine, all on loopback, in namespaces of their own. Nothing of the machine is
# changed (not /etc/hosts, trust store, engine or HOME), nothing leaves loopback, and nothing outlives the run.
#
#   world_enter "$@"    runs the calling script again inside; returns only there. Then:
#   $WORLD              the private folder; removed at the end, also after a failure
#   world_*             start one thing each and return when it answers
#
# shellcheck disable=SC2034  # some variables are for the scripts that source this
#
# Passwords stand in shell variables and on the stdin of what needs them: never in argv, and in no file but htpasswd's hashes.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HUB_HOST=registry-1.docker.io  # where every client goes for docker.io
ECR_HOST=123456789012.dkr.ecr.us-east-1.amazonaws.com  # the account that moto plays; at an address of its own
BAO_URL=http://127.0.0.1:8200
MOTO_URL=http://127.0.0.1:4566

say() { printf '%s\n' "$*"; }
die() { say "$*" >&2; exit 1; }
missing() { local tool; for tool; do command -v "$tool" >/dev/null || say "$tool"; done; }
# Root inside only because a user namespace says so: enough for registries and skopeo, not for a Docker engine.
real_root() { [ "$(id -u)" = 0 ] && [ -z "${WORLD_MAPPED:-}" ]; }

# What is run and where it is found, the same outside and inside.
PATH=$REPO/target/venv/bin:$REPO/target/clients/bin:$PATH:/usr/sbin:/sbin

#### In and out

# The mount namespace tells: a variable alone could have been left over by somebody.
inside() { [ -n "${WORLD_OUTSIDE:-}" ] && [ "$(readlink /proc/self/ns/mnt)" != "$WORLD_OUTSIDE" ]; }

world_enter() {
  if inside; then world_settle; return; fi
  local mapped=() status=0
  [ "$(id -u)" = 0 ] || mapped=(--user --map-root-user)
  world_dir=$(mktemp -d)
  world_pid=
  trap world_leave EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  mkdir "$world_dir/home" "$world_dir/tmp"
  # setpriv: were this shell killed outright, all of it would still end.
  # An empty environment: the caller's SSL_CERT_FILE, proxies, AWS_*, VAULT_* and DOCKER_* must not decide anything.
  # In the background, so that a signal is heard at once.
  env -i PATH="$PATH" HOME="$world_dir/home" TMPDIR="$world_dir/tmp" LANG=C.UTF-8 \
    BIN="${BIN:-}" REQUIRE_ALL="${REQUIRE_ALL:-}" WORLD="$world_dir" WORLD_OUTSIDE="$(readlink /proc/self/ns/mnt)" \
    WORLD_MAPPED="${mapped[0]:-}" \
    setpriv --pdeathsig KILL unshare "${mapped[@]}" --mount --net --pid --fork --mount-proc --kill-child bash "$0" "$@" </dev/null &
  world_pid=$!
  wait "$world_pid" || status=$?
  exit "$status"
}

world_leave() {
  # Whatever ran inside ends with the first process of its pid namespace, which ends with unshare (--kill-child).
  if [ -n "$world_pid" ]; then
    { kill -KILL "$world_pid" && wait "$world_pid"; } 2>/dev/null || true
  fi
  local i
  for i in {1..50}; do  # the kernel may still be ending them
    rm -rf "$world_dir" 2>/dev/null && return
    chmod -R u+rwx "$world_dir" 2>/dev/null || true  # layers keep the rights of what is in them
    sleep 0.1
  done
  say "could not remove $world_dir" >&2
}

world_settle() {
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  mkdir "$WORLD/servers" "$WORLD/bin"
  loopback_up
  # Sockets and locks of engines on this machine go out of sight; ours lie at the usual places without being in the way.
  mount -t tmpfs -o mode=0755 tmpfs /run
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm
  mkdir /run/lock
  # dockerd and podman write below these (keys, caches, layers in transit); what they write goes to memory.
  if real_root; then
    memory_over /etc
    memory_over /var/lib
    memory_over /var/tmp
  fi
  certificates
  printf '127.0.0.1 localhost %s index.docker.io\n127.0.0.2 %s\n' "$HUB_HOST" "$ECR_HOST" >"$WORLD/servers/hosts"
  mount --bind "$WORLD/servers/hosts" /etc/hosts
  mount --bind "$WORLD/servers/ca.crt" /etc/ssl/certs/ca-certificates.crt
}

loopback_up() {
  ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || python3 -c '
import fcntl, socket, struct  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))'
}

memory_over() { # FOLDER
  local layer=$WORLD/layers$1
  mkdir -p "$layer"
  mount -t tmpfs tmpfs "$layer"
  mkdir "$layer/upper" "$layer/work"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$layer/upper,workdir=$layer/work" "$1"
}

certificates() {
  local dir=$WORLD/servers
  {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=test CA" -keyout "$dir/ca.key" -out "$dir/ca.crt"
    openssl req -newkey rsa:2048 -nodes -subj "/CN=test registries" -keyout "$dir/tls.key" -out "$dir/tls.csr"
    openssl x509 -req -in "$dir/tls.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial -days 2 -out "$dir/tls.crt" \
      -extfile <(say "subjectAltName=DNS:$HUB_HOST,DNS:index.docker.io,DNS:auth.docker.io,DNS:$ECR_HOST,DNS:localhost,IP:127.0.0.1")
  } >"$dir/openssl.log" 2>&1 || { cat "$dir/openssl.log"; die "openssl could not make the certificates"; }
}

# start NAME CMD…: in the background, its output in a log; its pid in $started.
start() {
  "${@:2}" >"$WORLD/servers/$1.log" 2>&1 &
  started=$!
}

# wait_for NAME PID CMD…: until CMD succeeds; false if the server ends or does not answer within 30 s.
wait_for() {
  local i
  for i in {1..300}; do
    if "${@:3}" >/dev/null 2>&1; then return; fi
    kill -0 "$2" 2>/dev/null || break
    sleep 0.1
  done
  say "$1 did not come up:"
  tail -n 20 "$WORLD/servers/$1.log" | sed 's/^/    /'
  return 1
}

#### Registries

# curl_as USER PASSWORD ARGS…: the password goes to curl through a pipe.
curl_as() { curl -sS --fail -K <(printf 'user = "%s:%s"\n' "$1" "$2") "${@:3}"; }

# world_registry NAME HOST[:PORT] USER PASSWORD…: a private registry with TLS that lets these users in.
world_registry() {
  local name=$1 host=$2 dir=$WORLD/servers/$1 port=443 address=127.0.0.1
  shift 2
  mkdir "$dir"
  case $host in *:*) port=${host##*:} ;; "$ECR_HOST") address=127.0.0.2 ;; esac
  local users=("$@")
  while [ $# -gt 0 ]; do
    printf %s "$2" | htpasswd -niB "$1"
    shift 2
  done >"$dir/htpasswd"
  cat >"$dir/config.yml" <<END
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $dir/storage}}
http:
  addr: $address:$port
  tls: {certificate: $WORLD/servers/tls.crt, key: $WORLD/servers/tls.key}
auth: {htpasswd: {realm: $name, path: $dir/htpasswd}}
END
  # The registry would take the variable of podman and the like for a setting of its own.
  start "$name" env -u REGISTRY_AUTH_FILE docker-registry serve "$dir/config.yml"
  wait_for "$name" "$started" curl_as "${users[0]}" "${users[1]}" "https://$host/v2/"
}

# world_image HOST[:PORT] USER PASSWORD [NAME]: puts the image acme/hello:1, or NAME:1, there, made by hand: no client, no
# base image.
world_image() {
  local url=https://$1/v2/${4:-acme/hello} dir=$WORLD/servers/image layer config arch
  local as=("$2" "$3")
  rm -rf "$dir"
  mkdir -p "$dir/root"
  say "hello from a private registry" >"$dir/root/hello.txt"
  tar -C "$dir/root" --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$dir/layer.tar" hello.txt
  gzip -nk "$dir/layer.tar"
  case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
  printf '{"created":"2025-01-01T00:00:00Z","architecture":"%s","os":"linux","config":{"Cmd":["/hello"]},"rootfs":{"type":"layers","diff_ids":["%s"]},"history":[{"created_by":"by hand"}]}' \
    "$arch" "$(digest "$dir/layer.tar")" >"$dir/config.json"
  layer=$(described "$dir/layer.tar.gz" application/vnd.docker.image.rootfs.diff.tar.gzip)
  config=$(described "$dir/config.json" application/vnd.docker.container.image.v1+json)
  printf '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":%s,"layers":[%s]}' \
    "$config" "$layer" >"$dir/manifest.json"
  blob "$dir/layer.tar.gz"
  blob "$dir/config.json"
  curl_as "${as[@]}" -X PUT -H 'Content-Type: application/vnd.docker.distribution.manifest.v2+json' \
    --data-binary "@$dir/manifest.json" "$url/manifests/1"
}

digest() { say "sha256:$(sha256sum <"$1" | cut -d' ' -f1)"; }
described() { printf '{"mediaType":"%s","size":%s,"digest":"%s"}' "$2" "$(stat -c %s "$1")" "$(digest "$1")"; }

blob() { # FILE; url and as from world_image
  local at
  at=$(curl_as "${as[@]}" -X POST -D - -o /dev/null "$url/blobs/uploads/" | sed -n 's/^[Ll]ocation: *\(.*\)\r$/\1/p')
  curl_as "${as[@]}" -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$at&digest=$(digest "$1")"
}

#### Where the credentials are kept

# world_openbao: BAO_ROOT is its root token, PULL_TOKEN one that may read secret/data/acme/* and nothing else.
world_openbao() {
  BAO_ROOT=root-$(openssl rand -hex 12)
  BAO_DEV_ROOT_TOKEN_ID=$BAO_ROOT start openbao bao server -dev -dev-no-store-token "-dev-listen-address=${BAO_URL#http://}"
  wait_for openbao "$started" curl -sf "$BAO_URL/v1/sys/health" || return
  # Dev mode mounts secret/ right after it says that it is healthy.
  wait_for openbao "$started" bao_api GET secret/config || return
  say '{"policy":"path \"secret/data/acme/*\" { capabilities = [\"read\"] }"}' | bao_api PUT sys/policies/acl/pull
  PULL_TOKEN=$(say '{"policies":["pull"],"ttl":"1h"}' | bao_api POST auth/token/create | sed 's/.*"client_token":"\([^"]*\)".*/\1/')
}

bao_api() { # METHOD PATH, body from stdin
  local body=()
  [ "$1" = GET ] || body=(--data-binary @-)
  curl -sS --fail -K <(printf 'header = "X-Vault-Token: %s"\n' "$BAO_ROOT") -X "$1" "${body[@]}" "$BAO_URL/v1/$2"
}

bao_secret() { # PATH USER PASSWORD
  printf '{"data":{"username":"%s","password":"%s"}}' "$2" "$3" | bao_api POST "secret/data/$1" >/dev/null
}

# world_otp: OTP_TOKEN is a token that may have one-time passwords made for otp-user, and give them back.
world_otp() {
  say '{"type":"ssh"}' | bao_api POST sys/mounts/ssh
  say '{"key_type":"otp","default_user":"otp-user","cidr_list":"127.0.0.0/8"}' | bao_api POST ssh/roles/pull
  say '{"policy":"path \"ssh/creds/pull\" { capabilities = [\"create\", \"update\"] }\npath \"sys/leases/revoke\" { capabilities = [\"update\"] }"}' |
    bao_api PUT sys/policies/acl/otp
  OTP_TOKEN=$(say '{"policies":["otp"],"ttl":"1h"}' | bao_api POST auth/token/create | sed 's/.*"client_token":"\([^"]*\)".*/\1/')
}

otp_leases() { # how many of them are not given back
  bao_api LIST sys/leases/lookup/ssh/creds/pull </dev/null 2>/dev/null | grep -o '"keys":\[[^]]*\]' | grep -o '"[^"]*"' | tail -n +2 | wc -l
}

world_moto() {
  start moto moto_server -H 127.0.0.1 -p "${MOTO_URL##*:}"
  wait_for moto "$started" curl -sf "$MOTO_URL/moto-api/"
}

aws_secret() { # NAME USER PASSWORD; moto reads service and region from the signature, and does not check it
  local request
  printf -v request '{"Name":"%s","ClientRequestToken":"%s","SecretString":"{\\"username\\":\\"%s\\",\\"password\\":\\"%s\\"}"}' \
    "$1" "$(openssl rand -hex 16)" "$2" "$3"
  printf %s "$request" | curl -sS --fail -X POST --data-binary @- -o /dev/null "$MOTO_URL/" \
    -H 'X-Amz-Target: secretsmanager.CreateSecret' -H 'Content-Type: application/x-amz-json-1.1' \
    -H 'Authorization: AWS4-HMAC-SHA256 Credential=test/20250101/eu-west-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0'
}

#### The Docker engine, at the place where every client looks for it; /run and /etc are our own here

world_dockerd() {
  start dockerd dockerd --data-root "$WORLD/docker" --exec-root /run/docker --pidfile /run/docker.pid -H unix:///run/docker.sock \
    --storage-driver=vfs --bridge=none --iptables=false --ip6tables=false --ip-forward=false
  wait_for dockerd "$started" curl -sf --unix-socket /run/docker.sock http://localhost/_ping
}
