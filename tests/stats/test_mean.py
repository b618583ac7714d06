"""Means of bounded scores: identities, second opinions by integration and by random weights, and laws that must hold."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill import stats
from pytest_distill.stats import ALPHA, audit_bound, audit_p, gaffke_bound, gaffke_p
from pytest_distill.stats.mean import _inverted, _race

grades = st.integers(-20, 20).map(lambda x: x / 20)


@pytest.mark.parametrize(("n", "mean"), [(1, 0.05), (46, 0.05), (59, 0.05), (200, 0.02), (12_000, 1e-4)])
def test_gaffke_on_zeros(n, mean):
    """Nothing but zeros gives (1 - M)^n."""
    assert gaffke_p([0.0] * n, mean, 1) == pytest.approx((1 - mean) ** n, abs=1e-9)


@pytest.mark.parametrize(("b", "n", "mean"), [(0, 30, 0.1), (1, 46, 0.05), (3, 100, 0.05), (16, 200, 0.1), (5, 5, 0.4), (40, 600, 0.08)])
def test_gaffke_on_zeros_and_ones_is_clopper_pearson(b, n, mean):
    """On 0/1 data it is the binomial distribution function."""
    exact = sum(math.comb(n, k) * mean**k * (1 - mean) ** (n - k) for k in range(b + 1))
    assert gaffke_p([1.0] * b + [0.0] * (n - b), mean, 1) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(
    ("b", "c", "n", "mean"), [(3, 1, 46, 0.05), (7, 2, 200, 0.05), (2, 9, 30, -0.1), (30, 20, 500, 0.05), (1, 1, 2, 0.3)]
)
def test_gaffke_on_losses_and_gains_is_an_integral(b, c, n, mean):
    """On -1, 0, 1 the weights of the three values are three gamma variates, and SciPy integrates over the one of the gains."""
    beta, quad = pytest.importorskip("scipy.stats").beta, pytest.importorskip("scipy.integrate").quad

    def reached(gained):  # of what the gains leave, the losses and the worst case need `mean + gained`
        need = (mean + gained) / (1 - gained)
        return beta.pdf(gained, c, n + 1 - c) * (beta.sf(need, b + 1, n - b - c) if n > b + c else float(need <= 1))

    ends = max(0.0, -mean), (1 - mean) / 2
    middle = c / n
    parts = sorted({*ends, *(min(max(middle + k * math.sqrt(middle / n), ends[0]), ends[1]) for k in (-5, -1, 0, 1, 5))})
    exact = sum(quad(reached, low, high, epsabs=1e-12)[0] for low, high in pairwise(parts))
    exact += beta.cdf(ends[0], c, n + 1 - c) if mean < 0 else 0.0
    assert gaffke_p([1.0] * b + [-1.0] * c + [0.0] * (n - b - c), mean, 1) == pytest.approx(exact, abs=1e-9)


def test_gaffke_rewards_an_improvement():
    """Sixty drops of .045 give .73 at 5 %, and .35 once one of them is improved to -1; a t interval would go the other way."""
    assert gaffke_p([0.045] * 60, 0.05, 1) == pytest.approx(0.7298, abs=1e-4)
    assert gaffke_p([0.045] * 59 + [-1.0], 0.05, 1) == pytest.approx(0.3485, abs=1e-4)


@pytest.mark.parametrize(
    ("values", "mean", "highest"),
    [([-1, -0.3, 0, 0, 0.1, 0.25, 0.25, -0.05], 0.2, 1), ([0.5, 0.2, 0.2, 0.1, 0.9], 0.6, 1), ([0.1, -0.4, 0.3], 0.1, 0.5)],
)
def test_gaffke_is_the_dirichlet_probability(values, mean, highest):
    """On uneven values it is the share of Dirichlet weights whose mean, with one worst case added, reaches the limit."""
    np = pytest.importorskip("numpy")
    weights = np.random.default_rng(1).dirichlet([1] * (len(values) + 1), 200_000)
    assert gaffke_p(values, mean, highest) == pytest.approx((weights @ np.array([*values, highest]) >= mean).mean(), abs=0.004)


def both_ways(values, mean, highest=1.0):
    shifted = [value - mean for value in [*values, highest]]
    race = _race([a for a in shifted if a > 0], [-a for a in shifted if a < 0])
    return race, _inverted([(a, 1) for a in shifted if a])


@given(st.lists(grades, min_size=25, max_size=40), grades.map(lambda x: x / 2))
@settings(max_examples=20, deadline=None)
def test_both_ways_of_computing_gaffke_agree(values, mean):
    """The recursion over exponentials and the inverted characteristic function give one probability."""
    values = [0.9 * value + 0.013 for value in values]  # none at the mean itself: few terms would take the inversion too long
    race, inverted = both_ways(values, mean)
    assert race == pytest.approx(inverted, abs=1e-9)
    assert gaffke_p(values, mean, 1.0) == pytest.approx(race, abs=1e-9)


@pytest.mark.parametrize("n", [98, 100, 102, 400])
def test_both_ways_agree_where_one_takes_over_from_the_other(n):
    """Around and far beyond the size at which the way changes, p does not jump, and grouping like values changes nothing."""
    chance = random.Random(n)
    values = [chance.choice([-0.5, -0.25, 0.0, 0.125, 0.5]) for _ in range(2 * n)]
    race, inverted = both_ways(values, 0.01)
    assert gaffke_p(values, 0.01, 1.0) == pytest.approx(race, abs=1e-11)
    assert inverted == pytest.approx(race, abs=1e-11)


def test_gaffke_holds_for_thousands_of_values():
    """Where the sum lies far from 0, or is spread far wider than its largest term, the inversion still gives the exact probability."""
    binom = pytest.importorskip("scipy.stats").binom
    assert gaffke_p([1.0] * 800 + [0.0] * 7200, 0.105, 1) == pytest.approx(binom.cdf(800, 8000, 0.105), abs=1e-9)
    assert gaffke_p([0.9] * 2000 + [-0.1] * 10, 0.05, 1) == pytest.approx(1.0, abs=1e-9)
    assert gaffke_p([-0.9] * 2000 + [0.1] * 10, -0.05, 1) == pytest.approx(0.0, abs=1e-9)


def test_a_race_of_one_against_one():
    """P(a E > b F) is a / (a + b); with two on the one side the memoryless rest gives (a / (a + b))^2."""
    assert _race([3.0], [1.0]) == pytest.approx(0.75)
    assert _race([3.0], [1.0, 1.0]) == pytest.approx(0.75**2)
    assert _race([3.0, 3.0], [1.0]) == pytest.approx(1 - 0.25**2)
    assert _race([2.0], [1.0, 3.0]) == pytest.approx(2 / 3 * 2 / 5)


@given(st.lists(grades, min_size=8, max_size=16), grades.map(lambda x: x / 2), st.data())
@settings(max_examples=60, deadline=None)
def test_gaffke_never_rises_when_a_value_falls(values, mean, data):
    """A smaller drop in one example never makes the mean look larger, in p or in the bound."""
    at = data.draw(st.integers(0, len(values) - 1))
    smaller = [*values[:at], data.draw(st.integers(-20, round(values[at] * 20))) / 20, *values[at + 1 :]]
    assert gaffke_p(smaller, mean, 1) <= gaffke_p(values, mean, 1) + 1e-9
    assert gaffke_bound(smaller, 1) <= gaffke_bound(values, 1) + 1e-6


def test_gaffke_at_its_ends():
    """A mean that every value exceeds cannot be shown, one above the highest possible is certain, and at the mean itself nothing is."""
    assert gaffke_p([0.2, 0.3], 0.1, 1) == 1.0
    assert gaffke_p([0.2, 0.3], 0.2, 1) == 1.0
    assert gaffke_p([0.2, 0.3], 1.5, 1) == 0.0
    assert gaffke_p([0.2, 0.3], 1.0, 1) == 0.0
    assert gaffke_p([1.0, 1.0], 1.0, 1) == 1.0
    assert gaffke_p([1.0 + 1e-13, 0.0], 0.5, 1) == pytest.approx(0.75)


@pytest.mark.parametrize("function", [lambda values, highest: gaffke_p(values, 0.1, highest), gaffke_bound])
def test_gaffke_refuses_what_it_cannot_bound(function):
    """No values, and a value above the highest possible, raise ValueError, from the bound too."""
    with pytest.raises(ValueError, match="at least one value"):
        function([], 0)
    with pytest.raises(ValueError, match=r"1\.5 lies above the highest possible, 1"):
        function([0.2, 1.5], 1)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize(
    ("values", "highest"), [([0.0] * 30, 1), ([1.0] * 3 + [0.0] * 40, 1), ([-0.5, 0.25, 0.1, 0.0] * 20, 1), ([3.0, -2.0, 1.0] * 9, 40)]
)
def test_gaffke_bound_is_where_p_crosses_alpha(values, highest, alpha):
    """A limit just above the bound is shown, one just below is not."""
    bound, step = gaffke_bound(values, highest, alpha), 6e-7 * highest
    assert gaffke_p(values, bound, highest) <= alpha < gaffke_p(values, bound - step, highest)


def test_gaffke_bound_of_a_rate_is_clopper_pearson():
    """On 0/1 data it is the bound of a rate; where all values are the highest it is that; at a level of 100 % it is the mean."""
    assert gaffke_bound([1.0] * 3 + [0.0] * 97, 1) == pytest.approx(stats.rate_bound(3, 100), abs=1.1e-6)
    assert gaffke_bound([1.0] * 5, 1) == 1
    assert gaffke_bound([0.0, 0.5], 1, 1.0) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("n", [2, 46, 100, 500])
@pytest.mark.parametrize("drop", [-0.2, 0.0, 0.03, 0.1])
def test_equal_drops_never_give_a_bound_of_zero_width(n, drop):
    """However many examples agree, the bound stays above their mean by what one worst case can weigh."""
    bound = gaffke_bound([drop] * n, 1)
    assert bound == pytest.approx(drop + (1 - drop) * (1 - 0.05 ** (1 / n)), abs=2e-6)
    assert bound > drop + 1e-3


# Quality retained


@pytest.mark.parametrize(("n", "retained"), [(30, 0.9), (59, 0.95), (200, 0.98)])
def test_quality_retained_of_equal_models(n, retained):
    """Two models that are always right: p is retained^n, and the bound is where that equals alpha."""
    ones = [1.0] * n
    assert stats.retained_p(ones, ones, retained) == pytest.approx(retained**n, abs=1e-9)
    assert stats.retained_bound(ones, ones) == pytest.approx(0.05 ** (1 / n), abs=2e-5)
    assert stats.retained_bound(ones, ones, 0.01) == pytest.approx(0.01 ** (1 / n), abs=2e-5)


def test_quality_retained_is_refuted_by_a_student_that_is_always_wrong():
    """Against a perfect teacher p is (1 / (1 + retained))^n, and the bound is 0."""
    ones, zeros = [1.0] * 5, [0.0] * 5
    assert stats.retained_p_refuted(ones, zeros, 0.95) == pytest.approx((1 / 1.95) ** 5, abs=1e-9)
    assert stats.retained_p(ones, zeros, 0.95) == pytest.approx(1.0)
    assert stats.retained_bound(ones, zeros) == 0.0


def uneven() -> tuple[list[float], list[float]]:
    chance = random.Random(3)
    teacher = [chance.choice([0.5, 0.75, 1.0]) for _ in range(120)]
    return teacher, [max(0.0, score - chance.choice([0.0, 0.0, 0.0, 0.25])) for score in teacher]


def test_quality_retained_is_gaffke_on_the_weighted_difference():
    """Both p values are Gaffke's, on retained * teacher - student and on its negative, each with its own worst case."""
    teacher, student = uneven()
    differences = [0.9 * t - s for t, s in zip(teacher, student, strict=True)]
    assert stats.retained_p(teacher, student, 0.9) == gaffke_p(differences, 0.0, 0.9)
    assert stats.retained_p_refuted(teacher, student, 0.9) == gaffke_p([-x for x in differences], 0.0, 1.0)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_bound_of_quality_retained_is_where_p_crosses_alpha(alpha):
    """A share just below the bound is shown, one just above is not; it lies below the plain ratio, and has 5 digits."""
    teacher, student = uneven()
    bound = stats.retained_bound(teacher, student, alpha)
    assert stats.retained_p(teacher, student, bound - 1e-9) <= alpha < stats.retained_p(teacher, student, bound + 2e-5)
    assert 0.8 < bound < sum(student) / sum(teacher)
    assert bound == round(bound, 5)


