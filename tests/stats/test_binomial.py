"""Rates, the sign test and order statistics: published values and SciPy as a second opinion."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill import stats
from pytest_distill.stats import ALPHA
from pytest_distill.stats.binomial import binomial_pmf

TABLES = [
    (0, 1, 0.3),
    (0, 59, 0.05),
    (1, 1, 0.2),
    (3, 40, 0.05),
    (7, 40, 0.05),
    (20, 40, 0.5),
    (40, 40, 0.9),
    (17, 300, 0.1),
    (95, 1000, 0.08),
]


@pytest.mark.parametrize(("k", "n", "p"), [*TABLES, (5, 2000, 0.3), (1990, 2000, 0.3)])
def test_the_binomial_distribution_is_scipys(k, n, p):
    """Both tails and the point probability agree with SciPy, far out too."""
    binom = pytest.importorskip("scipy.stats").binom
    assert binomial_pmf(k, n, p) == pytest.approx(binom.pmf(k, n, p), rel=1e-9)
    assert stats.binomial_cdf(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=1e-9)


@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_the_binomial_distribution_is_its_sum(n):
    """It is the sum of the first terms, for every count and many chances."""
    for p in (0.0, 0.01, 0.3, 0.5, 0.77, 1.0):
        terms = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
        assert [binomial_pmf(k, n, p) for k in range(-1, n + 2)] == pytest.approx([0, *terms, 0], abs=1e-13)
        assert [stats.binomial_cdf(k, n, p) for k in range(-1, n + 2)] == pytest.approx(
            [sum(terms[: k + 1]) if k < n else 1.0 for k in range(-1, n + 2)], abs=1e-13
        )


# One model's rate


@pytest.mark.parametrize(("k", "n", "limit"), TABLES)
def test_the_p_values_of_a_rate_are_scipys(k, n, limit):
    """They are the two one-sided exact binomial tests."""
    binomtest = pytest.importorskip("scipy.stats").binomtest
    assert stats.rate_p(k, n, limit) == pytest.approx(binomtest(k, n, limit, alternative="less").pvalue, rel=1e-9)
    assert stats.rate_p_refuted(k, n, limit) == pytest.approx(binomtest(k, n, limit, alternative="greater").pvalue, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.2])
@pytest.mark.parametrize(("k", "n", "_"), TABLES)
def test_the_bound_of_a_rate_is_a_quantile_of_beta(k, n, _, alpha):
    """The upper bound of Clopper and Pearson is a quantile of the beta distribution, to 6 digits, and 1 where everything was counted."""
    beta = pytest.importorskip("scipy.stats").beta
    assert stats.rate_bound(k, n, alpha) == round(stats.rate_bound(k, n, alpha), 6)
    assert stats.rate_bound(k, n, alpha) == pytest.approx(1.0 if k == n else beta.ppf(1 - alpha, k + 1, n - k), abs=1.1e-6)


def test_a_rate_of_nothing_has_a_closed_form():
    """No event in n shows a limit with (1 - limit)^n, one event in one refutes it with the limit itself."""
    assert stats.rate_p(0, 59, 0.05) == pytest.approx(0.95**59, abs=1e-12)
    assert stats.rate_p_refuted(1, 1, 0.05) == pytest.approx(0.05, abs=1e-12)
    assert stats.rate_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-6)
    assert (stats.rate_p(3, 9, 0.0), stats.rate_p(3, 9, 1.0), stats.rate_p_refuted(3, 9, 0.0), stats.rate_p_refuted(0, 9, 0.5)) == (
        1,
        0,
        0,
        1,
    )


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_of_a_rate_are_refused(k, n):
    """Negative counts, more than there are, and none at all raise ValueError with the counts."""
    for function in (lambda: stats.rate_p(k, n, 0.1), lambda: stats.rate_p_refuted(k, n, 0.1), lambda: stats.rate_bound(k, n)):
        with pytest.raises(ValueError, match=f"seen k={k}, n={n}"):
            function()


@pytest.mark.parametrize("limit", [-0.01, 1.01, math.nan])
def test_an_impossible_limit_of_a_rate_is_refused(limit):
    """A rate's limit lies from 0 to 1."""
    for function in (stats.rate_p, stats.rate_p_refuted):
        with pytest.raises(ValueError, match="from 0 to 1; seen"):
            function(1, 5, limit)


@pytest.mark.parametrize(
    ("k", "limit", "fewest"), [(0, 0.05, 59), (0, 0.1, 29), (0, 0.02, 149), (1, 0.05, 93), (2, 0.05, 124), (7, 1.0, 8), (0, 1.0, 1)]
)
def test_the_fewest_that_show_a_rate(k, limit, fewest):
    """The smallest n is exact: one less does not show it."""
    assert stats.fewest_for_rate(k, limit) == fewest
    assert stats.rate_p(k, fewest, limit) <= ALPHA
    assert fewest == max(k, 1) or stats.rate_p(k, fewest - 1, limit) > ALPHA


