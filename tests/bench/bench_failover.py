"""SIGKILL of the leader, again and again, with a service of six tasks running and a writer writing.

The writer has one connection to the lab's front, reconnects at once on any error, and gives up on an answer after
WRITE_TIMEOUT_S. A pause lasts from the kill to the first acknowledgement of a write that was sent after it.

A killed process leaves closed connections behind, which say so at once; a machine without power does not. So there are
rounds with SIGSTOP in its place too (`failover_silent_`), and rounds in which the leader is well and every link between
it and anybody else swallows what is sent (`failover_cut_`): in both nobody is told, and time alone tells.
"""
import http.client
import os
import random
import signal
import statistics
import threading
import time

import common
import harness

ROUNDS = 10
TASKS = 6
WRITE_TIMEOUT_S = 0.25
PAUSE_MAX_S = 20
RETRY_S = 0.001
JOIN_S = 5
MARKER = "after-all-others"
MARKER_S = 30


class Writer(threading.Thread):
    """Creates clusters, one after the other. acknowledged: (sent, acknowledged, name)."""

    def __init__(self, address, prefix):
        super().__init__(daemon=True)
        self.api = common.Api(address, timeout=WRITE_TIMEOUT_S)
        self.prefix = prefix
        self.acknowledged = []
        self.errors = 0
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(JOIN_S)

    def run(self):
        count = 0
        while not self.ended.is_set():
            name = f"{self.prefix}-{count}"
            count += 1
            if not self.write(name):
                self.errors += 1
                time.sleep(RETRY_S)
        self.api.close()

    def write(self, name):
        sent = time.monotonic()
        try:
            status, _ = self.api.call("CreateCluster", clusterName=name)
        except (OSError, http.client.HTTPException, ValueError):
            return False
        if status == 200:
            self.acknowledged.append((sent, time.monotonic(), name))
        return status == 200

    def first_after(self, moment):
        """When the first write that was sent after this moment was acknowledged."""
        return next((done for sent, done, _ in list(self.acknowledged) if sent > moment), None)


class Killed:
    """SIGKILL, and a start afterwards."""
    name = "failover_ms"

    @staticmethod
    def begin(lab, leader):
        """Returns the moment from which nobody leads."""
        pid = lab.managers()[leader]["pid"]
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return began

    @staticmethod
    def end(lab, leader):
        harness.wait_until("the lab knows", lambda: lab.managers()[leader]["state"] == "dead", 10)
        lab.cais("start", leader)


class Silent:
    """SIGSTOP."""
    name = "failover_silent_ms"

    @staticmethod
    def begin(lab, leader):
        pid = lab.managers()[leader]["pid"]
        began = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        return began

    @staticmethod
    def end(lab, leader):
        lab.cais("cont", leader)


class Cut:
    """No link to it carries anything, and none breaks."""
    name = "failover_cut_ms"

    @staticmethod
    def begin(lab, leader):
        lab.cais("cut", leader, "*")
        return time.monotonic()

    @staticmethod
    def end(lab, _):
        lab.cais("heal")


def run(rounds):
    pauses, acknowledged = {Killed: [], Silent: [], Cut: []}, []
    with common.running_lab("failover") as lab:
        before = lab.identities(lab.web(TASKS))
        for how, measured in pauses.items():
            for number in range(rounds or ROUNDS):
                with Writer(f"127.0.0.1:{lab.port}", f"{how.name.replace('_', '-')}-{number}") as writer:
                    measured.append(one(lab, writer, how))
                acknowledged += [name for _, _, name in writer.acknowledged]
        handed_over = [hand_over(lab, number) for number in range(rounds or ROUNDS)]
        wait_for_a_marker(lab)
        lost = lost_anywhere(lab, acknowledged)
        after = lab.identities(lab.wait_serving(TASKS))
    return {
        **{name: value for how, measured in pauses.items() for name, value in summary(how.name, measured).items()},
        **summary("transfer_ms", [pause for pause, _ in handed_over]),
        "transfer_failed_writes": sum(errors for _, errors in handed_over),
        "failover_tasks_restarted": sum(after.get(task) != was for task, was in before.items()),
        "failover_acked": len(acknowledged),
        "failover_acked_lost": len(lost),
    }


def summary(name, pauses):
    return {f"{name}_median": round(statistics.median(pauses)), f"{name}_max": round(max(pauses)),
            f"{name}_min": round(min(pauses))}


def one(lab, writer, how):
    """End the leader; milliseconds until writes are acknowledged again. Then all three are well again."""
    harness.wait_until("writes are acknowledged", lambda: len(writer.acknowledged) > 20, 10, every=0.01)
    leader = lab.leader()
    time.sleep(random.uniform(0, 0.2))  # Any moment between two heartbeats.
    began = how.begin(lab, leader)
    try:
        done = harness.wait_until("writes resume", lambda: writer.first_after(began), PAUSE_MAX_S, every=0.01)
    finally:
        how.end(lab, leader)
    common.wait_all_up(lab)
    return (done - began) * 1000


def hand_over(lab, number):
    """`cais managers transfer` under the writer: the longest time without an acknowledgement around it, and what failed."""
    with Writer(f"127.0.0.1:{lab.port}", f"transfer-{number}") as writer:
        harness.wait_until("writes are acknowledged", lambda: len(writer.acknowledged) > 20, 10, every=0.01)
        leader, before = lab.leader(), len(writer.acknowledged)
        done = lab.verb("managers", "transfer", "--dir", lab.directory / leader)
        if done.returncode != 0:
            raise common.Failed(done.stdout + done.stderr)
        ended = time.monotonic()
        harness.wait_until("writes go on", lambda: writer.first_after(ended), PAUSE_MAX_S, every=0.01)
        moments = [acknowledged for _, acknowledged, _ in writer.acknowledged[before - 1:]]
    common.wait_all_up(lab)
    return max(b - a for a, b in zip(moments, moments[1:])) * 1000, writer.errors


def wait_for_a_marker(lab):
    """A write after all others: who has it has them all. What a manager says of itself may be of another time."""
    common.Api(f"127.0.0.1:{lab.port}").ask("CreateCluster", clusterName=MARKER)
    for name, manager in lab.managers().items():
        api = common.Api(manager["api"])
        harness.wait_until(f"{name} has everything", lambda api=api: has(api, MARKER), MARKER_S, every=0.02)
        api.close()


def has(api, name):
    return bool(api.ask("DescribeClusters", stale=True, clusters=[name])["clusters"])


def lost_anywhere(lab, names):
    """Those that were acknowledged and that some manager itself does not have."""
    lost = set()
    for manager in lab.managers().values():
        api = common.Api(manager["api"])
        for first in range(0, len(names), 100):
            asked = names[first:first + 100]
            found = api.ask("DescribeClusters", stale=True, clusters=asked)["clusters"]
            lost |= set(asked) - {each["clusterName"] for each in found if each["status"] == "ACTIVE"}
        api.close()
    return lost
