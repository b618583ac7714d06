"""The search for leaks, done once for the same rows: its answer is kept in the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_distill.curate import Curation, Leak, check_leak, near_duplicates, unsearched
from pytest_distill.files import digest, write_json
from pytest_distill.task import Task

if TYPE_CHECKING:
    from pytest_distill.plugin.flow import Pairing
    from pytest_distill.plugin.options import Settings

VERSION = 1  # of the search: raised when it would find others in the same rows


def check_rows(pairings: Sequence[Pairing], settings: Settings) -> None:
    """Read the rows of a benchmark file's task, check each, and tell its pairings which leak.

    Raises:
        DistillError: a row is wrong, or more of them leak than a result can bear.
    """
    if settings.locked:  # the same rows were searched when they were accepted
        return
    task, curation = pairings[0].task, pairings[0].declaration.curation
    leaks = leaks_of(task, curation, settings.store, keep=not settings.plan)
    note = check_leak(task, curation, leaks) or ""
    for pairing in pairings:
        pairing.leaks, pairing.note = leaks, note


def leaks_of(task: Task, curation: Curation, store: Path, *, keep: bool) -> list[Leak]:
    """Return the held-out rows that training rows equal or nearly equal: from the store where these rows were searched before.

    Args:
        task: whose rows.
        curation: says what is nearly equal.
        store: the store's folder.
        keep: whether the answer may be written there.

    Raises:
        TaskError: the rows cannot be read.
    """
    searched = not unsearched(curation.near)
    key = digest([VERSION, task.digest, task.train_digest, task.heldout_digest, curation.near, searched])
    path = store / "leaks" / f"{key.removeprefix('sha256:')[:24]}.json"
    with suppress(OSError, ValueError, TypeError):
        return [Leak(str(heldout), str(train), float(similarity)) for heldout, train, similarity in json.loads(path.read_text("ascii"))]
    found = near_duplicates(task, curation.near)
    if keep:
        with suppress(OSError):
            write_json(path, [astuple(leak) for leak in found])
    return found
