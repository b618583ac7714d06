"""Where a run took place: what a reader needs to know of the machine and the checkout."""

from __future__ import annotations

import platform
import shutil
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pytest_distill.models.device import threads

PACKAGES = ("pytest-distill", "pytest", "pytest-xdist", "openai", "scipy", "torch", "transformers", "trl", "peft", "datasets", "tokenizers")


def environment(root: Path) -> dict[str, Any]:
    """Return what a reader needs to know of the machine: Python, platform, CPU, GPU, package versions, git commit."""
    packages = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            packages[package] = version(package)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": machine(),
        "gpu": gpu(),
        "packages": packages,
        "git": {"commit": _git(root, "rev-parse", "HEAD"), "dirty": bool(_git(root, "status", "--porcelain"))},
    }


def machine() -> str:
    """Return the processor's name, the number of cores that this process may use, and the GPU's name where there is one."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    graphics = gpu()
    return f"{name}, {threads()} cores" + (f", {graphics}" if graphics else "")


def gpu() -> str | None:
    """Return the name of the first NVIDIA GPU, or None."""
    if shutil.which("nvidia-smi") is None:
        return None
    lines = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return lines.splitlines()[0] if lines else None


def tracked(root: Path, folder: Path) -> list[str] | None:
    """Return the files below `folder` that git has under version control; None where there is a repository that does not tell."""
    inside = folder.relative_to(root) if folder.is_relative_to(root) else folder
    found = _git(root, "ls-files", "--", f":(icase,literal){inside.as_posix()}")  # some file systems take .Distill for .distill
    if found is None:
        return None if any((parent / ".git").exists() for parent in (root, *root.parents)) else []
    return found.splitlines()


def _git(root: Path, *words: str) -> str | None:
    return _output("git", *words, cwd=root)


def _output(*command: str, cwd: Path | None = None) -> str | None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
