"""The stages of tests/run, and the count they end with."""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIPPED = 77  # The exit status of a check that cannot run here and says why.
CHECKS = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.M)
FUZZ_SECONDS = 3
E2E_SECONDS = 900
CRASH_IMAGES = 6000
CRASH_KILLS = 10
CRASH_CALLS = 20
CRASH_SECONDS = 120
THREADED = ("env_adopt", "queue", "api", "api_ecs", "core", "rpc_server")  # Units whose code runs on several threads.


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = []

    def note(self, ok):
        if ok:
            self.passed += 1
        else:
            self.failed += 1


class Run:
    """Where things are built, and what came out so far."""

    def __init__(self, build, pattern):
        self.build = build
        self.pattern = pattern
        self.tally = Tally()
        self.logs = build / "test-logs"
        self.logs.mkdir(parents=True, exist_ok=True)

    def command(self, name, words, shown=False, timeout=None, env=None):
        """Run one command from the root. Its output goes to a log, which is shown if it fails."""
        log = self.logs / (re.sub(r"\W+", "-", name) + ".log")
        began = time.monotonic()
        print(f"== {name}", flush=True)
        with open(log, "wb") as out:
            child = subprocess.Popen(
                [str(w) for w in words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=None if shown else out,
                stderr=None if shown else subprocess.STDOUT, env={**os.environ, **(env or {})}, start_new_session=True)
            status = wait(child, timeout)
        took = time.monotonic() - began
        if status not in (0, SKIPPED) and not shown:
            lines = log.read_text(errors="replace").splitlines()
            print("\n".join(lines[-80:]))
        verdict = {0: "ok", SKIPPED: "skipped"}.get(status, f"failed ({status})")
        print(f"   {verdict} in {took:.0f} s", flush=True)
        return status, log

    def check(self, name, words, **how):
        """One command that counts as one test."""
        status, log = self.command(name, words, **how)
        if status == SKIPPED:
            self.tally.skipped.append((name, log.read_text(errors="replace").strip()))
        else:
            self.tally.note(status == 0)
        return status == 0


def wait(child, timeout):
    """The exit status. One that takes too long is asked to end, then made to, with its group."""
    for bound, then in ((timeout, signal.SIGINT), (60, signal.SIGKILL)):
        try:
            return child.wait(bound)
        except subprocess.TimeoutExpired:
            print(f"   no end after {bound} s", flush=True)
            os.killpg(child.pid, then)
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGINT)
            child.wait()
            raise
    child.wait()
    return -signal.SIGKILL


def build(run, preset, targets=()):
    where = run.build / preset
    words = ["cmake", "--build", where, "-j", str(os.cpu_count())]
    words += ["--target", *targets] if targets else []
    return (run.check(f"configure {preset}", ["cmake", "--preset", preset, "-B", where])
            and run.check(f"build {preset}", words))


def count_ctest(run, report):
    for case in xml.parse(report).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        if case.find("skipped") is not None:
            run.tally.skipped.append((case.get("name"), output.strip()))
            continue
        ok = case.get("status") == "run"
        checks, failures, errors = (sum(map(int, column)) for column in zip(*CHECKS.findall(output) or [(0, 0, 0)]))
        run.tally.passed += checks - failures - errors
        run.tally.failed += failures + errors
        if checks == 0 or (not ok and failures + errors == 0):
            run.tally.note(ok)


def ctest(run, name, preset, pattern):
    report = run.logs / f"ctest-{preset}.xml"
    report.unlink(missing_ok=True)
    words = ["ctest", "--test-dir", run.build / preset, "-j", str(os.cpu_count()), "--output-on-failure",
             "--output-junit", report, "--timeout", "120"]
    words += ["-R", pattern] if pattern else []
    run.command(name, words, env={"TSAN_OPTIONS": f"suppressions={ROOT / 'tests' / 'tsan.supp'}"})
    if report.exists():
        count_ctest(run, report)
    else:
        run.tally.note(False)


def units(run):
    """Unit tests and lint, under AddressSanitizer and UndefinedBehaviorSanitizer."""
    if build(run, "asan"):
        ctest(run, "unit and lint", "asan", run.pattern)


def threads(run):
    """The units that have threads, under ThreadSanitizer."""
    names = [name for name in THREADED if (ROOT / f"tests/unit/test_{name}.c").exists()]
    if build(run, "tsan", [f"test_{name}" for name in names]):
        ctest(run, "threads", "tsan", rf"^unit\.({'|'.join(names)})$")


