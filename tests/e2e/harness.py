"""A lab of real processes for one story, the clients to talk to it, and ways to wait."""
import contextlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

import boto3
import botocore.config
import botocore.exceptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
CAIS = pathlib.Path(os.environ.get("CAIS", ROOT / "build" / "release" / "cais"))
AWS = "/usr/bin/aws"
SAMPLE = ROOT / "docs" / "samples" / "web.json"
TARGET = "AmazonEC2ContainerServiceV20141113."
KEYS = {"aws_access_key_id": "lab", "aws_secret_access_key": "lab"}
REGION = "us-east-1"
# A signature in form: who it is matters here, not whether it is right.
SIGNED = {
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/ecs/aws4_request, "
                     "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
}
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
NOT_YET = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError, http.client.HTTPException)


def wait_until(what, condition, bound, every=0.1):
    """The condition's first true value. Errors of clients count as not yet; after `bound` seconds it fails."""
    last = None
    until = time.monotonic() + bound
    while True:
        try:
            last = condition()
            if last:
                return last
        except NOT_YET as error:
            last = error
        if time.monotonic() > until:
            raise AssertionError(f"not within {bound} s: {what}; last: {last!r}")
        time.sleep(every)


def free_port():
    """A port with its two successors unused, so that labs do not meet."""
    for port in range(24510, 32000, 10):
        with contextlib.ExitStack() as held:
            try:
                for host in ("127.0.0.1", "127.1.1.1", "127.1.101.1"):
                    for offset in range(3):
                        probe = held.enter_context(socket.socket())
                        probe.bind((host, port + offset))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


def fetch(address, timeout=2):
    """GET / there: the body, or None when nobody answers."""
    host, port = address
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.read().decode().strip() if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def environment_of(pid):
    try:
        words = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        status = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return {}, None
    return dict(w.decode(errors="replace").partition("=")[::2] for w in words if w), status


def processes_of_tasks():
    """task id -> {(pid, start time)} of every live process that was told a CAIS_TASK_ID."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            words, status = environment_of(entry.name)
            if words.get("CAIS_TASK_ID") and status and status[0] not in "ZX":
                found.setdefault(words["CAIS_TASK_ID"], set()).add((int(entry.name), status[19]))
    return found


def processes_naming(text):
    """Command lines of live processes that mention a text."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if text in line:
                    found.append(f"{entry.name} {line}")
    return found


class Task:
    """What DescribeTasks says of one task, in short."""

    def __init__(self, described):
        container = described["containers"][0] if described.get("containers") else {}
        bindings = container.get("networkBindings") or []
        self.arn = described["taskArn"]
        self.id = self.arn.rsplit("/", 1)[1]
        self.zone = described.get("availabilityZone")
        self.worker = described.get("containerInstanceArn")
        self.status = described["lastStatus"]
        self.desired = described["desiredStatus"]
        self.definition = described["taskDefinitionArn"].rsplit("/", 1)[1]
        self.address = (bindings[0]["bindIP"], bindings[0]["hostPort"]) if bindings else None
        self.runtime_id = container.get("runtimeId")
        self.started = described.get("startedAt")
        self.stopping = described.get("stoppingAt")
        self.raw = described

    def answers(self):
        """Whether it serves, as itself and from where it is said to be."""
        return self.address and fetch(self.address) == f"task {self.id} zone {self.zone}"

    def __repr__(self):
        return f"<{self.id[:8]} {self.definition} {self.zone} {self.status}>"


