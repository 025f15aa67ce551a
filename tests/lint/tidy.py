#!/usr/bin/env python3
"""The habits of the house that a compiler does not know.

Usage: tidy.py [ROOT]. Run by ctest. Exits 1 and names every line that breaks a rule.
tests/lint/test_lint.py shows each rule firing.
"""
import ast
import pathlib
import re
import sys

LINES_MAX = 900
SKIPPED = {"build", ".git", "__pycache__", ".pytest_cache"}
# call -> what to use; the second element names the folders where it is right.
BANNED = {
    "strcpy": ("mem_string, snprintf or a buffer", ("tests/",)),
    "strcat": ("buffer_append_text", ("tests/",)),
    "sprintf": ("snprintf, mem_format or buffer_append_format", ()),
    "vsprintf": ("vsnprintf", ()),
    "gets": ("fgets or getline", ()),
    "atoi": ("strtol with its end and its range checked", ()),
    "atol": ("strtol with its end and its range checked", ()),
    "strtok": ("strcspn or strtok_r", ()),
    "rand": ("an rng that was handed in (proto/base/rng.h)", ()),
    "srand": ("an rng that was handed in (proto/base/rng.h)", ()),
    "random": ("an rng that was handed in (proto/base/rng.h)", ()),
    "alloca": ("mem_new_array, or an array with a limit", ()),
    "system": ("posix_spawn or fork and exec with arguments", ()),
    "popen": ("posix_spawn or fork and exec with arguments", ()),
    "assert": ("must", ()),
    "time": ("a time that was handed in", ("server/", "tests/")),
    "gettimeofday": ("a time that was handed in", ("server/", "tests/")),
    "clock_gettime": ("a time that was handed in", ("server/", "tests/")),
}
# A C file outside these is built by no target.
BUILT = re.compile(
    r"(proto|proto/base|scheduler|storage|server/(net|manager|worker|lab|cli))/\w+\.c|server/main\.c"
    r"|tests/unit/test_\w+\.c|tests/fuzz/fuzz_\w+\.c|tests/(sim|bench|interop|crash|history)/\w+\.c"
)
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
C_ASSERTION = re.compile(r"\b(ck_assert\w*|ck_abort\w*|must)\b")
TEXT = {".c", ".h", ".py", ".md", ".proto", ".txt", ".cmake", ".json", ".yml", ".lab", ".sim", ""}


