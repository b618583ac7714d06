"""Means of bounded scores: Gaffke's bound, quality retained, and the audit bound of judged scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from pytest_distill.stats.binomial import ALPHA

_RACE = 10_000  # up to so many pairs of a value above and one below the mean, the exact recursion is the quicker way


def _check_values(values: Sequence[float], highest: float) -> None:
    if not values:
        raise ValueError("Gaffke's test needs at least one value")
    if max(values) > highest + 1e-12:
        raise ValueError(f"a value of {max(values)} lies above the highest possible, {highest}")


def gaffke_p(values: Sequence[float], mean: float, highest: float) -> float:
    """Return the p value that the mean of `values` lies below `mean`, for values that can reach at most `highest`.

    It is P(sum of w x >= mean) with one observation of `highest` added and w ~ Dirichlet(1, ..., 1): a Bayesian bootstrap with one
    worst-case observation, computed without random numbers. Its general validity is conjectured, and simulated in docs/.
    Sources: N. Gaffke, Mathematical Methods of Statistics 14 (2005); E. Learned-Miller and P. S. Thomas 2019, arXiv 1905.06208;
    M. Phan et al. 2021, arXiv 2106.03163.

    Raises:
        ValueError: no values, or one above `highest`.
    """
    _check_values(values, highest)
    counts = Counter(value - mean for value in values)
    counts[highest - mean] += 1
    if all(a >= 0 for a in counts):
        return 1.0
    if all(a <= 0 for a in counts):
        return 0.0
    above = [a for a, k in counts.items() for _ in range(k) if a > 0]
    below = [-a for a, k in counts.items() for _ in range(k) if a < 0]
    return _race(above, below) if len(above) * len(below) <= _RACE else _inverted([(a, k) for a, k in counts.items() if a != 0])


def _race(above: Sequence[float], below: Sequence[float]) -> float:
    """Return P(sum of a E > sum of b F) for independent standard exponentials E, F: exact, and a sum of positive terms only.

    Dirichlet weights are exponentials over their sum. Let the first term of each side run down against the other: by the lack of
    memory what is left of the longer one is distributed as before, so that f(i, j), with i and j terms gone, is a mean of
    f(i + 1, j) and f(i, j + 1).
    """
    later = [0.0] * len(below) + [1.0]
    for a in reversed(above):
        chance = 1.0
        row = [chance]
        for b, without in zip(reversed(below), reversed(later[:-1]), strict=True):
            chance = (a * chance + b * without) / (a + b)
            row.append(chance)
        later = row[::-1]
    return later[0]


def _inverted(terms: Sequence[tuple[float, int]]) -> float:
    """Return P(sum of a E > 0), each a taken k times, from the characteristic function by the trapezoidal rule (Gil-Pelaez)."""
    total = sum(k * a for a, k in terms)
    step = math.pi / (abs(total) + 12 * math.sqrt(sum(k * a * a for a, k in terms)) + 45 * max(abs(a) for a, _ in terms))
    result = 0.5
    j = 0
    while True:
        u = (j + 0.5) * step
        exponent = -0.5 * sum(k * math.log1p(u * u * a * a) for a, k in terms)
        if exponent < -32:
            return min(max(result, 0.0), 1.0)
        angle = sum(k * math.atan(u * a) for a, k in terms)
        result += math.exp(exponent) * math.sin(angle) / (j + 0.5) / math.pi
        j += 1


def gaffke_bound(values: Sequence[float], highest: float, alpha: float = ALPHA) -> float:
    """Return the upper 1 - alpha bound of the mean of `values`, which can reach at most `highest`: never below their mean.

    Errors as `gaffke_p`.
    """
    _check_values(values, highest)
    low, high = sum(values) / len(values), highest
    while high - low > 5e-7 * max(1.0, abs(highest)):
        middle = (low + high) / 2
        low, high = (middle, high) if gaffke_p(values, middle, highest) > alpha else (low, middle)
    return high


def _retained(teacher: Sequence[float], student: Sequence[float], retained: float) -> list[float]:
    if len(teacher) != len(student) or not teacher:
        raise ValueError("two score series of one length above zero are needed")
    if not retained > 0:
        raise ValueError(f"the retained share must be positive; seen {retained}")
    return [retained * t - s for t, s in zip(teacher, student, strict=True)]


def retained_p(teacher: Sequence[float], student: Sequence[float], retained: float) -> float:
    """Return the p value that the student keeps at least `retained` (above 0) of the teacher's mean score (scores 0..1).

    Gaffke's test on x = retained * teacher - student, whose mean is at most 0 exactly then.

    Raises:
        ValueError: the series differ in length, are empty, or `retained` is not positive.
    """
    return gaffke_p(_retained(teacher, student, retained), 0.0, retained)


def retained_p_refuted(teacher: Sequence[float], student: Sequence[float], retained: float) -> float:
    """Return the p value that the student keeps less than `retained` of the teacher's mean score; errors as `retained_p`."""
    return gaffke_p([-x for x in _retained(teacher, student, retained)], 0.0, 1.0)


def retained_bound(teacher: Sequence[float], student: Sequence[float], alpha: float = ALPHA) -> float:
    """Return the lower 1 - alpha bound of the quality retained, 0 or more, to 5 digits; errors as `retained_p`."""
    _retained(teacher, student, 1.0)
    low, high = 0.0, max(sum(student) / max(sum(teacher), 1e-9), 1e-6)
    while high - low > 5e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if retained_p(teacher, student, middle) <= alpha else (low, middle)
    return math.floor(low * 1e5) / 1e5


def audit_bound(discordant: Sequence[float], audited: Sequence[float], share: float, alpha: float = ALPHA) -> float:
    """Return the upper 1 - alpha bound of the drop where a judge scored everything and people checked part of it.

    Args:
        discordant: one value for each example: the drop that people gave it where the judge called the models different, 0 elsewhere.
        audited: the drops that people gave to random examples on which the judge called the models equal.
        share: the share of examples (0..1) that the judge called equal.
        alpha: the one-sided level.

    Both parts are bounded by Gaffke and joined by squares (MOVER: G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008)
    1693-1702), which is approximate; docs/ simulates it.

    Raises:
        ValueError: no values of either kind (without an audit nothing is shown), or a share outside 0..1.
    """
    if not discordant or not audited:
        raise ValueError("the audit bound needs examples and an audit of those on which the judge sees no difference")
    if not 0 <= share <= 1:
        raise ValueError(f"the share must lie from 0 to 1; seen {share}")
    parts = [(sum(values) / len(values), gaffke_bound(values, 1.0, alpha)) for values in (discordant, audited)]
    (mean, upper), (audit_mean, audit_upper) = parts
    return mean + share * audit_mean + math.hypot(upper - mean, share * (audit_upper - audit_mean))


def audit_p(discordant: Sequence[float], audited: Sequence[float], share: float, margin: float) -> float:
    """Return the p value that the drop is at most `margin`: the least alpha whose `audit_bound` is; to 5 digits, errors as there."""
    if audit_bound(discordant, audited, share, 0.999999) > margin:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 5e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if audit_bound(discordant, audited, share, middle) <= margin else (middle, high)
    return high
