"""A lab for each file of stories: up before the first, down and gone after the last."""
import os
import pathlib
import shutil

import pytest

import harness

KEPT = pathlib.Path(os.environ.get("CAIS_LOGS", harness.ROOT / "build" / "test-logs")) / "e2e"
KEPT_BYTES_MAX = 4 << 20


def pytest_configure():
    if not harness.CAIS.is_file():
        pytest.exit(f"there is no {harness.CAIS}: build it first, or set CAIS", returncode=3)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.parent.has_failed = True


def keep_logs(directory, name):
    """Keep what a failed story's processes said. Databases, sockets and the like stay behind."""
    def others(folder, names):
        paths = [pathlib.Path(folder, n) for n in names]
        return [p.name for p in paths if not p.is_dir() and (
            not p.is_file() or p.suffix == ".mdb" or p.stat().st_size > KEPT_BYTES_MAX)]
    shutil.rmtree(KEPT / name, ignore_errors=True)
    shutil.copytree(directory, KEPT / name, ignore=others, copy_function=shutil.copyfile)


def take_down(lab, story):
    """Whatever happened, no process and no directory of the lab is left."""
    if not lab.directory.exists():
        return
    try:
        if getattr(story, "has_failed", False):
            keep_logs(lab.directory, story.path.stem)
    finally:
        lab.cais("heal", check=False)
        lab.cais("down", "--purge", check=False)


@pytest.fixture(scope="module")
def lab(request, tmp_path_factory):
    """A running lab. A file may say how large: LAB = ("--workers", "9")."""
    made = harness.Lab(tmp_path_factory.mktemp("lab") / "lab")
    try:
        made.up(*getattr(request.module, "LAB", ()))
        yield made
    finally:
        take_down(made, request.node)


@pytest.fixture
def fresh_lab(request, tmp_path):
    """A lab that is not up yet, and is down afterwards whatever happened."""
    made = harness.Lab(tmp_path / "lab")
    yield made
    take_down(made, request.node.parent)
