"""Counts: the binomial distribution, one model's rate, the sign test, and bounds of percentiles. All of it exact."""

from __future__ import annotations

import math
from collections.abc import Sequence

ALPHA = 0.05


def binomial_pmf(k: int, n: int, p: float) -> float:
    """Return P(Bin(n, p) = k)."""
    if k < 0 or k > n:
        return 0.0
    if p <= 0 or p >= 1:
        return float(k == (n if p >= 1 else 0))
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    return math.exp(log)


def binomial_cdf(k: int, n: int, p: float) -> float:
    """Return P(Bin(n, p) <= k), summed from the smaller tail's edge outward until terms no longer count."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if p <= 0 or p >= 1:
        return 0.0 if p >= 1 else 1.0
    if k <= n * p:
        term, total = binomial_pmf(k, n, p), 0.0
        while term > 0 and (total == 0 or term > total * 1e-18):
            total += term
            term *= k / (n - k + 1) * (1 - p) / p
            k -= 1
        return min(total, 1.0)
    k += 1
    term, total = binomial_pmf(k, n, p), 0.0
    while term > 0 and k <= n and (total == 0 or term > total * 1e-18):
        total += term
        term *= (n - k) / (k + 1) * p / (1 - p)
        k += 1
    return max(1.0 - total, 0.0)


def _check_rate(k: int, n: int, limit: float) -> None:
    if n < 1 or not 0 <= k <= n:
        raise ValueError(f"counts must satisfy 0 <= k <= n with n >= 1; seen k={k}, n={n}")
    if not 0 <= limit <= 1:
        raise ValueError(f"the limit of a rate must lie from 0 to 1; seen {limit}")


def rate_p(k: int, n: int, limit: float) -> float:
    """Return the p value that a rate is at most `limit` (0..1), where `k` of `n` were counted: P(Bin(n, limit) <= k).

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404-413.

    Raises:
        ValueError: impossible counts or a limit outside 0..1.
    """
    _check_rate(k, n, limit)
    return binomial_cdf(k, n, limit)


def rate_p_refuted(k: int, n: int, limit: float) -> float:
    """Return the p value that a rate is above `limit`: P(Bin(n, limit) >= k); source and errors as `rate_p`."""
    _check_rate(k, n, limit)
    return binomial_cdf(n - k, n, 1 - limit)


def rate_bound(k: int, n: int, alpha: float = ALPHA) -> float:
    """Return the upper 1 - alpha bound (Clopper and Pearson) of a rate of which `k` of `n` were counted, to 6 digits.

    Raises:
        ValueError: impossible counts.
    """
    _check_rate(k, n, 1.0)
    low, high = k / n, 1.0
    while high - low > 5e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if rate_p(k, n, middle) > alpha else (low, middle)
    return round(high, 6)


def fewest_for_rate(k: int, limit: float, alpha: float = ALPHA) -> int | None:
    """Return the smallest n at which a count of `k` would show the rate to be at most `limit`; None above 100,000.

    Raises:
        ValueError: k below 0, or a limit outside 0..1.
    """
    low, high = max(k, 1), 100_000
    if rate_p(k, max(high, k), limit) > alpha:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if rate_p(k, middle, limit) <= alpha else (middle + 1, high)
    return high


def sign_p(wins: int, n: int) -> float:
    """Return P(Bin(n, 1/2) >= wins): the sign test's p value that the median ratio exceeds the limit it was counted against.

    Source: J. Arbuthnot 1710; W. J. Conover, Practical Nonparametric Statistics, 3rd ed. (1999), section 3.4.

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
        if cumulated / 2**n > alpha:  # in this order: a product with 2**n overflows from n = 1024 on
            break
        rank += 1
    return sorted(ratios)[rank - 1] if rank else None


def percentile_bound(values: Sequence[float], share: float, alpha: float = ALPHA) -> float | None:
    """Return the upper 1 - alpha bound of the percentile `share` (0..1, exclusive) of `values`, an order statistic.

    It is the r-th smallest value with the smallest r for which P(Bin(n, share) < r) >= 1 - alpha; None where `values` are fewer
    than `fewest_for_percentile`. Source: Conover 1999, section 3.2.

    Raises:
        ValueError: a share outside 0..1.
    """
    if not 0 < share < 1:
        raise ValueError(f"the percentile's share must lie between 0 and 1; seen {share}")
    n = len(values)
    ranks = (r for r in range(1, n + 1) if binomial_cdf(r - 1, n, share) >= 1 - alpha)
    rank = next(ranks, None)
    return None if rank is None else sorted(values)[rank - 1]


def fewest_for_percentile(share: float, alpha: float = ALPHA) -> int:
    """Return the fewest values for which the percentile `share` has a finite upper bound: 59 for the 95th at 5 %.

    Raises:
        ValueError: a share outside 0..1.
    """
    if not 0 < share < 1:
        raise ValueError(f"the percentile's share must lie between 0 and 1; seen {share}")
    return math.ceil(math.log(alpha) / math.log(share))
