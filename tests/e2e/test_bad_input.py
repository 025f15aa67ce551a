"""Input that makes no sense gets ECS's error and changes nothing."""
import json

import pytest

from harness import SAMPLE, TARGET, wait_until

LAB = ("--workers", "3")

DEFINITION = {"family": "bad", "containerDefinitions": [{"name": "c", "image": "busybox", "memory": 32}]}
CONTAINER = DEFINITION["containerDefinitions"][0]


def definition(**changes):
    """The definition with other members of its container, or of itself in capitals."""
    return {**DEFINITION, "containerDefinitions": [{**CONTAINER, **changes}]}


# What, operation, body, status, code, part of the message (None: any).
PROTOCOL = (
    ("malformed JSON", TARGET + "ListClusters", b'{"maxResults": ', 400, "SerializationException", None),
    ("not JSON at all", TARGET + "ListClusters", b"\x00\xff\xfe", 400, "SerializationException", None),
    ("an array", TARGET + "ListClusters", b"[]", 400, "SerializationException", None),
    ("deep nesting", TARGET + "ListClusters", b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "SerializationException", None),
    ("unknown action", TARGET + "MakeCoffee", b"{}", 400, "UnknownOperationException", None),
    ("another service's action", "AmazonSQS.ListQueues", b"{}", 400, "UnknownOperationException", None),
    ("no target header", None, b"{}", 400, "UnknownOperationException", None),
)

OPERATIONS = (
    ("string for a number", "CreateService", {"serviceName": "x", "taskDefinition": "web", "desiredCount": "six"},
     "SerializationException", None),
    ("number for a string", "CreateCluster", {"clusterName": 7}, "SerializationException", None),
    ("object for a list", "DescribeTasks", {"tasks": {}}, "SerializationException", None),
    ("container cpu abc", "RegisterTaskDefinition", definition(cpu="abc"), "SerializationException", None),
    ("task cpu abc", "RegisterTaskDefinition", {**DEFINITION, "cpu": "abc"}, "ClientException",
     "Invalid 'cpu' setting for task."),
    ("no family", "RegisterTaskDefinition", {"containerDefinitions": [CONTAINER]}, "ClientException", None),
    ("no containers", "RegisterTaskDefinition", {"family": "bad", "containerDefinitions": []}, "ClientException", None),
    ("container without image", "RegisterTaskDefinition", definition(image=""), "ClientException",
     "Container.image should not be null or empty."),
    ("container without name", "RegisterTaskDefinition", definition(name=""), "ClientException",
     "Container.name should not be null or empty."),
    ("container without memory", "RegisterTaskDefinition", definition(memory=None), "ClientException",
     "Invalid setting for container 'c'. At least one of 'memory' or 'memoryReservation' must be specified."),
    ("bad cluster name", "CreateCluster", {"clusterName": "no spaces"}, "InvalidParameterException", None),
    ("unknown cluster", "ListTasks", {"cluster": "nowhere"}, "ClusterNotFoundException", "Cluster not found."),
    ("unknown cluster for a service", "CreateService",
     {"cluster": "nowhere", "serviceName": "x", "taskDefinition": "web", "desiredCount": 1},
     "ClusterNotFoundException", "Cluster not found."),
    ("unknown cluster to delete", "DeleteCluster", {"cluster": "nowhere"}, "ClusterNotFoundException", None),
    ("unknown service to update", "UpdateService", {"service": "nothing", "desiredCount": 1},
     "ServiceNotFoundException", "Service not found."),
    ("unknown service to delete", "DeleteService", {"service": "nothing"}, "ServiceNotFoundException", None),
    ("unknown task to stop", "StopTask", {"task": "0" * 32}, "InvalidParameterException", None),
    ("unknown task definition to run", "RunTask", {"taskDefinition": "nothing"}, "ClientException",
     "TaskDefinition not found."),
    ("unknown task definition for a service", "CreateService",
     {"serviceName": "x", "taskDefinition": "nothing", "desiredCount": 1}, "ClientException", "TaskDefinition not found."),
    ("unknown task definition to describe", "DescribeTaskDefinition", {"taskDefinition": "nothing"}, "ClientException",
     "Unable to describe task definition."),
    ("no revision to deregister", "DeregisterTaskDefinition", {"taskDefinition": "web"}, "ClientException",
     "Revision is missing."),
    ("negative desired count", "CreateService", {"serviceName": "x", "taskDefinition": "web", "desiredCount": -1},
     "InvalidParameterException", None),
    ("negative desired count in an update", "UpdateService", {"service": "quiet", "desiredCount": -3},
     "InvalidParameterException", None),
    ("eleven tasks at once", "RunTask", {"taskDefinition": "web", "count": 11}, "InvalidParameterException", None),
    ("no tasks to describe", "DescribeTasks", {"tasks": []}, "InvalidParameterException", "Tasks cannot be empty."),
    ("a token of no page", "ListTasks", {"nextToken": "made-up"}, "InvalidParameterException", None),
)


@pytest.fixture(scope="module", autouse=True)
def furnished(lab):
    """A cluster, a definition and a service of no tasks, to be left alone."""
    ecs = lab.client()
    ecs.create_cluster()
    ecs.register_task_definition(**json.loads(SAMPLE.read_text()))
    ecs.create_service(serviceName="quiet", taskDefinition="web", desiredCount=0)


def state(lab):
    """All that a refused call could have changed."""
    ecs = lab.client()
    services = ecs.list_services()["serviceArns"]
    described = ecs.describe_services(services=services)["services"] if services else []
    return {
        "clusters": ecs.list_clusters()["clusterArns"],
        "definitions": ecs.list_task_definitions()["taskDefinitionArns"],
        "services": [(s["serviceArn"], s["status"], s["desiredCount"], s["taskDefinition"]) for s in described],
        "tasks": ecs.list_tasks()["taskArns"] + ecs.list_tasks(desiredStatus="STOPPED")["taskArns"],
    }


