"""SIGKILL of a worker and of its tasks, to all of them RUNNING on other workers.

The time begins before the order is given to the lab, and ends when DescribeServices has as many running as
desired and DescribeTasks says that each is RUNNING, none on the lost worker; asked every 20 ms.
"""
import statistics
import time

import common
import harness

ROUNDS = 7
TASKS = 12
EVERY_S = 0.02
RECOVERY_MAX_S = 60


def run(rounds):
    times = []
    with common.running_lab("recovery") as lab:
        lab.web(TASKS)
        api = common.Api(f"127.0.0.1:{lab.port}")
        for _ in range(rounds or ROUNDS):
            times.append(one(lab, api))
        api.close()
    return {
        "recovery_ms_median": round(statistics.median(times)),
        "recovery_ms_max": round(max(times)),
        "recovery_ms_min": round(min(times)),
        "recovery_rounds": len(times),
    }


def one(lab, api):
    """Lose the worker with most tasks: milliseconds until they run elsewhere. Then all workers are back."""
    tasks = lab.wait_serving(TASKS)
    by_worker = {}
    for task in tasks:
        by_worker.setdefault(task.worker, []).append(task)
    lost = max(by_worker, key=lambda worker: len(by_worker[worker]))
    name = harness.worker_of(lab, by_worker[lost][0])
    began = time.monotonic()
    lab.cais("kill", name, "--tasks")
    harness.wait_until("its tasks run elsewhere", lambda: all_run_without(api, lost), RECOVERY_MAX_S, every=EVERY_S)
    took = (time.monotonic() - began) * 1000
    lab.cais("start", name)
    harness.wait_until("all workers are back", lambda: all_connected(lab, api), 30)
    return took


def all_run_without(api, worker):
    arns = api.ask("ListTasks", serviceName="web", desiredStatus="RUNNING")["taskArns"]
    if len(arns) != TASKS or api.ask("DescribeServices", services=["web"])["services"][0]["runningCount"] != TASKS:
        return False
    tasks = api.ask("DescribeTasks", tasks=arns)["tasks"]
    return all(task["lastStatus"] == "RUNNING" and task["containerInstanceArn"] != worker for task in tasks)


def all_connected(lab, api):
    arns = api.ask("ListContainerInstances")["containerInstanceArns"]
    workers = api.ask("DescribeContainerInstances", containerInstances=arns)["containerInstances"]
    return sum(worker["agentConnected"] for worker in workers) == len(lab.workers())
