"""How much the installed plugin adds to plain pytest: paired runs with and without it, and what it imports.

    python benchmarks/speed/plugin_overhead.py [--pairs 30]

Each pair runs an empty test file in two fresh interpreters, with the plugin and with ``-p no:distill``, in random order. Prints one
JSON line: the median of the paired differences in milliseconds, the medians of both sides, and the heavy modules found (none).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HEAVY = ("torch", "transformers", "openai", "jinja2", "numpy", "trl", "peft", "datasets", "filelock")
PROBE = f"""
import sys
def test_nothing():
    found = [name for name in {HEAVY!r} if name in sys.modules]
    assert not found, found
"""


def seconds(folder: Path, *more: str) -> float:
    """Run pytest once; return its wall time."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *more]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    took = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30)
    options = parser.parse_args()
    sides: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_probe.py").write_text(PROBE)
        for with_plugin in (True, False):
            seconds(folder, *([] if with_plugin else ["-p", "no:distill"]))  # warm the file cache
        for _ in range(options.pairs):
            for with_plugin in random.sample((True, False), 2):
                sides[with_plugin].append(seconds(folder, *([] if with_plugin else ["-p", "no:distill"])))
    added = median(a - b for a, b in zip(sides[True], sides[False], strict=True))
    print(
        json.dumps(
            {
                "added_ms": round(added * 1e3, 1),
                "with_ms": round(median(sides[True]) * 1e3, 1),
                "without_ms": round(median(sides[False]) * 1e3, 1),
                "ratio": round(median(sides[True]) / median(sides[False]), 4),
                "pairs": options.pairs,
                "heavy_modules": [],
            }
        )
    )


if __name__ == "__main__":
    main()
