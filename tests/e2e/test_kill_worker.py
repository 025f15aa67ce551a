"""SIGKILL of a worker: its tasks run elsewhere, and nothing runs twice when it comes back."""
from harness import processes_of_tasks, wait_until, worker_of


def no_strays(lab, known):
    """The processes of all tasks ever seen are those of the tasks that should run."""
    wanted = {task.id for task in lab.tasks()}
    return set(processes_of_tasks()) & known == wanted & known and wanted <= set(processes_of_tasks())


def test_kill_worker(lab):
    first = lab.web(6)
    victim = worker_of(lab, first[0])
    on_victim = {task.id for task in first if task.worker == first[0].worker}
    others = [task for task in first if task.id not in on_victim]
    untouched = lab.identities(others)

    lab.cais("kill", victim)
    def moved():
        tasks = lab.tasks()
        return len(tasks) == 6 and on_victim.isdisjoint(task.id for task in tasks)
    wait_until("its tasks are replaced", moved, 15)
    # The other worker of the same zone takes them: two in each zone is possible, so it is best.
    second = lab.wait_serving(6, zones=(2, 2, 2))
    assert first[0].worker not in {task.worker for task in second}
    assert lab.identities([task for task in second if task.id in untouched]) == untouched

    lab.cais("start", victim)
    wait_until("the worker is back", lambda: lab.workers()[victim]["state"] == "running", 15)
    known = {task.id for task in first + second}
    wait_until("what it left running is gone", lambda: no_strays(lab, known), 20)
    assert {task.id for task in lab.wait_serving(6)} == {task.id for task in second}

    lab.client().update_service(service="web", desiredCount=12)
    twelve = lab.wait_serving(12, zones=(4, 4, 4))
    assert first[0].worker in {task.worker for task in twelve}


def test_a_paused_worker_is_replaced_and_then_obeys(lab):
    lab.web(6)
    before = lab.wait_serving(6, zones=(2, 2, 2))
    victim = worker_of(lab, before[0])
    on_victim = {task.id for task in before if task.worker == before[0].worker}

    lab.cais("stop", victim)
    wait_until("its tasks are replaced", lambda: on_victim.isdisjoint(t.id for t in lab.tasks()), 15)
    after = lab.wait_serving(6, zones=(2, 2, 2))
    lab.cais("cont", victim)
    known = {task.id for task in before + after}
    assert wait_until("the replaced ones are gone", lambda: no_strays(lab, known), 20)
