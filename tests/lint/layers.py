#!/usr/bin/env python3
"""Who may include whom. A folder sees itself and what is listed; nothing else.

Run by ctest. Exits 1 and names every line that breaks a rule.
"""
import pathlib
import re
import sys

MAY = {  # folder -> (our folders, outside headers); the longest matching prefix rules.
    "proto/base": ((), ()),
    "proto": (("proto/base",), ("protobuf-c/", "jansson.h", "openssl/sha.h")),
    "scheduler": (("proto", "proto/base"), ()),
    "storage": (("proto", "proto/base"), ("lmdb.h",)),
    "server/net": (("proto", "proto/base"), ("uv.h", "openssl/", "nghttp2/")),
    "server/manager": (
        ("proto", "proto/base", "scheduler", "storage", "server/net"), ("uv.h", "raft.h", "microhttpd.h", "jansson.h")),
    "server/worker": (("proto", "proto/base", "server/net", "storage"), ("uv.h",)),
    "server/cli": (("proto", "proto/base", "server/net"), ("uv.h",)),
    "server/lab": (("proto", "proto/base", "server/net"), ("uv.h",)),
}
# No clock, no files, no sockets, no chance.
PURE = ("proto/", "scheduler/", "server/net/http.", "server/worker/agent.")
IMPURE = {"uv.h", "time.h", "unistd.h", "fcntl.h", "pthread.h", "sys/socket.h", "sys/stat.h", "sys/time.h"}
WRITERS = {"storage/tables_write.h": re.compile(r"storage/(apply\w*|snapshot|tables\w*)\.c")}


def folder(path):
    return max((f for f in MAY if path.startswith(f + "/")), key=len, default=None)


def complaints(root):
    for source in sorted(root.rglob("*.[ch]")):
        path = source.relative_to(root).as_posix()
        home = folder(path)
        if home is None:
            continue
        ours, outside = MAY[home]
        for number, line in enumerate(source.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if not found:
                continue
            quote, target = found.groups()
            there = folder(target)
            where = f"{path}:{number}: "
            if quote == '"' and there not in (home, None, *ours):
                yield where + f"{home} may not use {there}"
            if home == "server/worker" and there == "storage" and target != "storage/env.h":
                yield where + "of storage the worker may use storage/env.h only"
            if target in WRITERS and not WRITERS[target].fullmatch(path):
                yield where + "only apply, snapshot and tables may write tables"
            if path.startswith(PURE) and target in IMPURE:
                yield where + f"this file is pure and may not include <{target}>"
            library = quote == "<" and target in ("uv.h", "raft.h", "lmdb.h")
            if library and target not in outside:
                yield where + f"{home} may not include <{target}>"


if __name__ == "__main__":
    found = list(complaints(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    print("\n".join(found) or "layers hold")
    sys.exit(bool(found))
