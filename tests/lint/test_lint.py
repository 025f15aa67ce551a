#!/usr/bin/env python3
"""Each rule fires on a file that breaks it, and is silent on one that does not."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import layers
import tidy

HEADER = "/*\n * What it is.\n */\n#pragma once\n"
TEST = "START_TEST(%s)\n{\n    %s\n}\nEND_TEST\n"

TIDY = (  # path, text, what is said of it; None: nothing.
    ("scheduler/a.c", "int f(void)\n{\n    return 0;\n}\n", None),
    ("scheduler/a.c", "void f(char *a)\n{\n    strcpy(a, 0);\n}\n", "strcpy() is not used here"),
    ("scheduler/a.c", "/* strcpy(a, b) */\nconst char *f = \"strcpy(a)\";\n", None),
    ("scheduler/a.c", "int f(struct a *a)\n{\n    return a->time(0) + a.system(1);\n}\n", None),
    ("scheduler/a.c", "long f(void)\n{\n    return time(0);\n}\n", "a time that was handed in"),
    ("server/net/a.c", "long f(void)\n{\n    return time(0);\n}\n", None),
    ("storage/a.c", "void f(int a)\n{\n    assert(a);\n}\n", "take must"),
    ("storage/a.c", "int f(char *a)\n{\n    return atoi(a);\n}\n", "take strtol"),
    ("storage/a.c", "void f(char *a)\n{\n    sprintf(a, 0);\n    system(a);\n}\n", "take posix_spawn"),
    ("storage/a.c", "int f(void)\n{\n\treturn 0;\n}\n", "tab"),
    ("storage/a.c", "int f; \n", "blanks at the end"),
    ("storage/a.c", "int f;", "no newline at the end"),
    ("storage/a.c", "int f;\n" * 901, "901 lines"),
    ("storage/a.c", "/* TO" "DO: finish. */\n", "unfinished work"),
    ("docs/a.md", "FIX" "ME\n", "unfinished work"),
    ("storage/a.h", HEADER, None),
    ("storage/a.h", "#pragma once\n", "opens with a comment"),
    ("storage/a.h", "/*\n * What it is.\n */\n", "#pragma once is missing"),
    ("tools/a.c", "int f;\n", "no target builds"),
    ("tests/unit/a.c", "int f;\n", "no target builds"),
    ("tests/unit/test_a.c", TEST % ("it_holds", "ck_assert(f());"), None),
    ("tests/unit/test_a.c", TEST % ("it_holds", "f();"), "it_holds asserts nothing"),
    ("tests/unit/test_a.c", TEST % ("it_holds", "/* ck_assert(f()); */"), "it_holds asserts nothing"),
    ("tests/unit/test_a.c", "static void f(void)\n{\n    ck_abort();\n}\n" + TEST % ("it_holds", "f();"), None),
    ("tests/unit/test_a.c", "#define F(a) \\\n    ck_assert(a)\n" + TEST % ("it_holds", "F(1);"), None),
    ("tests/unit/test_a.c", TEST % ("it_dies", "f();") +
     "void g(void)\n{\n    tcase_add_test_raise_signal(tc, it_dies, SIGABRT);\n}\n", None),
    ("server/net/a.c", 'void f(void)\n{\n    log_info("a.began x=%d", 1);\n}\n', "a.began is not in docs/events.md"),
    ("server/net/a.c", 'void f(void)\n{\n    log_info("hello");\n}\n', "an event is named"),
    ("docs/events.md", "| `a.began` | info |\n", "nothing logs a.began"),
    ("tests/e2e/test_a.py", "def test_it():\n    assert f()\n", None),
    ("tests/e2e/test_a.py", "def test_it():\n    f()\n", "test_it asserts nothing"),
    ("tests/e2e/test_a.py", "def g():\n    assert f()\n\n\ndef test_it():\n    g()\n", None),
    ("tests/e2e/test_a.py", "def test_it():\n    time.sleep(1)\n    assert f()\n", "never for time"),
)

LAYERS = (
    ("storage/a.c", '#include "proto/limits.h"\n#include <lmdb.h>\n', None),
    ("scheduler/a.c", '#include "storage/env.h"\n', "scheduler may not use storage"),
    ("proto/base/a.c", '#include "proto/limits.h"\n', "proto/base may not use proto"),
    ("server/worker/a.c", '#include "server/manager/call.h"\n', "server/worker may not use server/manager"),
    ("server/worker/a.c", '#include "storage/env.h"\n', None),
    ("server/worker/a.c", '#include "storage/apply.h"\n', "storage/env.h only"),
    ("server/manager/a.c", '#include "storage/tables_write.h"\n', "may write tables"),
    ("storage/apply_task.c", '#include "storage/tables_write.h"\n', None),
    ("server/manager/a.c", "#include <raft.h>\n", "libraft's types stay"),
    ("server/manager/raft_node.c", "#include <raft.h>\n", None),
    ("scheduler/a.c", "#include <time.h>\n", "is pure"),
    ("proto/a.c", "#include <uv.h>\n", "may not include <uv.h>"),
    ("storage/a.c", "#include <microhttpd.h>\n", "may not include <microhttpd.h>"),
    ("storage/a.c", '#include "env.h"\n', "names its layer"),
    ("storage/a.c", '#include "storage/absent.h"\n', "there is no storage/absent.h"),
    ("server/lab/a.c", '#include "tests/unit/help.h"\n', "nothing includes tests"),
    ("tests/unit/test_a.c", '#include "storage/tables_write.h"\n', None),
)
THERE = ("proto/limits.h", "storage/env.h", "storage/apply.h", "storage/tables_write.h", "server/manager/call.h",
         "tests/unit/help.h")


def said(rules, path, text, there=()):
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for file, content in (*((t, HEADER) for t in there), (path, text)):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text(content)
        return "\n".join(rules.complaints(root))


class Lint(unittest.TestCase):
    def hold(self, rules, cases, there=()):
        for path, text, why in cases:
            with self.subTest(path=path, text=text[:60]):
                heard = said(rules, path, text, there)
                if why is None:
                    self.assertEqual(heard, "")
                else:
                    self.assertIn(why, heard)
                    self.assertTrue(heard.startswith(path + ":"))

    def test_tidy(self):
        self.hold(tidy, TIDY)

    def test_layers(self):
        self.hold(layers, LAYERS, THERE)

    def test_every_banned_call_is_noticed(self):
        for name in tidy.BANNED:
            with self.subTest(name=name):
                heard = said(tidy, "scheduler/a.c", f"int f(void)\n{{\n    return {name}(0);\n}}\n")
                self.assertIn(f"{name}() is not used here", heard)


if __name__ == "__main__":
    unittest.main()
