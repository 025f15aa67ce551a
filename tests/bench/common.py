"""What benches share: the build, a directory, a lab, a load, a plain client of the API."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = ROOT / "build" / "release"
os.environ["CAIS"] = str(RELEASE / "cais")  # What the harness runs.
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import harness  # noqa: E402

LOAD = RELEASE / "tests" / "bench_load"
SCHEDULE = RELEASE / "tests" / "bench_schedule"
FILL = RELEASE / "tests" / "bench_fill"
RAW = RELEASE / "tests" / "bench_raw"
SCRATCH = ROOT / "build" / "bench"  # On the disk of the sources, not on a tmpfs.
LOAD_SLACK_S = 30
keep = False


class Failed(Exception):
    """A bench that cannot tell a true figure tells none."""


def build():
    """The release build of what is measured, brought up to date."""
    if not (RELEASE / "build.ninja").exists():
        run(["cmake", "--preset", "release"], timeout=120)
    run(["cmake", "--build", RELEASE, "-j", os.cpu_count(), "--target", "cais", "bench_load", "bench_schedule",
         "bench_fill", "bench_raw"],
        timeout=1800)


def run(words, timeout, cwd=ROOT):
    """A program to its end: what it printed."""
    done = subprocess.run([str(w) for w in words], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, words))}: exit status {done.returncode}\n{done.stdout[-4000:]}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def scratch(name):
    """A directory that is gone afterwards, unless it is to be kept."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=SCRATCH))
    try:
        yield path
    finally:
        if keep:
            print(f"kept: {path}", file=sys.stderr)
        else:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running_lab(name, *options):
    with scratch(name) as path:
        lab = harness.Lab(path / "lab")
        try:
            lab.up(*options)
            yield lab
        finally:
            if lab.directory.exists():
                lab.cais("down", check=False)


def wait_all_up(lab, bound=30):
    """Every manager runs, and has applied what the leader has now."""
    apis = {name: Api(m["api"]) for name, m in lab.managers().items()}
    goal = harness.wait_until("a leader is ready", lambda: max(map(ready_index, apis.values())), bound, every=0.02)
    for name, api in apis.items():
        harness.wait_until(f"{name} is up to date", lambda api=api: api.status()["applied_index"] >= goal, bound,
                           every=0.02)
    for api in apis.values():
        api.close()


def ready_index(api):
    status = api.status()
    return status["applied_index"] if status["ready"] else 0


class Api:
    """One keep-alive connection to the ECS API, made when needed."""

    def __init__(self, address, timeout=5):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.timeout = timeout
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def request(self, method, path, body, headers):
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            raise

    def call(self, action, stale=False, **request):
        """(status, answer)."""
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": harness.TARGET + action,
                   **harness.SIGNED, **({"X-Cais-Consistency": "stale"} if stale else {})}
        return self.request("POST", "/", json.dumps(request), headers)

    def ask(self, action, stale=False, **request):
        """The answer to a call that must succeed."""
        status, answer = self.call(action, stale, **request)
        if status != 200:
            raise Failed(f"{action}: {status} {answer}")
        return answer

    def status(self):
        return self.request("GET", "/cais/status", None, {})[1]


def load(protocol, servers, clients, seconds, operation, *what):
    """One run of the load generator: its figures. Errors are the caller's to judge."""
    words = [LOAD, protocol, servers, clients, seconds, operation, *what]
    lines = run(words, timeout=1.2 * seconds + LOAD_SLACK_S).splitlines()
    return {name: float(value) for name, _, value in (line.partition(": ") for line in lines)}


def steady_load(*words):
    """The same, where nothing fails on purpose: a failure is no figure."""
    figures = load(*words)
    if figures["errors"] > 0 or figures["acknowledged"] == 0:
        raise Failed(f"{words}: {figures['errors']:.0f} calls failed, {figures['acknowledged']:.0f} did not")
    return figures


def medians(rounds, names=("per_s", "p50_us", "p90_us", "p99_us")):
    """name -> median over the rounds, in whole numbers: those who need more decimals measure too little."""
    return {name: round(statistics.median(each[name] for each in rounds)) for name in names}
