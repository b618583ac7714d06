"""The exact tests, bounds and the planner: published values, brute force as a second opinion, and laws that must hold."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill import stats
from pytest_distill.stats import ALPHA, drop_bound, drop_p, drop_p_refuted, fewest_examples, gaffke_p

M = 0.05


def counts(largest: int = 60):
    """(b, c, n) with b + c <= n."""
    return st.integers(1, largest).flatmap(lambda n: st.integers(0, n).flatmap(lambda b: st.integers(0, n - b).map(lambda c: (b, c, n))))


# The exact test


@pytest.mark.parametrize(("counted", "p"), [((0, 0, 59), 0.0485), ((2, 0, 46), 0.5940), ((3, 1, 200), 0.0073), ((9, 3, 300), 0.0188)])
def test_drop_p_keeps_its_regression_values(counted, p):
    """The p value that the drop is at most 5 % is the one of specs/statistics.md."""
    assert drop_p(*counted, M) == pytest.approx(p, abs=3e-4)


@pytest.mark.parametrize(
    ("counted", "five", "ten"),
    [((4, 0, 46), 0.921, 0.507), ((3, 0, 46), 0.803, 0.312), ((2, 0, 46), 0.594, 0.148), ((3, 1, 46), 0.594, 0.160)],
)
def test_drop_p_at_46_examples_is_the_table_of_the_naive_rule(counted, five, ten):
    """A common size, 46 examples, gives the exact p values of the table in section 1."""
    assert (drop_p(*counted, 0.05), drop_p(*counted, 0.10)) == (pytest.approx(five, abs=6e-4), pytest.approx(ten, abs=6e-4))


@pytest.mark.parametrize(("n", "most"), [(59, 0), (100, 1), (150, 2), (200, 4), (300, 8), (500, 16)])
def test_the_most_losses_that_still_pass(n, most):
    """Without any gain, 5 % is shown with `most` losses among n examples and not with one more."""
    assert drop_p(most, 0, n, M) <= ALPHA < drop_p(most + 1, 0, n, M)


@pytest.mark.parametrize(("n", "margin"), [(1, 0.02), (149, 0.02), (30, 0.05), (58, 0.05), (59, 0.05), (1, 0.1), (20, 0.1)])
def test_no_discordance_has_a_closed_form(n, margin):
    """With no discordant pair and n not far above the fewest that can pass, p is (1 - M)^n."""
    assert drop_p(0, 0, n, margin) == pytest.approx((1 - margin) ** n, abs=1e-9)


@pytest.mark.parametrize(("n", "margin"), [(29, 0.1), (149, 0.05), (500, 0.02)])
def test_no_discordance_is_never_surer_than_the_closed_form(n, margin):
    """For larger n tables with as many gains as losses count as extreme too, so p lies above (1 - M)^n, and still below alpha."""
    assert (1 - margin) ** n < drop_p(0, 0, n, margin) <= ALPHA


def brute_p(b: int, c: int, n: int, margin: float) -> tuple[float, float]:
    """Both p values by summing the joint distribution of (lost, gained) over every table that is as extreme."""
    np, binom = pytest.importorskip("numpy"), pytest.importorskip("scipy.stats").binom
    lost, gained = np.mgrid[: n + 1, : n + 1]
    linear = -lost - gained + (2 * n - lost + gained) * margin
    q = (np.sqrt(linear**2 + 8 * n * gained * margin * (1 - margin)) - linear) / (4 * n)
    z = (lost - gained - n * margin) / np.sqrt(n * (2 * q + margin * (1 - margin)))
    possible, seen = lost + gained <= n, z[b, c]
    low, high = max(0.0, -margin), (1 - margin) / 2
    shown, refuted = 0.0, 0.0
    for p_gained in low + (high - low) / 2 * (1 - np.cos(np.pi * np.arange(81) / 80)):
        p_lost = np.clip((p_gained + margin) / (1 - p_gained), 0, 1)
        joint = binom.pmf(gained, n, p_gained) * binom.pmf(lost, np.maximum(n - gained, 0), p_lost) * possible
        shown = max(shown, joint[z <= seen + 1e-9].sum())
        refuted = max(refuted, 1 - joint[z < seen - 1e-9].sum())
    return shown, refuted


def random_tables() -> list[tuple[int, int, int, float]]:
    chance = random.Random(5)
    found = [(0, 3, 20, 0.05), (20, 0, 20, 0.05), (0, 20, 20, 0.1), (1, 0, 1, 0.02)]
    while len(found) < 16:
        n = chance.randint(2, 45)
        b = chance.randint(0, min(n, 9))
        found.append((b, chance.randint(0, min(n - b, 9)), n, chance.choice([0.02, 0.05, 0.1, 0.3, -0.04])))
    return found


@pytest.mark.parametrize(("b", "c", "n", "margin"), random_tables())
def test_both_p_values_agree_with_brute_force(b, c, n, margin):
    """Summing every table's probability with SciPy gives the same two p values."""
    shown, refuted = brute_p(b, c, n, margin)
    assert drop_p(b, c, n, margin) == pytest.approx(shown, abs=1e-9)
    assert drop_p_refuted(b, c, n, margin) == pytest.approx(refuted, abs=1e-9)


