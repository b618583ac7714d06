"""The exact test of paired right-and-wrong answers: p values, bound, and the chances of each outcome.

For `n` paired examples, `b` counts those that only the first model got right (lost by the second), `c` those that only the second
got right (gained); the drop is (b - c) / n. The p value at margin M is small when the drop is shown to be at most M. All
probabilities are one-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from pytest_distill.stats.binomial import ALPHA, binomial_cdf, binomial_pmf

_TIE = 1e-9
_GRID = 80


def tango_score(b: int, c: int, n: int, margin: float) -> float:
    """Return Tango's score statistic of the drop (b - c) / n against `margin`; low values favour a small drop.

    Source: T. Tango, Statistics in Medicine 17 (1998) 891-908.
    """
    two_n = 2.0 * n
    linear = -b - c + (two_n - b + c) * margin
    constant = -c * margin * (1 - margin)
    q = (math.sqrt(max(linear * linear - 4 * two_n * constant, 0.0)) - linear) / (2 * two_n)
    variance = n * (2 * q + margin * (1 - margin))
    distance = b - c - n * margin
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def _region(n: int, margin: float, limit: float, strict: bool) -> list[int]:
    """Return for each c' = 0..n the largest b' in 0..n-c' whose score is at most (or, strict, below) `limit`; -1 for none."""
    region = []
    b = -1
    for c in range(n + 1):
        while b + 1 <= n - c:
            z = tango_score(b + 1, c, n, margin)
            if (z < limit) if strict else (z <= limit):
                b += 1
            else:
                break
        region.append(min(b, n - c))
    return region


def _probability(n: int, region: Sequence[int], q: float, margin: float) -> float:
    """Return the probability that (b', c') falls in `region` when P(gained) = q and P(lost) = q + margin.

    c' ~ Bin(n, q); given c', b' ~ Bin(n - c', p) with p = (q + margin) / (1 - q). The inner distribution function is carried from
    one c' to the next by exact recurrences, so that one sweep costs O(n).
    """
    if q >= 1:
        return float(region[n] >= 0)
    p = min(max((q + margin) / (1 - q), 0.0), 1.0)
    if q <= 0:
        return binomial_cdf(region[0], n, p)
    sd = math.sqrt(n * q * (1 - q))
    first = max(0, int(n * q - 12 * sd - 12))
    last = min(n, int(n * q + 12 * sd + 12))
    log_q, log_1q = math.log(q), math.log1p(-q)
    outer = math.exp(math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(n - first + 1) + first * log_q + (n - first) * log_1q)
    odds = q / (1 - q)
    total = 0.0
    if p >= 1 or p <= 0:
        for c in range(first, last + 1):
            trials = n - c
            inside = region[c] >= (trials if p >= 1 else 0)
            total += outer if inside else 0.0
            outer *= (trials / (c + 1)) * odds
        return min(total, 1.0)
    k, trials = region[first], n - first
    cdf = binomial_cdf(k, trials, p)
    pmf = binomial_pmf(k, trials, p)
    for c in range(first, last + 1):
        total += outer * min(max(cdf, 0.0), 1.0)
        if c == last:
            break
        outer *= ((n - c) / (c + 1)) * odds
        # From Bin(trials, p) at k to Bin(trials - 1, p) at the same k ...
        if k >= trials:
            cdf, pmf = 1.0, 0.0
        elif k >= 0:
            pmf = pmf * (trials - k) / (trials * (1 - p))
            cdf += p * pmf
        trials -= 1
        # ... and on to the next region's edge.
        while k < region[c + 1]:
            k += 1
            pmf = binomial_pmf(k, trials, p) if pmf < 1e-290 else pmf * (trials - k + 1) / k * p / (1 - p)
            cdf += pmf
        if k > region[c + 1]:
            k = region[c + 1]
            cdf, pmf = binomial_cdf(k, trials, p), binomial_pmf(k, trials, p)
    return min(total, 1.0)


def _check_counts(b: int, c: int, n: int, margin: float) -> None:
    if not (n >= 1 and b >= 0 and c >= 0 and b + c <= n):
        raise ValueError(f"counts must satisfy n >= 1, b >= 0, c >= 0, b + c <= n; seen b={b}, c={c}, n={n}")
    if not -1 < margin < 1:
        raise ValueError(f"the margin must lie between -1 and 1; seen {margin}")


