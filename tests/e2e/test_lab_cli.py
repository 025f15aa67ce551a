"""The lab's own verbs: what they refuse, they refuse clearly and leave nothing behind."""
import json
import os
import signal
import socket
import subprocess

from harness import CAIS, Lab, processes_naming, wait_until


def refused(done, *words):
    """It failed, and said why in one breath."""
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3, done.stderr


def test_a_second_up_beside_a_running_lab(lab):
    before = lab.status()
    refused(lab.up(check=False), "running")
    after = lab.status()
    assert [m["pid"] for m in after["managers"]] == [m["pid"] for m in before["managers"]]
    assert [w["pid"] for w in after["workers"]] == [w["pid"] for w in before["workers"]]


def test_status_as_json(lab):
    status = lab.status()
    assert status["endpoint"] == lab.endpoint
    assert status["leader"] in {m["name"] for m in status["managers"]}
    assert [m["name"] for m in status["managers"]] == ["m1", "m2", "m3"]
    assert [w["name"] for w in status["workers"]] == ["w1", "w2", "w3", "w4", "w5", "w6"]
    assert {m["zone"] for m in status["managers"]} == {"us-east-1a", "us-east-1b", "us-east-1c"}
    assert {each["state"] for each in status["managers"] + status["workers"]} == {"running"}
    assert sorted(m["role"] for m in status["managers"]) == ["follower", "follower", "leader"]
    assert status["faults"] == []


def test_faults_are_listed_and_healed(lab):
    lab.cais("cut", "m1", "w1")
    assert lab.status()["faults"] != []
    lab.cais("heal")
    assert lab.status()["faults"] == []


def test_a_stopped_manager_has_no_role(lab):
    stopped = lab.leader()
    lab.cais("stop", stopped)
    shown = lab.managers()[stopped]
    lab.cais("cont", stopped)
    assert (shown["state"], shown["role"]) == ("stopped", "unknown")
    wait_until("it follows", lambda: lab.managers()[stopped]["role"] in ("follower", "leader"), 10)


def test_unknown_nodes_and_zones(lab):
    refused(lab.cais("kill", "m9", check=False), "m9")
    refused(lab.cais("fail-zone", "us-east-1q", check=False), "us-east-1q")
    refused(lab.cais("cut", "m1", "nobody", check=False), "nobody")
    refused(lab.cais("heal", "m1", check=False), "both ends or none")
    assert {m["state"] for m in lab.managers().values()} == {"running"}


def test_a_busy_port(fresh_lab):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", fresh_lab.port))
        taken.listen()
        refused(fresh_lab.up(check=False), str(fresh_lab.port))
    assert processes_naming(str(fresh_lab.directory)) == []


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way\n")
    lab = Lab(tmp_path / "file" / "lab")
    refused(lab.up(check=False), "file")
    assert processes_naming(str(lab.directory)) == []


def test_verbs_without_a_lab(tmp_path):
    lab = Lab(tmp_path / "nothing")
    for words in (("status",), ("kill", "m1"), ("heal",), ("fail-zone", "us-east-1a")):
        refused(lab.cais(*words, check=False))
    assert not lab.directory.exists()


def test_a_lab_whose_daemon_was_killed(fresh_lab):
    fresh_lab.up("--workers", "1")
    daemon = json.loads((fresh_lab.directory / "lab.json").read_text())["daemon"]["pid"]
    os.kill(daemon, signal.SIGKILL)
    wait_until("it does not answer", lambda: fresh_lab.cais("status", check=False).returncode != 0, 5)
    for words in (("status",), ("kill", "m1"), ("up",)):
        refused(fresh_lab.cais(*words, check=False), "daemon", "was killed", "`cais lab down`")
    fresh_lab.cais("down")
    assert processes_naming(str(fresh_lab.directory)) == []
    refused(fresh_lab.cais("status", check=False), "no lab is running")


def test_a_control_plane_alone(fresh_lab):
    fresh_lab.up("--workers", "0")
    assert fresh_lab.status()["workers"] == []
    ecs = fresh_lab.client()
    assert ecs.create_cluster()["cluster"]["registeredContainerInstancesCount"] == 0
    fresh_lab.down()
    assert processes_naming(str(fresh_lab.directory)) == []
    assert not fresh_lab.directory.exists()


def test_down_and_up_again_keeps_the_state(fresh_lab):
    fresh_lab.up("--workers", "0")
    fresh_lab.client().create_cluster(clusterName="kept")
    fresh_lab.cais("down")
    assert processes_naming(str(fresh_lab.directory)) == []
    fresh_lab.up("--workers", "0")
    found = wait_until("it answers", lambda: fresh_lab.client().describe_clusters(clusters=["kept"]), 10)
    assert [c["status"] for c in found["clusters"]] == ["ACTIVE"]


def test_help_of_every_verb():
    verbs = ("up", "status", "kill", "stop", "cont", "start", "cut", "heal", "delay", "fail-zone", "restore-zone", "down")
    for verb in verbs:
        done = subprocess.run([CAIS, "lab", verb, "--help"], stdout=subprocess.PIPE, text=True, timeout=10)
        assert done.returncode == 0 and f"cais lab {verb}" in done.stdout
    for verb in ("manager", "worker", "lab", "status", "logs", "storage", "version"):
        done = subprocess.run([CAIS, verb, "--help"], stdout=subprocess.PIPE, text=True, timeout=10)
        assert done.returncode == 0 and f"cais {verb}" in done.stdout