def edges(n: int, holds) -> list[int]:
    """For each c how many of b = 0, 1, ... from the start satisfy `holds`."""
    found, b = [], 0
    for c in range(n + 1):
        while b <= n - c and holds(b, c):
            b += 1
        found.append(min(b, n - c + 1))
    return found


def passes(n: int):
    return lambda b, c: drop_p(b, c, n, M) <= ALPHA


def not_refuted(n: int):
    return lambda b, c: drop_p_refuted(b, c, n, M) > ALPHA


@pytest.mark.parametrize("law", [passes, not_refuted])
def test_decisions_at_30_examples_are_monotone(law):
    """Among all tables of 30 examples one loss more never turns a decision for the better, one gain more never for the worse."""
    holds, edge = law(30), edges(30, law(30))
    assert all(holds(b, c) == (b < edge[c]) for c in range(31) for b in range(31 - c))


@pytest.mark.parametrize("n", [30, 46, 59, 100, 200])
def test_the_size_of_pass_and_of_refuted_is_five_percent(n):
    """At a true drop of exactly 5 % neither answer comes up more often than 5.02 %, whatever the nuisance."""
    np, binom = pytest.importorskip("numpy"), pytest.importorskip("scipy.stats").binom
    gained = np.arange(n + 1)
    q = ((1 - M) / 4 * (1 - np.cos(np.pi * np.arange(400) / 399)))[:, None]
    lost = np.clip((q + M) / (1 - q), 0, 1)

    def below(edge):
        return (binom.pmf(gained, n, q) * binom.cdf(np.array(edge) - 1, n - gained, lost)).sum(axis=1)

    shown, refuted = below(edges(n, passes(n))).max(), 1 - below(edges(n, not_refuted(n))).min()
    assert 0.03 < shown <= 0.0502
    assert 0.03 < refuted <= 0.0502


@given(counts(), st.sampled_from([0.02, 0.05, 0.1]))
@settings(max_examples=60, deadline=None)
def test_correcting_a_student_error_never_raises_p(counted, margin):
    """Whether the mended answer was lost or wrong on both sides, p that the drop is small does not rise, nor does refuting get easier."""
    b, c, n = counted
    better = ([(b - 1, c, n)] if b else []) + ([(b, c + 1, n)] if b + c < n else [])
    for mended in better:
        assert drop_p(*mended, margin) <= drop_p(*counted, margin) + 1e-12
        assert drop_p_refuted(*mended, margin) >= drop_p_refuted(*counted, margin) - 1e-12


@given(counts(200), st.sampled_from([0.01, 0.05, 0.2, -0.05]))
@settings(max_examples=60, deadline=None)
def test_p_values_are_probabilities_that_do_not_both_decide(counted, margin):
    """Both p values lie in 0..1 and together cover the observed table, so that no table is shown and refuted at once."""
    shown, refuted = drop_p(*counted, margin), drop_p_refuted(*counted, margin)
    assert 0 <= shown <= 1
    assert 0 <= refuted <= 1
    assert shown + refuted >= 1 - 1e-9


