"""Measures of how right the student is, from scored answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from pytest_distill import stats
from pytest_distill.measures.base import Measure
from pytest_distill.verdict import percent

HOPELESS = "more data is unlikely to help: retrain"
BEYOND = "no number of examples can show it: allow a little"


def label_first(count: int) -> str:
    """Return what to do about examples without a reference on which the models differ."""
    rows = "example on which the models differ has" if count == 1 else "examples on which the models differ have"
    return f"{count} {rows} no label: run pytest --distill --distill-label and fill in the sheet"


@dataclass(frozen=True, eq=False, repr=False)
class AccuracyDrop(Measure):
    """Teacher accuracy minus student accuracy, on the same examples.

    Args:
        both_right, introduced, corrected, inherited: how many examples both got right, only the student got wrong, only the
            teacher got wrong, both got wrong.
        agreed: examples without a reference on which both gave the same answer: right or wrong, they cannot move the drop.
        unlabelled: examples without a reference on which the answers differ. Until they are labelled they count against whatever
            is to be shown: as lost for the limit, as gained for its refutation.
    """

    both_right: int
    introduced: int
    corrected: int
    inherited: int
    agreed: int = 0
    unlabelled: int = 0

    key, title, side, method, lowest, highest, example = "accuracy_drop", "accuracy drop", "upper", "exact-tango", 0.0, 0.99, "0.05"

    @property
    def n(self) -> int:
        return self.both_right + self.introduced + self.corrected + self.inherited + self.agreed + self.unlabelled

    @property
    def lost(self) -> int:
        """The losses at worst."""
        return self.introduced + self.unlabelled

    @property
    def exact(self) -> Fraction:
        return Fraction(self.lost - self.corrected, self.n)

    @cached_property
    def bound(self) -> float:
        return stats.drop_bound(self.lost, self.corrected, self.n, self.judging.alpha)

    def p_values(self, limit: float) -> tuple[float, float]:
        return (
            stats.drop_p(self.lost, self.corrected, self.n, limit),
            stats.drop_p_refuted(self.introduced, self.corrected + self.unlabelled, self.n, limit),
        )

    def facts(self) -> str:
        drop = f"drop {percent(self.estimate)} ({self.confidence} bound {percent(self.bound)})"
        moved = f"{self.introduced} lost, {self.corrected} gained"
        if self.agreed or self.unlabelled:
            counted = f", {self.unlabelled} unlabelled and counted as lost" if self.unlabelled else ""
            same = f"{self.agreed} alike without a reference"
            return f"{self.n} held-out examples, {same}: {moved}{counted}, {drop}"
        teacher, student = self.both_right + self.introduced, self.both_right + self.corrected
        sides = f"teacher {percent(teacher / self.n)}, student {percent(student / self.n)}"
        return f"{sides} on {self.n} held-out examples: {moved}, {drop}"

    def advice(self, limit: float) -> str:
        if self.unlabelled:
            return label_first(self.unlabelled)
        alpha = self.judging.alpha
        if limit <= 0:
            return HOPELESS if self.exact >= 0 else ""
        fewest = stats.fewest_examples(self.introduced, self.corrected, limit, alpha)
        best = f"no fewer than {fewest} examples could show it" if fewest and fewest > self.n else ""
        if self.exact >= Fraction(repr(limit)):
            return "; ".join(part for part in (best, HOPELESS) if part)
        discordance = (self.introduced + self.corrected) / self.n
        plans = [(drop, stats.examples_for_power(discordance, drop, limit, alpha=alpha)) for drop in (0.02, 0.0) if drop < limit]
        # What is observed so far may ask for more than what the assumed drop would.
        (drop, enough), *others = [(at, max(n, fewest or 0)) for at, n in plans]
        if enough > self.n:
            more = f"about {enough - self.n} more examples would decide, if the true drop is {percent(drop, -1)}"
            more += "".join(f" ({n - self.n} if it is {percent(at, -1)})" for at, n in others if self.n < n < enough)
        else:
            more = f"{enough} examples would usually decide, if the true drop is {percent(drop, -1)}: the drop may well be larger"
        return "; ".join(part for part in (best, more) if part)


@dataclass(frozen=True, eq=False, repr=False)
class RecallDrop(AccuracyDrop):
    """Teacher recall minus student recall of one label: the accuracy drop on the examples whose reference it is."""

    key, title = "recall_drop", "recall drop"


@dataclass(frozen=True, eq=False, repr=False)
class Forgotten(AccuracyDrop):
    """Accuracy of the student's base minus that of the student on the broad task: what training took away.

    The losses are the rows that only the base gets right, the gains those that only the student does.
    """

    key, title = "forgotten", "forgetting"

    def p_values(self, limit: float) -> tuple[float, float]:
        p, p_refuted = super().p_values(limit)
        return (1.0 if self._too_little(limit) else p), p_refuted

    def advice(self, limit: float) -> str:
        if self._too_little(limit):
            return "the base gets no more rows right than the limit lets the student lose: nothing could fail. Take rows that it can do"
        return super().advice(limit)

    def _too_little(self, limit: float) -> bool:
        return Fraction(self.both_right + self.introduced, self.n) <= Fraction(repr(limit))

    def facts(self) -> str:
        base, student = (percent((self.both_right + only) / self.n) for only in (self.introduced, self.corrected))
        moved = f"{self.introduced} forgotten, {self.corrected} gained"
        drop = f"drop {percent(self.estimate)} ({self.confidence} bound {percent(self.bound)})"
        return f"base {base}, student {student} on {self.n} broad examples: {moved}, {drop}"


@dataclass(frozen=True, eq=False, repr=False)
class ScoreDrop(Measure):
    """Mean teacher score minus mean student score, for scores from 0 to 1.

    Args:
        drops: teacher score minus student score of each example, -1 to 1; an example that waits for a label counts as 1.
        best: the same with -1 for those that wait, which is what a refutation must overcome.
    """

    drops: Sequence[float]
    best: Sequence[float]

    key, title, side, method, lowest, highest, example = "score_drop", "score drop", "upper", "gaffke", 0.0, 0.99, "0.05"

    @property
    def n(self) -> int:
        return len(self.drops)

    @cached_property
    def exact(self) -> Fraction:
        return sum(map(Fraction, self.drops), Fraction(0)) / self.n

    @cached_property
    def bound(self) -> float:
        return round(stats.gaffke_bound(self.drops, 1.0, self.judging.alpha), 5)

    def p_values(self, limit: float) -> tuple[float, float]:
        return stats.gaffke_p(self.drops, limit, 1.0), stats.gaffke_p([-drop for drop in self.best], -limit, 1.0)

    def facts(self) -> str:
        worse, better = sum(drop > 0 for drop in self.drops) - self.unlabelled, sum(drop < 0 for drop in self.drops)
        counted = f", {self.unlabelled} unlabelled and counted as lost" if self.unlabelled else ""
        mean = f"mean drop {percent(self.estimate)} ({self.confidence} bound {percent(self.bound)})"
        return f"{self.n} held-out examples: {worse} scored worse, {better} better{counted}, {mean}"

    @property
    def unlabelled(self) -> int:
        """How many examples wait for a label."""
        return sum(worst != best for worst, best in zip(self.drops, self.best, strict=True))

    def advice(self, limit: float) -> str:
        if self.unlabelled:
            return label_first(self.unlabelled)
        return HOPELESS if self.exact >= Fraction(repr(limit)) else "more examples may decide"


@dataclass(frozen=True, eq=False, repr=False)
class MacroF1Drop(Measure):
    """Teacher macro-F1 minus student macro-F1.

    Args:
        cells: how many examples have each (expected label, teacher's label, student's label); an empty string is no label.
    """

    cells: Mapping[tuple[str, str, str], int]

    key, title, side, method, lowest, highest, example = "macro_f1_drop", "macro-F1 drop", "upper", "dirichlet", 0.0, 0.99, "0.05"

    @cached_property
    def _cells(self) -> tuple[tuple[tuple[str, str, str], float], ...]:
        return tuple(sorted((key, float(count)) for key, count in self.cells.items()))

    @property
    def n(self) -> int:
        return sum(self.cells.values())

    @cached_property
    def exact(self) -> Fraction:
        return Fraction(stats.f1_drop(self._cells))

    @cached_property
    def bound(self) -> float:
        return round(stats.f1_drop_bound(self._cells, self.judging.alpha), 5)

    def p_values(self, limit: float) -> tuple[float, float]:
        return stats.f1_drop_p(self._cells, limit), stats.f1_drop_p_refuted(self._cells, limit)

    def facts(self) -> str:
        drop = f"macro-F1 drop {percent(self.estimate)} ({self.confidence} bound {percent(self.bound)})"
        return f"{self.n} held-out examples in {len({key[0] for key in self.cells})} classes: {drop}"

    def advice(self, limit: float) -> str:
        return HOPELESS if self.exact >= Fraction(repr(limit)) else "more examples, of the rarest class above all, may decide"


@dataclass(frozen=True, eq=False, repr=False)
class QualityRetained(Measure):
    """The student's mean score over the teacher's.

    Args:
        teacher, student: the scores of each example, 0 to 1, in one order.
    """

    teacher: Sequence[float]
    student: Sequence[float]

    key, title, side, method, lowest, highest, example = "quality_retained", "quality retained", "lower", "gaffke", 0.01, 1.5, "0.95"

    @property
    def n(self) -> int:
        return len(self.teacher)

    @cached_property
    def exact(self) -> Fraction:
        teacher = sum(map(Fraction, self.teacher))
        return sum(map(Fraction, self.student)) / teacher if teacher else Fraction(0)

    @cached_property
    def bound(self) -> float:
        return stats.retained_bound(self.teacher, self.student, self.judging.alpha)

    def p_values(self, limit: float) -> tuple[float, float]:
        return (
            stats.retained_p(self.teacher, self.student, limit),
            stats.retained_p_refuted(self.teacher, self.student, limit),
        )

    def facts(self) -> str:
        return f"student keeps {percent(self.estimate)} of the teacher's score on {self.n} held-out examples ({self.confidence} bound {percent(self.bound)})"

    def advice(self, limit: float) -> str:
        return HOPELESS if self.exact <= Fraction(repr(limit)) else "more examples may decide"


@dataclass(frozen=True, eq=False, repr=False)
class IntroducedRate(Measure):
    """The share of examples that the teacher gets right and the student wrong: harm done by the change, whatever it mends elsewhere.

    Args:
        introduced, unlabelled: as in `AccuracyDrop`; total: the number of examples.
    """

    introduced: int
    unlabelled: int
    total: int

    key, title, side, method, lowest, highest, example = "introduced_rate", "introduced rate", "upper", "clopper-pearson", 0.0, 1.0, "0.05"

    @property
    def n(self) -> int:
        return self.total

    @property
    def exact(self) -> Fraction:
        return Fraction(self.introduced + self.unlabelled, self.total)

    @cached_property
    def bound(self) -> float:
        return stats.rate_bound(self.introduced + self.unlabelled, self.total, self.judging.alpha)

    def p_values(self, limit: float) -> tuple[float, float]:
        return (
            stats.rate_p(self.introduced + self.unlabelled, self.total, limit),
            stats.rate_p_refuted(self.introduced, self.total, limit),
        )

    def facts(self) -> str:
        counted = f", {self.unlabelled} unlabelled and counted as lost" if self.unlabelled else ""
        bound = f"({self.confidence} bound {percent(self.bound)})"
        return f"{self.introduced} of {self.total} held-out examples lost{counted}: {percent(self.estimate)} {bound}"

    def advice(self, limit: float) -> str:
        if self.unlabelled:
            return label_first(self.unlabelled)
        if limit <= 0:
            return BEYOND
        if self.exact >= Fraction(repr(limit)):
            return HOPELESS
        fewest = stats.fewest_for_rate(self.introduced + self.unlabelled, limit, self.judging.alpha)
        return f"no fewer than {fewest} examples could show it" if fewest else ""


@dataclass(frozen=True, eq=False, repr=False)
class ValidRate(Measure):
    """The share of the student's replies that satisfy the answer contract.

    Args:
        valid: how many do; total: the number of replies.
    """

    valid: int
    total: int

    key, title, side, method, lowest, highest, example = "valid_rate", "valid rate", "lower", "clopper-pearson", 0.0, 1.0, "0.99"

    @property
    def n(self) -> int:
        return self.total

    @property
    def exact(self) -> Fraction:
        return Fraction(self.valid, self.total)

    @cached_property
    def bound(self) -> float:
        return 1 - stats.rate_bound(self.total - self.valid, self.total, self.judging.alpha)

    def p_values(self, limit: float) -> tuple[float, float]:
        invalid = self.total - self.valid
        return stats.rate_p(invalid, self.total, 1 - limit), stats.rate_p_refuted(invalid, self.total, 1 - limit)

    def facts(self) -> str:
        bound = f"({self.confidence} bound {percent(self.bound)})"
        return f"{self.valid} of {self.total} of the student's replies satisfy the contract: {percent(self.estimate)} {bound}"

    def advice(self, limit: float) -> str:
        if limit >= 1:
            return BEYOND
        if self.exact <= Fraction(repr(limit)):
            return HOPELESS
        fewest = stats.fewest_for_rate(self.total - self.valid, 1 - limit, self.judging.alpha)
        return f"no fewer than {fewest} examples could show it" if fewest else ""


class ClassDrops(Mapping[str, RecallDrop]):
    """`recall_drop`: the drop of each label's recall, by label. It takes no limit itself."""

    def __init__(self, drops: Mapping[str, RecallDrop]) -> None:
        self._drops = drops

    def __getitem__(self, label: str) -> RecallDrop:
        if label not in self._drops:
            raise ValueError(f"recall_drop has no class {label!r}. Classes with held-out examples: {', '.join(self._drops) or 'none'}.")
        return self._drops[label]

    def __iter__(self) -> Any:
        return iter(self._drops)

    def __len__(self) -> int:
        return len(self._drops)

    def _refuse(self, other: object = None) -> bool:
        first = next(iter(self._drops), "label")
        raise TypeError(
            f'recall_drop is one drop a class and takes no limit itself. Write assert comparison.recall_drop["{first}"] <= 0.1.'
        )

    __le__ = __lt__ = __ge__ = __gt__ = __eq__ = __ne__ = __bool__ = _refuse
    __hash__ = object.__hash__