class Lab:
    """One lab, in a directory and on a port of its own."""

    def __init__(self, directory, port=None):
        self.directory = pathlib.Path(directory)
        self.port = port or free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"

    # ---- the lab's own verbs

    def cais(self, verb, *words, check=True, timeout=90):
        """Run `cais lab VERB …` for this lab."""
        line = [CAIS, "lab", verb, "--dir", self.directory, *words]
        done = subprocess.run([str(w) for w in line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"cais lab {verb} {words}: {done.stdout}{done.stderr}"
        return done

    @staticmethod
    def verb(*words, timeout=60):
        """Run `cais VERB ...`, one that is not the lab's."""
        return subprocess.run([str(w) for w in (CAIS, *words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout)

    def up(self, *words, check=True):
        return self.cais("up", "--api", f"127.0.0.1:{self.port}", *words, check=check)

    def down(self):
        return self.cais("down", "--purge")

    def status(self):
        return json.loads(self.cais("status", "--json").stdout)

    def managers(self):
        return {m["name"]: m for m in self.status()["managers"]}

    def workers(self):
        return {w["name"]: w for w in self.status()["workers"]}

    def leader(self, among=None):
        """The leading manager's name, once there is one (of `among`)."""
        def elected():
            name = self.status()["leader"]
            return name if name and (among is None or name in among) else None
        return wait_until("a leader", elected, 20)

    def followers(self):
        leader = self.leader()
        return [name for name in self.managers() if name != leader]

    # ---- clients

    def client(self, api=None, stale=False, attempts=10, timeout=10):
        """A boto3 client of the lab's front, or of one manager's own address."""
        config = botocore.config.Config(
            retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=5, read_timeout=timeout)
        client = boto3.session.Session(region_name=REGION, **KEYS).client(
            "ecs", endpoint_url=f"http://{api}" if api else self.endpoint, config=config)
        if stale:
            client.meta.events.register(
                "before-call.ecs", lambda params, **_: params["headers"].update({"X-Cais-Consistency": "stale"}))
        return client

    def stale_clients(self):
        """A client of each manager that reads what that manager itself has."""
        return {name: self.client(m["api"], stale=True) for name, m in self.managers().items()}

    def aws(self, *words, timeout=120):
        """The real aws CLI: `aws ecs …`, its JSON answer if it prints one."""
        done = subprocess.run(
            [AWS, "--endpoint-url", self.endpoint, "--output", "json", "ecs", *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
            env={"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab",
                 "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null",
                 "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"})
        assert done.returncode == 0, f"aws ecs {' '.join(map(str, words))}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def post(self, body, target=None, api=None, timeout=10, **more):
        """A request as no SDK would send it: (status, answer). A header of None is left out."""
        host, port = (api or f"127.0.0.1:{self.port}").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
        headers = {"Content-Type": "application/x-amz-json-1.1", **SIGNED, **more}
        headers["X-Amz-Target"] = target
        headers = {name: value for name, value in headers.items() if value is not None}
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()

    # ---- the web service of the stories

    def web(self, count):
        """A service `web` of `count` sample tasks, made unless it is there: all its tasks, answering."""
        ecs = self.client()
        ecs.create_cluster()
        there = ecs.describe_services(services=["web"])["services"]
        if there:
            ecs.update_service(service="web", desiredCount=count)
        else:
            ecs.register_task_definition(**json.loads(SAMPLE.read_text()))
            ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=count)
        return self.wait_serving(count)

    def tasks(self, ecs=None, service="web", desired="RUNNING", cluster="default"):
        ecs = ecs or self.client()
        pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, serviceName=service, desiredStatus=desired)
        arns = [arn for page in pages for arn in page["taskArns"]]
        described = []
        for first in range(0, len(arns), 100):
            described += ecs.describe_tasks(cluster=cluster, tasks=arns[first:first + 100])["tasks"]
        return [Task(each) for each in described]

    def zones(self, tasks=None):
        """How many tasks each zone runs, in the order of ZONES."""
        where = [task.zone for task in (self.tasks() if tasks is None else tasks) if task.status == "RUNNING"]
        return tuple(where.count(zone) for zone in ZONES)

    def wait_serving(self, count, zones=None, bound=30):
        """Exactly `count` tasks, each RUNNING and answering, spread as asked: gives them."""
        def serving():
            tasks = self.tasks()
            if len(tasks) == count and (zones is None or self.zones(tasks) == zones):
                return tasks if all(task.answers() for task in tasks) else None
            return None
        return wait_until(f"{count} tasks serving, by zone {zones}", serving, bound)

    def service(self, name="web", ecs=None):
        return (ecs or self.client()).describe_services(services=[name])["services"][0]

    def identities(self, tasks):
        """What must not change unless a task was restarted: its process, as the kernel and as the API know it.

        Children that come and go, as a server's do, are not part of it.
        """
        live = processes_of_tasks()
        found = {task.id: (task.runtime_id, task.started, own_process(live.get(task.id, ()), task)) for task in tasks}
        assert all(process for _, _, process in found.values()), f"without its process: {found}"
        return found


def own_process(processes, task):
    """The task's own process and when it started, as a set; empty unless it is alive."""
    return frozenset((pid, start) for pid, start in processes if str(pid) == task.runtime_id)


class Writers:
    """Clients that create clusters and look them up, each in a thread, until told to stop.

    acknowledged holds every name whose creation was answered with success; missing, every name
    that was acknowledged and not found right afterwards.
    """

    def __init__(self, lab, count=8, prefix="write"):
        self.lab = lab
        self.prefix = prefix
        self.acknowledged = []
        self.missing = []
        self.errors = []
        self.times = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self.threads), "a client hangs"

    def work(self, number):
        ecs = self.lab.client(attempts=1, timeout=6)
        count = 0
        while not self.ended.is_set():
            name = f"{self.prefix}-{number}-{count}"
            count += 1
            try:
                ecs.create_cluster(clusterName=name)
                with self.lock:
                    self.acknowledged.append(name)
                    self.times.append(time.monotonic())
                found = ecs.describe_clusters(clusters=[name])["clusters"]
                if [c["clusterName"] for c in found if c["status"] == "ACTIVE"] != [name]:
                    self.missing.append(name)
            except NOT_YET as error:
                self.errors.append(repr(error))
                self.ended.wait(0.02)

    def wait_for(self, more, bound=20):
        """Until that many further writes were acknowledged."""
        goal = len(self.acknowledged) + more
        wait_until(f"{more} more writes acknowledged", lambda: len(self.acknowledged) >= goal, bound, every=0.02)

    def longest_pause(self):
        """The longest time, in seconds, in which no write was acknowledged."""
        times = sorted(self.times)
        return max(later - earlier for earlier, later in zip(times, times[1:]))


def worker_of(lab, task):
    """The lab's name of the worker a task runs on, by its address."""
    zone = task.zone
    number = int(task.address[0].rsplit(".", 1)[1])
    in_zone = sorted((name for name, w in lab.workers().items() if w["zone"] == zone), key=lambda n: int(n[1:]))
    return in_zone[number - 1]


def absent_clusters(ecs, names):
    """Those of the names that this client does not see as ACTIVE clusters."""
    seen = set()
    for first in range(0, len(names), 100):
        found = ecs.describe_clusters(clusters=names[first:first + 100])["clusters"]
        seen |= {c["clusterName"] for c in found if c["status"] == "ACTIVE"}
    return set(names) - seen


def on_every_manager(lab, names, bound=20):
    """Every manager itself has every one of these clusters."""
    for name, ecs in lab.stale_clients().items():
        wait_until(f"{name} has all {len(names)} acknowledged writes",
                   lambda ecs=ecs: absent_clusters(ecs, names) == set(), bound)
