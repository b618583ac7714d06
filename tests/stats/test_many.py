"""Holm's correction, Student's t, the spread over seeds, and Cohen's kappa: hand examples and SciPy as a second opinion."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill import stats

# Holm


@pytest.mark.parametrize(
    ("p_values", "confirmed"),
    [
        ([], []),
        ([0.05], [True]),
        ([0.0501], [False]),
        ([0.025, 0.05], [True, True]),
        ([0.0251, 0.001], [True, True]),
        ([0.0251, 0.026], [False, False]),
        ([0.01, 0.04, 0.03, 0.005], [True, False, False, True]),  # .0125, .0167, .025 and .05: .03 stops it
        ([0.01, 0.02, 0.022, 0.09], [True, False, False, False]),  # .02 is above .0167, and what comes after it is lost too
        ([0.0166, 0.012, 0.2, 0.025], [True, True, False, True]),
        ([0.012, 0.0165, 0.024, 0.049], [True, True, True, True]),
        ([0.02, 0.02, 0.02], [False, False, False]),
        ([0.016, 0.016, 0.016], [True, True, True]),
    ],
)
def test_holm_by_hand(p_values, confirmed):
    """The smallest p value is held against alpha / m, the next against alpha / (m - 1), until one fails; ties share their fate."""
    assert stats.holm(p_values) == confirmed


def test_holm_at_another_level():
    """The level is a parameter."""
    assert stats.holm([0.04, 0.09], 0.1) == [True, True]
    assert stats.holm([0.001, 0.009], 0.001) == [False, False]


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_holm_lies_between_bonferroni_and_no_correction(p_values):
    """It confirms all that Bonferroni confirms, nothing that is above alpha itself, and a smaller p before a larger."""
    confirmed = stats.holm(p_values)
    for p, found in zip(p_values, confirmed, strict=True):
        assert found or p > 0.05 / len(p_values)
        assert not found or p <= 0.05
        assert not found or all(other for q, other in zip(p_values, confirmed, strict=True) if q <= p)


# Seeds


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 7, 30, 101])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.99, 0.999])
def test_the_quantile_of_students_t_is_scipys(share, freedom):
    """Odd and even degrees of freedom, few and many."""
    t = pytest.importorskip("scipy.stats").t
    assert stats.t_quantile(share, freedom) == pytest.approx(t.ppf(share, freedom), rel=1e-9, abs=1e-9)


def test_the_quantile_of_students_t_in_closed_form():
    """With one degree of freedom it is a tangent, and the printed tables give 2.920 for two and 2.132 for four."""
    assert stats.t_quantile(0.95, 1) == pytest.approx(math.tan(0.45 * math.pi), rel=1e-9)
    assert (round(stats.t_quantile(0.95, 2), 3), round(stats.t_quantile(0.95, 4), 3)) == (2.920, 2.132)


@pytest.mark.parametrize(("share", "freedom"), [(0.49, 3), (1.0, 3), (0.9, 0), (math.nan, 2)])
def test_the_quantile_of_students_t_refuses_what_it_does_not_cover(share, freedom):
    """A share below one half or of 1, and no degrees of freedom, raise ValueError."""
    with pytest.raises(ValueError, match=f"seen {share}, {freedom}"):
        stats.t_quantile(share, freedom)


def test_the_bound_of_one_more_seed():
    """Three drops of mean .03 and deviation .01, and a bound of .05: .02 and 2.920 * .01 * sqrt(4/3) join by squares."""
    expected = 0.03 + math.hypot(0.02, 2.919986 * 0.01 * math.sqrt(4 / 3))
    assert stats.next_seed_bound([0.02, 0.03, 0.04], 0.05) == pytest.approx(expected, abs=1e-8)
    wider = 0.03 + math.hypot(0.02, 6.964557 * 0.01 * math.sqrt(4 / 3))
    assert stats.next_seed_bound([0.02, 0.03, 0.04], 0.05, 0.01) == pytest.approx(wider, abs=1e-8)


def test_equal_seeds_leave_the_bound_of_their_mean():
    """Without any spread only the choice of examples is left; one seed has no spread to speak of."""
    assert stats.next_seed_bound([0.03, 0.03], 0.05) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="two or more; seen 1"):
        stats.next_seed_bound([0.03], 0.05)


# Kappa

TABLES = [[[31, 12], [4, 58]], [[5, 5], [5, 5]], [[9, 1, 2], [0, 7, 3], [1, 1, 6]], [[0, 6], [4, 0]], [[10, 0], [0, 3]]]


def test_kappa_is_the_published_example():
    """31, 12, 4, 58 gives .676 with a standard error of .0734, hence .532 to .820."""
    value, error = stats.kappa([[31, 12], [4, 58]])
    assert (value, error) == (pytest.approx(0.676, abs=6e-4), pytest.approx(0.0734, abs=6e-5))
    assert (value - 1.959964 * error, value + 1.959964 * error) == pytest.approx((0.532, 0.820), abs=6e-4)


@pytest.mark.parametrize("table", TABLES)
def test_kappa_is_that_of_scikit_learn(table):
    """The value agrees with scikit-learn's on tables of two and three categories."""
    score = pytest.importorskip("sklearn.metrics").cohen_kappa_score
    pairs = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    assert stats.kappa(table)[0] == pytest.approx(score(*zip(*pairs, strict=True)), abs=1e-12)


@pytest.mark.parametrize("table", TABLES)
def test_the_error_of_kappa_is_that_of_the_delta_method(table):
    """The standard error is what derivatives of kappa, taken numerically at the observed shares, give for a multinomial sample."""
    n, cells = sum(map(sum, table)), [(i, j) for i in range(len(table)) for j in range(len(table))]

    def value(shares):
        agreed = sum(share for (i, j), share in shares.items() if i == j)
        chance = sum(
            sum(share for (a, _), share in shares.items() if a == i) * sum(share for (_, b), share in shares.items() if b == i)
            for i in range(len(table))
        )
        return (agreed - chance) / (1 - chance)

    shares = {(i, j): table[i][j] / n for i, j in cells}
    slopes = {at: (value({**shares, at: shares[at] + 1e-5}) - value({**shares, at: shares[at] - 1e-5})) / 2e-5 for at in cells}
    # For derivatives along single cells, the multinomial variance is the spread of the slopes over the sample.
    centre = sum(shares[at] * slopes[at] for at in cells)
    variance = sum(shares[at] * (slopes[at] - centre) ** 2 for at in cells) / n
    assert stats.kappa(table)[1] == pytest.approx(math.sqrt(variance), abs=1e-6)


def test_kappa_at_its_ends():
    """Full agreement is 1 without an error, disagreement where chance would agree half the time is -1, one item in each category is enough."""
    assert stats.kappa([[10, 0], [0, 3]]) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-9))
    assert stats.kappa([[0, 5], [5, 0]])[0] == pytest.approx(-1.0)
    assert stats.kappa([[0, 1], [0, 0]])[0] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("table", "why"),
    [([], "square"), ([[0, 0], [0, 0]], "square"), ([[1, 2]], "square"), ([[1], [2, 3]], "square"), ([[9, 0], [0, 0]], "undefined")],
)
def test_kappa_refuses_what_has_none(table, why):
    """No items, a table that is not square, and raters who use but one category raise ValueError."""
    with pytest.raises(ValueError, match=why):
        stats.kappa(table)
