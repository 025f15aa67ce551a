"""The whole control plane killed at once: tasks run on, and it comes back as it was."""
from harness import wait_until


def lasting(described):
    """What DescribeServices says that the loss of every manager must not change."""
    names = ("serviceArn", "status", "desiredCount", "runningCount", "pendingCount", "taskDefinition", "createdAt")
    return {name: described[name] for name in names} | {"deployments": [d["id"] for d in described["deployments"]]}


def test_all_managers_killed(lab):
    tasks = lab.web(6)
    lab.client().create_cluster(clusterName="kept")
    processes = lab.identities(tasks)
    service = lasting(lab.service())
    term = lab.status()["term"]

    names = list(lab.managers())
    for name in names:
        lab.cais("kill", name)
    wait_until("all are dead", lambda: all(m["state"] != "running" for m in lab.managers().values()), 5)
    assert all(task.answers() for task in tasks)

    for name in names:
        lab.cais("start", name)
    lab.leader()
    assert lab.status()["term"] > term
    clusters = wait_until("it answers", lambda: lab.client().list_clusters()["clusterArns"], 20)
    assert any(arn.endswith("/kept") for arn in clusters)
    # Workers get their time to return: nothing is declared lost, so nothing is replaced.
    wait_until("workers are back", lambda: all(
        i["agentConnected"] for i in instances(lab)) and len(instances(lab)) == 6, 20)
    assert lasting(lab.service()) == service
    assert lab.identities(lab.wait_serving(6)) == processes

    lab.client().update_service(service="web", desiredCount=9)
    nine = lab.wait_serving(9, zones=(3, 3, 3))
    kept = lab.identities([task for task in nine if task.id in processes])
    assert kept == processes


def instances(lab):
    ecs = lab.client()
    arns = ecs.list_container_instances()["containerInstanceArns"]
    return ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
