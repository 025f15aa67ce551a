"""`cais storage check`: beside a running manager, on a stopped one, and on a damaged one."""
import json
import pathlib

import pytest

from harness import wait_until

LAB = ("--workers", "1", "--runtime", "hollow")


@pytest.fixture(scope="module")
def filled(lab):
    ecs = lab.client()
    for number in range(20):
        ecs.create_cluster(clusterName=f"kept-{number}")
    return lab


def data_of(lab, manager):
    """The database file of a manager."""
    return next(pathlib.Path(lab.directory, manager).rglob("data.mdb"))


def check(lab, manager, *options):
    return lab.verb("storage", "check", lab.directory / manager, *options)


def test_a_running_manager_is_whole(filled):
    for manager in filled.managers():
        done = check(filled, manager, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert report["whole"] and report["problem"] is None
        assert report["records"]["cluster"] >= 20
        assert report["log_last"] >= report["applied_index"] >= 20


def test_its_log_can_be_read(filled):
    done = check(filled, "m1", "--dump")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = {line["data"]["create_cluster"]["request"]["cluster_name"] for line in lines
             if "create_cluster" in line.get("data", {})}
    assert {f"kept-{number}" for number in range(20)} <= names
    assert {line["value"]["name"] for line in lines if line.get("table") == "cluster"} >= {"kept-7"}


def test_a_damaged_entry_is_named(filled):
    filled.cais("kill", "m3")
    wait_until("the lab knows", lambda: filled.managers()["m3"]["state"] == "dead", 10)
    path = data_of(filled, "m3")
    whole = path.read_bytes()
    # In the tables too, which have no checksum: what is said first is the entry.
    path.write_bytes(whole.replace(b"kept-19", b"kept-1X"))
    done = check(filled, "m3")
    assert done.returncode == 1
    assert "checksum does not fit" in done.stdout
    assert "join" in done.stderr and "--recover" in done.stderr
    path.write_bytes(whole)
    assert check(filled, "m3").returncode == 0
    filled.cais("start", "m3")


def test_a_file_of_noise_is_refused(filled, tmp_path):
    for name in ("data.mdb", "lock.mdb"):
        (tmp_path / name).write_bytes(b"\xa5" * 65536)
    done = filled.verb("storage", "check", tmp_path)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr


def test_a_directory_without_state_is_refused(filled, tmp_path):
    done = filled.verb("storage", "check", tmp_path / "nothing")
    assert done.returncode == 1
    assert "no manager keeps its state here" in done.stderr
