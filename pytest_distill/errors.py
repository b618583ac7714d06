"""The one family of errors that this package raises about its input and its surroundings."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


class DistillError(Exception):
    """Something a user can mend; the text says what, where, what was seen, what is allowed, and the way out."""


class TaskError(DistillError):
    """A task declaration or one of its rows is wrong; the text begins with the file and line where there is one."""


class RecordingError(DistillError):
    """A recording is damaged or lacks a reply that was needed."""


class ModelError(DistillError):
    """A model cannot be loaded or asked."""


class AdapterError(ModelError):
    """An adapter is damaged, incomplete or made for something else."""


class TrainingError(DistillError):
    """A training failed; nothing of it was published."""


class TeacherError(DistillError):
    """The teacher's replies cannot serve as training data."""


class LockError(DistillError):
    """A lock is missing, damaged or altered, or no longer holds for what it is asked about."""


def likest(name: str, known: Collection[str], otherwise: str) -> str:
    """Return the question whether the known name that is most like an unknown one was meant, or `otherwise` where none is like it."""
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else otherwise
