"""Judgements: what a limit made of a measure, in words; and the bands that describe a student."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SHOWN, REFUTED, INCONCLUSIVE, NO_CLAIM, POINT = "shown", "refuted", "inconclusive", "no claim", "point"


@dataclass(frozen=True)
class Judgement:
    """A measure held against a limit.

    As a boolean it is true when the limit is shown to hold and otherwise raises AssertionError with the words, so that plain
    asserts, ``not``, ``any``, ``all`` and ``if`` all fail closed. `shown` is the plain boolean.

    Attributes:
        measure: the measure's key, for example ``accuracy_drop``.
        operator: ``<=``, ``<``, ``>=`` or ``>``; limit: the number on its right.
        outcome: ``shown``, ``refuted``, ``inconclusive``, or ``point`` where plain estimates are asked for.
        shown: whether the gate may pass.
        alpha: the level; p, p_refuted: the p values that the limit holds, and that it does not (None for ``point``).
        words: what a person reads; the first line is a sentence.
        numbers: value, bound, n and method of the measure, as results.json holds them.
    """

    measure: str
    operator: str
    limit: float
    outcome: str
    shown: bool
    alpha: float
    p: float | None
    p_refuted: float | None
    words: str
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        __tracebackhide__ = True
        if self.shown:
            return True
        error = AssertionError(self.words)
        error.judgement = self  # type: ignore[attr-defined]
        raise error


@dataclass(frozen=True)
class Judging:
    """How measures are judged in this run.

    Attributes:
        evidence: ``strict`` (a limit must be shown) or ``point`` (the plain estimate decides; not a statistical claim).
        alpha: the one-sided level, 0.05 unless a spec says otherwise.
        heard: told each judgement as it is made, and None for each plain estimate that is read (``.value``).
    """

    evidence: str = "strict"
    alpha: float = 0.05
    heard: Callable[[Judgement | None, str], None] = lambda judgement, measure: None


def outcome_of(p: float, p_refuted: float, alpha: float) -> str:
    """Return ``shown``, ``refuted`` or ``inconclusive``."""
    return SHOWN if p <= alpha else REFUTED if p_refuted <= alpha else INCONCLUSIVE


_REFUTED, _INCONCLUSIVE = "is shown not to be {}: refuted", "is not shown to be {}: inconclusive"


def sentence(outcome: str, subject: str, phrase: str) -> str:
    """Return the sentence of a strict judgement: whether `subject` is shown to be `phrase`."""
    form = {SHOWN: "is shown to be {}", REFUTED: _REFUTED}.get(outcome, _INCONCLUSIVE)
    return f"{subject} {form.format(phrase)}"


def weakened(words: str, reason: str) -> str:
    """Return the words of a refuted judgement as those of an inconclusive one, with the reason as a line of their own."""
    first, *others = words.split("\n")
    before, _, after = _REFUTED.partition("{}")
    subject, _, phrase = first.partition(f" {before}")
    first = sentence(INCONCLUSIVE, subject, phrase.removesuffix(after))
    return "\n".join([first, *others, f"  {reason}"])


def percent(value: float, digits: int = 1) -> str:
    """Write a fraction as a percentage: 0.05 as 5.0%, never -0.0%; with digits=-1 without needless zeros, as 5%."""
    return f"{100 * value:.10g}%" if digits < 0 else f"{100 * value:z.{digits}f}%"


def band(viable_drop: bool, fast: bool, marginal_drop: bool, not_ready: bool) -> str:
    """Return the band that describes a student; the asserts alone decide the verdict.

    Args:
        viable_drop: the drop is shown to be at most 5 %.
        fast: the speed gain is shown to be at least 2.
        marginal_drop: the drop is shown to be at most 10 %.
        not_ready: the drop is shown to be above 10 %.
    """
    if viable_drop and fast:
        return "viable"
    if marginal_drop:
        return "marginal"
    return "not ready" if not_ready else "inconclusive"