def alive(lab):
    """Every process of the lab is the one it was."""
    status = lab.status()
    return [(each["name"], each["pid"], each["state"]) for each in status["managers"] + status["workers"]]


@pytest.mark.parametrize("what, target, body, status, code, message", PROTOCOL, ids=[row[0] for row in PROTOCOL])
def test_protocol(lab, what, target, body, status, code, message):
    before, processes = state(lab), alive(lab)
    answered, answer = lab.post(body, target)
    assert (answered, answer.get("__type", "").rpartition("#")[2]) == (status, code)
    assert message is None or message == answer["message"]
    assert state(lab) == before and alive(lab) == processes


@pytest.mark.parametrize("what, operation, body, code, message", OPERATIONS, ids=[row[0] for row in OPERATIONS])
def test_operation(lab, what, operation, body, code, message):
    before, processes = state(lab), alive(lab)
    status, answer = lab.post(json.dumps(body), TARGET + operation)
    assert (status, answer.get("__type", "").rpartition("#")[2]) == (400, code), answer
    assert answer["message"] if message is None else answer["message"] == message
    assert state(lab) == before and alive(lab) == processes


@pytest.mark.parametrize("authorization, code", [
    (None, "MissingAuthenticationTokenException"),
    ("Basic bGFiOmxhYg==", "IncompleteSignatureException"),
    ("AWS4-HMAC-SHA256 Credential=lab", "IncompleteSignatureException"),
    ("AWS4-HMAC-SHA256 Credential=" + "/" * 3000, "IncompleteSignatureException"),
], ids=["none", "another scheme", "half", "slashes"])
def test_a_signature_out_of_form(lab, authorization, code):
    status, answer = lab.post(b"{}", TARGET + "ListClusters", Authorization=authorization)
    assert (status, answer["__type"].rpartition("#")[2]) == (400, code)


def test_a_body_too_large(lab):
    before = alive(lab)
    try:
        status, _ = lab.post(b'{"clusterName": "' + b"x" * (4 << 20) + b'"}', TARGET + "CreateCluster")
        assert 400 <= status < 500
    except (BrokenPipeError, ConnectionResetError):
        pass  # It stopped reading before all was sent, which says the same.
    assert alive(lab) == before


def test_what_is_missing_is_listed_as_a_failure(lab):
    ecs = lab.client()
    unknown = "0" * 32
    for answer in (ecs.describe_clusters(clusters=["nowhere"]), ecs.describe_services(services=["nothing"]),
                   ecs.describe_tasks(tasks=[unknown]),
                   ecs.describe_container_instances(containerInstances=[unknown])):
        assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]


def test_every_manager_refuses_alike(lab):
    for manager in lab.managers().values():
        status, answer = lab.post(b'{"cluster": "nowhere"}', TARGET + "DeleteCluster", api=manager["api"])
        assert (status, answer["__type"].rpartition("#")[2]) == (400, "ClusterNotFoundException")


def register(ecs, family, **container):
    ecs.register_task_definition(family=family, containerDefinitions=[
        {"name": "c", "image": "busybox", "memory": 16, **container}])


def test_a_command_that_does_not_exist(lab):
    ecs = lab.client()
    register(ecs, "absent", command=["/no/such/command"])
    arn = ecs.run_task(taskDefinition="absent")["tasks"][0]["taskArn"]

    def stopped():
        task = ecs.describe_tasks(tasks=[arn])["tasks"][0]
        return task if task["lastStatus"] == "STOPPED" else None
    task = wait_until("the task is STOPPED", stopped, 15)
    assert "/no/such/command" in task["stoppedReason"]
    assert task["stopCode"] == "TaskFailedToStart"


def longest_pause_between_starts(events):
    starts = sorted(e["createdAt"].timestamp() for e in events if "has started" in e["message"])
    return max((later - earlier for earlier, later in zip(starts, starts[1:])), default=0)


def test_a_service_whose_command_does_not_exist_backs_off(lab):
    ecs = lab.client()
    register(ecs, "absent", command=["/no/such/command"])
    ecs.create_service(serviceName="absent", taskDefinition="absent", desiredCount=2)

    def told():
        events = lab.service("absent")["events"]
        return events if any("unable to consistently start tasks" in e["message"] for e in events) else None
    events = wait_until("the service says that it cannot", told, 30)
    assert any("failed to start" in e["message"] and "/no/such/command" in e["message"] for e in events)
    # Without a pause it would have tried some hundred times by then.
    wait_until("it pauses", lambda: longest_pause_between_starts(lab.service("absent")["events"]) > 1.5, 60)
    assert 3 <= lab.service("absent")["deployments"][0]["failedTasks"] < 20
    ecs.delete_service(service="absent", force=True)


def test_a_task_too_large_for_any_worker(lab):
    ecs = lab.client()
    register(ecs, "large", memory=1 << 24)
    answer = ecs.run_task(taskDefinition="large")
    assert answer["tasks"] == []
    assert {failure["reason"] for failure in answer["failures"]} == {"RESOURCE:MEMORY"}

    ecs.create_service(serviceName="large", taskDefinition="large", desiredCount=1)
    wanted = "was unable to place a task because no container instance met all of its requirements"
    said = wait_until("an event says why", lambda: [
        e["message"] for e in lab.service("large")["events"] if wanted in e["message"]], 20)
    assert said[0].startswith("(service large) ")
    assert lab.service("large")["runningCount"] == 0
    ecs.delete_service(service="large", force=True)
