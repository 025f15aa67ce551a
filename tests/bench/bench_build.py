"""A clean release build, dependencies present: configured and compiled into an empty directory."""
import os
import statistics
import time

import common

ROUNDS = 5


def run(rounds):
    everything, product = [], []
    for _ in range(rounds or ROUNDS):
        everything.append(seconds())
        product.append(seconds("--target", "cais"))
    return {
        "build_s": round(statistics.median(everything), 1),
        "build_cais_s": round(statistics.median(product), 1),
        "build_jobs": os.cpu_count(),
    }


def seconds(*target):
    with common.scratch("build") as path:
        began = time.monotonic()
        common.run(["cmake", "--preset", "release", "-B", path], timeout=120)
        common.run(["cmake", "--build", path, "-j", os.cpu_count(), *target], timeout=1200)
        return time.monotonic() - began