def test_the_fewest_that_show_a_rate_may_be_none():
    """A limit of 0 can never be shown, nor one that takes more than 100,000; and the level counts."""
    assert stats.fewest_for_rate(0, 0.0) is None
    just, never = (-math.expm1(math.log(0.05) / n) for n in (99_999.5, 100_000.5))
    assert (stats.fewest_for_rate(0, just), stats.fewest_for_rate(0, never)) == (100_000, None)
    assert stats.fewest_for_rate(100_001, 0.5) is None
    assert stats.fewest_for_rate(0, 0.05, 0.01) == 90
    assert stats.fewest_for_rate(3, 0.5, 1.0) == 3
    with pytest.raises(ValueError, match="k=-1"):
        stats.fewest_for_rate(-1, 0.1)


# The sign test and order statistics


@pytest.mark.parametrize(("wins", "n"), [(20, 30), (32, 50), (59, 100)])
def test_the_fewest_wins_that_show_a_speed_gain(wins, n):
    """20 of 30, 32 of 50 and 59 of 100 wins are shown, one less is not."""
    assert stats.sign_p(wins, n) <= ALPHA < stats.sign_p(wins - 1, n)


def test_sign_p_is_the_binomial_tail():
    """It is exact: 1 for no wins, 2^-n for all of them, 11/1024 for nine of ten; of one and of 2,000 too."""
    assert (stats.sign_p(0, 1), stats.sign_p(1, 1)) == (1.0, 0.5)
    assert (stats.sign_p(0, 7), stats.sign_p(7, 7), stats.sign_p(9, 10)) == (1.0, 2**-7, 11 / 1024)
    assert stats.sign_p(1000, 2000) + stats.sign_p(1001, 2000) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("wins", "n"), [(4, 3), (-1, 3), (0, 0)])
def test_impossible_wins_are_refused(wins, n):
    """More wins than prompts, fewer than none, and no prompts raise ValueError."""
    with pytest.raises(ValueError, match=f"wins={wins}, n={n}"):
        stats.sign_p(wins, n)


@pytest.mark.parametrize(("n", "rank"), [(30, 11), (50, 19), (100, 42), (5, 1), (7, 1), (8, 2)])
def test_the_median_bound_is_an_order_statistic(n, rank):
    """The lower bound of the median is the 11th, 19th or 42nd smallest of 30, 50 or 100 ratios, in whatever order they come."""
    ratios = list(range(1, n + 1))
    random.Random(n).shuffle(ratios)
    assert stats.median_bound(ratios) == rank


def test_the_median_bound_needs_five_ratios():
    """Below five ratios there is none; a level that is met exactly counts."""
    assert stats.median_bound([2.0] * 4) is None
    assert stats.median_bound([]) is None
    assert stats.median_bound([2.0, 1.0], 0.25) == 1.0
    assert stats.median_bound([2.0], 1.0) == 2.0


def test_the_median_bound_holds_for_thousands_of_ratios():
    """From 1,024 values on the powers of two no longer fit a float; the bound stays the binomial quantile."""
    binom = pytest.importorskip("scipy.stats").binom
    assert stats.median_bound(range(1, 3001)) == binom.ppf(0.05, 3000, 0.5)


def test_the_median_interval_of_statpsych():
    """The 95 % interval of the median of its 19 example scores runs from the 5th to the 15th, 10.8 to 30.9, as statpsych prints it."""
    order = random.Random(1).sample(range(1, 20), 19)
    assert (stats.median_bound(order, 0.025), stats.percentile_bound(order, 0.5, 0.025)) == (5, 15)


@pytest.mark.parametrize(
    ("share", "alpha", "fewest"), [(0.9, 0.05, 29), (0.95, 0.05, 59), (0.99, 0.05, 299), (0.5, 0.05, 5), (0.95, 0.01, 90)]
)
def test_the_fewest_values_that_bound_a_percentile(share, alpha, fewest):
    """A finite bound needs 29, 59 and 299 values; with one less there is none, and with just enough it is the largest."""
    assert stats.fewest_for_percentile(share, alpha) == fewest
    assert stats.percentile_bound(range(fewest - 1), share, alpha) is None
    assert stats.percentile_bound(range(fewest), share, alpha) == fewest - 1


def test_a_rare_percentile_is_bounded_by_the_smallest_value():
    """The first percentile of three values lies below the smallest of them with a chance of 97 %."""
    assert stats.percentile_bound([3, 1, 2], 0.01) == 1


@given(st.lists(st.integers(0, 50), min_size=1, max_size=120), st.sampled_from([0.3, 0.5, 0.9, 0.95]), st.sampled_from([0.05, 0.01]))
@settings(max_examples=60, deadline=None)
def test_a_percentile_bound_is_the_smallest_order_statistic_that_holds(values, share, alpha):
    """The rank is the binomial quantile at 1 - alpha, plus one; None where that is beyond the last value."""
    binom = pytest.importorskip("scipy.stats").binom
    rank = int(binom.ppf(1 - alpha, len(values), share)) + 1
    expected = sorted(values)[rank - 1] if rank <= len(values) else None
    assert stats.percentile_bound(values, share, alpha) == expected


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5, math.nan])
def test_a_percentile_outside_its_range_is_refused(share):
    """A percentile's share lies between 0 and 1."""
    with pytest.raises(ValueError, match="between 0 and 1; seen"):
        stats.percentile_bound([1.0, 2.0], share)
    with pytest.raises(ValueError, match="between 0 and 1; seen"):
        stats.fewest_for_percentile(share)
