"""The exact test of paired answers: published values, brute force as a second opinion, and laws that must hold."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.stats import ALPHA, drop_bound, drop_chances, drop_p, drop_p_refuted, drop_regions, tango_score
from pytest_distill.stats.paired import _probability, _region

M = 0.05


def counts(largest: int = 60):
    """(b, c, n) with b + c <= n."""
    return st.integers(1, largest).flatmap(lambda n: st.integers(0, n).flatmap(lambda b: st.integers(0, n - b).map(lambda c: (b, c, n))))


# Tango's score


def crossing(b: int, c: int, n: int, z: float) -> float:
    """The margin at which the score, which falls as the margin grows, equals z."""
    low, high = -1 + 1e-9, 1 - 1e-9
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tango_score(b, c, n, middle) > z else (low, middle)
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
        ((4, 0, 46), 1.644854, (0.027, 0.180)),
        ((3, 0, 46), 1.644854, (0.006, 0.152)),
        ((2, 0, 46), 1.644854, (-0.014, 0.123)),
        ((3, 1, 46), 1.644854, (-0.037, 0.135)),
    ],
    ids=["tango-7", "tango-5", "agresti-min", "bentur", "tang", "chang", "cavo", "degenerate", "4-0", "3-0", "2-0", "3-1"],
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
    assert tango_score(b, c, n, margin) == pytest.approx(z, abs=1e-5)


def test_the_score_without_a_margin_is_mcnemars():
    """At margin 0 it is (b - c) / sqrt(b + c), and 0 where nothing is discordant."""
    assert tango_score(9, 2, 40, 0.0) == pytest.approx(7 / math.sqrt(11), abs=1e-12)
    assert tango_score(0, 0, 40, 0.0) == 0.0


# The p values


@pytest.mark.parametrize(
    ("counted", "p"),
    [((0, 0, 59), 0.0485), ((2, 0, 46), 0.5940), ((3, 1, 200), 0.0073), ((9, 3, 300), 0.0188)],
)
def test_drop_p_keeps_its_regression_values(counted, p):
    """The p value that the drop is at most 5 % is the published one."""
    assert drop_p(*counted, M) == pytest.approx(p, abs=6e-5)


@pytest.mark.parametrize(
    ("counted", "five", "ten"),
    [((4, 0, 46), 0.921, 0.507), ((3, 0, 46), 0.803, 0.312), ((2, 0, 46), 0.594, 0.148), ((3, 1, 46), 0.594, 0.160)],
)
def test_drop_p_at_46_examples_is_the_table_of_the_naive_rule(counted, five, ten):
    """A common size, 46 examples, gives the exact p values of the table."""
    assert (drop_p(*counted, 0.05), drop_p(*counted, 0.10)) == (pytest.approx(five, abs=6e-4), pytest.approx(ten, abs=6e-4))


@pytest.mark.parametrize(("n", "most"), [(59, 0), (100, 1), (150, 2), (200, 4), (300, 8), (500, 16)])
def test_the_most_losses_that_still_pass(n, most):
    """Without any gain, 5 % is shown with `most` losses among n examples and not with one more."""
    assert drop_p(most, 0, n, M) <= ALPHA < drop_p(most + 1, 0, n, M)
    assert drop_regions(n, M)[0][0] == most


@pytest.mark.parametrize(("n", "margin"), [(1, 0.02), (149, 0.02), (30, 0.05), (58, 0.05), (59, 0.05), (1, 0.1), (20, 0.1)])
def test_no_discordance_has_a_closed_form(n, margin):
    """With no discordant pair and n not far above the fewest that can pass, p is (1 - M)^n."""
    assert drop_p(0, 0, n, margin) == pytest.approx((1 - margin) ** n, abs=1e-9)


@pytest.mark.parametrize(("n", "margin"), [(29, 0.1), (149, 0.05), (500, 0.02)])
def test_no_discordance_is_never_surer_than_the_closed_form(n, margin):
    """For larger n tables with as many gains as losses count as extreme too, so p lies above (1 - M)^n, and still below alpha."""
    assert (1 - margin) ** n < drop_p(0, 0, n, margin) <= ALPHA


def test_without_a_margin_it_is_the_exact_unconditional_mcnemar_test():
    """Twice p, plus the .0001 that the published two-sided test spends on its nuisance interval, is the published .542071 for 0, 1 of 14.

    At margin 0 the two tails mirror each other, so that the two-sided p is twice the one-sided; the grid of 81 costs .00026 of it.
    """
    assert 2 * drop_p(0, 1, 14, 0.0) + 1e-4 == pytest.approx(0.542071, abs=6e-4)
    assert drop_p_refuted(1, 0, 14, 0.0) == pytest.approx(drop_p(0, 1, 14, 0.0), abs=1e-12)
    region = _region(14, 0.0, -1 + 1e-9, strict=False)
    assert 2 * max(_probability(14, region, k / 4000, 0.0) for k in range(2001)) + 1e-4 == pytest.approx(0.542071, abs=2e-6)


def as_extreme(b: int, c: int, n: int, margin: float):
    """For each table (lost, gained) whether it is as extreme as b, c in one or the other direction; and whether it is possible."""
    np = pytest.importorskip("numpy")
    lost, gained = np.mgrid[: n + 1, : n + 1]
    linear = -lost - gained + (2 * n - lost + gained) * margin
    q = (np.sqrt(linear**2 + 8 * n * gained * margin * (1 - margin)) - linear) / (4 * n)
    z = (lost - gained - n * margin) / np.sqrt(n * (2 * q + margin * (1 - margin)))
    return z <= z[b, c] + 1e-9, z >= z[b, c] - 1e-9, lost + gained <= n


def grid(margin: float):
    """P(gained) and P(lost given no gain) along the boundary, as the test takes them."""
    np = pytest.importorskip("numpy")
    low, high = max(0.0, -margin), (1 - margin) / 2
    gained = low + (high - low) / 2 * (1 - np.cos(np.pi * np.arange(81) / 80))
    return gained, np.clip((gained + margin) / (1 - gained), 0, 1)


def random_tables() -> list[tuple[int, int, int, float]]:
    chance = random.Random(5)
    found = [(0, 3, 20, 0.05), (20, 0, 20, 0.05), (0, 20, 20, 0.1), (1, 0, 1, 0.02)]
    found += [(4, 3, 20, 0.2), (3, 4, 20, -0.2)]  # other tables have the same score but for the last bit: they count as extreme too
    while len(found) < 16:
        n = chance.randint(2, 40)
        b = chance.randint(0, min(n, 9))
        found.append((b, chance.randint(0, min(n - b, 9)), n, chance.choice([0.02, 0.05, 0.1, 0.3, -0.04])))
    return found


@pytest.mark.parametrize(("b", "c", "n", "margin"), random_tables())
def test_both_p_values_agree_with_brute_force(b, c, n, margin):
    """Summing every table's probability with SciPy gives the same two p values."""
    np, binom = pytest.importorskip("numpy"), pytest.importorskip("scipy.stats").binom
    small, large, possible = as_extreme(b, c, n, margin)
    lost, gained = np.mgrid[: n + 1, : n + 1]
    shown, refuted = 0.0, 0.0
    for p_gained, p_lost in zip(*grid(margin), strict=True):
        joint = binom.pmf(gained, n, p_gained) * binom.pmf(lost, np.maximum(n - gained, 0), p_lost) * possible
        shown, refuted = max(shown, joint[small].sum()), max(refuted, joint[large].sum())
    assert drop_p(b, c, n, margin) == pytest.approx(shown, abs=1e-11)
    assert drop_p_refuted(b, c, n, margin) == pytest.approx(refuted, abs=1e-11)