@pytest.mark.parametrize(("b", "c", "n"), [(0, 0, 59), (7, 2, 200), (3, 1, 46), (0, 5, 50), (16, 0, 500), (9, 3, 300), (0, 0, 1)])
def test_drop_bound_is_where_p_crosses_alpha(b, c, n):
    """A margin just above the bound is shown, one just below is not, and further away it stays so."""
    bound = drop_bound(b, c, n)
    assert drop_p(b, c, n, bound + 2e-5) <= ALPHA < drop_p(b, c, n, bound - 2e-5)
    away = [k / 8 for k in (1, 2, 3, 5, 8)]
    assert all(drop_p(b, c, n, bound + k * (0.999 - bound)) <= ALPHA for k in away)
    assert all(drop_p(b, c, n, bound - k * (bound + 0.5)) > ALPHA for k in away)


def test_drop_bound_at_its_ends():
    """With no discordant pair the bound is 1 - alpha^(1/n) at 59 examples; when everything is lost it is 1."""
    assert drop_bound(0, 0, 59) == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-5)
    assert drop_bound(4, 0, 4) == 1.0
    assert drop_bound(0, 4, 4) > -1


@pytest.mark.parametrize("counted", [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(counted):
    """Negative counts, more discordant pairs than examples, and no examples raise ValueError with the counts."""
    for function in (drop_p, drop_p_refuted):
        with pytest.raises(ValueError, match=rf"b={counted[0]}, c={counted[1]}, n={counted[2]}"):
            function(*counted, M)
    with pytest.raises(ValueError, match="counts must satisfy"):
        drop_bound(*counted)


@pytest.mark.parametrize("margin", [1.0, -1.0, 5, math.nan])
def test_a_margin_outside_its_range_is_refused(margin):
    """A margin lies between -1 and 1; NaN does not."""
    with pytest.raises(ValueError, match="the margin must lie between"):
        drop_p(0, 0, 10, margin)


# Tango's score


def crossing(b: int, c: int, n: int, z: float) -> float:
    """The margin at which the score, which falls as the margin grows, equals z."""
    low, high = -1 + 1e-9, 1 - 1e-9
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if stats.tango_score(b, c, n, middle) > z else (low, middle)
    return low


@pytest.mark.parametrize(
    ("counted", "z", "interval"),
    [
        ((9, 3, 32), 1.959964, (-0.027, 0.390)),
        ((0, 1, 44), 1.644854, (-0.096, 0.037)),
        ((16, 8, 86), 1.959964, (-0.020, 0.207)),
        ((1, 7, 21), 1.959964, (-0.517, -0.026)),
        ((3, 1, 14), 1.959964, (-0.1670, 0.4327)),
        ((25, 2, 102), 1.959964, (0.139, 0.321)),
        ((6, 16, 161), 1.959964, (-0.1240, -0.0054)),
        ((3, 0, 3), 1.959964, (-0.1230, 1)),
    ],
    ids=["tango-7", "tango-5", "agresti-min", "bentur", "tang", "chang", "cavo", "degenerate"],
)
def test_the_score_rebuilds_published_intervals(counted, z, interval):
    """Where the score crosses the normal quantiles lie the intervals that Tango, Fagerland, Tang and Cavo printed."""
    assert (crossing(*counted, z), crossing(*counted, -z)) == pytest.approx(interval, abs=6e-4)


@pytest.mark.parametrize(("b", "c", "n", "margin"), [(9, 3, 32, 0.05), (2, 5, 46, 0.1), (7, 2, 200, 0.05), (4, 6, 40, -0.1)])
def test_the_score_stands_at_the_restricted_maximum_likelihood(b, c, n, margin):
    """Its variance is taken at the q that maximises the likelihood when the drop equals the margin."""
    minimize = pytest.importorskip("scipy.optimize").minimize_scalar

    def unlikely(q):
        return -(b * math.log(q + margin) + c * math.log(q) + (n - b - c) * math.log(1 - 2 * q - margin))

    low, high = max(0.0, -margin) + 1e-9, (1 - margin) / 2 - 1e-9
    q = minimize(unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    z = (b - c - n * margin) / math.sqrt(n * (2 * q + margin * (1 - margin)))
    assert stats.tango_score(b, c, n, margin) == pytest.approx(z, abs=1e-5)


# Gaffke's bound


@pytest.mark.parametrize(("n", "mean"), [(1, 0.05), (46, 0.05), (59, 0.05), (200, 0.02)])
def test_gaffke_on_zeros(n, mean):
    """Nothing but zeros gives (1 - M)^n."""
    assert gaffke_p([0.0] * n, mean, 1) == pytest.approx((1 - mean) ** n, abs=1e-9)


@pytest.mark.parametrize(("b", "n", "mean"), [(0, 30, 0.1), (1, 46, 0.05), (3, 100, 0.05), (16, 200, 0.1), (5, 5, 0.4)])
def test_gaffke_on_zeros_and_ones_is_clopper_pearson(b, n, mean):
    """On 0/1 data it is the binomial distribution function."""
    exact = sum(math.comb(n, k) * mean**k * (1 - mean) ** (n - k) for k in range(b + 1))
    assert gaffke_p([1.0] * b + [0.0] * (n - b), mean, 1) == pytest.approx(exact, abs=1e-9)


def test_gaffke_rewards_an_improvement():
    """Sixty drops of .045 give .73 at 5 %, and .35 once one of them is improved to -1; a t interval would go the other way."""
    assert gaffke_p([0.045] * 60, 0.05, 1) == pytest.approx(0.7298, abs=1e-4)
    assert gaffke_p([0.045] * 59 + [-1.0], 0.05, 1) == pytest.approx(0.3485, abs=1e-4)


def test_gaffke_is_the_dirichlet_probability():
    """On uneven values it is the share of Dirichlet weights whose mean, with one worst case added, reaches the limit."""
    np = pytest.importorskip("numpy")
    values = [-1, -0.3, 0, 0, 0.1, 0.25, 0.25, -0.05]
    weights = np.random.default_rng(1).dirichlet([1] * (len(values) + 1), 200_000)
    assert gaffke_p(values, 0.2, 1) == pytest.approx((weights @ np.array([*values, 1]) >= 0.2).mean(), abs=0.004)


grades = st.integers(-20, 20).map(lambda x: x / 20)


@given(st.lists(grades, min_size=8, max_size=16), grades.map(lambda x: x / 2), st.data())
@settings(max_examples=60, deadline=None)
def test_gaffke_never_rises_when_a_value_falls(values, mean, data):
    """A smaller drop in one example never makes the mean look larger."""
    at = data.draw(st.integers(0, len(values) - 1))
    smaller = [*values[:at], data.draw(st.integers(-20, round(values[at] * 20))) / 20, *values[at + 1 :]]
    assert gaffke_p(smaller, mean, 1) <= gaffke_p(values, mean, 1) + 1e-9


def test_gaffke_at_its_ends():
    """A mean that every value exceeds cannot be shown, one above the highest possible is certain; bad input is refused."""
    assert gaffke_p([0.2, 0.3], 0.1, 1) == 1.0
    assert gaffke_p([0.2, 0.3], 1.5, 1) == 0.0
    with pytest.raises(ValueError, match="at least one value"):
        gaffke_p([], 0.1, 1)
    with pytest.raises(ValueError, match=r"1\.5 lies above the highest possible, 1"):
        gaffke_p([1.5], 0.1, 1)


@pytest.mark.parametrize(("n", "retained"), [(30, 0.9), (59, 0.95), (200, 0.98)])
def test_quality_retained_of_equal_models(n, retained):
    """Two models that are always right: p is retained^n, and the bound is where that equals alpha."""
    ones = [1.0] * n
    assert stats.retained_p(ones, ones, retained) == pytest.approx(retained**n, abs=1e-9)
    assert stats.retained_bound(ones, ones) == pytest.approx(0.05 ** (1 / n), abs=2e-5)


def test_quality_retained_is_refuted_by_a_student_that_is_always_wrong():
    """Against a perfect teacher p is (1 / (1 + retained))^n, and the bound is 0."""
    ones, zeros = [1.0] * 5, [0.0] * 5
    assert stats.retained_p_refuted(ones, zeros, 0.95) == pytest.approx((1 / 1.95) ** 5, abs=1e-9)
    assert stats.retained_p(ones, zeros, 0.95) == pytest.approx(1.0)
    assert stats.retained_bound(ones, zeros) == 0.0


@pytest.mark.parametrize(("teacher", "student", "retained"), [([], [], 0.9), ([1.0], [1.0, 1.0], 0.9), ([1.0], [1.0], 0)])
def test_quality_retained_refuses_what_does_not_pair(teacher, student, retained):
    """Series of different length, empty ones, and a retained share that is not positive raise ValueError."""
    with pytest.raises(ValueError, match=r"are needed|must be positive"):
        stats.retained_p(teacher, student, retained)


# The sign test and the order statistic


@pytest.mark.parametrize(("wins", "n"), [(20, 30), (32, 50), (59, 100)])
def test_the_fewest_wins_that_show_a_speed_gain(wins, n):
    """20 of 30, 32 of 50 and 59 of 100 wins are shown, one less is not."""
    assert stats.sign_p(wins, n) <= ALPHA < stats.sign_p(wins - 1, n)


def test_sign_p_is_the_binomial_tail():
    """It is exact: 1 for no wins, 2^-n for all of them, 11/1024 for nine of ten."""
    assert (stats.sign_p(0, 7), stats.sign_p(7, 7), stats.sign_p(9, 10)) == (1.0, 2**-7, 11 / 1024)
    with pytest.raises(ValueError, match="wins=4, n=3"):
        stats.sign_p(4, 3)


@pytest.mark.parametrize(("n", "rank"), [(30, 11), (50, 19), (100, 42), (5, 1)])
def test_the_median_bound_is_an_order_statistic(n, rank):
    """The lower bound of the median is the 11th, 19th or 42nd smallest of 30, 50 or 100 ratios, in whatever order they come."""
    ratios = list(range(1, n + 1))
    random.Random(n).shuffle(ratios)
    assert stats.median_bound(ratios) == rank


def test_the_median_bound_needs_five_ratios():
    """Below five ratios there is none; at 2.5 % the fifth of nineteen is the one that statpsych prints."""
    assert stats.median_bound([2.0] * 4) is None
    assert stats.median_bound([]) is None
    assert stats.median_bound(range(1, 20), 0.025) == 5


# The planner


@pytest.mark.parametrize(("b", "c", "fewest"), [(0, 0, 59), (1, 0, 93), (2, 0, 124), (3, 0, 153), (4, 0, 181), (3, 1, 132)])
def test_the_fewest_examples_that_could_pass(b, c, fewest):
    """The planner's best case is the published one, and it is exact: one example less does not pass."""
    assert fewest_examples(b, c, M) == fewest
    assert drop_p(b, c, fewest, M) <= ALPHA < drop_p(b, c, fewest - 1, M)


def test_the_fewest_examples_at_other_margins():
    """With no discordant pair 10 % needs 29 examples and 2 % needs 149; a margin of 0 is refused."""
    assert (fewest_examples(0, 0, 0.1), fewest_examples(0, 0, 0.02)) == (29, 149)
    with pytest.raises(ValueError, match="between 0 and 1; seen 0"):
        fewest_examples(0, 0, 0)


@pytest.mark.parametrize(
    ("drop", "power", "planned"),
    [
        (0.00, 0.8, (107, 147, 188, 230, 274, 389)),
        (0.00, 0.9, (134, 192, 251, 312, 374, 534)),
        (0.01, 0.8, (155, 218, 283, 350, 420, 601)),
        (0.01, 0.9, (196, 288, 381, 476, 574, 827)),
        (0.02, 0.8, (253, 365, 482, 604, 730, 1055)),
        (0.02, 0.9, (322, 485, 652, 824, 1001, 1456)),
    ],
)
def test_examples_for_power_are_those_of_the_table(drop, power, planned):
    """For discordances of 2 to 15 % the formula gives the planned sizes to within 3 %."""
    assert [stats.examples_for_power(psi, drop, M, power) for psi in (0.02, 0.04, 0.06, 0.08, 0.1, 0.15)] == pytest.approx(
        planned, rel=0.03
    )


def test_examples_for_power_refuses_a_drop_at_the_margin():
    """No number of examples shows a drop that is not there: the true drop must lie below the margin."""
    with pytest.raises(ValueError, match=r"seen 0\.05 and 0\.05"):
        stats.examples_for_power(0.1, 0.05, 0.05)
