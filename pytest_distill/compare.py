"""Two evaluations on the same examples: a Comparison of measures, error kinds, classes and slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pytest_distill.answers import Malformed
from pytest_distill.evaluate import Evaluation, Timing
from pytest_distill.measures import AccuracyDrop, Measure, QualityRetained, SpeedGain
from pytest_distill.task import Example, Task
from pytest_distill.verdict import Judging, band

NO_LABEL = "(none)"
VIABLE_DROP, MARGINAL_DROP, VIABLE_GAIN = 0.05, 0.10, 2.0


@dataclass(frozen=True)
class Comparison:
    """A student against its teacher on the held-out examples of one task.

    Attributes:
        task, examples: what was asked.
        teacher, student: both evaluations, in the order of the examples.
        timing: the interleaved timing of both.
        judging: how its measures are judged.
    """

    task: Task
    examples: Sequence[Example]
    teacher: Evaluation
    student: Evaluation
    timing: Timing
    judging: Judging

    @cached_property
    def kinds(self) -> list[str]:
        """For each example ``both_right``, ``introduced`` (only the student wrong), ``corrected`` or ``inherited``."""
        names = {(True, True): "both_right", (True, False): "introduced", (False, True): "corrected", (False, False): "inherited"}
        return [names[t >= 1, s >= 1] for t, s in zip(self.teacher.scores, self.student.scores, strict=True)]

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many examples are of each kind."""
        return {kind: self.kinds.count(kind) for kind in ("both_right", "introduced", "corrected", "inherited")}

    @cached_property
    def accuracy_drop(self) -> AccuracyDrop:
        """Teacher accuracy minus student accuracy, as a fraction: ``assert comparison.accuracy_drop <= 0.05``."""
        return AccuracyDrop(**self.counts, judging=self.judging)

    @cached_property
    def speed_gain(self) -> SpeedGain:
        """Teacher time over student time, one prompt alone: ``assert comparison.speed_gain >= 2``."""
        return SpeedGain(self.timing.ratios, self.timing.timed, self.timing.at, judging=self.judging)

    @cached_property
    def quality_retained(self) -> QualityRetained:
        """The student's mean score over the teacher's: ``assert comparison.quality_retained >= 0.95``."""
        return QualityRetained(self.teacher.scores, self.student.scores, judging=self.judging)

    @property
    def measures(self) -> dict[str, Measure]:
        """The measures by their key."""
        return {measure.key: measure for measure in (self.accuracy_drop, self.speed_gain, self.quality_retained)}

    @cached_property
    def band(self) -> str:
        """``viable``, ``marginal``, ``not ready`` or ``inconclusive``: a description for people, judged at 5 % and 10 %."""
        drop, gain, alpha = self.accuracy_drop, self.speed_gain, self.judging.alpha
        if self.judging.evidence == "point":
            viable, marginal = drop.exact * 20 <= 1, drop.exact * 10 <= 1
            return band(viable, gain.estimate >= VIABLE_GAIN, marginal, not marginal)
        shown_marginal, refuted_marginal = (p <= alpha for p in drop.p_values(MARGINAL_DROP))
        fast = gain.p_values(VIABLE_GAIN)[0] <= alpha
        return band(drop.p_values(VIABLE_DROP)[0] <= alpha, fast, shown_marginal, refuted_marginal)

    @cached_property
    def band_note(self) -> str:
        """What an inconclusive band still knows: ``worse than 5% shown``, or nothing."""
        worse = self.accuracy_drop.p_values(VIABLE_DROP)[1] <= self.judging.alpha
        return "worse than 5% shown" if self.band == "inconclusive" and worse else ""

    @cached_property
    def labels(self) -> list[str]:
        """The labels in the contract's order, then ``(none)`` for replies that are none of them."""
        return [*self.task.answer.describe()["labels"], NO_LABEL]

    def confusion(self, evaluation: Evaluation) -> list[list[int]]:
        """Return counts by expected label (rows) and given label (columns), both in the order of `labels`."""
        at = {label: index for index, label in enumerate(self.labels)}
        table = [[0] * len(at) for _ in at]
        for example, value in zip(self.examples, evaluation.values, strict=True):
            table[at[str(example.expected)]][at[NO_LABEL if isinstance(value, Malformed) else value]] += 1
        return table

    @cached_property
    def classes(self) -> dict[str, dict[str, float]]:
        """Support, F1 and recall of both models for each label."""
        tables = {"teacher": self.confusion(self.teacher), "student": self.confusion(self.student)}
        found: dict[str, dict[str, float]] = {}
        for at, label in enumerate(self.labels[:-1]):
            found[label] = {"support": sum(tables["teacher"][at])}
            for name, table in tables.items():
                hit, given, support = table[at][at], sum(row[at] for row in table), sum(table[at])
                found[label][f"{name}_f1"] = 2 * hit / (given + support) if given + support else 0.0
                found[label][f"{name}_recall"] = hit / support if support else 0.0
        return found

    def macro_f1(self, name: str) -> float:
        """Return the mean F1 over the labels of ``teacher`` or ``student``."""
        return sum(row[f"{name}_f1"] for row in self.classes.values()) / len(self.classes)

    @cached_property
    def slices(self) -> dict[str, dict[str, float]]:
        """Examples and accuracy of both models for each tag."""
        tags = sorted({tag for example in self.examples for tag in example.tags})
        found = {}
        for tag in tags:
            at = [index for index, example in enumerate(self.examples) if tag in example.tags]
            found[tag] = {
                "n": len(at),
                "teacher": sum(self.teacher.scores[index] >= 1 for index in at) / len(at),
                "student": sum(self.student.scores[index] >= 1 for index in at) / len(at),
            }
        return found

    def errors(self) -> list[dict[str, Any]]:
        """Return the examples that a model got wrong: introduced first, then corrected, then inherited."""
        order = ("introduced", "corrected", "inherited")
        rows = [
            {
                "id": example.id,
                "kind": kind,
                "input": self.task.render(example),
                "expected": example.expected,
                "teacher": self.teacher.texts[at].strip(),
                "student": self.student.texts[at].strip(),
                "tags": list(example.tags),
            }
            for at, (example, kind) in enumerate(zip(self.examples, self.kinds, strict=True))
            if kind != "both_right"
        ]
        return sorted(rows, key=lambda row: order.index(str(row["kind"])))


def latency(seconds: Sequence[float]) -> dict[str, float]:
    """Return count, median and 95th percentile (nearest rank) in milliseconds."""
    ordered = sorted(seconds)
    rank = max(0, -(-95 * len(ordered) // 100) - 1)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return {"n": len(ordered), "p50": round(middle * 1e3, 3), "p95": round(ordered[rank] * 1e3, 3)}
