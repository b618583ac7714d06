"""Forgetting: a broad task is asked of the student's base without its adapter, and of the student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_distill.compare import Comparison
from pytest_distill.errors import DistillError
from pytest_distill.evaluate import Timing, evaluate
from pytest_distill.lock import BASE
from pytest_distill.models import Checkpoint, Model
from pytest_distill.student import Recipe
from pytest_distill.task import Task

if TYPE_CHECKING:
    from pytest_distill.plugin.flow import Pairing


def base_of(student: Recipe | Model) -> Checkpoint:
    """Return the model that a student was before it was trained.

    Raises:
        DistillError: nobody knows it.
    """
    if isinstance(student, Recipe):
        return Checkpoint(student.base, revision=student.revision, name=BASE)
    if isinstance(student, Checkpoint) and student.adapter is not None:
        return Checkpoint(student.base, revision=student.revision, name=BASE)
    raise DistillError(
        f"mark distill: broad= asks what the student's base could do, and the base of {student.name!r} is not known. Leave broad= out, or"
        " name a Recipe or a Checkpoint(base, adapter=…) as the student."
    )


def check_broad(broad: Any) -> None:
    """Refuse what is no broad task.

    Raises:
        DistillError: it is no task, or a row of it cannot be read or has no reference.
    """
    if not isinstance(broad, Task):
        raise DistillError(f"mark distill: broad is a Task of general prompts, Task(train=None, …); seen {broad!r}.")
    lacking = [example.id for example in broad.heldout_examples if example.expected is None]
    if lacking:
        raise DistillError(
            f"broad task {broad.name!r}: {len(lacking)} rows have no reference, so nobody can tell what was forgotten; first: {lacking[0]}."
            f" Add {' or '.join(broad.answer.reference_fields)}."
        )


def broad_of(pairing: Pairing, student: Model, timing: Timing) -> Comparison | None:
    """Return what base and student say to the broad task, the base in the teacher's place; None where the mark names none.

    Raises:
        DistillError: the base is not known, or one of the two cannot be asked.
    """
    task = pairing.declaration.broad
    if task is None:
        return None
    base, examples = base_of(student), task.heldout_examples
    said = pairing.ask(student, examples, "student answers the broad task", task=task)
    if not pairing.all_recorded(base, task):
        pairing.unload(student)  # teacher and student have done their part, and a base may be large
    able = pairing.ask(base, examples, "base answers the broad task", task=task)
    base.unload()
    before, after = (evaluate(model.name, task, examples, replies) for model, replies in ((base, able), (student, said)))
    return Comparison(task, examples, before, after, timing, pairing.judging)


def broad_declared(broad: Task) -> dict[str, Any]:
    """Return what people decide about a broad task."""
    return {"task": broad.name, "digest": broad.digest, "heldout": {"rows": len(broad.heldout_examples), "digest": broad.heldout_digest}}
