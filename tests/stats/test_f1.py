"""Macro-F1 and its drop: a direct definition, scikit-learn and NumPy as second opinions, and laws that must hold."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill import stats
from pytest_distill.stats import f1

LABELS = "abc"
SAID = "abcx"


def replies(n: int, seed: int, wrong: float = 0.1) -> list[tuple[str, str, str]]:
    """(expected, teacher's, student's) labels of n examples, of which x is no expected one."""
    chance = random.Random(seed)
    expected = chance.choices(LABELS, (6, 3, 1), k=n)
    return [(right, *(chance.choice(SAID) if chance.random() < rate else right for rate in (wrong / 2, wrong))) for right in expected]


def cells(rows) -> f1.Cells:
    return tuple(sorted(Counter(rows).items()))


ROWS = replies(150, 1)
# Of the rarest label, b, the student misses two of nine; of the common one it misses two of forty and gains one.
SMALL = ((("a", "a", "a"), 37), (("a", "a", "b"), 2), (("a", "b", "a"), 1), (("b", "b", "b"), 7), (("b", "b", "a"), 2))


def test_macro_f1_is_the_mean_over_the_expected_labels():
    """By hand: of a two hits in three expected and two given, of b one in one expected and two given; x is expected nowhere."""
    table = {("a", "a"): 2, ("a", "b"): 1, ("b", "b"): 1}
    assert stats.macro_f1(table) == pytest.approx((2 * 2 / (3 + 2) + 2 * 1 / (1 + 2)) / 2)
    assert stats.macro_f1({("a", "x"): 1, ("b", "b"): 0.5}) == 0.5


@pytest.mark.parametrize("seed", range(4))
def test_macro_f1_is_that_of_scikit_learn(seed):
    """With weights and with labels that are expected nowhere, it is scikit-learn's macro F1 over the expected labels."""
    f1_score = pytest.importorskip("sklearn.metrics").f1_score
    rows, chance = replies(40, seed, 0.5), random.Random(seed)
    weights = [chance.random() for _ in rows]
    table: Counter[tuple[str, str]] = Counter()
    for (right, _, said), weight in zip(rows, weights, strict=True):
        table[right, said] += weight
    right, _, said = zip(*rows, strict=True)
    expected = f1_score(right, said, labels=sorted(set(right)), average="macro", sample_weight=weights, zero_division=0)
    assert stats.macro_f1(table) == pytest.approx(expected, abs=1e-12)


def test_the_drop_is_the_difference_of_both_models():
    """It is the first model's macro-F1 minus the second's, each on its own pairs of labels; swapping the models negates it."""
    sides = [Counter((row[0], row[side]) for row in ROWS) for side in (1, 2)]
    assert stats.f1_drop(cells(ROWS)) == pytest.approx(stats.macro_f1(sides[0]) - stats.macro_f1(sides[1]), abs=1e-12)
    assert stats.f1_drop(cells([(right, b, a) for right, a, b in ROWS])) == pytest.approx(-stats.f1_drop(cells(ROWS)), abs=1e-12)
    assert abs(stats.f1_drop(cells(ROWS))) > 0.02


@pytest.mark.parametrize("function", [stats.f1_drop, f1.f1_drop_draws, stats.f1_drop_bound, lambda rows: stats.f1_drop_p(rows, 0.05)])
def test_macro_f1_of_nothing_is_refused(function):
    """No examples raise ValueError, as does a table that counts none."""
    with pytest.raises(ValueError, match="at least one example"):
        function(())
    with pytest.raises(ValueError, match="at least one example"):
        function(((("a", "a", "a"), 0),))


def dirichlet(rows, worst, draws=20_000):
    """The drop under Dirichlet weights of the single examples and one worst case, by NumPy."""
    np = pytest.importorskip("numpy")
    singles = [row for row, count in rows for _ in range(count)] + [worst]
    weights = np.random.default_rng(2).dirichlet([1] * len(singles), draws)
    expected, first, second = (np.array(column) for column in zip(*singles, strict=True))

    def macro(said):
        return np.mean(
            [
                2
                * weights[:, (expected == label) & (said == label)].sum(axis=1)
                / (weights @ (expected == label) + weights @ (said == label))
                for label in sorted(set(expected))
            ],
            axis=0,
        )

    return macro(first) - macro(second)


THREE = ((("a", "a", "a"), 20), (("b", "b", "b"), 9), (("c", "c", "c"), 5), (("a", "b", "c"), 1), (("b", "b", "a"), 2))
TIED = ((("a", "a", "a"), 6), (("b", "b", "b"), 6), (("c", "c", "c"), 6), (("a", "a", "c"), 2), (("b", "b", "c"), 2), (("c", "b", "c"), 2))
ALONE = ((("a", "a", "a"), 17), (("a", "a", "x"), 3), (("a", "x", "a"), 1))


