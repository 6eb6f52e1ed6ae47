"""What figures.py measures against: a real moto and OpenBao on loopback with a few secrets in them, the helper's config
and environment, the peer, and proxies that count, delay or speak TLS. Nothing leaves loopback; all ends with the World.
"""

import asyncio
import http.client
import json
import os
import pathlib
import selectors
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEER = "github.com/awslabs/amazon-ecr-credential-helper/ecr-login/cli/docker-credential-ecr-login@v0.12.0"
ECR_HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"

# One rule per kind of `get`; `none.example` is what no rule matches.
CONFIG = """\
[registry."docker.io"]
source = "aws-secrets-manager"
secret = "dockerhub-credentials"

[registry."two.example"]
source = "aws-secrets-manager"
username-secret = "two-username"
secret = "two-password"

[registry."*.dkr.ecr.*.amazonaws.com"]
source = "ecr"

[registry."ghcr.io"]
source = "vault"
path = "secret/data/ghcr"

[registry."localhost:5000"]
source = "env"
username-env = "REG_USER"
password-env = "REG_PASSWORD"
"""

# What each `get` must answer: a figure of a wrong answer is none.
ANSWERS = {
    "docker.io": ("hubuser", "hub-password"),
    "two.example": ("twouser", "two-password"),
    "ghcr.io": ("octocat", "ghcr-password"),
    "localhost:5000": ("envuser", "env-password"),
    ECR_HOST: ("AWS", "123456789012-auth-token"),
}


# moto checks no signature, but reads from it which service and region are meant.
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0"
)


class Failure(Exception):
    """Why nothing can be measured, in one sentence."""


def tool(name, remedy="run tests/setup.sh"):
    """The path of a program: the pinned one of tests/setup.sh, else what PATH has."""
    path = shutil.which(name, path=ROOT / "target/venv/bin") or shutil.which(name)
    if not path:
        raise Failure(f"{name} is neither in target/venv/bin nor on PATH: {remedy}")
    return path


def peer():
    """The peer's binary, built once, stripped as ours is."""
    binary = ROOT / "target/peer/docker-credential-ecr-login"
    if not binary.exists():
        print(f"building {PEER}", flush=True)
        go = tool("go", "install Go, or name a built peer with --peer")
        built = subprocess.run([go, "install", "-ldflags", "-s -w", PEER], env=os.environ | {"GOBIN": str(binary.parent)})
        if built.returncode:
            raise Failure("go could not build the peer")
    return binary


def request(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, json.dumps(body) if body is not None else None, headers or {})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, answer


