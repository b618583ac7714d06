"""What the tests of this folder share, and runs of the benchmarks do not."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers with a thread for each core each would only be in each other's way
