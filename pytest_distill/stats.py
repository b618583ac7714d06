"""Exact tests, bounds and a planner for paired comparisons, on numbers alone (standard library only).

For `n` paired examples, `b` counts those that only the first model got right (lost by the second), `c` those that only the second
got right (gained); the drop is (b - c) / n. A test's p value at margin M is small when the drop is shown to be at most M. All
probabilities are one-sided.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

ALPHA = 0.05
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
    p = min(max((q + margin) / (1 - q), 0.0), 1.0)
    if q <= 0:
        return _binomial_cdf(region[0], n, p)
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
    cdf = _binomial_cdf(k, trials, p)
    pmf = _binomial_pmf(k, trials, p)
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
            pmf = _binomial_pmf(k, trials, p) if pmf < 1e-290 else pmf * (trials - k + 1) / k * p / (1 - p)
            cdf += pmf
        if k > region[c + 1]:
            k = region[c + 1]
            cdf, pmf = _binomial_cdf(k, trials, p), _binomial_pmf(k, trials, p)
    return min(total, 1.0)


def _binomial_pmf(k: int, n: int, p: float) -> float:
    if k < 0 or k > n:
        return 0.0
    if p <= 0 or p >= 1:
        return float(k == (n if p >= 1 else 0))
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    return math.exp(log)


def _binomial_cdf(k: int, n: int, p: float) -> float:
    """Return P(Bin(n, p) <= k), summed from the smaller tail's edge outward until terms no longer count."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if p <= 0 or p >= 1:
        return 0.0 if p >= 1 else 1.0
    if k <= n * p:
        term, total = _binomial_pmf(k, n, p), 0.0
        while term > 0 and (total == 0 or term > total * 1e-18):
            total += term
            term *= k / (n - k + 1) * (1 - p) / p
            k -= 1
        return min(total, 1.0)
    k += 1
    term, total = _binomial_pmf(k, n, p), 0.0
    while term > 0 and k <= n and (total == 0 or term > total * 1e-18):
        total += term
        term *= (n - k) / (k + 1) * p / (1 - p)
        k += 1
    return max(1.0 - total, 0.0)


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
    if low <= -1:
        low = -1 + 1e-9
    while high - low > 5e-6:
        middle = (low + high) / 2
        if drop_p(b, c, n, middle) > alpha:
            low = middle
        else:
            high = middle
    return round(high, 5)


def gaffke_p(values: Sequence[float], mean: float, highest: float) -> float:
    """Return the p value that the mean of `values` lies below `mean`, for values that can reach at most `highest`.

    The Bayesian bootstrap with one worst-case observation added, integrated without random numbers.
    Source: N. Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable",
    Mathematical Methods of Statistics 14 (2005); M. P. Fay and E. Lumbard 2021 for the paired case.

    Raises:
        ValueError: no values, or one above `highest`.
    """
    if not values:
        raise ValueError("gaffke_p needs at least one value")
    if max(values) > highest + 1e-12:
        raise ValueError(f"a value of {max(values)} lies above the highest possible, {highest}")
    counts = Counter(value - mean for value in values)
    counts[highest - mean] += 1
    terms = [(a, k) for a, k in counts.items() if a != 0]
    if not terms or all(a > 0 for a, _ in terms):
        return 1.0
    if all(a < 0 for a, _ in terms):
        return 0.0
    total = sum(k * a for a, k in terms)
    step = math.pi / (abs(total) + 12 * math.sqrt(sum(k * a * a for a, k in terms)) + 45 * max(abs(a) for a, _ in terms))
    result = 0.5
    j = 0
    while True:
        u = (j + 0.5) * step
        exponent = -0.5 * sum(k * math.log1p(u * u * a * a) for a, k in terms)
        if exponent < -32 or j > 200_000:
            break
        angle = sum(k * math.atan(u * a) for a, k in terms)
        result += math.exp(exponent) * math.sin(angle) / (j + 0.5) / math.pi
        j += 1
    return min(max(result, 0.0), 1.0)


