"""The job folder: what a training needs goes in, an adapter and its trace come out; the child process that works on it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_distill.curate import TrainingRow
from pytest_distill.errors import TrainingError
from pytest_distill.files import write_json, write_whole
from pytest_distill.models.device import threads
from pytest_distill.student.recipe import Recipe

VALIDATION_SHARE = 0.05
MOST_VALIDATION = 256
TRAINS_WITH = ("torch", "transformers", "trl", "peft", "datasets")
# Variables that are credentials by their names, and those through which a step of a GitHub workflow speaks to its job.
_CREDENTIAL = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|(?:^|_)(?:API)?(?:KEYS?|TOKENS?|PAT|DSN)(?:_|$)|_(?:PASS|PWD|AUTH)$"
    r"|^(?:OPENAI|AZURE|ANTHROPIC|ACTIONS)_|^GITHUB_(?:OUTPUT|ENV|PATH|STATE|STEP_SUMMARY)$",
    re.IGNORECASE,
)
# Training loads the base, which may be gated at the Hugging Face Hub: its token, and how it is found and used. Nothing else is fetched, and
# nothing is reported: keys of experiment trackers stay behind with all others.
_NEEDED = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN"})


@dataclass(frozen=True)
class TrainingProgress:
    """Where a running training stands: step of steps, the last loss, and the seconds left by its pace so far."""

    step: int
    steps: int
    loss: float
    seconds_left: float


def write_job(folder: Path, recipe: Recipe, rows: Sequence[TrainingRow], device: str) -> None:
    """Write job.json, train.jsonl and validation.jsonl into the new `folder`.

    The validation split (5 %, at most 256 rows) is drawn from the training rows by their ids, so that it is the same for
    every recipe.
    """
    from hashlib import sha256

    shuffled = sorted(rows, key=lambda row: sha256(row.id.encode()).digest())
    held = {row.id for row in shuffled[: min(MOST_VALIDATION, int(len(rows) * VALIDATION_SHARE))]}
    folder.mkdir(parents=True)
    write_json(folder / "job.json", {"recipe": recipe.to_json(), "device": device, "threads": threads()})
    for name, kept in (
        ("train.jsonl", [row for row in rows if row.id not in held]),
        ("validation.jsonl", [row for row in rows if row.id in held]),
    ):
        lines = [json.dumps({"id": row.id, "prompt": row.prompt, "completion": row.completion}) for row in kept]
        write_whole(folder / name, ("\n".join(lines) + "\n" if lines else "").encode())


def read_trace(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a job so far; a line that is still being written is left out."""
    try:
        lines = (folder / "trace.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    events = []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events


def without_credentials(environment: Mapping[str, str], withheld: Collection[str] = ()) -> dict[str, str]:
    """Return what training may see of an environment: all of it but credentials, of which it needs only that of the hub with the base.

    This keeps them out of what a trainer logs or uploads. It is no boundary against hostile code, which may read other processes' memory.

    Args:
        environment: variables with their values.
        withheld: names that are left out as well, whatever they look like and also where training could use them.
    """
    return {
        name: value for name, value in environment.items() if name not in withheld and (name in _NEEDED or not _CREDENTIAL.search(name))
    }


def run_job(folder: Path, progress: Callable[[TrainingProgress], None], withheld: Collection[str] = ()) -> list[dict[str, Any]]:
    """Train in a child process on the job in `folder`; return its trace. The child ends with this process, and sees no credentials.

    Args:
        folder: as `write_job` made it.
        progress: told where the training stands.
        withheld: names of variables that `without_credentials` leaves out of the child's environment beside those it knows itself.

    Raises:
        TrainingError: the child failed or was killed; the text carries its own words.
    """
    lacking = [name for name in TRAINS_WITH if importlib.util.find_spec(name) is None]
    if lacking:
        raise TrainingError(f"{', '.join(lacking)} are needed to train and not installed. Run: pip install 'pytest-distill[train]'")
    environment = without_credentials(os.environ, withheld) | {
        "OMP_NUM_THREADS": str(threads()),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
        # glibc would map and unmap every large tensor anew; keeping them on the heap halves the time of a small model's step.
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    }
    # A wrapper's strictness about warnings is for this process; libraries in the child warn as they like.
    environment.pop("PYTHONWARNINGS", None)
    command = [sys.executable, "-m", "pytest_distill.student.train", str(folder)]
    shown = 0
    with (folder / "log.txt").open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            while child.poll() is None:
                time.sleep(0.2)
                shown = _report(read_trace(folder), shown, progress)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    trace = read_trace(folder)
    _report(trace, shown, progress)
    error = next((event["error"] for event in trace if "error" in event), None)
    if child.returncode != 0 or error:
        if error is None and child.returncode < 0:
            error = f"the training process was killed by signal {-child.returncode}"
        log_text = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        error = error or "; ".join(log_text[-3:]) or f"exit status {child.returncode}"
        last = max((event["step"] for event in trace if "loss" in event), default=0)
        raise TrainingError(f"training failed after step {last}: {error}. Nothing was kept; the next run starts clean.")
    return trace


def _report(trace: list[dict[str, Any]], shown: int, progress: Callable[[TrainingProgress], None]) -> int:
    losses = [event for event in trace if "loss" in event]
    if len(losses) > shown:
        event = losses[-1]
        left = event["seconds"] / max(event["step"], 1) * (event["steps"] - event["step"])
        progress(TrainingProgress(event["step"], event["steps"], event["loss"], left))
    return len(losses)
