"""A backup beside a running cluster, the loss of all managers, and a cluster that goes on from the backup."""
import json
import stat
import subprocess
import threading

import boto3
import botocore.config
import pytest

import harness
import managers

SKIPPED_TERMS = 1 << 20


@pytest.fixture
def cluster(tmp_path):
    made = managers.Managers(tmp_path)
    yield made
    made.end()


def client(cluster, name):
    config = botocore.config.Config(retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=10)
    return boto3.session.Session(region_name=harness.REGION, **harness.KEYS).client(
        "ecs", endpoint_url=f"http://{cluster.api(name)}", config=config)


def clusters(cluster, name):
    return {arn.rpartition("/")[2] for arn in client(cluster, name).list_clusters()["clusterArns"]}


def cais(*words, fails=False):
    done = subprocess.run([str(w) for w in (harness.CAIS, *words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode != 0) == fails, f"{words}: {done.stdout}{done.stderr}"
    return done.stderr if fails else done.stdout


def backup(cluster, name, file):
    return cais("backup", file, "--dir", cluster.path / name)


def test_all_are_lost_and_a_new_one_goes_on_from_the_backup(cluster, tmp_path):
    cluster.bootstrap()
    cluster.join("m2", "b")
    cluster.join("m3", "c")
    cluster.wait_roles({"m1": "voter", "m2": "voter", "m3": "voter"})
    file = tmp_path / "monday.backup"
    stop = threading.Event()
    acknowledged = []

    def write():
        ecs = client(cluster, "m2")
        while not stop.is_set():
            name = f"busy-{len(acknowledged)}"
            ecs.create_cluster(clusterName=name)
            acknowledged.append(name)

    writer = threading.Thread(target=write)
    writer.start()
    harness.wait_until("it is busy", lambda: len(acknowledged) >= 10, 20)
    before = set(acknowledged)  # All that was acknowledged before is in it, whichever manager is asked.
    said = backup(cluster, "m3", file)
    stop.set()
    writer.join()
    assert f"bytes in {file}" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "whole" in cais("backup", "verify", file)
    client(cluster, "m1").create_cluster(clusterName="after")
    term = cluster.status("m1")["term"]
    for name in ("m1", "m2", "m3"):
        cluster.kill(name)

    assert "state is here already" in cais("restore", file, cluster.path / "m1", fails=True)
    cais("restore", file, cluster.path / "m4")
    cluster.start("m4")
    assert cluster.wait_end("m4") != 0
    assert "start it with --bootstrap" in cluster.log("m4")
    cluster.bootstrap("m4", "a")
    assert cluster.leader() == "m4"
    assert cluster.status("m4")["term"] > term + SKIPPED_TERMS - 100
    kept = clusters(cluster, "m4")
    assert before <= kept and "after" not in kept
    harness.wait_until("its token is there", (cluster.path / "m4" / "manager.token").exists, 10)
    cluster.join("m5", "b", at="m4", token=["--token-file", cluster.path / "m4" / "manager.token"])
    harness.wait_until("it votes", lambda: cluster.quiet("m5").get("member") in ("standby", "voter"), 20)
    client(cluster, "m5").create_cluster(clusterName="new")
    cluster.kill("m4")  # Restarted, it is like any other.
    cluster.again("m4")
    assert clusters(cluster, cluster.leader()) == kept | {"new"}
    assert cais("storage", "check", cluster.path / "m4").endswith("whole\n")


def test_what_is_no_whole_backup_is_told_and_not_restored(cluster, tmp_path):
    cluster.bootstrap()
    cluster.leader()
    for number in range(24):  # So that it has several chunks.
        client(cluster, "m1").register_task_definition(family="large", containerDefinitions=[{
            "name": "main", "image": "process", "memory": 64, "command": ["/bin/true"],
            "environment": [{"name": f"V{i}", "value": f"{number}-{i:020000d}"} for i in range(2)]}])
    file = tmp_path / "one.backup"
    backup(cluster, "m1", file)
    assert file.stat().st_size > 24 * 40000
    assert "it is there already" in cais("backup", file, "--dir", cluster.path / "m1", fails=True)
    whole = file.read_bytes()
    for damaged, said in ((whole[:-5], "cut short"), (whole[:200] + b"X" + whole[201:], "checksum does not fit"),
                          (whole + b"more", "goes on after its end"), (b"hello", "is no backup"), (b"", "is empty")):
        file.write_bytes(damaged)
        assert said in cais("backup", "verify", file, fails=True)
        assert said in cais("restore", file, tmp_path / "none", fails=True)
        assert not (tmp_path / "none").exists()
    file.write_bytes(whole)
    cais("restore", file, tmp_path / "none")
    assert json.loads(cais("storage", "check", "--json", tmp_path / "none"))["records"]["task_definition"] == 24
    assert "No such file" in cais("backup", "verify", tmp_path / "absent", fails=True)


def test_a_manager_that_is_cut_off_backs_up_what_it_has_if_told_so(cluster, tmp_path):
    cluster.bootstrap()
    cluster.join("m2", "b")
    cluster.wait_roles({"m1": "voter", "m2": "voter"})
    client(cluster, "m1").create_cluster(clusterName="kept")
    cluster.kill("m2")
    said = cais("backup", tmp_path / "cut", "--dir", cluster.path / "m1", fails=True)
    assert "No leader is known" in said or "Leadership was lost" in said
    assert not list(tmp_path.glob("cut*"))
    cais("backup", tmp_path / "cut", "--stale", "--dir", cluster.path / "m1")
    assert "whole" in cais("backup", "verify", tmp_path / "cut")


def test_a_damaged_log_entry_is_named_at_the_start(cluster):
    cluster.bootstrap()
    cluster.leader()
    client(cluster, "m1").create_cluster(clusterName="to-be-damaged")
    cluster.kill("m1")
    path = cluster.path / "m1" / "state" / "data.mdb"
    path.write_bytes(path.read_bytes().replace(b"to-be-damaged", b"to-be-dXmaged"))
    cluster.again("m1")
    assert cluster.wait_end("m1") != 0
    assert "is damaged: its checksum does not fit" in cluster.log("m1")
    assert "log entry " in cluster.log("m1") and "restore a backup" in cluster.log("m1")
