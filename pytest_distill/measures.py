"""Measures: numbers with their evidence. Compared with a limit, each returns a Judgement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from statistics import median
from typing import Any, ClassVar, NoReturn

from pytest_distill import stats
from pytest_distill.verdict import INCONCLUSIVE, POINT, REFUTED, SHOWN, Judgement, Judging, outcome_of, percent


@dataclass(frozen=True, eq=False)
class Measure:
    """A number that a limit can be held against, in its one direction.

    ``measure <= limit`` (for a drop) or ``measure >= limit`` (for a gain) returns a `Judgement`; every other comparison and
    ``bool(measure)`` raise TypeError naming the right form.
    """

    judging: Judging = field(kw_only=True, repr=False)

    key: ClassVar[str]
    title: ClassVar[str]
    side: ClassVar[str]  # the side of the bound: "upper" allows <= and <, "lower" allows >= and >
    method: ClassVar[str]
    lowest: ClassVar[float]
    highest: ClassVar[float]

    __hash__ = object.__hash__

    @property
    def estimate(self) -> float:
        """The point estimate."""
        return float(self.exact)

    @property
    def exact(self) -> Fraction:
        """The point estimate as a fraction, so that a comparison with a limit is not at the mercy of rounding."""
        raise NotImplementedError

    @property
    def bound(self) -> float | None:
        """The one-sided 1 - alpha bound; None where the examples are too few for one."""
        raise NotImplementedError

    @property
    def n(self) -> int:
        """The number of examples behind it."""
        raise NotImplementedError

    @property
    def value(self) -> float:
        """The point estimate, for those who want only that: a gate that reads it makes no claim, and the result says so."""
        self.judging.heard(None, self.key)
        return self.estimate

    def p_values(self, limit: float) -> tuple[float, float]:
        """Return the p values that the limit holds and that it does not."""
        raise NotImplementedError

    @property
    def confidence(self) -> str:
        """The confidence of the bound, for people."""
        return percent(1 - self.judging.alpha, -1)

    def show(self, value: float) -> str:
        """Write a value of this measure for people."""
        return percent(value)

    def show_limit(self, limit: float) -> str:
        """Write a limit of this measure for people."""
        return percent(limit, -1)

    def facts(self) -> str:
        """Return the line under the sentence: the numbers behind the estimate."""
        raise NotImplementedError

    def advice(self, limit: float) -> str:
        """Return the line that says what would decide an inconclusive judgement; empty where nothing can be said."""
        return ""

    def _judge(self, operator: str, limit: object) -> Judgement:
        exact_limit = self._checked(limit)
        limit = float(exact_limit)
        phrase = {"<=": "at most", "<": "below", ">=": "at least", ">": "above"}[operator] + " " + self.show_limit(limit)
        bound = "none" if self.bound is None else self.show(self.bound)
        here = f"{self.title} {self.show(self.estimate)} ({self.confidence} bound {bound})"
        alpha = self.judging.alpha
        if self.judging.evidence == "point":
            met = {
                "<=": self.exact <= exact_limit,
                "<": self.exact < exact_limit,
                ">=": self.exact >= exact_limit,
                ">": self.exact > exact_limit,
            }[operator]
            sentence = f"{here} {'meets' if met else 'misses'} {phrase} as a plain estimate (not a statistical claim)"
            judgement = Judgement(self.key, operator, limit, POINT, met, alpha, None, None, self._words(sentence, ""))
        else:
            p, p_refuted = self.p_values(limit)
            outcome = outcome_of(p, p_refuted, alpha)
            if outcome == SHOWN:
                words = f"{here} is shown to be {phrase}"
            elif outcome == REFUTED:
                words = self._words(f"{self.title} is shown not to be {phrase}: refuted", "")
            else:
                words = self._words(f"{self.title} is not shown to be {phrase}: {INCONCLUSIVE}", self.advice(limit))
            judgement = Judgement(self.key, operator, limit, outcome, outcome == SHOWN, alpha, p, p_refuted, words)
        self.judging.heard(judgement, self.key)
        return judgement

    def _words(self, sentence: str, advice: str) -> str:
        return "\n".join(line for line in (sentence, "  " + self.facts(), "  " + advice if advice else "") if line)

    def _checked(self, limit: object) -> Fraction:
        """Return the limit as the fraction that was written: 0.05 is a twentieth, not the binary number nearest to it."""
        if isinstance(limit, bool) or not isinstance(limit, (int, float, Fraction)):
            raise TypeError(f"the limit of {self.title} must be a number; seen {limit!r}. Write {self._form()}.")
        if not math.isfinite(limit) or not self.lowest <= limit <= self.highest:
            allowed = f"from {self.lowest:g}" if math.isinf(self.highest) else f"from {self.lowest:g} to {self.highest:g}"
            raise ValueError(f"the limit of {self.title} lies {allowed}; seen {limit!r}. Write {self._form()}.")
        return limit if isinstance(limit, Fraction) else Fraction(repr(float(limit)))

    def _form(self) -> str:
        return {"upper": f"comparison.{self.key} <= 0.05", "lower": f"comparison.{self.key} >= 2"}[self.side]

    def _refuse(self, form: str) -> NoReturn:
        raise TypeError(f"{form} cannot be judged: {self.title} has one direction. Write assert {self._form()}.")

    def __le__(self, limit: object) -> Judgement:
        return self._judge("<=", limit) if self.side == "upper" else self._refuse(f"{self.key} <=")

    def __lt__(self, limit: object) -> Judgement:
        return self._judge("<", limit) if self.side == "upper" else self._refuse(f"{self.key} <")

    def __ge__(self, limit: object) -> Judgement:
        return self._judge(">=", limit) if self.side == "lower" else self._refuse(f"{self.key} >=")

    def __gt__(self, limit: object) -> Judgement:
        return self._judge(">", limit) if self.side == "lower" else self._refuse(f"{self.key} >")

    def __eq__(self, other: object) -> bool:
        self._refuse(f"{self.key} ==")

    def __ne__(self, other: object) -> bool:
        self._refuse(f"{self.key} !=")

    def __bool__(self) -> bool:  # noqa: PLE0304  (it always raises)
        self._refuse(f"bool({self.key})")

    def to_json(self) -> dict[str, Any]:
        """Return the measure as results.json holds it."""
        return {
            "value": self.estimate,
            "bound": self.bound,
            "side": self.side,
            "confidence": 1 - self.judging.alpha,
            "n": self.n,
            "method": self.method,
        }


@dataclass(frozen=True, eq=False)
class AccuracyDrop(Measure):
    """Teacher accuracy minus student accuracy, on the same examples.

    Args:
        both_right, introduced, corrected, inherited: how many examples both got right, only the student got wrong, only the
            teacher got wrong, both got wrong.
    """

    both_right: int
    introduced: int
    corrected: int
    inherited: int

    key, title, side, method, lowest, highest = "accuracy_drop", "accuracy drop", "upper", "exact-tango", 0.0, 0.99

    @property
    def n(self) -> int:
        return self.both_right + self.introduced + self.corrected + self.inherited

    @property
    def exact(self) -> Fraction:
        return Fraction(self.introduced - self.corrected, self.n)

    @cached_property
    def bound(self) -> float:
        return stats.drop_bound(self.introduced, self.corrected, self.n, self.judging.alpha)

    def p_values(self, limit: float) -> tuple[float, float]:
        counts = (self.introduced, self.corrected, self.n)
        return stats.drop_p(*counts, limit), stats.drop_p_refuted(*counts, limit)

    def facts(self) -> str:
        teacher, student = self.both_right + self.introduced, self.both_right + self.corrected
        return (
            f"teacher {percent(teacher / self.n)}, student {percent(student / self.n)} on {self.n} held-out examples:"
            f" {self.introduced} lost, {self.corrected} gained, drop {percent(self.estimate)} ({self.confidence} bound {percent(self.bound)})"
        )

    def advice(self, limit: float) -> str:
        if limit <= 0:
            return "more data is unlikely to help: retrain" if self.exact >= 0 else ""
        fewest = stats.fewest_examples(self.introduced, self.corrected, limit, self.judging.alpha)
        best = f"no fewer than {fewest} examples could show it" if fewest and fewest > self.n else ""
        drop = 0.02 if limit > 0.02 else 0.0
        discordance = (self.introduced + self.corrected) / self.n
        enough = stats.examples_for_power(discordance, drop, limit, alpha=self.judging.alpha)
        if self.exact >= Fraction(repr(limit)):
            more = "more data is unlikely to help: retrain"
        elif enough > self.n:
            more = f"about {enough - self.n} more examples would decide, if the true drop is {percent(drop, -1)}"
        else:
            more = f"{enough} examples would usually decide, if the true drop is {percent(drop, -1)}: the drop may well be larger"
        return "; ".join(part for part in (best, more) if part)


@dataclass(frozen=True, eq=False)
class SpeedGain(Measure):
    """Teacher time over student time for one prompt alone: the median of the ratios of interleaved pairs.

    Args:
        ratios: teacher seconds over student seconds, a pair each, all above 0.
        timed: ``live`` or ``stored``.
        at: when they were timed (UTC).
    """

    ratios: Sequence[float]
    timed: str
    at: str

    key, title, side, method, lowest, highest = "speed_gain", "speed gain", "lower", "sign-test", 0.0, math.inf

    @property
    def n(self) -> int:
        return len(self.ratios)

    @property
    def exact(self) -> Fraction:
        return Fraction(median(self.ratios))

    @cached_property
    def bound(self) -> float | None:
        return stats.median_bound(self.ratios, self.judging.alpha)

    def p_values(self, limit: float) -> tuple[float, float]:
        wins, losses = sum(r > limit for r in self.ratios), sum(r < limit for r in self.ratios)
        return stats.sign_p(wins, self.n), stats.sign_p(losses, self.n)

    def show(self, value: float) -> str:
        return f"{value:.2f} times"

    def show_limit(self, limit: float) -> str:
        return f"{limit:g} times"

    def facts(self) -> str:
        bound = "none: too few pairs" if self.bound is None else self.show(self.bound)
        when = "" if self.timed == "live" else f", timed {self.at}"
        return f"median of {self.n} interleaved pairs: {self.show(self.estimate)} ({self.confidence} bound {bound}){when}"

    def advice(self, limit: float) -> str:
        return (
            "a quieter machine or more held-out examples may decide"
            if self.estimate > limit
            else "the student is about as slow as the limit"
        )

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "timed": self.timed, "at": self.at, "why": None}


@dataclass(frozen=True, eq=False)
class QualityRetained(Measure):
    """The student's mean score over the teacher's.

    Args:
        teacher, student: the scores of each example, 0 to 1, in one order.
    """

    teacher: Sequence[float]
    student: Sequence[float]

    key, title, side, method, lowest, highest = "quality_retained", "quality retained", "lower", "gaffke", 0.01, 1.5

    @property
    def n(self) -> int:
        return len(self.teacher)

    @property
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

    def _form(self) -> str:
        return "comparison.quality_retained >= 0.95"
