"""Three processes on loopback that agree: ours and etcd's, started alike, on the same disk, with nothing in between."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess

import common
import harness

HEARTBEAT_MS = 50
ETCD_ELECTION_MS = 500
START_S = 20
END_S = 5


@contextlib.contextmanager
def processes(commands):
    """Children that are gone afterwards, and also if this process is: the kernel sees to that."""
    children = []
    try:
        for words, log in commands:
            with open(log, "wb") as out:
                children.append(subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *map(str, words)], stdin=subprocess.DEVNULL, stdout=out,
                    stderr=subprocess.STDOUT, start_new_session=True))
        yield children
    finally:
        for child in children:
            child.send_signal(signal.SIGKILL)
        for child in children:
            child.wait(END_S)


@contextlib.contextmanager
def managers(path):
    """Three managers with their defaults, without a lab: the leader's API address, asked each time."""
    port = harness.free_port()
    hosts = {f"m{n}": f"127.200.0.{n}" for n in (1, 2, 3)}
    joining = ["--join", f"{hosts['m1']}:{port + 2}", "--token-file", path / "m1" / "manager.token"]
    commands = [([harness.CAIS, "manager", "--dir", path / name, "--name", name, "--zone", f"zone-{name}", "--bind", host,
                  "--api-port", port, "--rpc-port", port + 1, "--peer-port", port + 2,
                  *(["--bootstrap"] if name == "m1" else joining)],
                 path / f"{name}.log") for name, host in hosts.items()]

    def leader():
        states = {host: common.Api(f"{host}:{port}").status() for host in hosts.values()}
        if any(status["member"] != "voter" for status in states.values()):
            return None
        return next((f"{host}:{port}" for host, status in states.items() if status["ready"]), None)

    with processes(commands):
        yield lambda: harness.wait_until("the managers have a leader", leader, START_S)


class Managers:
    """Managers that come and go one by one: each is begun, stopped, killed and started again by its name."""

    def __init__(self, path, flags=()):
        self.path = path
        self.flags = flags
        self.port = harness.free_port()
        self.commands = {}
        self.running = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in list(self.running):
            self.kill(name)

    def host(self, name):
        return f"127.200.1.{name[1:]}"

    def begin(self, name, *how):
        self.commands[name] = [
            harness.CAIS, "manager", "--dir", self.path / name, "--name", name, "--zone", f"zone-{name}", "--bind",
            self.host(name), "--api-port", self.port, "--rpc-port", self.port + 1, "--peer-port", self.port + 2,
            *self.flags, *how]
        self.start(name)

    def bootstrap(self, name):
        self.begin(name, "--bootstrap")
        harness.wait_until(f"{name} leads", lambda: self.status(name)["ready"], START_S)

    def join(self, name, via):
        self.begin(name, "--join", f"{self.host(via)}:{self.port + 2}", "--token-file", self.path / via / "manager.token")

    def start(self, name):
        with open(self.path / f"{name}.log", "ab") as out:
            self.running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, self.commands[name])], stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True)

    def stop(self, name):
        self.kill(name, signal.SIGTERM)

    def kill(self, name, how=signal.SIGKILL):
        process = self.running.pop(name)
        process.send_signal(how)
        process.wait(START_S)

    def api(self, name):
        return common.Api(f"{self.host(name)}:{self.port}")

    def status(self, name):
        return self.api(name).status()

    def names(self):
        return list(self.running)

    def leader(self):
        def leads():
            return next((name for name in self.running if self.status(name)["ready"]), None)
        return harness.wait_until("a leader", leads, START_S)

    def role(self, name):
        """voter, stand-by, or what else it takes itself for; None while it does not answer."""
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            return self.status(name)["member"]
        return None

    def caught_up(self, name):
        return self.status(name)["applied_index"] >= self.status(self.leader())["applied_index"]

    def memory_mb(self, name):
        """VmRSS, RssAnon, RssFile."""
        lines = pathlib.Path(f"/proc/{self.running[name].pid}/status").read_text().splitlines()
        return {key: round(int(value.split()[0]) / 1024) for key, _, value in (line.partition(":") for line in lines)
                if key in ("VmRSS", "RssAnon", "RssFile")}


def has_etcd():
    return bool(shutil.which("etcd") and shutil.which("etcdctl"))


@contextlib.contextmanager
def etcd(path):
    """Three members: the leader's client address, asked each time."""
    first = harness.free_port() + 1000
    ports = {f"e{n}": (first + 2 * n, first + 2 * n + 1) for n in range(3)}
    cluster = ",".join(f"{name}=http://127.0.0.1:{peer}" for name, (_, peer) in ports.items())
    commands = [(["etcd", "--name", name, "--data-dir", path / name, "--initial-cluster", cluster,
                  "--initial-cluster-state", "new", "--listen-client-urls", f"http://127.0.0.1:{client}",
                  "--advertise-client-urls", f"http://127.0.0.1:{client}", "--listen-peer-urls",
                  f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                  "--heartbeat-interval", HEARTBEAT_MS, "--election-timeout", ETCD_ELECTION_MS, "--logger", "zap",
                  "--log-level", "error"], path / f"{name}.log") for name, (client, peer) in ports.items()]
    endpoints = ",".join(f"127.0.0.1:{client}" for client, _ in ports.values())

    def leader():
        for each in json.loads(etcdctl(endpoints, "endpoint", "status", "-w", "json") or "[]"):
            if each["Status"]["leader"] == each["Status"]["header"]["member_id"]:
                return each["Endpoint"]
        return None

    with processes(commands):
        yield lambda: harness.wait_until("etcd has a leader", leader, START_S)


def etcdctl(endpoints, *words):
    done = subprocess.run(["etcdctl", "--endpoints", endpoints, *words], env={**os.environ, "ETCDCTL_API": "3"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          timeout=START_S)
    return done.stdout if done.returncode == 0 else None


def etcd_version():
    return common.run(["etcd", "--version"], timeout=10).splitlines()[0].rpartition(" ")[2]
