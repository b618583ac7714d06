"""Should one distil at all? Cheaper ways beside the student, on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_distill.compare.comparison import Comparison
from pytest_distill.evaluate import Evaluation
from pytest_distill.measures import AccuracyDrop
from pytest_distill.verdict import Judging, percent

AS_GOOD = 0.02  # a cheaper rung that is shown to lose no more than this against the student is called as good


def ladder(comparison: Comparison, rungs: Sequence[tuple[str, Evaluation | str]]) -> list[dict[str, Any]]:
    """Return the rungs from the cheapest to the teacher, each with its accuracy and how far it is behind student and teacher.

    Args:
        comparison: student and teacher.
        rungs: cheaper ways on the same examples: a name, and its evaluation or why there is none.
    """

    def behind(better: Evaluation, worse: Evaluation) -> AccuracyDrop:
        return replace(comparison, teacher=better, student=worse, judging=Judging()).accuracy_drop

    rows: list[dict[str, Any]] = []
    sides = (("student", comparison.student), ("teacher", comparison.teacher))
    for rung, found in (*rungs, *sides):
        row: dict[str, Any] = {"rung": rung, "accuracy": None, "why": found if isinstance(found, str) else None, "as_good": False}
        if not isinstance(found, str):
            row["accuracy"] = found.right / len(comparison.examples)
            for name, side in sides:
                drop = behind(side, found) if found is not side else None
                row[f"behind_{name}"] = None if drop is None else {"value": drop.estimate, "bound": drop.bound}
                if drop is not None and name == "student" and rung != "teacher":
                    row["as_good"] = drop.p_values(AS_GOOD)[0] <= drop.judging.alpha
        rows.append(row)
    return rows


def ladder_note(rows: Sequence[dict[str, Any]]) -> str:
    """Return the sentence about the cheapest rung that is shown to be as good as the student, or nothing."""
    for row in rows:
        if row["as_good"]:
            drop = row["behind_student"]
            apart = f"{percent(abs(drop['value']))} {'behind' if drop['value'] > 0 else 'ahead'}" if drop["value"] else "level"
            behind = f"{apart}, 95% bound {percent(abs(drop['bound']))} {'behind' if drop['bound'] >= 0 else 'ahead'}"
            return f"{row['rung']} is shown to be at most {percent(AS_GOOD, -1)} worse than the student ({behind}): it may be all that this task needs"
    return ""