@pytest.mark.parametrize(
    ("rows", "rarest", "next_rarest", "margins"),
    [
        (SMALL, "b", "a", (0.05, 0.15, 0.3)),
        (THREE, "c", "b", (0.0, 0.1)),
        (TIED, "a", "b", (0.05, 0.1)),
        (ALONE, "a", "", (0.02, 0.1)),
    ],
)
def test_the_p_values_are_shares_of_dirichlet_weightings(rows, rarest, next_rarest, margins):
    """Single examples weighed by NumPy, with one more of the rarest label, give the same two p values but for the noise of drawing.

    In the added example the one model gets the rarest label right, and the other takes it for the next rarest; ties go by name.
    """
    worse, better = dirichlet(rows, (rarest, rarest, next_rarest)), dirichlet(rows, (rarest, next_rarest, rarest))
    for margin in margins:
        assert stats.f1_drop_p(rows, margin) == pytest.approx((worse >= margin).mean(), abs=0.035)
        assert stats.f1_drop_p_refuted(rows, margin) == pytest.approx((better <= margin).mean(), abs=0.035)


def test_the_bound_is_a_quantile_of_the_drawn_drops():
    """It lies where NumPy's draws have their 95 % quantile, and above the plain drop."""
    np = pytest.importorskip("numpy")
    drawn = dirichlet(SMALL, ("b", "b", "a"))
    assert stats.f1_drop_bound(SMALL) == pytest.approx(np.quantile(drawn, 0.95), abs=0.015)
    assert stats.f1_drop_bound(SMALL, 0.5) == pytest.approx(np.quantile(drawn, 0.5), abs=0.01)
    assert stats.f1_drop_bound(SMALL) > stats.f1_drop(SMALL) + 0.05


def test_the_p_value_counts_the_draws():
    """It is (1 + those that reach the margin) / 2,001, so that it is never 0, and 1 where all of them do."""
    drops = f1.f1_drop_draws(SMALL)
    assert len(drops) == f1.DRAWS == 2000
    assert list(drops) == sorted(drops)
    assert stats.f1_drop_p(SMALL, drops[1990]) == 11 / 2001
    assert stats.f1_drop_p_refuted(SMALL, f1.f1_drop_draws(SMALL, worst=False)[9]) == 11 / 2001
    assert (stats.f1_drop_p(SMALL, 1.0), stats.f1_drop_p(SMALL, -1.0)) == (1 / 2001, 1.0)
    assert (stats.f1_drop_p_refuted(SMALL, -1.0), stats.f1_drop_p_refuted(SMALL, 1.0)) == (1 / 2001, 1.0)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.3, 1 / 2001, 63 / 2001])
def test_the_bound_is_where_p_crosses_alpha(alpha):
    """Any margin above the bound is shown; the bound itself is not."""
    bound = stats.f1_drop_bound(SMALL, alpha)
    assert stats.f1_drop_p(SMALL, bound + 1e-12) <= alpha < stats.f1_drop_p(SMALL, bound)


def test_the_bound_beyond_the_draws_is_the_worst():
    """2,000 draws show nothing at a level below 1/2,001, and the bound is 1 then."""
    assert stats.f1_drop_bound(SMALL, 1 / 2002) == 1.0


def test_the_same_replies_give_the_same_draws():
    """Draws are seeded: computed anew, and from cells in another order, they are the same."""
    first = f1.f1_drop_draws(SMALL)
    f1.f1_drop_draws.cache_clear()
    assert f1.f1_drop_draws(SMALL) == first
    assert f1.f1_drop_draws(SMALL[::-1]) == pytest.approx(first, abs=1e-12)


def test_equal_replies_still_leave_room_for_a_drop():
    """Two models that answer alike have no drop, and a bound above 0 that shrinks with the number of examples."""
    few, many = (stats.f1_drop_bound(((("a", "a", "a"), n), (("b", "b", "b"), n // 2))) for n in (20, 200))
    assert 0.003 < many < 0.03 < few


@given(
    st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(SAID), st.sampled_from(SAID), st.floats(0.05, 5)), min_size=1), st.data()
)
@settings(max_examples=100, deadline=None)
def test_correcting_a_student_error_never_raises_the_drop_under_any_weights(rows, data):
    """An error put right, in whatever cell and however the examples are weighed, leaves the drop the same or smaller."""
    at = data.draw(st.integers(0, len(rows) - 1))
    right, teacher, _, weight = rows[at]
    mended = [*rows[:at], (right, teacher, right, weight), *rows[at + 1 :]]
    before, after = (stats.f1_drop(tuple((row[:3], row[3]) for row in version)) for version in (rows, mended))
    assert after <= before + 1e-12


@pytest.mark.parametrize("cell", [(right, teacher, said) for right, teacher, said in sorted(set(ROWS)) if said != right][:4])
def test_correcting_a_student_error_never_raises_p_beyond_the_noise_of_drawing(cell):
    """The draws are not the same ones for other counts, so that p may move by their noise, but never up by more."""
    at = ROWS.index(cell)
    mended = [*ROWS[:at], (cell[0], cell[1], cell[0]), *ROWS[at + 1 :]]
    assert stats.f1_drop_p(cells(mended), 0.08) <= stats.f1_drop_p(cells(ROWS), 0.08) + 0.03
    assert stats.f1_drop_p_refuted(cells(mended), 0.02) >= stats.f1_drop_p_refuted(cells(ROWS), 0.02) - 0.03
