"""Acknowledged small writes per second, beside etcd's in the same run.

A small write is RegisterTaskDefinition with a body of 256 bytes, a new revision each, and for etcd a Put of a new key
with a value of 256 bytes. The headline is three managers without a lab, as etcd's three members are, clients at
the leader for both. The same through a lab (`commit_lab_`: its relay carries what managers say to each other) and
through a lab's front too (`commit_front_`). `commit_raw_` is the core without HTTP, with commands of 200 bytes (raw.c).
"""
import contextlib
import sys

import clusters
import common

CLIENTS = (1, 64, 256)
SECONDS = 4
ROUNDS = 5
RAW_CALLS = 4000
raw_only = False


def run(rounds):
    rounds = rounds or ROUNDS
    figures = raw(rounds)
    if raw_only:
        return figures
    figures |= beside_etcd(rounds) | in_a_lab(rounds)
    for clients in CLIENTS:
        if f"etcd_commit_{clients}_per_s" in figures:
            ratio = figures[f"commit_{clients}_per_s"] / figures[f"etcd_commit_{clients}_per_s"]
            figures[f"commit_ratio_{clients}"] = round(ratio, 2)
    return figures


def raw(rounds):
    """Without HTTP: three managers' cores, a process each, and callers in the leader's."""
    found = []
    for _ in range(rounds):
        with common.scratch("raw") as path:
            lines = common.run([common.RAW, path, SECONDS, RAW_CALLS], timeout=60).splitlines()
        found.append({name: float(value) for name, _, value in (line.partition(": ") for line in lines)})
    return {f"commit_{name}": value for name, value in common.medians(found, found[0]).items()}


def beside_etcd(rounds):
    """Ours and etcd's alternately, round by round, so that what else the machine does meets both."""
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(common.scratch("commit"))
        systems = {"": ("http", stack.enter_context(clusters.managers(path)), "register")}
        if clusters.has_etcd():
            systems["etcd_"] = ("grpc", stack.enter_context(clusters.etcd(path)), "put")
        else:
            print("etcd is not installed (deploy/install-deps --bench): not compared", file=sys.stderr)
        return measured(systems, rounds)


def in_a_lab(rounds):
    with common.running_lab("lab", "--workers", "0") as lab:
        direct = lambda: lab.managers()[lab.leader()]["api"]
        front = lambda: f"127.0.0.1:{lab.port}"
        return measured({"lab_": ("http", direct, "register"), "front_": ("http", front, "register")}, rounds,
                        lambda prefix: f"commit_{prefix}")


def measured(systems, rounds, named=lambda prefix: f"{prefix}commit_"):
    found = {}
    for _ in range(rounds):
        for clients in CLIENTS:
            for prefix, (protocol, address, operation) in systems.items():
                figures = common.steady_load(protocol, address(), clients, SECONDS, operation)
                found.setdefault((prefix, clients), []).append(figures)
    return {f"{named(prefix)}{clients}_{name}": value for (prefix, clients), each in found.items()
            for name, value in common.medians(each).items()}