def analysis(run):
    """What a second compiler and an analyzer say."""
    build(run, "clang")
    if (run.build / "asan" / "compile_commands.json").exists():
        run.check("clang-tidy", [ROOT / "tests/lint/clang-tidy", "--build", run.build / "asan"])


def fuzz(run):
    """A few seconds of each fuzz target: that it builds, and falls over nothing near."""
    if not any((ROOT / "tests/fuzz").glob("fuzz_*.c")) or not build(run, "fuzz"):
        return
    for target in sorted((run.build / "fuzz" / "tests").glob("fuzz_*")):
        if target.is_file() and os.access(target, os.X_OK):
            corpus = run.build / "fuzz-corpus" / target.name
            corpus.mkdir(parents=True, exist_ok=True)
            seeds = [d for d in [ROOT / "tests/fuzz/corpus" / target.name.removeprefix("fuzz_")] if d.is_dir()]
            run.check(target.name, [target, f"-max_total_time={FUZZ_SECONDS}", f"-artifact_prefix={run.logs}/",
                                    corpus, *seeds], timeout=60)


def count_pytest(run, report):
    for case in xml.parse(report).getroot().iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None:
            run.tally.skipped.append((f"{case.get('classname')}.{case.get('name')}", skipped.get("message", "")))
        else:
            run.tally.note(case.find("failure") is None and case.find("error") is None)


def e2e(run):
    """Stories on real processes, through the real clients."""
    if not build(run, "release"):
        return
    report = run.logs / "pytest.xml"
    report.unlink(missing_ok=True)
    words = ["/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "-v", "--tb=short", "--color=no",
             f"--junitxml={report}", "tests/e2e"]
    words += ["-k", run.pattern] if run.pattern else []
    status, _ = run.command("end to end", words, shown=True, timeout=E2E_SECONDS,
                            env={"CAIS": str(run.build / "release" / "cais")})
    if report.exists():
        count_pytest(run, report)
    nothing_selected = status == 5 and run.pattern
    if status not in (0, 1) and not nothing_selected:
        run.tally.note(False)  # Broke off.


def crash(run):
    """Power cuts and kills: none may lose anything, and whoever breaks a promise must be noticed."""
    targets = ["crash_record", "crash_workload", "crash_images", "crash_inject", "cais", "history_check"]
    if not build(run, "release", targets):
        return
    words = [ROOT / "tests/crash/run", "--build", run.build / "release"]
    run.check("power cuts", [*words, "--images", CRASH_IMAGES], timeout=CRASH_SECONDS)
    for mutant in ("nosync", "nometasync", "nodirsync"):
        run.check(f"power cuts, mutant {mutant}", [*words, "--images", 500, "--mutant", mutant], timeout=CRASH_SECONDS)
    run.check("failing calls", [ROOT / "tests/crash/inject", "--build", run.build / "release"], timeout=CRASH_SECONDS)
    run.check("failing calls of a manager", [ROOT / "tests/crash/inject_manager", "--build", run.build / "release", "--most", CRASH_CALLS],
              timeout=CRASH_SECONDS)
    run.check("durable names", [ROOT / "tests/crash/names", "--build", run.build / "release"], timeout=CRASH_SECONDS)
    words = [ROOT / "tests/crash/kill", "--build", run.build / "release", "--kills"]
    run.check("kills", [*words, CRASH_KILLS], timeout=CRASH_SECONDS)
    run.check("kills, with stale reads", [*words, CRASH_KILLS, "--stale"], timeout=CRASH_SECONDS)


def options():
    parser = argparse.ArgumentParser(prog="tests/run", description="Build and test everything.")
    parser.add_argument("--unit", action="store_true", help="only unit tests and lint")
    parser.add_argument("--e2e", action="store_true", help="only end-to-end tests")
    parser.add_argument("-k", dest="pattern", metavar="PATTERN", help="only tests whose name matches")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build", help="default: build")
    return parser.parse_args()


def main():
    chosen = options()
    everything = not (chosen.unit or chosen.e2e)
    run = Run(chosen.build_dir.resolve(), chosen.pattern)
    began = time.monotonic()
    if everything or chosen.unit:
        units(run)
    if everything and not chosen.pattern:
        threads(run)
        analysis(run)
        fuzz(run)
        crash(run)
    if everything or chosen.e2e:
        e2e(run)
    for name, reason in run.tally.skipped:
        print(f"skipped: {name}: {reason}")
    print(f"took {time.monotonic() - began:.0f} s; logs are in {run.logs}")
    print(f"{run.tally.passed} passed, {run.tally.failed} failed")
    return 0 if run.tally.failed == 0 and run.tally.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