def _nuisance(margin: float) -> list[float]:
    """Return the grid of P(gained) at the boundary drop = margin, dense at both ends."""
    low, high = max(0.0, -margin), (1 - margin) / 2
    return [low + (high - low) / 2 * (1 - math.cos(math.pi * i / _GRID)) for i in range(_GRID + 1)]


@lru_cache(maxsize=4096)
def drop_p(b: int, c: int, n: int, margin: float) -> float:
    """Return the p value that the drop is at most `margin` (0..1; shown when small).

    Exact unconditional non-inferiority test ordered by Tango's score, maximised over the nuisance P(gained).
    Sources: Tango 1998; H. Hsueh et al., Biometrics 57 (2001) 478-483; C. J. Lloyd and M. V. Moldovan 2008, doi 10.1002/sim.3229.

    Raises:
        ValueError: impossible counts or a margin outside -1..1.
    """
    _check_counts(b, c, n, margin)
    region = _region(n, margin, tango_score(b, c, n, margin) + _TIE, strict=False)
    return max(_probability(n, region, q, margin) for q in _nuisance(margin))


@lru_cache(maxsize=4096)
def drop_p_refuted(b: int, c: int, n: int, margin: float) -> float:
    """Return the p value that the drop is above `margin` (0..1): the same test in the other direction.

    Raises:
        ValueError: impossible counts or a margin outside -1..1.
    """
    _check_counts(b, c, n, margin)
    region = _region(n, margin, tango_score(b, c, n, margin) - _TIE, strict=True)
    return max(1 - _probability(n, region, q, margin) for q in _nuisance(margin))


@lru_cache(maxsize=1024)
def drop_bound(b: int, c: int, n: int, alpha: float = ALPHA) -> float:
    """Return the upper 1 - alpha bound of the drop: the largest margin that `drop_p` does not exclude, to 5 digits.

    Raises:
        ValueError: impossible counts.
    """
    _check_counts(b, c, n, 0.0)
    low, high = (b - c) / n, 1.0
    while high - low > 5e-6:
        middle = (low + high) / 2
        if drop_p(b, c, n, middle) > alpha:
            low = middle
        else:
            high = middle
    return round(high, 5)


def _size(n: int, margin: float, region: Sequence[int], *, upper: bool, alpha: float, worst: list[float]) -> float:
    """Return the largest probability over the nuisance that the boundary gives `region` (or, `upper`, the tables outside it).

    `worst` holds the q at which the last size was found: where it exceeds `alpha` there already, the rest need not be looked at.
    """

    def size(q: float) -> float:
        inside = _probability(n, region, q, margin)
        return 1 - inside if upper else inside

    if worst and (found := size(worst[0])) > alpha:
        return found
    found, worst[:] = max((size(q), [q]) for q in _nuisance(margin))
    return found


@lru_cache(maxsize=512)
def drop_regions(n: int, margin: float, alpha: float = ALPHA) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return for each c = 0..n the largest b that shows the drop to be at most `margin`, and the largest that does not refute it.

    -1 stands for none. The tables are ordered by Tango's score, so that each answer is one cut through that order, found by bisection.

    Raises:
        ValueError: n below 1 or a margin outside -1..1.
    """
    _check_counts(0, 0, n, margin)
    cuts = []
    for upper in (False, True):
        low, high, worst = -40.0, 40.0, list[float]()
        # The cut is the largest (upper: the smallest) score at which the size is still at most alpha.
        while high - low > 1e-10:
            middle = (low + high) / 2
            fits = _size(n, margin, _region(n, margin, middle, strict=upper), upper=upper, alpha=alpha, worst=worst) <= alpha
            low, high = (middle, high) if fits != upper else (low, middle)
        cuts.append(tuple(_region(n, margin, high if upper else low, strict=upper)))
    return cuts[0], cuts[1]


def drop_chances(n: int, lost: float, gained: float, margin: float, alpha: float = ALPHA) -> tuple[float, float]:
    """Return the exact chances that `n` examples show the drop to be at most `margin`, and that they refute it.

    `lost` and `gained` are the true probabilities (0..1, together at most 1) that only the first, or only the second, model is right.

    Raises:
        ValueError: impossible probabilities, n below 1 or a margin outside -1..1.
    """
    if not (lost >= 0 and gained >= 0 and lost + gained <= 1):
        raise ValueError(f"lost and gained must be probabilities of together at most 1; seen {lost} and {gained}")
    shown, kept = drop_regions(n, margin, alpha)
    return _probability(n, shown, gained, lost - gained), 1 - _probability(n, kept, gained, lost - gained)
