"""A million tasks in the state: how long a manager takes to start, how much memory it needs, how fast the state reaches
a new manager, and how soon a new leader places a task.

The state is made by bench_fill, by the commands a live installation would have applied. The workers are not there:
nobody counts as lost for an hour. Starting is from the exec of the process to the first answer to a linearizable read.
"""
import contextlib
import http.client
import re
import signal
import statistics
import threading
import time

import clusters
import common
import harness

ROUNDS = 5
TASKS = 1_000_000
WORKERS = 5_000
SERVICES = 1_000
START_S = 60
JOIN_S = 300
FLAGS = ("--worker-lost-ms", "3600000")


def run(rounds):
    rounds = rounds or ROUNDS
    with common.scratch("state") as path, clusters.Managers(path, FLAGS) as managers:
        managers.bootstrap("m1")
        managers.stop("m1")
        filled = common.run([common.FILL, path / "m1" / "state", TASKS, WORKERS, SERVICES], timeout=300)
        figures = {"state_tasks": TASKS, "state_mb": int(re.search(r"fill_state_mb: (\d+)", filled)[1])}
        figures |= starts(managers, rounds)
        figures |= joining(managers, figures["state_mb"])
        return figures | failovers(managers, rounds)


def starts(managers, rounds):
    """Alone, with everything in its state."""
    took = []
    for _ in range(rounds):
        began = time.monotonic()
        managers.start("m1")
        harness.wait_until("m1 serves", lambda: serves(managers.api("m1")), START_S, every=0.01)
        took.append((time.monotonic() - began) * 1000)
        memory = managers.memory_mb("m1")
        managers.stop("m1")
    managers.start("m1")
    return {"restart_ms_median": round(statistics.median(took)), "restart_ms_max": round(max(took)),
            "state_rss_mb": memory["VmRSS"], "state_rss_anonymous_mb": memory["RssAnon"]}


def serves(api):
    """An answer to a read that the leader has confirmed."""
    return api.ask("DescribeClusters")["clusters"]


def joining(managers, megabytes):
    """Two managers that come with nothing, one after the other, while a writer writes to the first."""
    figures = {}
    harness.wait_until("m1 serves", lambda: serves(managers.api("m1")), START_S, every=0.05)
    with Writes(managers.api("m1")) as writes:
        for name in ("m2", "m3"):
            began = time.monotonic()
            managers.join(name, "m1")
            harness.wait_until(f"{name} votes", lambda name=name: managers.role(name) == "voter", JOIN_S, every=0.05)
            figures[f"join_{name}_s"] = round(time.monotonic() - began, 2)
    figures["join_mb_per_s"] = round(megabytes / max(figures.values()))
    return figures | {"join_writes": len(writes.took_ms), "join_write_max_ms": round(max(writes.took_ms)),
                      "join_writes_failed": writes.failed, "join_rss_mb": managers.memory_mb("m3")["VmRSS"]}


class Writes(threading.Thread):
    """One write after the other, and how long each took."""

    def __init__(self, api):
        super().__init__(daemon=True)
        self.api = api
        self.took_ms = []
        self.failed = 0
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(10)

    def run(self):
        while not self.ended.wait(0.005):
            began = time.monotonic()
            status, _ = self.api.call("CreateCluster", clusterName="while-joining")
            self.failed += status != 200
            self.took_ms.append((time.monotonic() - began) * 1000)


def failovers(managers, rounds):
    """SIGKILL of the leader; from then until a new service's task is placed by the next one."""
    took = []
    for number in range(rounds):
        leader = managers.leader()
        others = [name for name in managers.names() if name != leader]
        began = time.monotonic()
        managers.kill(leader, signal.SIGKILL)
        create(managers, others, f"after-{number}")
        harness.wait_until("the task is placed", lambda number=number: placed(managers, others, f"after-{number}"), START_S,
                           every=0.005)
        took.append((time.monotonic() - began) * 1000)
        managers.start(leader)
        harness.wait_until(f"{leader} is back", lambda leader=leader: managers.caught_up(leader), START_S, every=0.05)
    return {"lead_schedule_ms_median": round(statistics.median(took)), "lead_schedule_ms_max": round(max(took))}


def create(managers, names, service):
    def attempt():
        for name in names:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                status, _ = managers.api(name).call("CreateService", serviceName=service, taskDefinition="filled:1",
                                                    desiredCount=1)
                if status == 200:
                    return True
        return False

    harness.wait_until("the service is made", attempt, START_S, every=0.005)


def placed(managers, names, service):
    for name in names:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            status, answer = managers.api(name).call("DescribeServices", services=[service])
            if status == 200 and answer["services"]:
                return answer["services"][0]["pendingCount"] == 1
    return False
