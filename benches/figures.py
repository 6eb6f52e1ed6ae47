#!/usr/bin/env python3
"""The figures that this release is to reach, measured: times, size and memory as ratios to amazon-ecr-credential-helper
0.12 in the same run (in turn A B A B, medians), requests and connections counted at the server, a server 50 ms away, 200
look-ups at once, what the agent answers and costs. Whole processes, cold, with an empty environment. Linux only. Exit code
1: a target is missed; 2: nothing could be measured.

    cargo build --release --locked && benches/figures.py
    benches/figures.py --only vault --only far --runs 201
"""

import argparse
import fcntl
import json
import os
import pathlib
import signal
import statistics
import sys
import time

sys.dont_write_bytecode = True  # no __pycache__ in the checkout
import agent
from world import ANSWERS, ECR_HOST, ROOT, Failure, World, peer

FIGURES = {
    "version": "`version`; the peer: `version`",
    "env": "`get` from the environment; the peer: a `get` that it finds nothing for",
    "no-rule": "`get` that no rule matches; the peer: a `get` that it finds nothing for",
    "secrets-manager": "cold `get` from Secrets Manager (moto); the peer: cold ECR `get` (moto)",
    "ecr": "cold ECR `get` (moto); the peer: the same",
    "vault": "cold `get` from Vault, token + KV v2 (OpenBao); the peer: cold ECR `get` (moto)",
    "size": "size of the binary",
    "memory": "peak memory of a cold `get` from Secrets Manager; the peer: of its ECR `get`",
    "requests": "requests and connections of a `get`, counted at the server",
    "far": "cold `get` from a server that speaks TLS and is 50 ms away",
    "parallel": "200 `get`s at once",
    "agent": "`get` that the agent answers; the peer: from its cache file. 10,000 of them, and 1,000 credentials kept",
}
ROUND_TRIP = 0.050
FAR_BOUND_MS = 3 * ROUND_TRIP * 1000 + 30  # TCP, TLS 1.3, one request; 30 ms for all the rest
PARALLEL = 200
DEADLINE_S = 10  # the helper's own


