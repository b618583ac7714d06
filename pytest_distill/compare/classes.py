"""The tables of a comparison: by class, by what was taken for what, by part of an answer; and its errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_distill.answers import Malformed
from pytest_distill.evaluate import Evaluation
from pytest_distill.task import Example

if TYPE_CHECKING:
    from pytest_distill.compare.comparison import Comparison

NO_LABEL = "(none)"
ERRORS = ("introduced", "corrected", "inherited", "unlabelled")
MOST_IN_A_TABLE = 50  # labels up to which results.json holds whole tables of confusion: they grow with the square


def members(answer: Any) -> frozenset[str]:
    """Return the labels that an answer of labels consists of: one, several, or none where there is no answer."""
    if isinstance(answer, Malformed):
        return frozenset()
    return frozenset([answer]) if isinstance(answer, str) else frozenset(answer)


def by_class(labels: Sequence[str], examples: Sequence[Example], sides: Mapping[str, Evaluation]) -> dict[str, dict[str, float]]:
    """Return for each label its support and, for each side, precision, recall and F1 (0 to 1; 0 where nothing is there to divide by).

    Where an answer may be several labels, each counts by itself.
    """
    expected = [members(example.expected) for example in examples]
    support = Counter(label for each in expected for label in each)
    found: dict[str, dict[str, float]] = {label: {"support": support[label]} for label in labels}
    for name, side in sides.items():
        said = [members(value) for value in side.values]
        gave = Counter(label for each in said for label in each)
        hits = Counter(label for right, each in zip(expected, said, strict=True) for label in right & each)
        for label, row in found.items():
            row[f"{name}_precision"] = hits[label] / gave[label] if gave[label] else 0.0
            row[f"{name}_recall"] = hits[label] / support[label] if support[label] else 0.0
            row[f"{name}_f1"] = 2 * hits[label] / (gave[label] + support[label]) if gave[label] + support[label] else 0.0
    return found


def mean_f1(classes: Mapping[str, Mapping[str, float]], side: str, *, weighted: bool = False) -> float | None:
    """Return the mean F1 of a side over the labels that are expected, each alike or by its support; None where there are none."""
    weights = {label: (row["support"] if weighted else 1) for label, row in classes.items() if row["support"]}
    return sum(weight * classes[label][f"{side}_f1"] for label, weight in weights.items()) / sum(weights.values()) if weights else None


def table(labels: Sequence[str], examples: Sequence[Example], evaluation: Evaluation) -> list[list[int]]:
    """Return counts by expected label (rows) and given label (columns), both in the order of `labels`, which ends with ``(none)``."""
    at = {label: index for index, label in enumerate(labels[:-1])}  # a label may be called as the last column is
    found = [[0] * len(labels) for _ in labels]
    for example, value in zip(examples, evaluation.values, strict=True):
        found[at[example.expected]][-1 if isinstance(value, Malformed) else at[value]] += 1
    return found


def confusion(comparison: Comparison) -> dict[str, Any]:
    """Return what results.json holds of labels taken for others: whole tables where the labels are few, and each pair that was confused."""
    tables = {name: comparison.confusion(side) for name, side in comparison.sides.items()}
    pairs: dict[tuple[str, str], dict[str, int]] = {}
    for name, counts in tables.items():
        for row, label in enumerate(comparison.labels if counts else ()):
            for column, count in enumerate(counts[row]):
                if count and row != column:
                    pairs.setdefault((label, comparison.labels[column]), {"teacher": 0, "student": 0})[name] = count
    listed = sorted(pairs.items(), key=lambda pair: (-pair[1]["student"], -pair[1]["teacher"], pair[0]))
    few = len(comparison.task.answer.classes) <= MOST_IN_A_TABLE
    return {
        "labels": comparison.labels,
        **{name: counts if few else [] for name, counts in tables.items()},
        "pairs": [{"expected": expected, "given": said, **counts} for (expected, said), counts in listed],
    }


def by_part(parts: Sequence[str], sides: Mapping[str, Evaluation]) -> dict[str, dict[str, float]]:
    """Return for each part of an answer on how many examples it is asked for, and the mean score of each side there."""
    found: dict[str, dict[str, float]] = {}
    grades = [[grade.parts if grade else {} for grade in side.grades] for side in sides.values()]
    for part in parts:
        # What keeps no contract may be graded without parts: it has none of those that the other side was asked for.
        scores = [[each.get(part, 0.0) for each in row] for row in zip(*grades, strict=True) if any(part in each for each in row)]
        if scores:
            means = (sum(of_one) / len(scores) for of_one in zip(*scores, strict=True))
            found[part] = {"n": len(scores), **dict(zip(sides, means, strict=True))}
    return found


def errors_of(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the examples that a model got wrong, or that wait for a label, in the order of ERRORS, as results.json holds them."""
    rows = [
        {
            "id": example.id,
            "kind": kind,
            "input": comparison.task.render(example),
            "expected": "" if example.expected is None else comparison.task.answer.shown(example.expected),
            "teacher": comparison.teacher.texts[at].strip(),
            "student": comparison.student.texts[at].strip(),
            "tags": list(example.tags),
        }
        for at, (example, kind) in enumerate(zip(comparison.examples, comparison.kinds, strict=True))
        if kind in ERRORS
    ]
    return sorted(rows, key=lambda row: ERRORS.index(str(row["kind"])))
