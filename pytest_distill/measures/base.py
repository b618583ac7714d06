"""What every measure shares: one direction, an exact comparison with a limit, and the words of the judgement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Rational, Real
from typing import Any, ClassVar, NoReturn

from pytest_distill.verdict import INCONCLUSIVE, POINT, SHOWN, Judgement, Judging, outcome_of, percent, sentence


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Measure:
    """A number that a limit can be held against, in its one direction.

    ``measure <= limit`` (for a drop) or ``measure >= limit`` (for a gain) returns a `Judgement`; every other comparison and
    ``bool(measure)`` raise TypeError naming the right form.

    Args:
        judging: how it is judged.
        part: what part of the examples it is about, as code and as words: ``('.on("hard")', " on 'hard'")``.
        why: why it could not be measured; every limit then fails with this reason. Empty where it was measured.
        slicer: gives the same measure on the examples that carry a tag; None where it has no slices.
    """

    judging: Judging = field(repr=False)
    part: tuple[str, str] = ("", "")
    why: str = ""
    slicer: Callable[[str], Measure] | None = field(default=None, repr=False)

    key: ClassVar[str]
    title: ClassVar[str]
    side: ClassVar[str]  # the side of the bound: "upper" allows <= and <, "lower" allows >= and >
    method: ClassVar[str]
    lowest: ClassVar[float]
    highest: ClassVar[float]
    example: ClassVar[str]  # a limit that makes sense, for messages
    arithmetic: ClassVar[str] = ""  # what it is computed from, where it is no estimate from a sample: it is judged as `point` then

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{self._unmeasured() if self.why else self._here()}>"

    @property
    def name(self) -> str:
        """The measure as a gate writes it: ``accuracy_drop.on("hard")``."""
        return self.key + self.part[0]

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

    def p_values(self, limit: float) -> tuple[float, float]:
        """Return the p values that the limit holds and that it does not."""
        raise NotImplementedError

    def facts(self) -> str:
        """Return the line under the sentence: the numbers behind the estimate."""
        raise NotImplementedError

    def advice(self, limit: float) -> str:
        """Return the line that says what would decide an inconclusive judgement; empty where nothing can be said."""
        return ""

    @property
    def estimate(self) -> float:
        """The point estimate."""
        return float(self.exact)

    @property
    def value(self) -> float:
        """The point estimate, for those who want only that: a gate that reads it makes no claim, and the result says so.

        Raises:
            ValueError: it could not be measured.
        """
        if self.why:
            raise ValueError(self._unmeasured())
        self.judging.heard(None, self.name)
        return self.estimate

    def on(self, tag: str) -> Measure:
        """Return the same measure on the held-out examples that carry `tag`.

        Raises:
            TypeError: the measure has no slices; ValueError: no held-out example carries the tag.
        """
        __tracebackhide__ = True
        if self.slicer is None:
            raise TypeError(f"{self.name} has no slices. Write assert {self._form()}.")
        return self.slicer(tag)

    @property
    def confidence(self) -> str:
        """The confidence of the bound, for people."""
        return f"{100 * (1 - self.judging.alpha):.4g}%"

    def show(self, value: float) -> str:
        """Write a value of this measure for people."""
        return percent(value)

    def show_limit(self, limit: float) -> str:
        """Write a limit of this measure for people."""
        return percent(limit, -1)

    def source(self) -> str:
        """Return what a reader must know of where the numbers come from, to stand after the bound."""
        return ""

    def required(self, limit: Fraction) -> Fraction:
        """Return what the estimate must meet for `limit`: the limit itself, unless the evidence calls for a margin."""
        return limit

    def _unmeasured(self) -> str:
        return f"{self.title}{self.part[1]} was not measured: {self.why}"

    def _judge(self, operator: str, limit: object) -> Judgement:
        __tracebackhide__ = True
        exact_limit = self._checked(limit)
        judgement = self._judged(operator, exact_limit)
        self.judging.heard(judgement, self.name)
        return judgement

    def _judged(self, operator: str, exact_limit: Fraction) -> Judgement:
        limit, alpha = float(exact_limit), self.judging.alpha
        if self.why:
            return self._made(operator, limit, INCONCLUSIVE, False, None, self._unmeasured())
        title = self.title + self.part[1]
        phrase = {"<=": "at most", "<": "below", ">=": "at least", ">": "above"}[operator] + " " + self.show_limit(limit)
        if self.judging.evidence == "point" or self.arithmetic:
            needed = self.required(exact_limit)
            met = {
                "<=": self.exact <= needed,
                "<": self.exact < needed,
                ">=": self.exact >= needed,
                ">": self.exact > needed,
            }[operator]
            basis = self.arithmetic or "as a plain estimate"
            words = f"{self._here()} {'meets' if met else 'misses'} {phrase} {basis} (not a statistical claim)"
            return self._made(operator, limit, POINT, met, None, self._words(words, ""))
        p, p_refuted = self.p_values(limit)
        outcome = outcome_of(p, p_refuted, alpha)
        words = sentence(outcome, self._here() if outcome == SHOWN else title, phrase)
        if outcome != SHOWN:
            words = self._words(words, self.advice(limit) if outcome == INCONCLUSIVE else "")
        return self._made(operator, limit, outcome, outcome == SHOWN, (p, p_refuted), words)

    def _made(self, operator: str, limit: float, outcome: str, shown: bool, p_values: tuple[float, float] | None, words: str) -> Judgement:
        p, p_refuted = p_values or (None, None)
        return Judgement(self.name, operator, limit, outcome, shown, self.judging.alpha, p, p_refuted, words, self.to_json())

    def _here(self) -> str:
        here = f"{self.title}{self.part[1]} {self.show(self.estimate)}"
        if self.arithmetic:
            return here
        bound = "none" if self.bound is None else self.show(self.bound)
        return f"{here} ({self.confidence} bound {bound}{self.source()})"

    def _words(self, first: str, advice: str) -> str:
        return "\n  ".join(line for line in (first, self.facts(), advice) if line)

    def _checked(self, limit: Any) -> Fraction:
        """Return the limit as the exact number that a person wrote: 0.05 is 1/20, not its nearest float."""
        __tracebackhide__ = True
        if isinstance(limit, bool) or not isinstance(limit, Real):
            raise TypeError(f"the limit of {self.title} must be a number; seen {limit!r}. Write {self._form()}.")
        number: Any = limit
        if not self.lowest <= number <= self.highest:  # NaN compares false, and integers of any size compare exactly
            allowed = f"from {self.lowest:g} to {self.highest:g}"
            raise ValueError(f"the limit of {self.title} lies {allowed}; seen {_brief(limit)}. Write {self._form()}.")
        if isinstance(limit, Rational):
            return Fraction(int(limit.numerator), int(limit.denominator))
        return Fraction(repr(float(limit)))

    def _form(self) -> str:
        return f"comparison.{self.name} {'<=' if self.side == 'upper' else '>='} {self.example}"

    def _refuse(self, form: str) -> NoReturn:
        __tracebackhide__ = True
        raise TypeError(f"{form} cannot be judged: {self.title} has one direction. Write assert {self._form()}.")

    def __le__(self, limit: object) -> Judgement:
        __tracebackhide__ = True
        return self._judge("<=", limit) if self.side == "upper" else self._refuse(f"{self.name} <=")

    def __lt__(self, limit: object) -> Judgement:
        __tracebackhide__ = True
        return self._judge("<", limit) if self.side == "upper" else self._refuse(f"{self.name} <")

    def __ge__(self, limit: object) -> Judgement:
        __tracebackhide__ = True
        return self._judge(">=", limit) if self.side == "lower" else self._refuse(f"{self.name} >=")

    def __gt__(self, limit: object) -> Judgement:
        __tracebackhide__ = True
        return self._judge(">", limit) if self.side == "lower" else self._refuse(f"{self.name} >")

    def __eq__(self, other: object) -> bool:
        __tracebackhide__ = True
        self._refuse(f"{self.name} ==")

    def __ne__(self, other: object) -> bool:
        __tracebackhide__ = True
        self._refuse(f"{self.name} !=")

    def __bool__(self) -> bool:  # noqa: PLE0304  (it always raises)
        __tracebackhide__ = True
        self._refuse(f"bool({self.name})")

    def to_json(self) -> dict[str, Any]:
        """Return the measure as results.json holds it; a value that could not be had is null beside its `why`."""
        return {
            "value": None if self.why else self.estimate,
            "bound": None if self.why or self.arithmetic else self.bound,
            "side": self.side,
            "confidence": 1 - self.judging.alpha,
            "n": self.n,
            "method": self.method,
            "why": self.why or None,
        }


def _brief(limit: object) -> str:
    try:
        return str(limit)[:40]
    except ValueError:  # Python writes out no integer of thousands of digits
        return "a number of thousands of digits"
