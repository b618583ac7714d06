"""What a benchmark file declares: its mark distill, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.curate import Curation
from pytest_distill.errors import DistillError, likest
from pytest_distill.files import digest
from pytest_distill.judge import Judge
from pytest_distill.measures import Serving
from pytest_distill.models import Endpoint, Model
from pytest_distill.models.checkpoint import checked_price
from pytest_distill.plugin.forgetting import base_of, check_broad
from pytest_distill.student import Recipe
from pytest_distill.task import Task

NAMES = ("task", "teacher", "students", "serving", "curation", "judge", "broad")


@dataclass(frozen=True)
class Student:
    """One student of a mark.

    Attributes:
        source: the recipe that makes it, or the model.
        recipe: the recipe as declared, with all its seeds; None for a model.
    """

    source: Recipe | Model
    recipe: Recipe | None

    @property
    def seeds(self) -> int:
        """How many students its recipe declares: any of them may be shipped."""
        return self.recipe.seeds if self.recipe else 1


@dataclass(frozen=True)
class Declaration:
    """A mark: the task, its teacher, the students in order, each seed by itself, what running a student takes, what it is trained on, who judges its replies, and what it must not forget."""

    task: Task
    teacher: Model
    students: Sequence[Student]
    serving: Serving | None
    curation: Curation
    judge: Judge | None = None
    broad: Task | None = None


def declared(mark: pytest.Mark) -> Declaration:
    """Return what a mark declares.

    Raises:
        DistillError: it is not understood; the text says what it takes.
    """
    given = dict(zip(NAMES, mark.args, strict=False)) | dict(mark.kwargs)
    for name in given:
        if name not in NAMES:
            hint = likest(name, NAMES, f"It takes {', '.join(NAMES)}.")
            raise DistillError(f"mark distill knows no {name!r}. {hint}")
    if len(mark.args) > len(NAMES):
        raise DistillError(f"mark distill takes a task, a teacher and students; seen {len(mark.args)} arguments.")
    task, teacher, students, serving, curation, judge, broad = (given.get(name) for name in NAMES)  # type: tuple[Any, Any, Any, Any, Any, Any, Any]
    if not isinstance(task, Task):
        raise DistillError(f"mark distill names no task; seen {task!r}. Write pytest.mark.distill(task, teacher=…, students=[…]).")
    if task.train is None:
        raise DistillError(
            f"task {task.name!r} has no training rows (train=None), so nothing is distilled for it: it can be broad=… of another one."
        )
    if not is_model(teacher):
        raise DistillError(f"mark distill names no teacher; seen {teacher!r}. Add teacher= with a model: a Checkpoint or an Endpoint.")
    checked_price(getattr(teacher, "price", None))
    if serving is not None and not isinstance(serving, Serving):
        raise DistillError(f"mark distill: serving is a Serving(usd_per_hour=…, requests_per_month=…); seen {serving!r}.")
    if curation is not None and not isinstance(curation, Curation):
        raise DistillError(f"mark distill: curation is a Curation(…); seen {curation!r}.")
    if judge is not None and not isinstance(judge, Judge):
        raise DistillError(f"mark distill: judge is a Judge(model, rubric=…); seen {judge!r}.")
    if judge is not None and not is_model(judge.model):
        raise DistillError(f"mark distill: the model of a Judge is an Endpoint or a Checkpoint; seen {judge.model!r}.")
    checked_price(getattr(judge and judge.model, "price", None))
    found = _students(students)
    if broad is not None:
        check_broad(broad)
        for student in found:
            base_of(student.source)
    for student in found:
        source, hosted = student.source, isinstance(teacher, Endpoint) and isinstance(student.source, Endpoint)
        if hosted and source.name == teacher.name and not isinstance(source, Recipe) and source.digest != teacher.digest:
            raise DistillError(
                f"mark distill: teacher and a student are both called {teacher.name!r}, which names their recordings. Give one of them name=…."
            )
    return Declaration(task, teacher, found, serving, curation or Curation(), judge, broad)


def _students(students: Any) -> list[Student]:
    if isinstance(students, (Recipe, str)) or is_model(students):
        raise DistillError(f"mark distill takes students as a list; seen {students!r}. Write students=[…].")
    found: list[Student] = []
    for student in students or ():
        if isinstance(student, Recipe):
            found += [Student(member, student) for member in student.members()]
        elif is_model(student):
            checked_price(getattr(student, "price", None))
            found.append(Student(student, None))
        else:
            raise DistillError(f"mark distill: a student is a Recipe or a model; seen {student!r}.")
    if not found:
        raise DistillError("mark distill names no students. Add students=[...] with a Recipe, for example from training/recipes.py.")
    called = [student.source.name for student in found]
    twice = sorted({name for name in called if called.count(name) > 1})
    if twice:
        raise DistillError(f"mark distill: two students are called {twice[0]!r}. Give each Recipe or Checkpoint its own name=.")
    return found


def declared_as(student: Student) -> dict[str, Any]:
    """Return what a person decides about a student, by name: its recipe and how many seeds of it are declared, or the model's digest."""
    source = student.source
    if isinstance(source, Recipe):
        return {"name": source.name, "seeds": student.seeds, "device": source.device, **source.decided()}
    return model_declared(source)


def model_declared(model: Model) -> dict[str, Any]:
    """Return what a person decides about a model: its content, and of an Endpoint also where and how often it is asked."""
    asked = {"origin": model.origin, "samples": model.samples} if isinstance(model, Endpoint) else {}
    return {"name": model.name, "digest": model.digest, **asked}


def judge_declared(judge: Judge) -> dict[str, Any]:
    """Return what a person decides about a judge."""
    model = model_declared(judge.model)
    return {"model": model, "rubric": digest(judge.rubric), "mode": judge.mode, "audit": judge.audit, "max_tokens": judge.max_tokens}


def is_model(value: object) -> bool:
    """Return whether `value` can be asked and timed."""
    return all(hasattr(value, name) for name in ("name", "load", "answer", "time_one"))


def mark_line(path: Path) -> int:
    """Return the line on which a benchmark file's mark begins, or 1."""
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if "mark.distill" in line and not line.lstrip().startswith("#"):
            return number
    return 1