@pytest.mark.parametrize(
    ("b", "c", "n", "margin"),
    [(60, 40, 400, 0.05), (3, 30, 400, -0.05), (10, 100, 400, -0.2), (250, 10, 300, 0.8), (5, 290, 300, -0.9), (25, 0, 800, 0.05)],
)
def test_both_p_values_hold_for_many_examples_and_far_margins(b, c, n, margin):
    """Also where single probabilities underflow, one binomial sum for each count of gains gives the same two p values."""
    np, binom = pytest.importorskip("numpy"), pytest.importorskip("scipy.stats").binom
    small, large, possible = as_extreme(b, c, n, margin)
    gained, (p_gained, p_lost) = np.arange(n + 1), grid(margin)
    outer = binom.pmf(gained, n, p_gained[:, None])
    inside = binom.cdf((small & possible).sum(axis=0) - 1, n - gained, p_lost[:, None])
    outside = binom.sf((~large & possible).sum(axis=0) - 1, n - gained, p_lost[:, None])
    assert drop_p(b, c, n, margin) == pytest.approx((outer * inside).sum(axis=1).max(), abs=1e-10)
    assert drop_p_refuted(b, c, n, margin) == pytest.approx((outer * outside).sum(axis=1).max(), abs=1e-10)


@pytest.mark.parametrize("gained", [0.001, 0.05, 0.3, 0.47])
@pytest.mark.parametrize("n", [25, 400])
def test_the_probability_of_a_region_counts_all_of_it(n, gained):
    """All tables together have probability 1, and those with few or with many gains that of the binomial distribution."""
    binom = pytest.importorskip("scipy.stats").binom
    few = round(n * gained) + 1
    everything = [n - c for c in range(n + 1)]
    below = [edge if c < few else -1 for c, edge in enumerate(everything)]
    above = [edge if c >= few else -1 for c, edge in enumerate(everything)]
    assert _probability(n, everything, gained, 0.04) == pytest.approx(1.0, abs=1e-12)
    assert _probability(n, below, gained, 0.04) == pytest.approx(binom.cdf(few - 1, n, gained), abs=1e-12)
    assert _probability(n, above, gained, 0.04) == pytest.approx(binom.sf(few - 1, n, gained), abs=1e-12)


