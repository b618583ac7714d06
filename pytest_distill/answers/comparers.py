"""Comparers: how one field of an answer is held against the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, ClassVar

from pytest_distill.answers.plain import canonical
from pytest_distill.answers.words import rouge_l, token_f1, words
from pytest_distill.errors import TaskError


@dataclass(frozen=True)
class Comparer:
    """How one field is compared. Whatever it is made for, a value of another type (null, above all) must be equal.

    Attributes:
        takes: the JSON types that it is made for; empty where it takes all.
    """

    takes: ClassVar[frozenset[str]] = frozenset()

    def describe(self) -> Mapping[str, Any]:
        """Return everything that decides right and wrong, as plain JSON values."""
        return {"kind": type(self).__name__, **asdict(self)}

    def key(self, value: Any) -> str:
        """Return a text that is the same for values that are compared alike."""
        return canonical(value)

    def compare(self, given: Any, expected: Any) -> tuple[float, bool]:
        """Return the score, 0 to 1, and whether the field counts as right."""
        equal = given == expected if isinstance(given, str) else canonical(given) == canonical(expected)
        return float(equal), equal


@dataclass(frozen=True)
class Exact(Comparer):
    """Equal as JSON values: texts to the letter, numbers by value, lists in order, objects whatever the order of their keys."""


@dataclass(frozen=True)
class AsSet(Comparer):
    """Lists whose order and repetitions do not count; the score is the F1 of the two sets of items.

    Args:
        right: the score, above 0 to 1, from which the field counts as right.

    Raises:
        TaskError: `right` is no such number.
    """

    takes = frozenset({"array"})
    right: float = 1.0

    def __post_init__(self) -> None:
        check_right("AsSet", self.right)

    def key(self, value: Any) -> str:
        return canonical(sorted({canonical(item) for item in value})) if isinstance(value, list) else canonical(value)

    def compare(self, given: Any, expected: Any) -> tuple[float, bool]:
        if not isinstance(given, list) or not isinstance(expected, list):
            return super().compare(given, expected)
        ours, theirs = ({canonical(item) for item in items} for items in (given, expected))
        score = 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours or theirs else 1.0
        return score, score >= self.right


@dataclass(frozen=True)
class Near(Comparer):
    """Numbers that differ by no more than a tolerance: the larger one of the two where both are given; the score is 1 or 0.

    Args:
        tolerance: the largest difference, 0 or more.
        relative: the largest difference as a share of the expected number, 0 or more.

    Raises:
        TaskError: one of them is no such number, or both are 0, which `Exact` says.
    """

    takes = frozenset({"number", "integer"})
    tolerance: float = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("tolerance", self.tolerance), ("relative", self.relative)):
            if not _is_number(value) or not 0 <= value < float("inf"):
                raise TaskError(f"Near({name}=…) is a number of 0 or more; seen {value!r}.")
        if not self.tolerance and not self.relative:
            raise TaskError("Near without a tolerance is Exact. Write Near(tolerance=0.1) or Near(relative=0.05).")

    def compare(self, given: Any, expected: Any) -> tuple[float, bool]:
        if not _is_number(given) or not _is_number(expected):
            return super().compare(given, expected)
        # In decimals, as people write them: 0.8 is no farther from 0.7 than 0.1.
        ours, theirs, tolerance, relative = (Decimal(str(number)) for number in (given, expected, self.tolerance, self.relative))
        near = abs(ours - theirs) <= max(tolerance, relative * abs(theirs))
        return float(near), near


@dataclass(frozen=True)
class Tokens(Comparer):
    """Texts by the words they share, in any order; the score is their token F1, after the normalisation of `Text`.

    Args:
        right: the score, above 0 to 1, from which the field counts as right.

    Raises:
        TaskError: `right` is no such number.
    """

    takes = frozenset({"string"})
    right: float = 0.8

    def __post_init__(self) -> None:
        check_right(type(self).__name__, self.right)

    def key(self, value: Any) -> str:
        return canonical(" ".join(words(value))) if isinstance(value, str) else canonical(value)

    def compare(self, given: Any, expected: Any) -> tuple[float, bool]:
        if not isinstance(given, str) or not isinstance(expected, str):
            return super().compare(given, expected)
        score = self._score(words(given), words(expected))
        return score, score >= self.right

    _score = staticmethod(token_f1)


@dataclass(frozen=True)
class RougeL(Tokens):
    """Texts by the words they share in the same order; the score is ROUGE-L, after the normalisation of `Text`.

    Args:
        right: the score, above 0 to 1, from which the field counts as right.

    Raises:
        TaskError: `right` is no such number.
    """

    _score = staticmethod(rouge_l)


def check_right(of: str, right: object) -> None:
    """Refuse a score that no answer could miss or reach.

    Raises:
        TaskError: it is no number above 0 and at most 1.
    """
    if not _is_number(right) or not 0 < right <= 1:  # type: ignore[operator]
        raise TaskError(f"{of}(right=…) is the score from which an answer counts as right, above 0 and at most 1; seen {right!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