def test_a_student_may_keep_more_than_all():
    """A student that is right twice as often keeps more than its teacher had; against a teacher that is never right, no end to it."""
    assert 1.5 < stats.retained_bound([1.0, 0.0] * 200, [1.0, 1.0] * 200) < 2
    assert stats.retained_bound([0.0] * 9, [1.0] * 9) > 1


@pytest.mark.parametrize(("teacher", "student"), [([], []), ([1.0], [1.0, 1.0]), ([1.0], [0.0, 0.0])])
def test_quality_retained_refuses_what_does_not_pair(teacher, student):
    """Series of different length and empty ones raise ValueError, from the bound too."""
    for function in (lambda: stats.retained_p(teacher, student, 0.9), lambda: stats.retained_p_refuted(teacher, student, 0.9)):
        with pytest.raises(ValueError, match="of one length above zero are needed"):
            function()
    with pytest.raises(ValueError, match="of one length above zero are needed"):
        stats.retained_bound(teacher, student)


@pytest.mark.parametrize("retained", [0, -0.5, math.nan])
def test_quality_retained_refuses_a_share_that_is_not_positive(retained):
    """Nothing is shown about keeping nothing."""
    with pytest.raises(ValueError, match="must be positive; seen"):
        stats.retained_p([1.0], [1.0], retained)


