"""SIGKILL of the leading manager under load: nothing acknowledged is lost, no task notices."""
from harness import Writers, on_every_manager, wait_until

RESUMED_WITHIN = 2.0  # Seconds without an acknowledged write, at worst.


def test_kill_leader(lab):
    before = lab.identities(lab.web(6))
    leader = lab.leader()
    with Writers(lab) as writers:
        writers.wait_for(40)
        lab.cais("kill", leader)
        writers.wait_for(40)
        assert lab.leader() != leader
        lab.cais("start", leader)
        writers.wait_for(40)

    assert writers.longest_pause() < RESUMED_WITHIN
    assert writers.missing == []
    assert lab.identities(lab.wait_serving(6)) == before
    wait_until("the killed manager runs", lambda: lab.managers()[leader]["state"] == "running", 10)
    on_every_manager(lab, writers.acknowledged)


def test_three_leaders_in_a_row(lab):
    before = lab.identities(lab.web(6))
    term = lab.status()["term"]
    with Writers(lab, prefix="row") as writers:
        for _ in range(3):
            leader = lab.leader()
            lab.cais("kill", leader)
            writers.wait_for(20)
            lab.cais("start", leader)
            wait_until("it runs again", lambda name=leader: lab.managers()[name]["state"] == "running", 10)
    assert lab.status()["term"] >= term + 3
    assert writers.missing == []
    on_every_manager(lab, writers.acknowledged)
    assert lab.identities(lab.wait_serving(6)) == before
