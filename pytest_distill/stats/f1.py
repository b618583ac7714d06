"""Macro-F1: its drop, recomputed under random weights of the examples and one worst case."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache

from pytest_distill.stats.binomial import ALPHA

DRAWS = 2000
Cells = tuple[tuple[tuple[str, str, str], float], ...]


def macro_f1(cells: Mapping[tuple[str, str], float]) -> float:
    """Return the mean F1 over the labels that are expected anywhere; `cells` weighs each pair (expected, given label)."""
    hits: dict[str, float] = {}
    expected: dict[str, float] = {}
    given: dict[str, float] = {}
    for (right, said), weight in cells.items():
        expected[right] = expected.get(right, 0.0) + weight
        given[said] = given.get(said, 0.0) + weight
        if right == said:
            hits[right] = hits.get(right, 0.0) + weight
    return sum(2 * hits.get(label, 0.0) / (support + given.get(label, 0.0)) for label, support in expected.items()) / len(expected)


def f1_drop(cells: Cells) -> float:
    """Return the first model's macro-F1 minus the second's; `cells` counts each triple (expected, first's label, second's label).

    Raises:
        ValueError: no examples.
    """
    if not sum(weight for _, weight in cells) > 0:
        raise ValueError("macro-F1 needs at least one example")
    sides: tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]] = ({}, {})
    for (right, *said), weight in cells:
        for side, label in zip(sides, said, strict=True):
            side[right, label] = side.get((right, label), 0.0) + weight
    return macro_f1(sides[0]) - macro_f1(sides[1])


@lru_cache(maxsize=64)
def f1_drop_draws(cells: Cells, *, worst: bool = True) -> tuple[float, ...]:
    """Return the drop under 2,000 seeded Dirichlet weightings of the examples and one worst case more, sorted.

    The added example is of the rarest label: only the first model gets it right (or, with `worst` false, only the second), and the
    other takes it for the next rarest.
    The idea is that of Gaffke's bound, carried over to a statistic that is no mean; docs/ says how it was simulated.

    Raises:
        ValueError: no examples.
    """
    f1_drop(cells)
    support: dict[str, float] = {}
    for (right, *_), weight in cells:
        support[right] = support.get(right, 0.0) + weight
    # The wrong answer names the next rarest label, where there is one: it costs that label precision as well.
    rarest, other, *_ = [*sorted(support, key=lambda label: (support[label], label)), ""]
    added = (rarest, rarest, other) if worst else (rarest, other, rarest)
    counts = dict(cells)
    counts[added] = counts.get(added, 0.0) + 1
    chance = random.Random(0)
    # The weights of like examples add up to one gamma variate, so that a draw costs as many as there are kinds of examples.
    kinds = sorted(counts.items())
    return tuple(sorted(f1_drop(tuple((key, chance.gammavariate(count, 1.0)) for key, count in kinds)) for _ in range(DRAWS)))


def f1_drop_p(cells: Cells, margin: float) -> float:
    """Return the p value that the drop of macro-F1 is at most `margin`: the share of draws that reach it; errors as above."""
    return (1 + sum(drop >= margin for drop in f1_drop_draws(cells))) / (DRAWS + 1)


def f1_drop_p_refuted(cells: Cells, margin: float) -> float:
    """Return the p value that the drop of macro-F1 is above `margin`; errors as above."""
    return (1 + sum(drop <= margin for drop in f1_drop_draws(cells, worst=False))) / (DRAWS + 1)


def f1_drop_bound(cells: Cells, alpha: float = ALPHA) -> float:
    """Return the upper 1 - alpha bound of the drop: the least of the draws that at most alpha of them reach; errors as above."""
    drops = f1_drop_draws(cells)
    most = int(alpha * (DRAWS + 1) + 1e-9) - 1  # so many draws may lie at or above a margin that is shown
    return drops[DRAWS - 1 - most] if most >= 0 else 1.0
