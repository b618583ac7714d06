"""Two evaluations on the same examples: a Comparison of measures, error kinds, classes and slices."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_distill.answers import Malformed
from pytest_distill.compare.bill import bill_of, unpriced
from pytest_distill.compare.classes import NO_LABEL, by_class, by_part, errors_of, mean_f1, members, table
from pytest_distill.errors import DistillError, likest
from pytest_distill.evaluate import Evaluation, Timing
from pytest_distill.judge import Judged
from pytest_distill.measures import (
    AccuracyDrop,
    Bill,
    BreakEven,
    ClassDrops,
    CostGain,
    Forgotten,
    IntroducedRate,
    JudgedDrop,
    Latency,
    MacroF1Drop,
    Measure,
    Price,
    QualityRetained,
    RecallDrop,
    ScoreDrop,
    Serving,
    SpeedGain,
    ValidRate,
)
from pytest_distill.task import Example, Task
from pytest_distill.verdict import Judging, band

VIABLE_DROP, MARGINAL_DROP, VIABLE_GAIN = 0.05, 0.10, 2.0
KINDS = ("both_right", "introduced", "corrected", "inherited", "agreed", "unlabelled")


@dataclass(frozen=True, repr=False)
class Comparison:
    """A student against its teacher on the held-out examples of one task.

    Attributes:
        task, examples: what was asked.
        teacher, student: both evaluations, in the order of the examples.
        timing: the interleaved timing of both.
        judging: how its measures are judged.
        serving: what running the student takes, where the mark declares it.
        prices: dollars a million tokens of teacher and student, where they are billed so.
        part: what part of the examples it is about, as in `Measure`.
        judged: what a judge made of the differing replies, and people of that; None where the mark names none.
        broad: what the student's base (as the teacher) and the student said to the broad task; None where the mark names none.
    """

    task: Task
    examples: Sequence[Example]
    teacher: Evaluation
    student: Evaluation
    timing: Timing
    judging: Judging
    serving: Serving | None = None
    prices: tuple[Price | None, Price | None] = (None, None)
    part: tuple[str, str] = field(default=("", ""))
    broad: Comparison | None = None
    judged: Judged | None = None

    def __repr__(self) -> str:
        return (
            f"<Comparison of {self.student.model} with {self.teacher.model} on {len(self.examples)} held-out examples of {self.task.name}>"
        )

    if not TYPE_CHECKING:  # which finds a wrong name by itself

        def __getattr__(self, name: str) -> Any:
            known = [each for each in dir(type(self)) if not each.startswith("_")]
            if name in known:  # it is there, and met an AttributeError of its own
                return object.__getattribute__(self, name)
            hint = likest(name, known, f"It has {', '.join(known)}.")
            raise AttributeError(f"a comparison has no {name!r}. {hint}")

    # Examples

    @cached_property
    def kinds(self) -> list[str]:
        """For each example ``both_right``, ``introduced`` (only the student wrong), ``corrected`` or ``inherited``.

        Without a reference it is ``agreed`` where both gave the same answer, and ``unlabelled`` where the answers differ.
        """
        names = {(True, True): "both_right", (True, False): "introduced", (False, True): "corrected", (False, False): "inherited"}
        sides = zip(self.teacher.grades, self.student.grades, self.teacher.keys, self.student.keys, strict=True)
        return [
            names[t.right, s.right] if t is not None and s is not None else "agreed" if given == answered else "unlabelled"
            for t, s, given, answered in sides
        ]

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many examples are of each kind; ``agreed`` and ``unlabelled`` only where there are any."""
        return {kind: count for kind, count in zip(KINDS, self.six, strict=True) if count or kind in KINDS[:4]}

    @cached_property
    def six(self) -> tuple[int, int, int, int, int, int]:
        """The counts of all kinds, also of those that are rare, in the order that `AccuracyDrop` takes them."""
        both, introduced, corrected, inherited, agreed, unlabelled = (self.kinds.count(kind) for kind in KINDS)
        return both, introduced, corrected, inherited, agreed, unlabelled

    @cached_property
    def unlabelled(self) -> list[Example]:
        """The examples that need a label: no reference, and the answers differ."""
        return [example for example, kind in zip(self.examples, self.kinds, strict=True) if kind == "unlabelled"]

    @cached_property
    def without_reference(self) -> str:
        """Why measures of each example's rightness cannot be had, or nothing."""
        lacking = sum(example.expected is None for example in self.examples)
        if not lacking:
            return ""
        return (
            f"{lacking} of {len(self.examples)} held-out examples have no reference. accuracy_drop needs none"
            " where both models agree; this measure needs all: add them to the held-out file"
        )

    def _on(self, tag: str) -> Comparison:
        """Return the comparison on the held-out examples that carry `tag`: for measures of rightness alone."""
        at = [index for index, example in enumerate(self.examples) if tag in example.tags]
        if not at:
            tags = sorted({tag for example in self.examples for tag in example.tags})
            raise ValueError(
                f"no held-out example of task {self.task.name!r} carries the tag {tag!r}. Tags are: {', '.join(tags) or 'none'}."
            )
        return self._only(at, (f"{self.part[0]}.on({_quoted(tag)})", f"{self.part[1]} on {tag!r}"))

    def _only(self, at: Sequence[int], part: tuple[str, str]) -> Comparison:
        examples = [self.examples[k] for k in at]
        return replace(self, examples=examples, part=part, teacher=self.teacher.only(at), student=self.student.only(at))

    def _fitted(self, of: Callable[[Comparison], Measure]) -> dict[str, Any]:
        """Return what each measure of examples is given: how it is judged, on what part, and its slices."""
        return {"judging": self.judging, "part": self.part, "slicer": lambda tag: of(self._on(tag))}

    # Measures of quality

    @cached_property
    def accuracy_drop(self) -> AccuracyDrop:
        """Teacher accuracy minus student accuracy, as a fraction: ``assert comparison.accuracy_drop <= 0.05``."""
        return AccuracyDrop(*self.six, **self._fitted(lambda part: part.accuracy_drop))

    @cached_property
    def recall_drop(self) -> ClassDrops:
        """The drop of each class's recall: ``assert comparison.recall_drop["code"] <= 0.1``."""
        if self.without_reference:
            of_all = {label: _of_class(self.part, label) for label in self.labels[:-1]}
            why = self.without_reference
            return ClassDrops({label: RecallDrop(*self.six, judging=self.judging, part=part, why=why) for label, part in of_all.items()})
        of_label: dict[str, Counter[tuple[bool, bool]]] = {}
        for example, *values in zip(self.examples, self.teacher.values, self.student.values, strict=True):
            teacher, student = map(members, values)
            for label in members(example.expected):
                of_label.setdefault(label, Counter())[label in teacher, label in student] += 1
        return ClassDrops({label: self._recall(label, of_label[label]) for label in self.labels[:-1] if label in of_label})

    def _recall(self, label: str, found: Mapping[tuple[bool, bool], int]) -> RecallDrop:
        four = [found[sides] for sides in ((True, True), (True, False), (False, True), (False, False))]
        return RecallDrop(*four, judging=self.judging, part=_of_class(self.part, label))

    @cached_property
    def score_drop(self) -> ScoreDrop:
        """Mean teacher score minus mean student score: ``assert comparison.score_drop <= 0.05``."""
        # Equal answers have equal scores, whatever these are.
        drops = [
            None if kind == "unlabelled" else 0.0 if kind == "agreed" else (t or 0.0) - (s or 0.0)
            for kind, t, s in zip(self.kinds, self.teacher.scores, self.student.scores, strict=True)
        ]
        worst, best = ([at if drop is None else drop for drop in drops] for at in (1.0, -1.0))
        return ScoreDrop(worst, best, **self._fitted(lambda part: part.score_drop))

    @cached_property
    def macro_f1_drop(self) -> MacroF1Drop:
        """Teacher macro-F1 minus student macro-F1: ``assert comparison.macro_f1_drop <= 0.05``."""
        if not self.labels:
            return MacroF1Drop({}, why="the answers of this task are no labels", judging=self.judging, part=self.part)
        if self.task.answer.several:
            why = "an answer of this task may be several labels: hold recall_drop of each to a limit"
            return MacroF1Drop({}, why=why, judging=self.judging, part=self.part)
        rows = zip(self.examples, self.teacher.values, self.student.values, strict=True)
        cells = Counter((str(example.expected), _label(teacher), _label(student)) for example, teacher, student in rows)
        absent = [label for label in self.labels[:-1] if not any(example.expected == label for example in self.examples)]
        unseen = f"no held-out example is of the class {absent[0]!r}: its share of the mean is unknown. Add some" if absent else ""
        return MacroF1Drop(cells, why=self.without_reference or unseen, **self._fitted(lambda part: part.macro_f1_drop))

    @cached_property
    def quality_retained(self) -> QualityRetained:
        """The student's mean score over the teacher's: ``assert comparison.quality_retained >= 0.95``."""
        teacher, student = ([score or 0.0 for score in side.scores] for side in (self.teacher, self.student))
        why = self.without_reference or ("" if any(teacher) else "the teacher's mean score is 0")
        return QualityRetained(teacher, student, why=why, **self._fitted(lambda part: part.quality_retained))

    @cached_property
    def introduced_rate(self) -> IntroducedRate:
        """The share of examples that only the student gets wrong: ``assert comparison.introduced_rate <= 0.05``."""
        counted = (self.counts["introduced"], self.counts.get("unlabelled", 0), len(self.examples))
        return IntroducedRate(*counted, **self._fitted(lambda part: part.introduced_rate))

    @cached_property
    def valid_rate(self) -> ValidRate:
        """The share of the student's replies that satisfy the contract: ``assert comparison.valid_rate >= 0.99``."""
        valid = sum(not isinstance(value, Malformed) for value in self.student.values)
        return ValidRate(valid, len(self.examples), **self._fitted(lambda part: part.valid_rate))

    @cached_property
    def forgotten(self) -> Forgotten:
        """What the base could do of the broad task and the student no longer can: ``assert comparison.forgotten <= 0.05``.

        Raises:
            DistillError: the mark names no broad task.
        """
        if self.broad is None:
            raise DistillError("comparison.forgotten: the mark distill names no broad task. Add broad=… with a Task of general prompts.")
        broad = self.broad
        why = "" if broad.teacher.right else "the base gets no row of the broad task right, so there is nothing that it could forget"

        def of_tag(tag: str) -> Forgotten:
            return replace(self, broad=broad._on(tag)).forgotten  # noqa: SLF001  (a comparison like this one)

        return Forgotten(*broad.six, why=why, judging=self.judging, part=broad.part, slicer=of_tag)

    @cached_property
    def judged_drop(self) -> JudgedDrop:
        """How much oftener people find the student's reply the worse one: ``assert comparison.judged_drop <= 0.05``; errors as `forgotten`."""
        if self.judged is None:
            raise DistillError("comparison.judged_drop: the mark distill names no judge. Add judge=Judge(model, rubric=…).")
        return JudgedDrop(self.judged, judging=self.judging, why=self.judged.why)

    # Measures of speed and cost

    @cached_property
    def speed_gain(self) -> SpeedGain:
        """Teacher time over student time, one prompt alone: ``assert comparison.speed_gain >= 2``."""
        timing = self.timing
        return SpeedGain(
            timing.ratios, timing.timed, timing.recorded or timing.at, judging=self.judging, why=timing.noise or timing.unpaired
        )

    @cached_property
    def student_latency(self) -> Latency:
        """Percentiles of the student's time in milliseconds: ``assert comparison.student_latency.p95 <= 50``."""
        timing = self.timing
        if timing.student_recorded:
            return Latency(timing.student.seconds, "recorded", timing.recorded, self.judging, timing.noise)
        # Beside recorded times of the teacher it was the student that was timed.
        timed = "live" if timing.timed == "recorded" else timing.timed
        return Latency(timing.student.seconds, timed, timing.at, self.judging, timing.noise)

    @cached_property
    def bill(self) -> Bill | None:
        """What both models cost; None where a price is missing."""
        return bill_of(self)

    @cached_property
    def cost_gain(self) -> CostGain:
        """The teacher's monthly bill over the student's: ``assert comparison.cost_gain >= 5``; arithmetic, no statistical claim."""
        return CostGain(self.bill, len(self.examples), judging=self.judging, why=unpriced(self))

    @cached_property
    def break_even(self) -> BreakEven:
        """Requests a month above which the student costs less: ``assert comparison.break_even <= 500_000``; arithmetic as well."""
        return BreakEven(self.bill, len(self.examples), judging=self.judging, why=unpriced(self))

    @property
    def measures(self) -> dict[str, Measure]:
        """The measures that every result holds, by their key; those of cost where there are prices, forgetting where there is a broad task."""
        found: list[Measure] = [self.accuracy_drop, self.speed_gain, self.quality_retained, self.introduced_rate, self.valid_rate]
        if self.bill is not None:
            found += [self.cost_gain, self.break_even]
        if self.broad is not None:
            found.append(self.forgotten)
        if self.judged is not None:
            found.append(self.judged_drop)
        return {measure.key: measure for measure in found}

    # Descriptions

    @cached_property
    def band(self) -> str:
        """``viable``, ``marginal``, ``not ready`` or ``inconclusive``: a description for people, judged at 5 % and 10 %."""
        drop, gain, alpha = self.accuracy_drop, self.speed_gain, self.judging.alpha
        if self.judging.evidence == "point":
            viable, marginal = drop.exact * 20 <= 1, drop.exact * 10 <= 1
            return band(viable, not gain.why and gain.estimate >= VIABLE_GAIN, marginal, not marginal)
        shown_marginal, refuted_marginal = (p <= alpha for p in drop.p_values(MARGINAL_DROP))
        fast = not gain.why and gain.p_values(VIABLE_GAIN)[0] <= alpha
        return band(drop.p_values(VIABLE_DROP)[0] <= alpha, fast, shown_marginal, refuted_marginal)

    @cached_property
    def band_note(self) -> str:
        """What an inconclusive band still knows: ``worse than 5% shown``, or nothing."""
        worse = self.accuracy_drop.p_values(VIABLE_DROP)[1] <= self.judging.alpha
        return "worse than 5% shown" if self.band == "inconclusive" and worse else ""

    @cached_property
    def labels(self) -> list[str]:
        """The labels in the contract's order, then ``(none)`` for replies that are none of them; empty where answers are no labels."""
        classes = self.task.answer.classes
        return [*classes, NO_LABEL] if classes else []

    def confusion(self, evaluation: Evaluation) -> list[list[int]]:
        """Return counts by expected label (rows) and given label (columns), both in the order of `labels`.

        Empty where an answer may be several labels, and where references are missing: what people labelled are the disagreements, which
        are no sample of anything.
        """
        if self.without_reference or not self.labels or self.task.answer.several:
            return []
        return table(self.labels, self.examples, evaluation)

    @cached_property
    def classes(self) -> dict[str, dict[str, float]]:
        """Support, and precision, recall and F1 of both models for each label; empty where references are missing."""
        return {} if self.without_reference else by_class(self.labels[:-1], self.examples, self.sides)

    @cached_property
    def parts(self) -> dict[str, dict[str, float]]:
        """For each part of an answer: on how many examples it is asked for, and the mean score of both models there."""
        return {} if self.without_reference else by_part(self.task.answer.parts, self.sides)

    @property
    def sides(self) -> dict[str, Evaluation]:
        """Both evaluations by their role."""
        return {"teacher": self.teacher, "student": self.student}

    def accuracy(self, name: str) -> float | None:
        """Return the accuracy of ``teacher`` or ``student``; None where references are missing."""
        return None if self.without_reference else self.sides[name].right / len(self.examples)

    def score(self, name: str) -> float | None:
        """Return the mean score of ``teacher`` or ``student``, 0 to 1; None where references are missing."""
        return None if self.without_reference else sum(score or 0.0 for score in self.sides[name].scores) / len(self.examples)

    def macro_f1(self, name: str) -> float | None:
        """Return the mean F1 of ``teacher`` or ``student`` over the labels that are expected; None where references are missing."""
        return mean_f1(self.classes, name)

    def weighted_f1(self, name: str) -> float | None:
        """Return the same mean with each label weighted by its support."""
        return mean_f1(self.classes, name, weighted=True)

    @cached_property
    def slices(self) -> dict[str, dict[str, float | None]]:
        """Examples, and accuracy and mean score of both models, for each tag."""
        tags = sorted({tag for example in self.examples for tag in example.tags})
        return {
            tag: {"n": len(part.examples)}
            | {name: part.accuracy(name) for name in self.sides}
            | {f"{name}_score": part.score(name) for name in self.sides}
            for tag, part in ((tag, self._on(tag)) for tag in tags)
        }

    def errors(self) -> list[dict[str, Any]]:
        """Return the examples that a model got wrong, or that wait for a label: introduced, corrected, inherited, unlabelled."""
        return errors_of(self)


def _label(value: str | Malformed) -> str:
    return "" if isinstance(value, Malformed) else value


def _of_class(part: tuple[str, str], label: str) -> tuple[str, str]:
    return f"[{_quoted(label)}]{part[0]}", f" of {label!r}{part[1]}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def latency(seconds: Sequence[float]) -> dict[str, float | None]:
    """Return count, median and 90th, 95th and 99th percentiles (nearest rank) in milliseconds.

    A percentile is None below 29, 59 or 299 values: with fewer, no order statistic bounds it from above at 95 %.
    """
    ordered, n = sorted(seconds), len(seconds)
    found: dict[str, float | None] = {"n": n, "p50": round(median(ordered) * 1e3, 3)}
    for rank, fewest in ((90, 29), (95, 59), (99, 299)):
        found[f"p{rank}"] = round(ordered[-(-rank * n // 100) - 1] * 1e3, 3) if n >= fewest else None
    return found