class World:
    def __enter__(self):
        self.servers = []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="figures-"))  # 0700: the helper judges its config's folder
        try:
            self.home = self.dir / "home"
            self.home.mkdir()
            self.config = self.dir / "config.toml"
            self.config.write_text(CONFIG)
            self.config.chmod(0o600)
            self.moto = self.start_moto()
            self.bao = self.start_bao()
            # select(2) waits to the microsecond; asyncio's epoll would round every delay up to the millisecond.
            self.loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
            threading.Thread(target=self.loop.run_forever, daemon=True).start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, path, *argv):
        """Starts a server on a free port (PORT in its words) and waits until it answers; the port."""
        for _ in range(3):  # somebody may take the port in between
            with socket.create_server(("127.0.0.1", 0)) as held:
                port = held.getsockname()[1]
            log = open(self.dir / "server.log", "wb")
            server = subprocess.Popen(
                [str(word).replace("PORT", str(port)) for word in argv],
                env={"HOME": str(self.home), "PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
            self.servers.append(server)
            for _ in range(300):
                try:
                    if request(port, "GET", path)[0] == 200:
                        return port
                except (OSError, http.client.HTTPException):
                    pass
                if server.poll() is not None:
                    break
                time.sleep(0.1)
        raise Failure(f"{argv[0]} did not come up: {(self.dir / 'server.log').read_text()[-500:]}")

    def start_moto(self):
        port = self.start("/moto-api/", tool("moto_server"), "-H", "127.0.0.1", "-p", "PORT")
        hub = json.dumps({"username": "hubuser", "password": "hub-password"})
        secrets = {"dockerhub-credentials": hub, "two-username": "twouser", "two-password": "two-password"}
        for name, value in secrets.items():
            status, answer = request(
                port, "POST", "/", {"Name": name, "SecretString": value},
                {"X-Amz-Target": "secretsmanager.CreateSecret", "Content-Type": "application/x-amz-json-1.1",
                 "Authorization": SIGNED},
            )
            if status != 200:
                raise Failure(f"moto refused a secret: {status} {answer}")
        return port

    def start_bao(self):
        port = self.start(
            "/v1/sys/health", tool("bao"), "server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token",
            "-dev-listen-address=127.0.0.1:PORT",
        )
        data = {"data": {"username": "octocat", "password": "ghcr-password"}}
        status, answer = request(port, "POST", "/v1/secret/data/ghcr", data, {"X-Vault-Token": "root"})
        if status != 200:
            raise Failure(f"OpenBao refused a secret: {status} {answer}")
        return port

    def environment(self, moto=None, bao=None, scheme="http"):
        """All that a helper sees of the machine: the caller's SSL_CERT_DIR, proxies or AWS_* would change the figures."""
        return {
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"{scheme}://127.0.0.1:{moto or self.moto}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ECR_DISABLE_CACHE": "1",  # the peer's: its cold `get`
            "DOCKER_CREDENTIAL_LEASE_CONFIG": str(self.config),
            "VAULT_ADDR": f"{scheme}://127.0.0.1:{bao or self.bao}",
            "VAULT_TOKEN": "root",
            "REG_USER": "envuser",
            "REG_PASSWORD": "env-password",
        }

    def proxy(self, port, delay=0.0, tls=None):
        return Proxy(self.loop, port, delay, tls)

    def far(self, port, delay):
        """A server that speaks TLS 1.3 and is 2 × delay away: the port to call, and the proxy that counts."""
        counting = self.proxy(port, tls=self.server_tls())
        return self.proxy(counting.port, delay=delay).port, counting

    def server_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.certificate("server.pem"), self.certificate("server.key"))
        return context

    def certificate(self, name):
        """A file of a throw-away CA (ca.pem) and of the certificate for 127.0.0.1 that it signed."""
        if not (self.dir / "ca.pem").exists():
            key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            (self.dir / "san").write_text("subjectAltName=IP:127.0.0.1\n")
            for words in (
                ["req", "-x509", *key, "-days", "2", "-subj", "/CN=figures CA", "-keyout", "ca.key", "-out", "ca.pem"],
                ["req", *key, "-subj", "/CN=figures", "-keyout", "server.key", "-out", "server.csr"],
                ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                 "-extfile", "san", "-out", "server.pem"],
            ):
                made = subprocess.run([tool("openssl"), *words], cwd=self.dir, capture_output=True, text=True)
                if made.returncode:
                    raise Failure(f"openssl could not make a certificate: {made.stderr[-300:]}")
        return str(self.dir / name)


class Proxy:
    """A proxy on loopback that counts connections and HTTP/1.1 requests. It may hold every byte back for `delay` seconds
    in each direction, and it may end TLS. It can't delay the TCP handshake: that is the kernel's.
    """

    def __init__(self, loop, upstream, delay, tls):
        self.loop, self.upstream, self.delay = loop, upstream, delay
        self.reset()
        serving = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls, backlog=512), loop
        ).result(10)
        self.port = serving.sockets[0].getsockname()[1]

    def reset(self):
        self.connections = self.requests = self.open = self.most_open = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.close()
            return
        counter = RequestCounter(self)
        await asyncio.gather(
            self.pump(reader, upstream_writer, counter.asked),
            self.pump(upstream_reader, writer, counter.answered),
        )

    async def pump(self, reader, writer, seen):
        try:
            while data := await reader.read(65536):
                seen(data)
                if self.delay:
                    self.loop.call_later(self.delay, writer.write, data)
                else:
                    writer.write(data)
        except OSError:  # a helper may leave without goodbye
            pass
        self.loop.call_later(self.delay, writer.close)


class RequestCounter:
    """Finds the requests in what one connection carries, and how many of all connections are open at once."""

    def __init__(self, proxy):
        self.proxy, self.buffer, self.waiting = proxy, b"", False

    def asked(self, data):
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, rest = self.buffer.split(b"\r\n\r\n", 1)
            fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
            length = int(fields.get(b"content-length", b"0"))
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.waiting = True
            self.proxy.requests += 1
            self.proxy.open += 1
            self.proxy.most_open = max(self.proxy.most_open, self.proxy.open)

    def answered(self, _):
        if self.waiting:
            self.waiting = False
            self.proxy.open -= 1
