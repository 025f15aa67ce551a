"""The figures of tests/bench/run: labs of real processes, one bench at a time."""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import harness

LOAD = ROOT / "build" / "release" / "tests" / "bench_load"
RUNS = 5
LOAD_SECONDS = 3
CLIENTS = (1, 64, 256)
SCRATCH = ROOT / "build" / "bench"  # On the same disk as the sources, not on a tmpfs.


@contextlib.contextmanager
def running_lab(*options):
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as name:
        lab = harness.Lab(pathlib.Path(name) / "lab")
        lab.up(*options)
        try:
            yield lab
        finally:
            lab.down()


def load(address, clients, header, body, path="/"):
    """One run of the load program: its figures."""
    host, port = address.split(":")
    prefix = os.urandom(4).hex()
    words = [LOAD, host, port, clients, LOAD_SECONDS, prefix, header, body, path]
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def commit_figures(prefix, address, header, body, path="/"):
    figures = {}
    for clients in CLIENTS:
        runs = [load(address(), clients, header, body, path) for _ in range(RUNS)]
        refused = sum(run["refused"] for run in runs)
        assert refused == 0, f"{refused} writes of {prefix or 'cais'} were refused"
        for name in ("per_s", "p50_us", "p99_us"):
            figures[f"{prefix}commit_{clients}_{name}"] = round(statistics.median(run[name] for run in runs))
    return figures