@given(counts(), st.sampled_from([0.02, 0.05, 0.1]))
@settings(max_examples=40, deadline=None)
def test_correcting_a_student_error_never_raises_p(counted, margin):
    """Whether the mended answer was lost or wrong on both sides, p that the drop is small does not rise, nor does refuting get easier."""
    b, c, n = counted
    better = ([(b - 1, c, n)] if b else []) + ([(b, c + 1, n)] if b + c < n else [])
    for mended in better:
        assert drop_p(*mended, margin) <= drop_p(*counted, margin) + 1e-12
        assert drop_p_refuted(*mended, margin) >= drop_p_refuted(*counted, margin) - 1e-12


@given(counts(200), st.sampled_from([0.01, 0.05, 0.2, -0.05]))
@settings(max_examples=40, deadline=None)
def test_p_values_are_probabilities_that_do_not_both_decide(counted, margin):
    """Both p values lie in 0..1 and together cover the observed table, so that no table is shown and refuted at once."""
    shown, refuted = drop_p(*counted, margin), drop_p_refuted(*counted, margin)
    assert 0 <= shown <= 1
    assert 0 <= refuted <= 1
    assert shown + refuted >= 1 - 1e-9


@given(counts(), st.sampled_from([0.0, 0.02, 0.05, 0.1, 0.4]))
@settings(max_examples=40, deadline=None)
def test_swapping_the_models_mirrors_the_drop(counted, margin):
    """That the drop is at most M is, with the models swapped, that the other's drop is not below -M: the same p value."""
    b, c, n = counted
    assert drop_p_refuted(c, b, n, -margin) == pytest.approx(drop_p(b, c, n, margin), abs=1e-11)
    assert drop_p(c, b, n, -margin) == pytest.approx(drop_p_refuted(b, c, n, margin), abs=1e-11)


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
    for function in (drop_p, drop_p_refuted):
        with pytest.raises(ValueError, match="the margin must lie between"):
            function(0, 0, 10, margin)
    with pytest.raises(ValueError, match="the margin must lie between"):
        drop_regions(10, margin)


# The bound


@pytest.mark.parametrize("counted", [(0, 0, 59), (7, 2, 200), (3, 1, 46), (0, 5, 50), (9, 3, 300), (0, 0, 1)])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_drop_bound_is_where_p_crosses_alpha(counted, alpha):
    """A margin just above the bound, which has 5 digits, is shown, one just below is not, and further away it stays so."""
    found = drop_bound(*counted, alpha)
    assert found == round(found, 5)
    assert drop_p(*counted, found + 1e-5) <= alpha < drop_p(*counted, found - 1e-5)
    away = [k / 8 for k in (1, 3, 8)]
    assert all(drop_p(*counted, found + k * (0.999 - found)) <= alpha for k in away)
    assert all(drop_p(*counted, found - k * (found + 0.5)) > alpha for k in away)


def test_drop_bound_at_its_ends():
    """With no discordant pair the bound is 1 - alpha^(1/n) at 59 examples; when everything is lost it is 1, when gained above -1."""
    assert drop_bound(0, 0, 59) == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-5)
    assert drop_bound(0, 0, 1) == pytest.approx(0.95, abs=1e-5)
    assert drop_bound(4, 0, 4) == 1.0
    assert -1 < drop_bound(0, 4, 4) < 0.1


# Regions and chances


@pytest.mark.parametrize(("n", "margin", "alpha"), [(1, 0.3, 0.05), (14, 0.3, 0.05), (20, 0.1, 0.05), (24, 0.05, 0.2), (15, -0.1, 0.05)])
def test_the_regions_hold_every_table_that_decides(n, margin, alpha):
    """Table by table the regions say what the two p values say."""
    shown, kept = drop_regions(n, margin, alpha)
    assert len(shown) == len(kept) == n + 1
    assert all(-1 <= edge <= n - c for region in (shown, kept) for c, edge in enumerate(region))
    for c in range(n + 1):
        for b in range(n - c + 1):
            assert (b <= shown[c]) == (drop_p(b, c, n, margin) <= alpha)
            assert (b <= kept[c]) == (drop_p_refuted(b, c, n, margin) > alpha)


