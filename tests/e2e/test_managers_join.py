"""Managers come, stand by, vote in a lost one's place, and go on alone when the others are lost."""
import boto3
import botocore.config
import pytest

import harness
import managers


@pytest.fixture
def cluster(tmp_path):
    made = managers.Managers(tmp_path)
    yield made
    made.end()


def three(cluster):
    cluster.bootstrap()
    cluster.join("m2", "b")
    cluster.join("m3", "c")
    cluster.wait_roles({"m1": "voter", "m2": "voter", "m3": "voter"})


def client(cluster, name):
    config = botocore.config.Config(retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=10)
    return boto3.session.Session(region_name=harness.REGION, **harness.KEYS).client(
        "ecs", endpoint_url=f"http://{cluster.api(name)}", config=config)


def clusters(cluster, name):
    return {arn.rpartition("/")[2] for arn in client(cluster, name).list_clusters()["clusterArns"]}


def test_a_voter_killed_for_good_is_replaced_by_the_stand_by(cluster):
    three(cluster)
    cluster.join("m4", "d", at="m2")
    cluster.join("m5", "a", at="m3")
    cluster.wait_roles({"m1": "voter", "m2": "voter", "m3": "voter", "m4": "standby", "m5": "standby"})
    client(cluster, "m4").create_cluster(clusterName="kept")
    cluster.kill("m3")
    harness.wait_until("a stand-by votes in its place", lambda: list(cluster.roles().values()).count("voter") == 3, 20)
    assert "reason=\"a voter is silent\"" in cluster.log(cluster.leader())
    assert clusters(cluster, "m5") == {"kept"}
    cluster.again("m3")
    harness.wait_until("it is back and stands by", lambda: cluster.quiet("m3").get("member") == "standby", 20)


def test_a_restart_needs_the_directory_alone_and_takes_no_other_name(cluster):
    three(cluster)
    cluster.kill("m2")
    cluster.start("m2", "--name", "m9")
    assert cluster.wait_end("m2") != 0
    assert "--name says \"m9\"" in cluster.log("m2")
    cluster.again("m2")
    cluster.wait_roles({"m1": "voter", "m2": "voter", "m3": "voter"})
    cluster.kill("m1")
    cluster.bootstrap()  # Passed over: it was there before.
    cluster.wait_roles({"m1": "voter", "m2": "voter", "m3": "voter"})
    harness.wait_until("all follow one", lambda: len({cluster.quiet(name).get("leader", 0)
                                                      for name in cluster.children} | {0}) == 2
                       and all(cluster.quiet(name).get("leader") for name in cluster.children), 10)


def test_who_has_no_right_to_join_does_not(cluster):
    three(cluster)
    wrong = cluster.token_file().read_text().strip().rpartition("-")[0] + "-" + "1" * 32
    cluster.join("m4", "d", token=["--token", wrong])
    assert cluster.wait_end("m4") != 0
    assert "this token lets nobody in" in cluster.log("m4")
    cluster.join("m5", "d", called="m2")
    assert cluster.wait_end("m5") != 0
    assert "there is a manager called m2 already" in cluster.log("m5")
    cluster.start("m6")
    assert cluster.wait_end("m6") != 0
    assert "holds no state to go on from" in cluster.log("m6")


def test_who_cannot_reach_the_cluster_keeps_trying_and_says_so_once(cluster):
    cluster.bootstrap()
    cluster.leader()
    cluster.kill("m1")
    cluster.join("m2", "b")
    harness.wait_until("it has said so", lambda: "join.waits" in cluster.log("m2"), 10)
    cluster.again("m1")
    harness.wait_until("it has joined", lambda: cluster.quiet("m2").get("member") in ("standby", "voter"), 20)
    assert cluster.log("m2").count("connection refused") == 1


def test_one_of_three_goes_on_alone_and_others_join_it(cluster):
    three(cluster)
    client(cluster, "m1").create_cluster(clusterName="kept")
    for name in ("m2", "m3"):
        cluster.kill(name)
    status, said = cluster.recover("m1")
    assert status != 0 and "another process is using it" in said
    cluster.kill("m1")
    term = 1 << 20
    status, said = cluster.recover("m1")
    assert status == 0 and "the only one of its cluster" in said
    cluster.again("m1")
    assert cluster.leader() == "m1"
    assert cluster.status("m1")["term"] > term
    assert clusters(cluster, "m1") == {"kept"}
    cluster.join("m4", "b")
    cluster.join("m5", "c")
    cluster.wait_roles({"m1": "voter", "m4": "voter", "m5": "voter"})
    cluster.again("m2")  # Lost and started all the same: it is told.
    assert cluster.wait_end("m2") != 0
    assert "manager.removed" in cluster.log("m2")
