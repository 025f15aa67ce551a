"""Managers of one's own, without a lab: begun, joined, killed, by hand as an operator does it."""
import json
import os
import pathlib
import signal
import subprocess

import harness

NET = "127.220.0."
START_S = 20
END_S = 10


class Managers:
    """Processes of `cais manager` in a directory, by name: manager n listens on NET + n."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.port = harness.free_port()
        self.children = {}

    def host(self, name):
        return NET + name.lstrip("m").split("-")[0]

    def api(self, name):
        return f"{self.host(name)}:{self.port}"

    def token_file(self):
        return self.path / "m1" / "manager.token"

    def words(self, name, *more):
        return [str(harness.CAIS), "manager", "--dir", str(self.path / name), "--bind", self.host(name),
                *map(str, more)]

    def first_words(self, name, zone):
        return ["--name", name, "--zone", zone, "--api-port", self.port, "--rpc-port", self.port + 1,
                "--peer-port", self.port + 2, "--manager-lost-ms", 2000]

    def start(self, name, *more):
        """Start it, or start it again: with no more than its directory and address, unless told otherwise."""
        with open(self.path / f"{name}.log", "ab") as log:
            self.children[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.words(name, *more)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT)

    def again(self, name):
        self.start(name, "--manager-lost-ms", 2000)

    def bootstrap(self, name="m1", zone="a"):
        self.start(name, *self.first_words(name, zone), "--bootstrap")

    def join(self, name, zone, at="m1", token=None, **others):
        self.start(name, *self.first_words(others.get("called", name), zone), "--join",
                   f"{self.host(at)}:{self.port + 2}", *(token or ["--token-file", self.token_file()]))

    def kill(self, name):
        child = self.children.pop(name)
        child.send_signal(signal.SIGKILL)
        child.wait(END_S)

    def wait_end(self, name):
        """The exit status of one that ends by itself."""
        return self.children.pop(name).wait(END_S)

    def end(self):
        for name in list(self.children):
            self.kill(name)

    def log(self, name):
        return (self.path / f"{name}.log").read_text()

    def status(self, name):
        import http.client
        connection = http.client.HTTPConnection(self.host(name), self.port, timeout=3)
        try:
            connection.request("GET", "/cais/status")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def roles(self):
        """What each running manager is, and which one leads and is ready."""
        states = {name: self.status(name) for name in self.children}
        return {name: state["member"] for name, state in states.items()}

    def leader(self):
        def ready():
            return next((name for name in self.children if self.quiet(name).get("ready")), None)
        return harness.wait_until("a leader that is ready", ready, START_S)

    def quiet(self, name):
        try:
            return self.status(name)
        except harness.NOT_YET:
            return {}

    def wait_roles(self, wanted, bound=START_S):
        harness.wait_until(f"roles {wanted}", lambda: self.roles() == wanted, bound)

    def recover(self, name):
        done = subprocess.run(self.words(name, "--recover"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=END_S, env=os.environ)
        return done.returncode, done.stdout
