"""A disk without space: writes are refused with a reason, reads go on, and everything goes on when there is space again.

The managers' directories are small file systems in memory. Mounting them takes root.
"""
import os
import shutil
import subprocess

import botocore.exceptions
import pytest

from harness import on_every_manager, wait_until

MANAGERS = ("m1", "m2", "m3")
SIZE = "24m"
BLOCK = 1 << 20

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting file systems takes root")


def mount_small(path):
    """Put a small file system in a directory's place, with what was in it."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "cais-test", path], stderr=subprocess.PIPE, text=True,
                          timeout=10)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    shutil.copytree(aside, path, dirs_exist_ok=True)
    shutil.rmtree(aside)


@pytest.fixture
def small(fresh_lab):
    """A lab whose managers have SIZE each."""
    paths = [fresh_lab.directory / name for name in MANAGERS]
    try:
        fresh_lab.up("--workers", "0")
        fresh_lab.cais("down")
        for path in paths:
            mount_small(path)
        fresh_lab.up("--workers", "0")
        yield fresh_lab
    finally:
        fresh_lab.cais("down", check=False)
        for path in paths:
            if path.is_mount():
                subprocess.run(["umount", path], check=True, timeout=10)


def ballast(lab, name):
    return lab.directory / name / "ballast"


def fill(lab, name):
    """Take all the space there is."""
    with open(ballast(lab, name), "wb", buffering=0) as out:
        size = BLOCK
        while size:
            try:
                if out.write(bytes(size)) < size:
                    size //= 2
            except OSError:
                size //= 2


def pids(lab):
    return {name: m["pid"] for name, m in lab.managers().items()}


def large(number):
    """A task definition that does not fit into pages that are free by chance."""
    return {"family": "large", "containerDefinitions": [{
        "name": "c", "image": "busybox", "memory": 16, "environment": [{"name": "N", "value": f"{number}" + "x" * 30000}]}]}


def refusal(client):
    """Write until it is refused: the refusal."""
    for number in range(100):
        try:
            client.register_task_definition(**large(number))
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]
    return None


def test_all_disks_full(small):
    before = pids(small)
    client = small.client(attempts=1)
    client.create_cluster(clusterName="before")
    on_every_manager(small, ["before"])
    for name in MANAGERS:
        fill(small, name)
    error = refusal(client)
    assert error and error["Code"] == "ServerException", error
    assert "disk" in error["Message"] and "full" in error["Message"], error
    for name in MANAGERS:
        api = small.client(small.managers()[name]["api"], stale=True)
        assert [c["clusterName"] for c in api.describe_clusters(clusters=["before"])["clusters"]] == ["before"]
    for name in MANAGERS:
        ballast(small, name).unlink()
    wait_until("writes are taken again", lambda: client.create_cluster(clusterName="after"), 20)
    assert pids(small) == before, "a manager ended"


def test_the_leaders_disk_full(small):
    before = pids(small)
    client = small.client()
    client.create_cluster(clusterName="before")
    full = small.leader()
    fill(small, full)
    error = refusal(small.client(attempts=1))
    if error:
        assert "disk" in error["Message"] or "may or may not" in error["Message"], error
    wait_until("another leads", lambda: small.leader() != full, 10)
    for number in range(20):
        client.register_task_definition(**large(number))
    ballast(small, full).unlink()
    api = small.client(small.managers()[full]["api"], stale=True)
    wait_until("it catches up", lambda: len(api.list_task_definitions(familyPrefix="large")["taskDefinitionArns"]) >= 20, 20)
    assert pids(small) == before, "a manager ended"
