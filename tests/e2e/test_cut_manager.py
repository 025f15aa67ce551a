"""A manager cut from the others answers with an error, soon, and rejoins by itself."""
import time

import botocore.exceptions
import pytest

from harness import absent_clusters, on_every_manager, wait_until

LAB = ("--workers", "0")
ANSWERS_WITHIN = 5.0
SLACK = 0.7  # Of our own client on a busy machine.


def refused_in_time(lab, api, name):
    """A write there is answered with an error, in time: the error."""
    began = time.monotonic()
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        lab.client(api, attempts=1, timeout=20).create_cluster(clusterName=name)
    took = time.monotonic() - began
    assert took < ANSWERS_WITHIN + SLACK, f"answered after {took:.1f} s"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    return caught.value.response["Error"]["Code"]


def cut_off(lab, name):
    for other in lab.managers():
        if other != name:
            lab.cais("cut", name, other)


@pytest.mark.parametrize("role", ["follower", "leader"])
def test_cut_manager(lab, role):
    leader = lab.leader()
    cut = leader if role == "leader" else lab.followers()[0]
    api = lab.managers()[cut]["api"]
    lab.client(api).create_cluster(clusterName=f"before-{role}")

    cut_off(lab, cut)
    rest = [name for name in lab.managers() if name != cut]
    lab.leader(among=rest)
    for attempt in range(3):
        assert refused_in_time(lab, api, f"lost-{role}-{attempt}")
    # It still reads what it has, when asked to; and the others go on.
    mine = lab.client(api, stale=True)
    assert absent_clusters(mine, [f"before-{role}"]) == set()
    other = lab.client(lab.managers()[rest[0]]["api"])
    during = [f"during-{role}-{n}" for n in range(20)]
    for name in during:
        other.create_cluster(clusterName=name)
    assert absent_clusters(mine, during) == set(during)

    lab.cais("heal")
    on_every_manager(lab, [f"before-{role}", *during])
    wait_until("it takes writes again", lambda: lab.client(api).create_cluster(clusterName=f"after-{role}"), 10)
    on_every_manager(lab, [f"after-{role}"])