class Job:
    """One process to run: its words, its environment, what it reads, and what it must answer."""

    def __init__(self, world, binary, verb, asked=None, env=None):
        self.argv = [str(binary), verb]
        self.env = env or world.environment()
        self.expected = ANSWERS.get(asked)
        self.code = 0 if self.expected or not asked else 1
        self.stdin = world.dir / f"asked-{(asked or 'nothing').replace(':', '-')}"
        self.stdin.write_text(asked or "")
        self.stdout = world.dir / "answer"

    def spawn(self, stdout="/dev/null"):
        # posix_spawn: a fork of this process would cost more than what is measured.
        files = [(os.POSIX_SPAWN_OPEN, 0, str(self.stdin), os.O_RDONLY, 0)]
        if isinstance(stdout, int):
            files.append((os.POSIX_SPAWN_DUP2, stdout, 1))
        else:
            files.append((os.POSIX_SPAWN_OPEN, 1, str(stdout), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        return os.posix_spawn(self.argv[0], self.argv, self.env, file_actions=files)

    def time_ms(self):
        start = time.perf_counter_ns()
        _, status, _ = os.wait4(self.spawn(), 0)
        taken = time.perf_counter_ns() - start
        if os.waitstatus_to_exitcode(status) != self.code:
            raise Failure(f"{' '.join(self.argv)} ended with {os.waitstatus_to_exitcode(status)}, not {self.code}")
        return taken / 1e6

    def right(self, status, answer):
        """Whether this is what had to come."""
        if os.waitstatus_to_exitcode(status) != self.code:
            return False
        if self.expected:
            try:
                found = json.loads(answer)
                return (found["Username"], found["Secret"]) == self.expected
            except (ValueError, KeyError):
                return False
        return self.argv[1] != "get" or answer.strip() == "credentials not found in native keychain"

    def check(self):
        """Runs it once and looks at the answer: a figure of a wrong answer is none."""
        _, status, _ = os.wait4(self.spawn(self.stdout), 0)
        answer = self.stdout.read_text()
        if not self.right(status, answer):
            raise Failure(f"{' '.join(self.argv)} answered wrongly: {answer.strip()[:200]}")

    def peak_kib(self):
        """Peak memory: the kernel's VmHWM, read while the process hangs on writing its answer into a full pipe.
        (ru_maxrss of a child counts the parent's memory too, from before the exec.)
        """
        read_end, write_end = os.pipe()
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(write_end, False)
        for chunk in (4096, 1):
            try:
                while True:
                    os.write(write_end, b" " * chunk)
            except BlockingIOError:
                pass
        os.set_blocking(write_end, True)
        pid = self.spawn(write_end)
        os.close(write_end)
        until = time.monotonic() + 5
        tasks = pathlib.Path(f"/proc/{pid}/task")
        while time.monotonic() < until:
            try:
                if any("pipe_write" in (task / "wchan").read_text() for task in tasks.iterdir()):
                    break
            except OSError:  # a thread that ended meanwhile
                pass
            time.sleep(0.002)
        else:
            raise Failure(f"{self.argv[0]} did not come to its answer within 5 s")
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        while os.read(read_end, 4096):
            pass
        os.close(read_end)
        os.wait4(pid, 0)
        return int(status.split("VmHWM:")[1].split()[0])


class Report:
    def __init__(self):
        self.missed = 0

    def head(self, *words):
        print("\n{:<34} {:>12} {:>12} {:>7}  {}".format(*words), flush=True)

    def line(self, name, ours, theirs, figure, target, reached):
        self.missed += not reached
        print(f"{name:<34} {ours:>12} {theirs:>12} {figure:>7}  {target:<16} {'✓' if reached else '✗'}", flush=True)

    def ratio(self, name, ours, theirs, unit, most):
        digits = 0 if unit == "B" else 2
        ratio = ours / theirs
        self.line(name, f"{ours:,.{digits}f} {unit}", f"{theirs:,.{digits}f} {unit}", f"{ratio:.3f}", f"≤ {most:.2f}", ratio <= most)


def ratios(world, ours, theirs, runs, wanted, report):
    ecr = Job(world, theirs, "get", ECR_HOST)
    nothing = Job(world, theirs, "get", "none.example")
    table = {
        "version": (Job(world, ours, "version"), Job(world, theirs, "version"), 0.40),
        "env": (Job(world, ours, "get", "localhost:5000"), nothing, 0.50),
        "no-rule": (Job(world, ours, "get", "none.example"), nothing, 0.50),
        "secrets-manager": (Job(world, ours, "get", "docker.io"), ecr, 0.60),
        "ecr": (Job(world, ours, "get", ECR_HOST), ecr, 0.55),
        "vault": (Job(world, ours, "get", "ghcr.io"), ecr, 0.35),
    }
    if not {*table, "size", "memory"}.isdisjoint(wanted):
        report.head("", "lease", "ecr-login", "ratio", "target")
        floor = Job(world, "/bin/true", "")  # what starting any process costs on this machine, now
        print(f"{'(/bin/true)':<34} {statistics.median(floor.time_ms() for _ in range(runs)):>9.2f} ms")
    for name, (a, b, most) in table.items():
        if name not in wanted:
            continue
        a.check(), b.check()
        for _ in range(3):
            a.time_ms(), b.time_ms()
        times = [(a.time_ms(), b.time_ms()) for _ in range(runs)]
        report.ratio(name, *map(statistics.median, zip(*times)), "ms", most)
    if "size" in wanted:
        report.ratio("size", os.path.getsize(ours), os.path.getsize(theirs), "B", 0.55)
    if "memory" in wanted:
        a, b = table["secrets-manager"][0], ecr
        a.check(), b.check()
        peaks = [(a.peak_kib() / 1024, b.peak_kib() / 1024) for _ in range(min(runs, 11))]
        report.ratio("memory", *map(statistics.median, zip(*peaks)), "MiB", 0.75)


def requests(world, ours, report):
    """What a server sees of one `get`; no proxy and no trick in the helper, only its addresses are another port."""
    moto, bao = world.proxy(world.moto), world.proxy(world.bao)
    env = world.environment(moto.port, bao.port)
    report.head("requests per get", "requests", "connections", "at once", "target")
    for name, asked, most, together in (
        ("Secrets Manager, JSON", "docker.io", 1, 1),
        ("Secrets Manager, two secrets", "two.example", 2, 2),
        ("ECR", ECR_HOST, 1, 1),
        ("Vault, token + KV", "ghcr.io", 1, 1),
        ("environment", "localhost:5000", 0, 0),
        ("no rule", "none.example", 0, 0),
    ):
        moto.reset(), bao.reset()
        Job(world, ours, "get", asked, env).check()
        asked_for = moto.requests + bao.requests
        connections = moto.connections + bao.connections
        at_once = max(moto.most_open, bao.most_open)
        good = (asked_for, connections, at_once) == (most, most, together)
        report.line(name, asked_for, connections, at_once, f"{most} / {most} / {together}", good)


def far(world, ours, runs, report):
    """A userspace proxy can't delay the TCP handshake: its round trip is added to what was measured."""
    moto, moto_count = world.far(world.moto, ROUND_TRIP / 2)
    bao, bao_count = world.far(world.bao, ROUND_TRIP / 2)
    env = world.environment(moto, bao, "https")
    env |= {"AWS_CA_BUNDLE": world.certificate("ca.pem"), "VAULT_CACERT": world.certificate("ca.pem")}
    report.head("50 ms away, TLS 1.3", "with TCP", "measured", "at once", "target")
    for name, asked, count, together in (
        ("Secrets Manager, JSON", "docker.io", moto_count, 1),
        ("Secrets Manager, two secrets", "two.example", moto_count, 2),
        ("ECR", ECR_HOST, moto_count, 1),
        ("Vault, token + KV", "ghcr.io", bao_count, 1),
    ):
        job = Job(world, ours, "get", asked, env)
        job.check()
        count.reset()
        taken = statistics.median(job.time_ms() for _ in range(min(runs, 11)))
        whole = taken + ROUND_TRIP * 1000
        good = whole <= FAR_BOUND_MS and count.most_open == together
        report.line(name, f"{whole:.0f} ms", f"{taken:.0f} ms", count.most_open, f"≤ {FAR_BOUND_MS:.0f} ms", good)


def parallel(world, ours, theirs, report):
    report.head(f"{PARALLEL} gets at once", "right", "slowest", "all", "target")
    for name, binary, asked, judged in (
        ("Secrets Manager", ours, "docker.io", True),
        ("Vault", ours, "ghcr.io", True),
        ("(the peer, ECR)", theirs, ECR_HOST, False),
    ):
        job = Job(world, binary, "get", asked)
        before = lowest = available_mib()
        begun, took, right = {}, [], 0
        first = time.perf_counter()
        for number in range(PARALLEL):
            now = time.perf_counter()
            begun[job.spawn(world.dir / f"answer-{number}")] = (now, number)
        while begun:
            pid, status, _ = os.wait4(-1, 0)
            if pid not in begun:
                raise Failure("a server ended in the middle of a figure")
            start, number = begun.pop(pid)
            took.append(time.perf_counter() - start)
            lowest = min(lowest, available_mib())
            right += job.right(status, (world.dir / f"answer-{number}").read_text())
        good = right == PARALLEL and max(took) <= DEADLINE_S
        words = (name, f"{right}/{PARALLEL}", f"{max(took):.2f} s", f"{time.perf_counter() - first:.2f} s")
        if judged:
            report.line(*words, f"all, ≤ {DEADLINE_S} s", good)
        else:
            print("{:<34} {:>12} {:>12} {:>7}".format(*words))
        print(f"    memory of the machine: {before:,} MiB free before, {lowest:,} at the least, {available_mib():,} after")


def cpus_busy():
    """How many CPUs work just now; the load average would still count what has ended."""
    def now():
        ticks = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]))
        return sum(ticks[:8]), ticks[3] + ticks[4]  # all but guests, which user has in it; idle and waiting for disks

    (all_before, idle_before), _, (all_after, idle_after) = now(), time.sleep(1), now()
    return os.cpu_count() * (1 - (idle_after - idle_before) / max(1, all_after - all_before))


