"""DescribeClusters of one cluster by 64 clients at the leader: linearizable, and with X-Cais-Consistency: stale.

Three managers without a lab. etcd's linearizable Range of one key of 256 bytes beside it.
"""
import contextlib

import clusters
import common

CLIENTS = 64
SECONDS = 4
ROUNDS = 5
KEY = "bench"


def run(rounds):
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(common.scratch("read"))
        managers = stack.enter_context(clusters.managers(path))
        common.Api(managers()).ask("CreateCluster")
        systems = {"read_": ("http", managers, "describe"), "read_stale_": ("http", managers, "stale")}
        if clusters.has_etcd():
            etcd = stack.enter_context(clusters.etcd(path))
            clusters.etcdctl(etcd(), "put", KEY, "x" * 256)
            systems["etcd_read_"] = ("grpc", etcd, "get", KEY)
        found = {prefix: [] for prefix in systems}
        for _ in range(rounds or ROUNDS):
            for prefix, (protocol, address, *operation) in systems.items():
                found[prefix].append(common.steady_load(protocol, address(), CLIENTS, SECONDS, *operation))
    return {prefix + name: value for prefix, each in found.items() for name, value in common.medians(each).items()}