def without_comments(text):
    """The code with comments and literals blanked, so that line numbers stay."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def banned_calls(path, text):
    code = without_comments(text)
    for name, (instead, right) in BANNED.items():
        if path.startswith(right or "\0"):
            continue
        for found in re.finditer(rf"(?<![\w.>]){name}\s*\(", code):
            yield line_of(code, found.start()), f"{name}() is not used here: take {instead}"


def header_shape(path, text):
    if not path.endswith(".h"):
        return
    if not text.startswith("/*\n"):
        yield 1, "a header opens with a comment that says what it is"
    if not re.search(r"^#pragma once$", text, re.M):
        yield 1, "#pragma once is missing"


def c_tabs(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line:
            yield number, "tab"


def is_built(path, text):
    if path.endswith(".c") and not BUILT.fullmatch(path):
        yield 1, "no target builds this file"


def bodies(code):
    """Name and body of each macro and function that begins in column 0."""
    for found in re.finditer(r"^#\s*define\s+(\w+)((?:.*\\\n)*.*)$", code, re.M):
        yield found.group(1), found.group(2)
    for found in re.finditer(r"^[A-Za-z_][^\n;=#]*?(\w+)\([^;{}]*\)\s*\{(.*?)^\}", code, re.M | re.S):
        yield found.group(1), found.group(2)


def asserting_names(code, asserting):
    """Macros and functions that assert, themselves or through others; `asserting` are known to."""
    known = [(name, body) for name, body in bodies(code) if name != "START_TEST"]
    while True:
        more = {n for n, body in known if C_ASSERTION.search(body) or asserting & set(re.findall(r"\w+", body))}
        if more <= asserting:
            return asserting
        asserting = asserting | more


def c_tests_assert(texts):
    """A test asserts something itself, or through helpers in its file or a header beside, or dies as announced."""
    codes = {p: without_comments(t) for p, t in texts.items() if re.match(r"tests/unit/\w+\.[ch]", p)}
    beside = asserting_names("\n".join(code for p, code in codes.items() if p.endswith(".h")), set())
    for path, code in codes.items():
        asserting = asserting_names(code, beside)
        dying = set(re.findall(r"_raise_signal\s*\(\s*\w+\s*,\s*(\w+)", code))
        for found in re.finditer(r"^START_TEST\((\w+)\)\s*\{(.*?)^\}", code, re.M | re.S):
            name, body = found.groups()
            if name in dying or C_ASSERTION.search(body) or asserting & set(re.findall(r"\w+", body)):
                continue
            yield path, line_of(code, found.start()), f"{name} asserts nothing"


def events_listed(texts):
    """docs/events.md and what server/ logs name the same events."""
    docs = texts.get("docs/events.md", "")
    cells = re.findall(r"^\|([^|]*)\|", docs, re.M)  # The first of each row.
    listed = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", "".join(cells)))
    logged = set()
    for path, text in texts.items():
        if not re.match(r"server/.*\.c", path):
            continue
        for found in re.finditer(r"\blog_(?:debug|info|warning|error|event)\(\s*[^\";]*\"([^\"=]*)", text):
            name = re.match(r"[a-z_]+\.[a-z_]+", found.group(1))
            if not name:
                yield path, line_of(text, found.start()), "an event is named thing.what, then key=value"
                continue
            logged.add(name.group().strip())
            if name.group().strip() not in listed:
                yield path, line_of(text, found.start()), f"{name.group()} is not in docs/events.md"
    for name in sorted(listed - logged):
        yield "docs/events.md", line_of(docs, docs.index(f"`{name}`")), f"nothing logs {name}"


def calls(function):
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def asserts(function):
    inside = any(isinstance(node, (ast.Assert, ast.Raise)) for node in ast.walk(function))
    return inside or any(name in ("raises", "fail") or name.startswith("assert") for name in calls(function))


def functions(text):
    return [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]


def py_tests_assert(texts):
    """The same for pytest functions; their helpers may stand in any file beside them."""
    beside = {path: functions(text) for path, text in texts.items() if re.match(r"tests/\w+/\w+\.py", path)}
    every = [f for found in beside.values() for f in found]
    asserting = {f.name for f in every if asserts(f)}
    while True:
        more = {f.name for f in every if not asserting.isdisjoint(calls(f))}
        if more <= asserting:
            break
        asserting |= more
    for path, found in beside.items():
        for function in found:
            if function.name.startswith("test_") and function.name not in asserting:
                yield path, function.lineno, f"{function.name} asserts nothing"


def py_sleeps(path, text):
    """Tests wait for a condition with a bound; the one place that sleeps is the helper that does so."""
    if not re.match(r"tests/e2e/test_\w+\.py", path):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\btime\.sleep\b|import sleep", line):
            yield number, "a test waits for a condition (wait_until), never for time"


def whitespace(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no newline at the end of the file"


def unfinished(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield number, "unfinished work is an issue or a decision record, not a note in the tree"


def too_long(path, text):
    count = text.count("\n")
    if count > LINES_MAX and path.endswith((".c", ".h", ".py")):
        yield count, f"{count} lines: two files, or more (limit {LINES_MAX})"


C_RULES = (banned_calls, header_shape, c_tabs, is_built)
RULES = (whitespace, unfinished, too_long)


def texts_under(root):
    for source in sorted(root.rglob("*")):
        path = source.relative_to(root)
        if SKIPPED.isdisjoint(path.parts) and source.is_file() and source.suffix in TEXT:
            try:
                yield path.as_posix(), source.read_text()
            except UnicodeDecodeError:
                continue  # A corpus or a picture.


def complaints(root):
    texts = {p: t for p, t in texts_under(root) if p != "LICENSE" and "/corpus" not in p}
    for path, text in texts.items():
        rules = RULES + (C_RULES if path.endswith((".c", ".h")) else ())
        if path.endswith(".py"):
            rules += (py_sleeps,)
        for rule in rules:
            for number, why in rule(path, text):
                yield f"{path}:{number}: {why}"
    python = {path: text for path, text in texts.items() if path.endswith(".py")}
    for path, number, why in (*c_tests_assert(texts), *py_tests_assert(python), *events_listed(texts)):
        yield f"{path}:{number}: {why}"


if __name__ == "__main__":
    found = list(complaints(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    print("\n".join(found) or "tidy")
    sys.exit(bool(found))
