"""The tour of the README, typed as a user would, with the real aws CLI."""
import json
import threading

from harness import SAMPLE, Lab, processes_naming, processes_of_tasks, wait_until


class Serving:
    """Watches from beside, without pause: in every look at least `least` tasks must answer."""

    def __init__(self, lab, least):
        self.lab = lab
        self.least = least
        self.looks = 0
        self.short = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join(30)

    def watch(self):
        ecs = self.lab.client()
        while not self.ended.is_set():
            answered = self.answering(ecs, set())
            if len(answered) < self.least:
                # A task may go between the list and the look at it; what came instead answers now.
                answered |= self.answering(ecs, answered)
            if len(answered) < self.least:
                self.short.append(len(answered))
            self.looks += 1

    def answering(self, ecs, known):
        tasks = [task for task in self.lab.tasks(ecs) if task.id not in known and task.status == "RUNNING"]
        return {task.id for task in tasks if task.answers()}


def definition_of_second_revision(path):
    """The sample, with another environment: a change that makes a new revision."""
    sample = json.loads(SAMPLE.read_text())
    sample["containerDefinitions"][0]["environment"] = [{"name": "REVISION", "value": "2"}]
    path.write_text(json.dumps(sample))
    return path


def never_fewer_running(tasks, least, since):
    """From the times the API gives: at each moment a task was told to stop, `least` others ran."""
    stops = sorted(t.raw["stoppingAt"] for t in tasks if t.raw.get("stoppingAt") and t.raw["stoppingAt"] > since)
    for stop in stops:
        running = [t for t in tasks if t.started and t.started <= stop and (not t.stopping or t.stopping > stop)]
        assert len(running) >= least, f"{len(running)} tasks ran at {stop}"
    return len(stops)


def test_tour(fresh_lab: Lab, tmp_path):
    lab = fresh_lab
    lab.up()
    created = lab.aws("create-cluster")
    assert created["cluster"]["clusterArn"] == "arn:aws:ecs:us-east-1:000000000000:cluster/default"
    registered = lab.aws("register-task-definition", "--cli-input-json", f"file://{SAMPLE}")
    assert registered["taskDefinition"]["revision"] == 1

    lab.aws("create-service", "--service-name", "web", "--task-definition", "web", "--desired-count", 6)
    lab.aws("wait", "services-stable", "--services", "web")
    six = lab.wait_serving(6, zones=(2, 2, 2))
    assert len({task.worker for task in six}) == 6

    lab.aws("update-service", "--service", "web", "--desired-count", 9)
    lab.aws("wait", "services-stable", "--services", "web")
    nine = lab.wait_serving(9, zones=(3, 3, 3))
    assert {task.id for task in six} < {task.id for task in nine}

    second = definition_of_second_revision(tmp_path / "web-2.json")
    lab.aws("register-task-definition", "--cli-input-json", f"file://{second}")
    with Serving(lab, least=9) as serving:
        wait_until("a first look", lambda: serving.looks > 0, 10)
        update = lab.aws("update-service", "--service", "web", "--task-definition", "web:2")["service"]
        assert [d["status"] for d in update["deployments"]] == ["PRIMARY", "ACTIVE"]
        wait_until("one deployment", lambda: len(lab.service()["deployments"]) == 1, 60)
        rolled = lab.wait_serving(9, zones=(3, 3, 3))
    assert serving.looks > 1 and serving.short == []
    assert {task.definition for task in rolled} == {"web:2"}
    every = rolled + lab.tasks(desired="STOPPED")
    assert never_fewer_running(every, 9, since=max(t.started for t in nine)) == 9

    lab.aws("update-service", "--service", "web", "--desired-count", 3)
    lab.aws("wait", "services-stable", "--services", "web")
    lab.wait_serving(3, zones=(1, 1, 1))

    lab.aws("delete-service", "--service", "web", "--force")
    lab.aws("wait", "services-inactive", "--services", "web")
    known = {task.id for task in every}
    assert wait_until("no task is left", lambda: known.isdisjoint(processes_of_tasks()), 20)

    lab.down()
    assert processes_naming(str(lab.directory)) == []
    assert not lab.directory.exists()


def test_waiters_of_single_tasks(lab):
    lab.aws("create-cluster")
    lab.aws("register-task-definition", "--cli-input-json", f"file://{SAMPLE}")
    started = lab.aws("run-task", "--task-definition", "web", "--count", 2)
    assert started["failures"] == [] and len(started["tasks"]) == 2
    arns = [task["taskArn"] for task in started["tasks"]]

    lab.aws("wait", "tasks-running", "--tasks", *arns)
    running = lab.aws("describe-tasks", "--tasks", *arns)["tasks"]
    assert [task["lastStatus"] for task in running] == ["RUNNING", "RUNNING"]

    for arn in arns:
        stopped = lab.aws("stop-task", "--task", arn, "--reason", "seen enough")["task"]
        assert (stopped["desiredStatus"], stopped["stopCode"]) == ("STOPPED", "UserInitiated")
    lab.aws("wait", "tasks-stopped", "--tasks", *arns)
    for task in lab.aws("describe-tasks", "--tasks", *arns)["tasks"]:
        assert task["lastStatus"] == "STOPPED" and task["stoppedReason"] == "seen enough"
    ids = {arn.rsplit("/", 1)[1] for arn in arns}
    assert ids.isdisjoint(processes_of_tasks())
