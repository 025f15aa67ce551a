"""The scheduler alone (bench_schedule.c): decisions a second, for 100,000 tasks over 1,000 workers in three zones."""
import common

ROUNDS = 5


def run(rounds):
    found = []
    for _ in range(rounds or ROUNDS):
        lines = common.run([common.SCHEDULE], timeout=60).splitlines()
        found.append({name: float(value) for name, _, value in (line.partition(": ") for line in lines)})
    return common.medians(found, found[0])
