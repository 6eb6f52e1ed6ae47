"""The agent's figures, for figures.py: a look-up that it answers beside the peer's from its cache file, many callers, and
what it costs to keep a thousand credentials.
"""

import base64
import contextlib
import http.server
import json
import os
import pathlib
import socket
import statistics
import subprocess
import threading
import time

from world import ECR_HOST, Failure

CREDENTIALS = 1000
LOOK_UPS, CALLERS = 10_000, 50


class Agent:
    """An agent of one's own, in the foreground."""

    def __init__(self, world, binary, name):
        self.folder = world.dir / name
        self.folder.mkdir(mode=0o700)
        self.socket = self.folder / "agent.sock"
        self.env = {"DOCKER_CREDENTIAL_LEASE_SOCKET": str(self.socket)}
        self.binary = binary

    def __enter__(self):
        self.process = subprocess.Popen([self.binary, "agent"], env=self.env, stdin=subprocess.DEVNULL)
        for _ in range(500):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.socket))
                return self
            time.sleep(0.01)
        raise Failure("the agent did not come up")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def bring(self, number):
        """Has it keep a credential of 1 KB, as a look-up would."""
        about = {"registry": f"r{number}.example", "source": "vault", "place": f"secret/data/r{number}"}
        want = {"key": f"{number:064}", "login": f"{number:064}", "about": about, "patience": 5000, "idle": 1_800_000}
        brought = {
            "username": "user", "secret": "x" * 1024, "expires": None, "ttl": {"secs": 3600, "nanos": 0}, "cap": None,
            "lease": None,
        }
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(str(self.socket))
            answers = stream.makefile("r")
            for said in ({"want": want}, {"have": {"want": want, "brought": brought}}):
                stream.sendall((json.dumps({"v": 1, **said}) + "\n").encode())
                answer = json.loads(answers.readline())
        if not answer.get("done"):
            raise Failure(f"the agent did not take a credential: {answer}")


class Ecr(http.server.BaseHTTPRequestHandler):
    """Answers GetAuthorizationToken with a token of twelve hours; moto's has ended long ago."""

    asked = 0

    def do_POST(self):
        Ecr.asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        token = base64.b64encode(b"AWS:123456789012-auth-token").decode()
        data = {"authorizationToken": token, "expiresAt": time.time() + 12 * 3600, "proxyEndpoint": f"https://{ECR_HOST}"}
        answer = json.dumps({"authorizationData": [data]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def figures(world, job, ours, theirs, runs, report):
    """`job` is figures.py's way to run one process."""
    ecr = http.server.HTTPServer(("127.0.0.1", 0), Ecr)
    threading.Thread(target=ecr.serve_forever, daemon=True).start()
    env = world.environment(ecr.server_port)
    del env["AWS_ECR_DISABLE_CACHE"]
    cached = job(world, theirs, "get", ECR_HOST, env)
    bao = world.proxy(world.bao)
    with Agent(world, ours, "agent-warm") as agent:
        env = world.environment(bao=bao.port) | agent.env
        warm, version = job(world, ours, "get", "ghcr.io", env), job(world, ours, "version")
        for one in (warm, cached):
            one.check(), one.check()
        times = [(warm.time_ms(), cached.time_ms(), version.time_ms()) for _ in range(runs)]
        mine, theirs_, versions = map(statistics.median, zip(*times))
        report.head("look-ups that were kept", "lease", "other", "ratio", "target")
        report.ratio("agent; the peer: its cache file", mine, theirs_, "ms", 0.40)
        report.ratio("agent; other: own `version`", mine, versions, "ms", 1.60)
        if (bao.requests, Ecr.asked) != (1, 1):
            raise Failure(f"it was asked for again: {bao.requests} and {Ecr.asked} requests")
        report.head(f"{LOOK_UPS:,} gets by {CALLERS} at a time", "right", "requests", "memory", "target")
        crowd(world, warm, CALLERS * 4)
        before, open_before = agent.resident_kib(), agent.descriptors()
        right = crowd(world, warm, LOOK_UPS)
        time.sleep(0.5)
        grown, left = agent.resident_kib() - before, agent.descriptors() - open_before
        good = right == LOOK_UPS and bao.requests == 1 and abs(grown) <= 1024 and left <= 0
        report.line("warm", f"{right:,}", bao.requests - 1, f"{grown:+} K", "all, 0, ± 1 MiB", good)
        print(f"    descriptors of the agent: {left:+}")
    with Agent(world, ours, "agent-cold") as agent:
        bao.reset()
        right = crowd(world, job(world, ours, "get", "ghcr.io", world.environment(bao=bao.port) | agent.env), CALLERS)
        report.line(f"{CALLERS} at once, cold", right, bao.requests, "", "all, 1", (right, bao.requests) == (CALLERS, 1))
    with Agent(world, ours, "agent-full") as agent:
        for number in range(CREDENTIALS):
            agent.bring(number)
        mib = agent.resident_kib() / 1024
        report.line(f"agent with {CREDENTIALS:,} credentials", f"{mib:.1f} MiB", "", "", "≤ 16 MiB", mib <= 16)
    ecr.shutdown()


def crowd(world, job, number):
    """So many look-ups, `CALLERS` at a time; how many were answered rightly."""
    running, right, slots = {}, 0, list(range(CALLERS))
    while number or running:
        while number and slots:
            slot = slots.pop()
            running[job.spawn(world.dir / f"answer-{slot}")] = slot
            number -= 1
        pid, status, _ = os.wait4(-1, 0)
        slot = running.pop(pid, None)
        if slot is None:
            raise Failure("a server ended in the middle of a figure")
        right += job.right(status, (world.dir / f"answer-{slot}").read_text())
        slots.append(slot)
    return right