def retained_p(teacher: Sequence[float], student: Sequence[float], retained: float) -> float:
    """Return the p value that the student keeps at least `retained` (above 0) of the teacher's mean score.

    Gaffke's bound on x = retained * teacher - student, whose mean is at most 0 exactly then.

    Raises:
        ValueError: the series differ in length, are empty, or `retained` is not positive.
    """
    if len(teacher) != len(student) or not teacher:
        raise ValueError("two score series of one length above zero are needed")
    if not retained > 0:
        raise ValueError(f"the retained share must be positive; seen {retained}")
    return gaffke_p([retained * t - s for t, s in zip(teacher, student, strict=True)], 0.0, retained)


def retained_p_refuted(teacher: Sequence[float], student: Sequence[float], retained: float) -> float:
    """Return the p value that the student keeps less than `retained` of the teacher's mean score; errors as `retained_p`."""
    if len(teacher) != len(student) or not teacher:
        raise ValueError("two score series of one length above zero are needed")
    return gaffke_p([s - retained * t for t, s in zip(teacher, student, strict=True)], 0.0, 1.0)


def retained_bound(teacher: Sequence[float], student: Sequence[float], alpha: float = ALPHA) -> float:
    """Return the lower 1 - alpha bound of the quality retained, 0 or more, to 5 digits; errors as `retained_p`."""
    low, high = 0.0, max(sum(student) / max(sum(teacher), 1e-9), 1e-6)
    while high - low > 5e-6:
        middle = (low + high) / 2
        if retained_p(teacher, student, middle) <= alpha:
            low = middle
        else:
            high = middle
    return math.floor(low * 1e5) / 1e5


def sign_p(wins: int, n: int) -> float:
    """Return P(Bin(n, 1/2) >= wins): the sign test's p value that the median ratio exceeds the limit it was counted against.

    Raises:
        ValueError: n below 1 or wins outside 0..n.
    """
    if n < 1 or not 0 <= wins <= n:
        raise ValueError(f"wins must lie in 0..n with n >= 1; seen wins={wins}, n={n}")
    return float(sum(math.comb(n, k) for k in range(wins, n + 1)) / 2**n)


def median_bound(ratios: Sequence[float], alpha: float = ALPHA) -> float | None:
    """Return the lower 1 - alpha bound of the median of `ratios`, an order statistic; None where n is too small for one."""
    n, cumulated, rank = len(ratios), 0, 0
    while rank < n:
        cumulated += math.comb(n, rank)
        if cumulated > alpha * 2**n:
            break
        rank += 1
    return sorted(ratios)[rank - 1] if rank else None


def fewest_examples(b: int, c: int, margin: float, alpha: float = ALPHA) -> int | None:
    """Return the smallest n at which the same b and c would show the drop to be at most `margin`; None above 100,000.

    Raises:
        ValueError: impossible counts or a margin outside 0..1.
    """
    if not 0 < margin < 1:
        raise ValueError(f"the margin must lie between 0 and 1; seen {margin}")
    high = max(b + c, 1)
    while drop_p(b, c, high, margin) > alpha:
        high *= 2
        if high > 100_000:
            return None
    low = max(b + c, high // 2)
    while low < high:
        middle = (low + high) // 2
        if drop_p(b, c, middle, margin) <= alpha:
            high = middle
        else:
            low = middle + 1
    return high


def examples_for_power(discordance: float, drop: float, margin: float, power: float = 0.8, alpha: float = ALPHA) -> int:
    """Return about how many examples show a true `drop` to be at most `margin` with probability `power` (score-test formula).

    `discordance` is the share of examples on which exactly one model is right (0..1, at least `drop`).

    Raises:
        ValueError: the drop is not below the margin.
    """
    if not drop < margin:
        raise ValueError(f"the true drop must lie below the margin; seen {drop} and {margin}")
    discordance = max(discordance, abs(drop) + 1e-3)
    lost, gained = (discordance + drop) / 2, (discordance - drop) / 2
    linear = -lost - gained + (2 - lost + gained) * margin
    q = (math.sqrt(linear**2 + 8 * gained * margin * (1 - margin)) - linear) / 4
    null = math.sqrt(2 * q + margin * (1 - margin))
    true = math.sqrt(discordance - drop**2)
    z = NormalDist().inv_cdf
    return math.ceil(((z(1 - alpha) * null + z(power) * true) / (margin - drop)) ** 2)