# The audit bound


def judged() -> tuple[list[float], list[float], float]:
    """400 examples of which the judge calls 40 different, and an audit of 100 of the rest."""
    discordant = [1.0] * 14 + [-1.0] * 8 + [0.0] * 378
    return discordant, [1.0] * 2 + [-1.0] + [0.0] * 97, 0.9


def test_the_audit_bound_joins_two_bounds_by_squares():
    """It is the estimate plus the root of the sum of both squared widths, the audit's scaled by its share."""
    discordant, audited, share = judged()
    first, second = 6 / 400, 1 / 100
    widths = gaffke_bound(discordant, 1, 0.1) - first, share * (gaffke_bound(audited, 1, 0.1) - second)
    assert audit_bound(discordant, audited, share, 0.1) == pytest.approx(first + share * second + math.hypot(*widths), abs=1e-9)


def test_an_audit_of_no_share_leaves_the_judged_part():
    """Where the judge saw a difference in every example, the bound is Gaffke's of what people said."""
    discordant, audited, _ = judged()
    assert audit_bound(discordant, audited, 0.0) == pytest.approx(gaffke_bound(discordant, 1), abs=1e-9)
    assert audit_bound([0.0] * 400, [0.0] * 59, 1.0) == pytest.approx(math.hypot(1 - 0.05 ** (1 / 400), 1 - 0.05 ** (1 / 59)), abs=2e-6)


