"""A power cut in the leader's zone: the service comes back in the other two, and the zone too."""
from harness import ZONES, Writers, on_every_manager, wait_until


def zones_without(zone, count):
    """The best balance of a count over the other zones."""
    others = len(ZONES) - 1
    return tuple(0 if z == zone else count // others for z in ZONES)


def test_fail_zone_of_the_leader(lab):
    before = lab.web(6)
    leader = lab.leader()
    zone = lab.managers()[leader]["zone"]
    safe = [task for task in before if task.zone != zone]
    untouched = lab.identities(safe)

    with Writers(lab, count=2) as writers:
        writers.wait_for(10)
        lab.cais("fail-zone", zone)
        writers.wait_for(10)
        assert lab.leader() != leader
        during = lab.wait_serving(6, zones=zones_without(zone, 6))
        assert lab.identities([task for task in during if task.id in untouched]) == untouched
        lab.cais("restore-zone", zone)
        writers.wait_for(10)
    assert writers.missing == []

    states = ("running", "running", "running")
    wait_until("every manager runs", lambda: tuple(m["state"] for m in lab.managers().values()) == states, 15)
    on_every_manager(lab, writers.acknowledged)
    lab.client().update_service(service="web", desiredCount=9)
    nine = lab.wait_serving(9, zones=(3, 3, 3))
    assert {task.id for task in during} <= {task.id for task in nine}


def test_fail_zone_without_the_leader(lab):
    lab.web(6)
    leader = lab.leader()
    zone = next(z for z in ZONES if z != lab.managers()[leader]["zone"])
    lab.cais("fail-zone", zone)
    lab.wait_serving(6, zones=zones_without(zone, 6))
    assert lab.leader() == leader
    lab.cais("restore-zone", zone)
    assert wait_until("all workers are back", lambda: all(
        w["state"] == "running" for w in lab.workers().values()), 15)
