"""Many limits, many seeds, two raters: Holm's correction, the spread over seeds, Cohen's kappa."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev

from pytest_distill.stats.binomial import ALPHA


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> list[bool]:
    """Return which of several hypotheses may be called refuted, with at most `alpha` risk of any false call among all of them.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    confirmed = [False] * len(p_values)
    for step, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        if p_values[at] > alpha / (len(p_values) - step):
            break
        confirmed[at] = True
    return confirmed


def t_quantile(share: float, freedom: int) -> float:
    """Return the quantile of Student's t at `share` (0.5 to below 1) with whole degrees of freedom, 1 or more.

    Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.

    Raises:
        ValueError: a share or degrees of freedom outside their range.
    """
    if not 0.5 <= share < 1 or freedom < 1:
        raise ValueError(f"the share must lie from 0.5 to below 1 and the degrees of freedom be 1 or more; seen {share}, {freedom}")
    low, high = 0.0, math.pi / 2  # of the angle atan(t / sqrt(freedom))
    for _ in range(60):
        angle = (low + high) / 2
        term = math.sin(angle) * (math.cos(angle) if freedom % 2 else 1.0)
        total = 0.0
        for k in range(freedom // 2):
            total += term
            below = 2 * k + 1 + freedom % 2
            term *= math.cos(angle) ** 2 * below / (below + 1)
        inside = 2 / math.pi * (angle + total) if freedom % 2 else total
        low, high = (angle, high) if (1 + inside) / 2 < share else (low, angle)
    return math.tan(low) * math.sqrt(freedom)


def next_seed_bound(drops: Sequence[float], mean_bound: float, alpha: float = ALPHA) -> float:
    """Return about the upper 1 - alpha bound of the drop of one more seed of a recipe.

    Args:
        drops: the drop of each seed on the same examples, two or more.
        mean_bound: the bound of the mean drop over these seeds, by Gaffke, for the choice of examples alone.
        alpha: the one-sided level.

    The choice of examples and the seeds are joined by squares (MOVER), which is approximate. For information: nothing is gated on it.

    Raises:
        ValueError: fewer than two seeds.
    """
    if len(drops) < 2:
        raise ValueError(f"the spread over seeds needs two or more; seen {len(drops)}")
    centre = mean(drops)
    spread = t_quantile(1 - alpha, len(drops) - 1) * stdev(drops) * math.sqrt(1 + 1 / len(drops))
    return centre + math.hypot(mean_bound - centre, spread)


def kappa(table: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return Cohen's kappa of two raters and its standard error; `table[i][j]` counts items that they put into i and j.

    Source: J. L. Fleiss, J. Cohen and B. S. Everitt, Psychological Bulletin 72 (1969) 323-327.

    Raises:
        ValueError: the table is not square, is empty, or leaves agreement by chance at 1.
    """
    n = sum(map(sum, table))
    if n < 1 or any(len(row) != len(table) for row in table):
        raise ValueError("kappa needs a square table with at least one item")
    size = range(len(table))
    share = [[count / n for count in row] for row in table]
    rows, columns = [sum(row) for row in share], [sum(row[j] for row in share) for j in size]
    agreed = sum(share[i][i] for i in size)
    by_chance = sum(rows[i] * columns[i] for i in size)
    if by_chance >= 1:
        raise ValueError("kappa is undefined where both raters use one and the same category")
    variance = (
        sum(share[i][i] * ((1 - by_chance) - (rows[i] + columns[i]) * (1 - agreed)) ** 2 for i in size)
        + (1 - agreed) ** 2 * sum(share[i][j] * (columns[i] + rows[j]) ** 2 for i in size for j in size if i != j)
        - (agreed * by_chance - 2 * by_chance + agreed) ** 2
    ) / (n * (1 - by_chance) ** 4)
    return (agreed - by_chance) / (1 - by_chance), math.sqrt(max(variance, 0.0))
