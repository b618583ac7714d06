"""From the teacher's replies to a training set: what is kept, and a reason for everything that is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_distill.answers import Malformed
from pytest_distill.errors import TaskError, TeacherError
from pytest_distill.recording import Reply
from pytest_distill.task import Example, Task, overlap, shown_path

MOST_UNPARSABLE = 0.05


@dataclass(frozen=True)
class TrainingRow:
    """One row to train on: the prompt and the completion, both plain text."""

    id: str
    prompt: str
    completion: str


@dataclass(frozen=True)
class TrainingSet:
    """What the student learns from.

    Attributes:
        rows: the kept rows, in the order of the file.
        rejected: ids left out, by reason: ``wrong`` (against the reference), ``unparsable``, ``cut``, ``duplicate``.
    """

    rows: tuple[TrainingRow, ...]
    rejected: dict[str, tuple[str, ...]]


def check_leak(task: Task) -> None:
    """Refuse a task whose held-out examples are also in its training data.

    Raises:
        TaskError: with the count and the first pair.
    """
    pairs = overlap(task.train_examples, task.heldout_examples)
    if pairs:
        held, trained = pairs[0]
        raise TaskError(
            f"task {task.name!r}: {len(pairs)} held-out examples are also in the training data; first: {held.id} equals"
            f" {trained.id}. Remove them from {shown_path(task.train)}."
        )


def curate(task: Task, examples: Sequence[Example], replies: Sequence[Reply]) -> TrainingSet:
    """Keep the replies that are right, or that at least satisfy the contract where a row has no reference.

    Raises:
        TeacherError: more than 5 % of the replies are unparsable, or nothing is left to train on.
    """
    rows: list[TrainingRow] = []
    rejected: dict[str, list[str]] = {}
    seen: set[str] = set()
    first_unparsable = ""
    for example, reply in zip(examples, replies, strict=True):
        value = task.answer.parse(reply.text)
        prompt = task.render(example)
        reason = None
        if reply.outcome == "cut":
            reason = "cut"
        elif isinstance(value, Malformed):
            reason = "unparsable"
            first_unparsable = first_unparsable or f"{example.id} said {reply.text.strip()[:60]!r}"
        elif example.expected is not None and task.answer.score(value, example.expected) < 1:
            reason = "wrong"
        elif prompt in seen:
            reason = "duplicate"
        if reason:
            rejected.setdefault(reason, []).append(example.id)
        else:
            seen.add(prompt)
            rows.append(TrainingRow(example.id, prompt, str(value)))
    unparsable = len(rejected.get("unparsable", ()))
    if unparsable > MOST_UNPARSABLE * len(replies):
        raise TeacherError(
            f"task {task.name!r}: {unparsable} of {len(replies)} teacher replies ({unparsable / len(replies):.1%}) are"
            f" {task.answer.misfit}; first: {first_unparsable}. Tighten the prompt or add the label."
        )
    if not rows:
        counts = ", ".join(f"{len(ids)} {reason}" for reason, ids in rejected.items())
        raise TeacherError(
            f"task {task.name!r}: none of {len(replies)} teacher replies is fit to train on ({counts}). Look at the teacher first."
        )
    return TrainingSet(tuple(rows), {reason: tuple(ids) for reason, ids in sorted(rejected.items())})