@pytest.mark.parametrize(("n", "margin", "alpha"), [(100, 0.05, 0.05), (200, 0.05, 0.05), (200, 0.1, 0.01), (500, 0.05, 0.05)])
def test_the_edges_of_the_regions_are_where_the_p_values_cross(n, margin, alpha):
    """For many examples the last table inside and the first outside have p values on either side of alpha."""
    shown, kept = drop_regions(n, margin, alpha)
    assert list(shown) == sorted(shown[: n - max(shown)]) + list(shown[n - max(shown) :])
    for c in (0, 1, 2, 5, 20):
        assert shown[c] < 0 or drop_p(shown[c], c, n, margin) <= alpha
        assert drop_p(shown[c] + 1, c, n, margin) > alpha
        assert drop_p_refuted(kept[c], c, n, margin) > alpha >= drop_p_refuted(kept[c] + 1, c, n, margin)


def test_nothing_can_pass_with_few_examples_and_no_gain():
    """At 58 examples no loss and no gain is not yet enough, and -1 says so."""
    assert drop_regions(58, M)[0][0] == -1
    assert drop_regions(59, M)[0][0] == 0


@pytest.mark.parametrize(
    ("lost", "gained"), [(0.06, 0.01), (0.3, 0.2), (0.0, 0.1), (0.1, 0.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.4, 0.6), (0.97, 0.03)]
)
def test_drop_chances_are_the_sum_over_all_tables(lost, gained):
    """The chances of both answers are the trinomial probabilities of the tables that give them."""
    n, margin, alpha = 18, 0.1, 0.1
    passed, refuted = 0.0, 0.0
    for c in range(n + 1):
        for b in range(n - c + 1):
            ways = math.factorial(n) / (math.factorial(b) * math.factorial(c) * math.factorial(n - b - c))
            weight = ways * lost**b * gained**c * max(1 - lost - gained, 0.0) ** (n - b - c)
            passed += weight * (drop_p(b, c, n, margin) <= alpha)
            refuted += weight * (drop_p_refuted(b, c, n, margin) <= alpha)
    assert drop_chances(n, lost, gained, margin, alpha) == pytest.approx((passed, refuted), abs=1e-12)


TABLE = {
    46: (".238/.000/.762", ".097/.002/.901", ".025/.037/.938", ".006/.155/.839", ".002/.272/.726", ".000/.582/.418"),
    100: (".789/.000/.211", ".274/.000/.726", ".035/.037/.929", ".003/.237/.760", ".001/.447/.552", ".000/.857/.143"),
    200: (".986/.000/.014", ".544/.000/.456", ".041/.048/.911", ".001/.426/.573", ".000/.734/.266", ".000/.990/.010"),
    500: ("1.00/.000/.000", ".908/.000/.092", ".046/.047/.907", ".000/.736/.264", ".000/.973/.027", ".000/1.00/.000"),
}


@pytest.mark.parametrize("n", TABLE)
def test_the_chances_of_the_three_answers_are_the_printed_table(n):
    """At a limit of 5 %, with one example in a hundred gained, shown, refuted and inconclusive come up as often as printed."""
    for drop, row in zip((0.0, 0.02, 0.05, 0.08, 0.10, 0.15), TABLE[n], strict=True):
        shown, refuted = drop_chances(n, 0.01 + drop, 0.01, M)
        assert (shown, refuted, 1 - shown - refuted) == pytest.approx(tuple(map(float, row.split("/"))), abs=5.1e-4)


def test_one_example_decides_nothing():
    """A single example that is gained for sure neither passes nor refutes a limit of 5 %."""
    assert drop_chances(1, 0.0, 1.0, M) == (0.0, 0.0)


@pytest.mark.parametrize(("lost", "gained"), [(-0.1, 0.2), (0.2, -0.1), (0.6, 0.5), (math.nan, 0.1)])
def test_impossible_chances_are_refused(lost, gained):
    """Rates that are negative, or together above 1, raise ValueError."""
    with pytest.raises(ValueError, match="together at most 1; seen"):
        drop_chances(20, lost, gained, M)


def test_regions_need_an_example():
    """Without examples there is nothing to decide."""
    with pytest.raises(ValueError, match="n=0"):
        drop_regions(0, M)
