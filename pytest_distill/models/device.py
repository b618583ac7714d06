"""The device: which one, how many threads, and one job at a time on it."""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_distill.errors import ModelError


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


@contextmanager
def exclusive(device: str, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the device against every other run of this user on this machine: two jobs at once slow and mistime each other.

    `waiting` is told, once, if another run has to be waited for.
    """
    user = "user"
    with suppress(OSError, KeyError, ImportError):
        user = getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"pytest-distill-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / f"{device}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting(f"waiting for the {device}: another run holds it ({lock.lock_file})")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def settle_threads() -> None:
    """Give torch in this process the threads it may use, where a runner has set other defaults."""
    import torch

    torch.set_num_threads(threads())
