#!/usr/bin/env python3
"""Who may include whom. A folder sees itself and what is listed; nothing else.

Usage: layers.py [ROOT]. Run by ctest. Exits 1 and names every line that breaks a rule.
"""
import pathlib
import re
import sys

BASE = ("proto", "proto/base")
MAY = {  # folder -> (our folders, outside libraries); the longest matching prefix rules.
    "proto/base": ((), ()),
    "proto": (BASE, ("protobuf-c/", "jansson.h", "openssl/")),
    "scheduler": (BASE, ()),
    "storage": (BASE, ("lmdb.h", "openssl/evp.h")),
    "server/net": (BASE, ("uv.h", "openssl/", "nghttp2/")),
    "server/manager": (
        (*BASE, "scheduler", "storage", "server/net"),
        ("uv.h", "raft.h", "microhttpd.h", "jansson.h", "openssl/"),
    ),
    "server/worker": ((*BASE, "server/net", "storage"), ("uv.h",)),
    "server/cli": ((*BASE, "server/net", "storage"), ("uv.h", "jansson.h")),
    "server/lab": ((*BASE, "server/net", "server/cli"), ("uv.h", "jansson.h")),
    "server": ((*BASE, "server/net", "server/manager", "server/worker", "server/cli", "server/lab"), ()),
    "tests": (None, ("check.h",)),  # None: anything of ours.
}
LIBRARIES = ("uv.h", "uv/", "raft.h", "raft/", "lmdb.h", "microhttpd.h", "nghttp2/", "openssl/", "jansson.h", "check.h")
# Generated messages need the header of their runtime, whoever includes them.
SKIPPED = ("build", ".git")

# No clock, no files, no sockets, no chance.
PURE = ("proto/", "scheduler/", "server/net/http.", "server/worker/agent.")
IMPURE = {"uv.h", "time.h", "unistd.h", "fcntl.h", "pthread.h", "sys/socket.h", "sys/stat.h", "sys/time.h"}
# Headers that only some files may see, and why.
ONLY = {
    "storage/tables_write.h": (
        re.compile(r"storage/(apply|snapshot|tables)\w*\.[ch]|tests/.*"),
        "only apply, snapshot and tables may write tables",
    ),
    "raft.h": (
        re.compile(r"server/manager/raft_\w+\.[ch]|tests/.*"),
        "libraft's types stay in server/manager/raft_*",
    ),
}


def folder(path):
    """The layer a file of ours, or an include of ours, belongs to."""
    return max((f for f in MAY if path.startswith(f + "/")), key=len, default=None)


def complaints_of(path, home, quote, target, root):
    ours, outside = MAY[home]
    there = folder(target)
    if quote == '"':
        if there is None:
            yield "an include names its layer, from the root of the tree"
            return
        if not target.endswith(".pb-c.h") and not (root / target).is_file():
            yield f"there is no {target}"
        if there == "tests" and home != "tests":
            yield "nothing includes tests"
        elif ours is not None and there not in (home, *ours):
            yield f"{home} may not use {there}"
    elif target.startswith(LIBRARIES) and ours is not None and not target.startswith(outside or ("\0",)):
        yield f"{home} may not include <{target}>"
    if home == "server/worker" and there == "storage" and target != "storage/env.h":
        yield "of storage the worker may use storage/env.h only"
    if target in ONLY and not ONLY[target][0].fullmatch(path):
        yield ONLY[target][1]
    if path.startswith(PURE) and target in IMPURE:
        yield f"this file is pure and may not include <{target}>"


def complaints(root):
    for source in sorted(root.rglob("*.[ch]")):
        path = source.relative_to(root).as_posix()
        home = folder(path)
        if home is None or path.split("/")[0] in SKIPPED:
            continue
        for number, line in enumerate(source.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if found:
                for why in complaints_of(path, home, *found.groups(), root):
                    yield f"{path}:{number}: {why}"


if __name__ == "__main__":
    found = list(complaints(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    print("\n".join(found) or "layers hold")
    sys.exit(bool(found))
