"""The device: which one, how many threads, one job at a time on it, and whether it is quiet enough to time on."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from filelock import FileLock, Timeout

from pytest_distill.errors import ModelError

# The median of short repeats: one long piece would meet every hiccup of a shared machine, a single short one only chance.
REPEATS = 15
HASHED_BYTES, HASHES = 1 << 18, 16
MATRIX_SIZE, PRODUCTS = 2048, 8
# The bits of NVML's clocks event reasons that mean a GPU in trouble; running at its power limit is how a busy GPU works.
SLOWDOWNS = {
    0x08: "hardware slowdown",
    0x20: "thermal slowdown by the driver",
    0x40: "thermal slowdown by the hardware",
    0x80: "power brake",
}


def threads() -> int:
    """Return how many CPU threads a job may use: the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pick(device: str, asked_by: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ModelError: ``cuda`` is asked for and no GPU is visible.
    """
    # Where no NVIDIA driver is, no torch is needed to know it: a run from the store stays free of that import.
    driver = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
    if device == "cpu" or (device == "auto" and not driver):
        return "cpu"
    import torch

    visible = torch.cuda.is_available()
    if device == "cuda" and not visible:
        raise ModelError(
            f"{asked_by} asks for device='cuda' and no CUDA GPU is visible. Use the GPU runner, or a recipe that fits a CPU,"
            " such as recipes.tiny."
        )
    return "cuda" if visible else "cpu"


def lock_path(name: str) -> Path:
    """Return the file by which all runs of this user on this machine take turns at what is called `name`."""
    user = "user"
    with suppress(OSError, KeyError, ImportError):
        user = getpass.getuser()
    return Path(tempfile.gettempdir()) / f"pytest-distill-{user}" / f"{name}.lock"


@contextmanager
def held(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file at `path` against every other process; `waiting` is called, once, where it has to be waited for.

    Raises:
        OSError: the lock file cannot be written.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def exclusive(device: str, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the device against every other run of this user on this machine: two jobs at once slow and mistime each other.

    `waiting` is told, once, if another run has to be waited for.
    """
    path = lock_path(device)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with held(path, lambda: waiting(f"waiting for the {device}: another run holds it ({path})")):
        yield


def settle_threads() -> None:
    """Give torch in this process the threads it may use, where a runner has set other defaults."""
    import torch

    torch.set_num_threads(threads())


def workload(device: str) -> Callable[[], float]:
    """Return the reference workload: the same work at each call, which returns the median seconds (above 0) of its repeats.

    It uses the device as a model does: all threads of a CPU, or a product of matrices on a GPU. Its time says nothing by itself;
    where it changes between calls, something else changed the device's speed.
    """
    return _matrix_products() if device == "cuda" else _hashing


def _hashing() -> float:
    content, count = bytes(HASHED_BYTES), threads()

    def hash_often(_: int) -> None:
        for _ in range(HASHES):  # hashlib lets other threads run meanwhile
            hashlib.sha256(content)

    with ThreadPoolExecutor(count) as pool:
        return _median_seconds(lambda: list(pool.map(hash_often, range(count))))


def _matrix_products() -> Callable[[], float]:
    import torch

    matrix = torch.ones(MATRIX_SIZE, MATRIX_SIZE, device="cuda")

    def multiply() -> None:
        for _ in range(PRODUCTS):
            torch.mm(matrix, matrix)
        torch.cuda.synchronize()

    def run() -> float:
        torch.cuda.synchronize()
        return _median_seconds(multiply)

    return run


def _median_seconds(work: Callable[[], Any]) -> float:
    times = [time.perf_counter()]
    for _ in range(REPEATS):
        work()
        times.append(time.perf_counter())
    return median(after - before for before, after in pairwise(times))


def disturbance(device: str) -> str | None:
    """Return why a timing on `device` would be disturbed, or None where nothing is known: a GPU slowed down or used by others.

    Asks nvidia-smi; a CPU is never disturbed by this account. A process counts as foreign where its number is known here and its
    process group is not ours, which the workers of one run share.
    """
    if device != "cuda" or shutil.which("nvidia-smi") is None:
        return None
    import torch

    gpu = f"GPU-{torch.cuda.get_device_properties('cuda').uuid}"
    for pid in _ask_gpu(gpu, "--query-compute-apps=pid"):
        with suppress(ValueError, OSError):
            if os.getpgid(int(pid)) != os.getpgrp():
                return f"another process (pid {pid}) uses the GPU"
    # Older drivers know only the older name.
    answer = _ask_gpu(gpu, "--query-gpu=clocks_event_reasons.active") or _ask_gpu(gpu, "--query-gpu=clocks_throttle_reasons.active")
    with suppress(ValueError):
        reasons = int(answer[0], 16) if answer else 0
        found = [name for bit, name in SLOWDOWNS.items() if reasons & bit]
        return f"the GPU runs below its speed: {', '.join(found)}" if found else None
    return None


def _ask_gpu(gpu: str, question: str) -> list[str]:
    command = ["nvidia-smi", f"--id={gpu}", question, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split() if done.returncode == 0 else []