def available_mib():
    return int(pathlib.Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) // 1024


def arguments():
    names = "\n".join(f"  {name:<16} {text}" for name, text in FIGURES.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"figures:\n{names}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=101, metavar="N", help="pairs of runs per time (default: 101)")
    parser.add_argument("--only", action="append", choices=FIGURES, metavar="NAME", help="this figure; may be repeated")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/release/docker-credential-lease", metavar="PATH",
                        help="the helper to measure (default: target/release/docker-credential-lease)")
    parser.add_argument("--peer", type=pathlib.Path, metavar="PATH", help="a built peer, else it is built with Go")
    given = parser.parse_args()
    if given.runs < 1:
        parser.error("--runs must be at least 1")
    return given


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then, too
    given = arguments()
    wanted = given.only or list(FIGURES)
    report = Report()
    try:
        ours = given.bin.resolve()
        if not os.access(ours, os.X_OK):
            raise Failure(f"no {ours}: run cargo build --release --locked")
        theirs = (given.peer or peer()).resolve()
        busy = cpus_busy()
        if busy > 0.2:
            print(f"! {busy:.1f} CPUs are busy with other work: the figures are worth less")
        with World() as world:
            ratios(world, ours, theirs, given.runs, wanted, report)
            if "requests" in wanted:
                requests(world, ours, report)
            if "far" in wanted:
                far(world, ours, given.runs, report)
            if "parallel" in wanted:
                parallel(world, ours, theirs, report)
            if "agent" in wanted:
                agent.figures(world, Job, ours, theirs, given.runs, report)
    except Failure as failure:
        print(f"figures.py: {failure}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"\n{report.missed} missed" if report.missed else "\nall targets reached")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
