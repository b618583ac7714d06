"""How long the exact test, its bound and the planner take, in milliseconds and against a fixed loop in the same run.

python benchmarks/speed/exact_p.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from pytest_distill import stats

REPEATS = 5


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median time of `work`, with the results that were kept thrown away before each repeat."""
    times = []
    for _ in range(REPEATS):
        for kept in (stats.drop_p, stats.drop_p_refuted, stats.drop_bound, stats.drop_regions):
            kept.cache_clear()
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1000 * median(times)


def fixed_loop() -> int:
    """A million additions of small integers: what this interpreter does in about the time that a slow test may take."""
    total = 0
    for number in range(1_000_000):
        total += number & 7
    return total


WORK = {
    "p at n = 500 (12 lost, 4 gained)": lambda: stats.drop_p(12, 4, 500, 0.05),
    "p at n = 5,000 (180 lost, 40 gained)": lambda: stats.drop_p(180, 40, 5000, 0.05),
    "bound at n = 500": lambda: stats.drop_bound(12, 4, 500),
    "bound at n = 5,000": lambda: stats.drop_bound(180, 40, 5000),
    "power at n = 500": lambda: stats.drop_chances(500, 0.03, 0.01, 0.05),
    "plan for 80 % power (4 % discordant, true drop 2 %)": lambda: stats.examples_for_power(0.04, 0.02, 0.05),
    "Gaffke bound of 500 different scores": lambda: stats.gaffke_bound([k % 97 / 485 for k in range(500)], 1.0),
}

if __name__ == "__main__":
    loop = milliseconds(fixed_loop)
    print(f"{'fixed loop':<54}{loop:>9.1f} ms")
    for name, work in WORK.items():
        took = milliseconds(work)
        print(f"{name:<54}{took:>9.1f} ms   {took / loop:6.2f} loops")