@pytest.mark.parametrize("margin", [0.03, 0.05, 0.08])
def test_the_p_value_of_an_audit_is_where_its_bound_meets_the_margin(margin):
    """Just above p the bound is at most the margin, just below it is not."""
    p = audit_p(*judged(), margin)
    assert 0 < p < 1
    assert audit_bound(*judged(), min(p + 1e-5, 1)) <= margin < audit_bound(*judged(), max(p - 1e-5, 1e-6))


def test_the_audit_decides_as_its_bound_does():
    """p is at most alpha exactly where the bound is at most the margin."""
    bound = audit_bound(*judged())
    assert audit_p(*judged(), bound + 1e-4) <= ALPHA < audit_p(*judged(), bound - 1e-4)


def test_an_estimate_above_the_margin_is_not_shown_at_any_level():
    """p is 1 where the plain estimate already exceeds the margin, and below where it lies within."""
    assert audit_p(*judged(), 0.0239) == 1.0
    assert audit_p(*judged(), 0.0245) < 1.0
    assert audit_p([0.0] * 400, [0.0] * 400, 1.0, 0.5) == pytest.approx(5e-6, abs=5e-6)


@pytest.mark.parametrize(("discordant", "audited"), [([0.0] * 400, []), ([], [0.0] * 100)])
def test_without_an_audit_nothing_is_shown(discordant, audited):
    """No audited example, or none at all, raises ValueError: a judge alone gives no bound and no p."""
    with pytest.raises(ValueError, match="needs examples and an audit"):
        audit_bound(discordant, audited, 0.9)
    with pytest.raises(ValueError, match="needs examples and an audit"):
        audit_p(discordant, audited, 0.9, 0.05)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_an_impossible_share_is_refused(share):
    """The share of examples on which the judge saw no difference lies from 0 to 1."""
    with pytest.raises(ValueError, match="from 0 to 1; seen"):
        audit_bound([0.0], [0.0], share)
