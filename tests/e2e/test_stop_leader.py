"""SIGSTOP of the leader for ten seconds: when it wakes it finds out that it leads no more."""
import time

from harness import Writers, on_every_manager, wait_until

STOPPED_SECONDS = 10


def test_stop_leader(lab):
    before = lab.identities(lab.web(6))
    leader = lab.leader()
    with Writers(lab) as writers:
        writers.wait_for(20)
        lab.cais("stop", leader)
        stopped = time.monotonic()
        others = [name for name in lab.managers() if name != leader]
        lab.leader(among=others)
        writers.wait_for(40)
        # An order of the new leader, which the old one does not know of.
        lab.client().update_service(service="web", desiredCount=9)
        nine = lab.wait_serving(9, zones=(3, 3, 3))
        wait_until("the time is over", lambda: time.monotonic() > stopped + STOPPED_SECONDS, 2 * STOPPED_SECONDS)
        lab.cais("cont", leader)
        writers.wait_for(40)

    assert writers.missing == []
    roles = wait_until("all three agree on one leader", lambda: one_leader(lab), 10)
    assert roles[leader] == "follower"
    on_every_manager(lab, writers.acknowledged)
    after = lab.identities(lab.wait_serving(9, zones=(3, 3, 3)))
    assert {id: after[id] for id in before} == before
    assert set(after) == {task.id for task in nine}


def one_leader(lab):
    roles = {name: m["role"] for name, m in lab.managers().items()}
    return roles if sorted(roles.values()) == ["follower", "follower", "leader"] else None
