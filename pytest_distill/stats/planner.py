"""How many examples: the fewest that could pass, and how many show a true drop with a given chance."""

from __future__ import annotations

import math
from statistics import NormalDist

from pytest_distill.stats.binomial import ALPHA
from pytest_distill.stats.paired import drop_chances, drop_p

TEETH = 40  # how far below the bisected size a smaller one is looked for
MOST_ENUMERATED = 2000  # examples up to which a plan is checked by enumeration; beyond, the formula is close and enumeration slow


def fewest_examples(b: int, c: int, margin: float, alpha: float = ALPHA) -> int | None:
    """Return the smallest n at which the same b and c would show the drop to be at most `margin`; None above 100,000.

    Found by bisection, then by trying the 40 sizes below: as n grows p falls in saw teeth, and a slightly smaller n may do too.

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
    low = max(b + c, high // 2, 1)
    while low < high:
        middle = (low + high) // 2
        if drop_p(b, c, middle, margin) <= alpha:
            high = middle
        else:
            low = middle + 1
    return next((n for n in range(max(b + c, high - TEETH, 1), high) if drop_p(b, c, n, margin) <= alpha), high)


def formula_for_power(discordance: float, drop: float, margin: float, power: float = 0.8, alpha: float = ALPHA) -> int:
    """Return about how many examples show a true `drop` to be at most `margin` with probability `power`, by the score test's formula.

    `discordance` is the share of examples on which exactly one model is right (0..1, at least `drop`). The exact power at this n is
    somewhat below or above; see `examples_for_power`. Source: Tango 1998, with the variance under the null taken as in his score.

    Raises:
        ValueError: the drop is not below the margin.
    """
    if not drop < margin:
        raise ValueError(f"the true drop must lie below the margin; seen {drop} and {margin}")
    lost, gained = _rates(discordance, drop)
    linear = -lost - gained + (2 - lost + gained) * margin
    q = (math.sqrt(linear**2 + 8 * gained * margin * (1 - margin)) - linear) / 4
    null = math.sqrt(2 * q + margin * (1 - margin))
    true = math.sqrt(lost + gained - drop**2)
    z = NormalDist().inv_cdf
    return math.ceil(((z(1 - alpha) * null + z(power) * true) / (margin - drop)) ** 2)


def examples_for_power(discordance: float, drop: float, margin: float, power: float = 0.8, alpha: float = ALPHA) -> int:
    """Return how many examples show a true `drop` to be at most `margin` with probability of at least `power`.

    From the formula's n upward until the exact power, by enumeration, reaches the target (above 2,000 examples the formula's n).

    Raises:
        ValueError: the drop is not below the margin.
    """
    n = formula_for_power(discordance, drop, margin, power, alpha)
    lost, gained = _rates(discordance, drop)
    while n <= MOST_ENUMERATED:
        missing = power - drop_chances(n, lost, gained, margin, alpha)[0]
        if missing <= 0:
            break
        n += max(1, int(n * missing))  # power grows by about a third of the relative growth of n: this never steps far too far
    return n


def _rates(discordance: float, drop: float) -> tuple[float, float]:
    """Return the probabilities of a loss and of a gain that have this sum and this difference."""
    discordance = max(discordance, abs(drop))
    return (discordance + drop) / 2, (discordance - drop) / 2
