"""The default lab with the service of six tasks and nothing to do: memory, and CPU time of everything in it."""
import contextlib
import os
import pathlib
import statistics
import time

import common
import harness

ROUNDS = 5
TASKS = 6
SETTLE_S = 10
WINDOW_S = 20


def run(rounds):
    with common.running_lab("idle") as lab:
        lab.web(TASKS)
        time.sleep(SETTLE_S)
        everything = processes_of(lab)
        windows = [shares(everything) for _ in range(rounds or ROUNDS)]
        if processes_of(lab) != everything:
            raise common.Failed("processes came or went: the lab was not idle")
        return figures(lab, everything, windows)


def figures(lab, everything, windows):
    status = lab.status()
    managers = {m["pid"] for m in status["managers"]}
    workers = {w["pid"] for w in status["workers"]}
    kinds = {"managers": managers, "workers": workers, "rest": everything - managers - workers}
    result = {
        "manager_rss_mb": round(max(map(rss_mb, managers)), 1),
        "worker_rss_mb": round(max(map(rss_mb, workers)), 1),
        "lab_idle_cpu_pct": median_share(windows, everything),
    }
    for kind, pids in kinds.items():
        result[f"lab_idle_{kind}_cpu_pct"] = median_share(windows, pids)
    return result | {"lab_rss_mb": round(sum(map(rss_mb, everything)), 1), "lab_processes": len(everything)}


def processes_of(lab):
    """Managers, workers, the lab's own process, shims and tasks: whoever is started by the lab, or names it."""
    status = lab.status()
    found = {node["pid"] for node in status["managers"] + status["workers"]}
    found |= {int(line.split()[0]) for line in harness.processes_naming(str(lab.directory))}
    found |= {pid for task in lab.tasks() for pid, _ in harness.processes_of_tasks().get(task.id, ())}
    return found


def cpu_seconds(pid):
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def shares(pids):
    """pid -> percent of one core, over a window."""
    began, before = time.monotonic(), {pid: cpu_seconds(pid) for pid in pids}
    time.sleep(WINDOW_S)
    took = time.monotonic() - began
    return {pid: 100 * (cpu_seconds(pid) - before[pid]) / took for pid in pids}


def median_share(windows, pids):
    return round(statistics.median(sum(window[pid] for pid in pids) for window in windows), 2)


def rss_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024
