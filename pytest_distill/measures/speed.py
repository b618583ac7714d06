"""Measures of how fast the student is, from interleaved timings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from statistics import median
from typing import Any

from pytest_distill import stats
from pytest_distill.measures.base import Measure
from pytest_distill.verdict import Judging

# A recorded time may be off from today's by the drift of the machine or the service; at this factor 30 % of it are covered.
RECORDED_FACTOR = Fraction(17, 10)
FEWEST_FOR_MEDIAN = 30


@dataclass(frozen=True, eq=False, repr=False)
class SpeedGain(Measure):
    """Teacher time over student time for one prompt alone: the median of the ratios of interleaved pairs.

    Args:
        ratios: teacher seconds over student seconds, a pair each, all above 0.
        timed: ``live``, ``stored`` (both sides together, earlier), or ``recorded`` (the teacher's times stem from a recording: the
            limit must then be met 1.7 times over, and is never refuted).
        at: when they were timed (UTC).
    """

    ratios: Sequence[float]
    timed: str
    at: str

    key, title, side, method, lowest, highest, example = "speed_gain", "speed gain", "lower", "sign-test", 0.0, 1e12, "2"

    @property
    def n(self) -> int:
        return len(self.ratios)

    @property
    def exact(self) -> Fraction:
        return Fraction(median(self.ratios))

    @cached_property
    def bound(self) -> float | None:
        return stats.median_bound(self.ratios, self.judging.alpha)

    def required(self, limit: Fraction) -> Fraction:
        return limit * RECORDED_FACTOR if self.timed == "recorded" else limit

    def p_values(self, limit: float) -> tuple[float, float]:
        needed = float(self.required(Fraction(limit)))
        wins, losses = sum(r > needed for r in self.ratios), sum(r < limit for r in self.ratios)
        return stats.sign_p(wins, self.n), 1.0 if self.timed == "recorded" else stats.sign_p(losses, self.n)

    def show(self, value: float) -> str:
        return f"{value:.2f} times"

    def show_limit(self, limit: float) -> str:
        return f"{limit:g} times"

    def source(self) -> str:
        return f", from a recording of {self.at[:10]}" if self.timed == "recorded" else ""

    def facts(self) -> str:
        bound = "none: too few pairs" if self.bound is None else self.show(self.bound)
        pairs = "pairs with recorded times" if self.timed == "recorded" else "interleaved pairs"
        when = f", timed {self.at}" if self.timed == "stored" else self.source()
        return f"median of {self.n} {pairs}: {self.show(self.estimate)} ({self.confidence} bound {bound}){when}"

    def advice(self, limit: float) -> str:
        if self.timed == "recorded":
            return f"with recorded times {float(RECORDED_FACTOR):g} times the limit must be shown: time both models in one run (--distill-live), or hold student_latency to a limit"
        if self.estimate > limit:
            return "a quieter machine or more pairs (--distill-pairs) may decide"
        return "the student is about as slow as the limit"

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "timed": self.timed, "at": self.at}


@dataclass(frozen=True, eq=False, repr=False)
class LatencyPercentile(Measure):
    """A percentile of the student's time for one prompt alone, in milliseconds from text in to text out.

    Args:
        milliseconds: the times, in any order.
        percent_rank: 50, 90, 95 or 99.
        timed, at: as in `SpeedGain`.
    """

    milliseconds: Sequence[float]
    percent_rank: int
    timed: str
    at: str

    key, title, side, method, lowest, highest, example = (
        "student_latency",
        "student latency",
        "upper",
        "order-statistic",
        0.0,
        1e12,
        "50",
    )

    @property
    def share(self) -> float:
        """The percentile as a share, 0 to 1."""
        return self.percent_rank / 100

    @property
    def n(self) -> int:
        return len(self.milliseconds)

    @property
    def exact(self) -> Fraction:
        rank = -(-self.percent_rank * self.n // 100)
        return Fraction(sorted(self.milliseconds)[max(rank, 1) - 1])

    @cached_property
    def bound(self) -> float | None:
        return stats.percentile_bound(self.milliseconds, self.share, self.judging.alpha)

    def required(self, limit: Fraction) -> Fraction:
        return limit / RECORDED_FACTOR if self.timed == "recorded" else limit

    def p_values(self, limit: float) -> tuple[float, float]:
        needed = float(self.required(Fraction(limit)))
        over = sum(time > needed for time in self.milliseconds)
        refuted = 1.0 if self.timed == "recorded" else stats.rate_p_refuted(over, self.n, 1 - self.share)
        return stats.rate_p(over, self.n, 1 - self.share), refuted

    def source(self) -> str:
        return f", from a recording of {self.at[:10]}" if self.timed == "recorded" else ""

    def show(self, value: float) -> str:
        return f"{value:.1f} ms"

    def show_limit(self, limit: float) -> str:
        return f"{limit:g} ms"

    def facts(self) -> str:
        bound = "none: too few timings" if self.bound is None else self.show(self.bound)
        when = "" if self.timed == "live" else self.source() or f", timed {self.at}"
        return f"p{self.percent_rank} of {self.n} prompts one at a time: {self.show(self.estimate)} ({self.confidence} bound {bound}){when}"

    def advice(self, limit: float) -> str:
        if self.timed == "recorded":
            return f"with recorded times the limit must be kept {float(RECORDED_FACTOR):g} times over: time the student in this run (--distill-live)"
        return "more pairs (--distill-pairs) may decide" if self.estimate < limit else "the student is about as slow as the limit"

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "timed": self.timed, "at": self.at}


class Latency:
    """`student_latency`: percentiles of the student's time for one prompt alone, in milliseconds. It takes no limit itself.

    Args:
        seconds: the times, in any order.
        timed, at: as in `SpeedGain`.
        judging: how the percentiles are judged.
        why: why they could not be measured, or nothing.
    """

    def __init__(self, seconds: Sequence[float], timed: str, at: str, judging: Judging, why: str = "") -> None:
        self._milliseconds = tuple(1000 * second for second in seconds)
        self._timed, self._at, self._judging, self._why = timed, at, judging, why

    def _percentile(self, rank: int) -> LatencyPercentile:
        fewest = max(FEWEST_FOR_MEDIAN, stats.fewest_for_percentile(rank / 100, self._judging.alpha))
        n, why = len(self._milliseconds), self._why
        if not why and n < fewest:
            why = f"{n} timings are too few for p{rank}: {fewest} are needed (--distill-pairs {fewest}, and as many held-out rows)"
        return LatencyPercentile(
            self._milliseconds, rank, self._timed, self._at, judging=self._judging, part=(f".p{rank}", f" p{rank}"), why=why
        )

    @property
    def p50(self) -> LatencyPercentile:
        """The median: ``assert comparison.student_latency.p50 <= 20``."""
        return self._percentile(50)

    @property
    def p90(self) -> LatencyPercentile:
        """The 90th percentile, of 30 timings or more."""
        return self._percentile(90)

    @property
    def p95(self) -> LatencyPercentile:
        """The 95th percentile, of 59 timings or more."""
        return self._percentile(95)

    @property
    def p99(self) -> LatencyPercentile:
        """The 99th percentile, of 299 timings or more."""
        return self._percentile(99)

    def _refuse(self, other: object = None) -> bool:
        raise TypeError("student_latency takes no limit itself. Write assert comparison.student_latency.p95 <= 50 (milliseconds).")

    __le__ = __lt__ = __ge__ = __gt__ = __eq__ = __ne__ = __bool__ = _refuse
    __hash__ = object.__hash__