@contextlib.contextmanager
def running_etcd():
    """Three etcd members on the same disk, with defaults: the leader's client address."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as name, contextlib.ExitStack() as stack:
        ports = {f"e{i}": (23790 + 10 * i, 23791 + 10 * i) for i in range(3)}
        cluster = ",".join(f"{member}=http://127.0.0.1:{peer}" for member, (_, peer) in ports.items())
        for member, (client, peer) in ports.items():
            words = ["etcd", "--name", member, "--data-dir", f"{name}/{member}", "--initial-cluster", cluster,
                     "--initial-cluster-state", "new", "--listen-client-urls", f"http://127.0.0.1:{client}",
                     "--advertise-client-urls", f"http://127.0.0.1:{client}", "--listen-peer-urls",
                     f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                     "--logger", "zap", "--log-level", "error"]
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            stack.callback(child.wait)
            stack.callback(child.send_signal, signal.SIGKILL)
        yield harness.wait_until("etcd has a leader", lambda: etcd_leader(ports), 20)


def etcd_leader(ports):
    endpoints = ",".join(f"http://127.0.0.1:{client}" for client, _ in ports.values())
    done = subprocess.run(["etcdctl", "--endpoints", endpoints, "endpoint", "status", "-w", "json"],
                          env={**os.environ, "ETCDCTL_API": "3"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if done.returncode != 0:
        return None
    for each in json.loads(done.stdout):
        if each["Status"]["leader"] == each["Status"]["header"]["member_id"]:
            return each["Endpoint"].removeprefix("http://")
    return None


def commit():
    """Acknowledged small writes through the leader's API, and the same load on etcd's, one after the other."""
    headers = {"X-Amz-Target": f"{harness.TARGET}CreateCluster", **harness.SIGNED}
    header = "\r\n".join(f"{name}: {value}" for name, value in headers.items())
    with running_lab("--workers", "0") as lab:
        figures = commit_figures("", lambda: lab.managers()[lab.leader()]["api"], header, '{"clusterName": "%"}')
    if shutil.which("etcd") and shutil.which("etcdctl"):
        with running_etcd() as leader:
            body = '{"key": "%", "value": "%"}'
            figures |= commit_figures("etcd_", lambda: leader, "X-Bench: etcd", body, "/v3/kv/put")
    else:
        print("etcd is not installed (deploy/install-deps --bench): not compared", file=sys.stderr)
    return figures


def pause_of_writes(lab, kill):
    """Milliseconds from a kill to the acknowledgement of a write that was begun after it."""
    body = lambda n: json.dumps({"clusterName": f"after-{os.urandom(4).hex()}-{n}"}).encode()
    began = time.monotonic()
    kill()
    for n in range(10_000):
        name = body(n)
        try:
            status, _ = lab.post(name, harness.TARGET + "CreateCluster", timeout=1)
            if status == 200:
                return (time.monotonic() - began) * 1000, json.loads(name)["clusterName"]
        except (OSError, harness.http.client.HTTPException, ValueError):
            pass
        time.sleep(0.002)
    raise AssertionError("writes did not resume")


def failover():
    """SIGKILL of the leader, again and again, with a service running and writers writing."""
    pauses, acknowledged = [], []
    with running_lab() as lab:
        before = lab.identities(lab.web(6))
        for _ in range(2 * RUNS):
            status = lab.status()
            leader = lab.leader()
            pid = next(m["pid"] for m in status["managers"] if m["name"] == leader)
            pause, name = pause_of_writes(lab, lambda pid=pid: os.kill(pid, signal.SIGKILL))
            pauses.append(pause)
            acknowledged.append(name)
            harness.wait_until("the lab knows", lambda name=leader: lab.managers()[name]["state"] != "running", 10)
            lab.cais("start", leader)
            caught_up = lab.client(lab.managers()[leader]["api"], stale=True)
            harness.wait_until("it has caught up", lambda ecs=caught_up: not harness.absent_clusters(
                ecs, acknowledged), 20)
        lost = harness.absent_clusters(lab.client(), acknowledged)
        after = lab.identities(lab.wait_serving(6))
    return {
        "failover_ms_median": round(statistics.median(pauses)),
        "failover_ms_max": round(max(pauses)),
        "failover_tasks_restarted": sum(after.get(task) != was for task, was in before.items()),
        "failover_acked_lost": len(lost),
    }


def kill_worker_and_tasks(lab, name, tasks):
    """SIGKILL to the agent and to everything that belongs to its tasks."""
    pid = lab.workers()[name]["pid"]
    processes = harness.processes_of_tasks()
    os.kill(pid, signal.SIGKILL)
    for task in tasks:
        for victim, _ in processes.get(task.id, ()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)


def recovery():
    """SIGKILL of the worker with most tasks, and of these, to all of them RUNNING elsewhere."""
    times = []
    with running_lab() as lab:
        lab.web(12)
        for _ in range(RUNS):
            tasks = lab.wait_serving(12)
            by_worker = {}
            for task in tasks:
                by_worker.setdefault(task.worker, []).append(task)
            victims = max(by_worker.values(), key=len)
            name = harness.worker_of(lab, victims[0])
            gone = {task.id for task in victims}
            ecs = lab.client()
            began = time.monotonic()
            kill_worker_and_tasks(lab, name, victims)

            def elsewhere():
                now = [task for task in lab.tasks(ecs) if task.status == "RUNNING" and task.id not in gone]
                return len(now) >= 12
            harness.wait_until("all tasks run elsewhere", elsewhere, 30, every=0.02)
            times.append((time.monotonic() - began) * 1000)
            harness.wait_until("the lab knows", lambda n=name: lab.workers()[n]["state"] != "running", 10)
            lab.cais("start", name)
            harness.wait_until("it is back", lambda n=name: lab.workers()[n]["state"] == "running", 10)
    return {"recovery_ms_median": round(statistics.median(times)), "recovery_ms_max": round(max(times))}


def rss_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def idle():
    """The default lab with nothing to do, the lab's own process included."""
    with running_lab() as lab:
        status = lab.status()
        managers = [m["pid"] for m in status["managers"]]
        workers = [w["pid"] for w in status["workers"]]
        every = {int(line.split()[0]) for line in harness.processes_naming(str(lab.directory))} | {*managers, *workers}
        shares = []
        for _ in range(RUNS):
            began, used = time.monotonic(), cpu_seconds(every)
            time.sleep(4)
            shares.append(100 * (cpu_seconds(every) - used) / (time.monotonic() - began))
        return {
            "manager_rss_mb": round(max(map(rss_mb, managers)), 1),
            "worker_rss_mb": round(max(map(rss_mb, workers)), 1),
            "lab_idle_cpu_pct": round(statistics.median(shares), 1),
        }


BENCHES = {"commit": commit, "failover": failover, "recovery": recovery, "idle": idle}


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="Figures from real runs.")
    parser.add_argument("name", choices=[*BENCHES, "all"])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args()
    figures = {}
    for name in BENCHES if options.name == "all" else [options.name]:
        figures |= BENCHES[name]()
    print(json.dumps(figures, indent=4) if options.json else "\n".join(f"{k}: {v}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
