"""The planner: published sample sizes, each exact or checked by enumeration."""

from __future__ import annotations

import pytest

from pytest_distill import stats
from pytest_distill.stats import ALPHA, drop_chances, drop_p, fewest_examples
from pytest_distill.stats.planner import MOST_ENUMERATED

M = 0.05
DISCORDANCES = (0.02, 0.04, 0.06, 0.08, 0.1, 0.15)


@pytest.mark.parametrize(
    ("b", "c", "fewest"), [(0, 0, 59), (1, 0, 93), (2, 0, 124), (3, 0, 153), (4, 0, 181), (3, 1, 132), (0, 5, 5), (1, 9, 10)]
)
def test_the_fewest_examples_that_could_pass(b, c, fewest):
    """The planner's best case is the published one, and it is exact: one example less does not pass."""
    assert fewest_examples(b, c, M) == fewest
    assert drop_p(b, c, fewest, M) <= ALPHA
    assert fewest == b + c or drop_p(b, c, fewest - 1, M) > ALPHA


def test_the_fewest_examples_look_between_the_teeth():
    """Where p falls in saw teeth the smallest size that passes is found, though a larger one fails."""
    assert (fewest_examples(2, 2, 0.05), fewest_examples(0, 1, 0.02, 0.05 / 3)) == (85, 174)
    assert drop_p(2, 2, 85, 0.05) <= 0.05 < drop_p(2, 2, 88, 0.05)


def test_the_fewest_examples_at_other_margins_and_levels():
    """With no discordant pair 10 % needs 29 examples and 2 % needs 149; five seeds at 1 % each need 104, for (1 - M)^n is too low there."""
    assert (fewest_examples(0, 0, 0.1), fewest_examples(0, 0, 0.02)) == (29, 149)
    assert fewest_examples(0, 0, M, 0.01) == 104
    assert fewest_examples(0, 0, 0.96) == 1
    assert fewest_examples(0, 1, 0.3) == 6


def test_beyond_a_hundred_thousand_examples_no_number_is_given(monkeypatch):
    """Doubling from no discordant pair ends at 65,536, from three at 98,304: what that does not show gets no number."""
    tried = []

    def hopeless(b, c, n, margin):
        tried.append(n)
        return 1.0

    monkeypatch.setattr("pytest_distill.stats.planner.drop_p", hopeless)
    assert fewest_examples(0, 0, 1e-6) is None
    assert tried == [2**k for k in range(17)]
    tried.clear()
    assert fewest_examples(100_000, 0, M) is None
    assert tried == [100_000]
    monkeypatch.setattr("pytest_distill.stats.planner.drop_p", lambda b, c, n, margin: float(n < 100_000))
    assert fewest_examples(3125, 0, M) == 100_000


@pytest.mark.parametrize("margin", [0, 1, -0.05])
def test_the_fewest_examples_need_a_margin(margin):
    """A margin of nothing, of everything or below zero is refused."""
    with pytest.raises(ValueError, match=f"between 0 and 1; seen {margin}"):
        fewest_examples(0, 0, margin)


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
def test_the_formula_gives_the_printed_table(drop, power, planned):
    """For discordances of 2 to 15 % the formula gives the planned sizes to the example."""
    assert tuple(stats.formula_for_power(discordance, drop, M, power) for discordance in DISCORDANCES) == planned


def test_the_formula_at_its_defaults():
    """Power is 80 % at a level of 5 % unless stated; a discordance below the drop is raised to it, and a gain may be planned for."""
    assert stats.formula_for_power(0.04, 0.02, M) == 365 == stats.formula_for_power(0.04, 0.02, M, 0.8, 0.05)
    assert stats.formula_for_power(0.04, 0.02, M, alpha=0.01) > 500
    assert stats.formula_for_power(0.0, 0.02, M) == stats.formula_for_power(0.02, 0.02, M) == 253
    assert stats.formula_for_power(0.0, -0.02, M) == stats.formula_for_power(0.02, -0.02, M) < 107


@pytest.mark.parametrize(
    ("discordance", "drop", "power", "alpha"),
    [(0.02, 0.0, 0.8, 0.05), (0.06, 0.0, 0.8, 0.05), (0.02, 0.01, 0.9, 0.05), (0.02, 0.02, 0.8, 0.05), (0.04, 0.0, 0.9, 0.01)],
)
def test_the_planned_examples_have_the_power(discordance, drop, power, alpha):
    """By enumeration the planned n reaches the target, and n is the formula's or little above it."""
    n = stats.examples_for_power(discordance, drop, M, power, alpha)
    lost, gained = (discordance + drop) / 2, (discordance - drop) / 2
    assert drop_chances(n, lost, gained, M, alpha)[0] >= power
    formula = stats.formula_for_power(discordance, drop, M, power, alpha)
    assert formula <= n <= 1.1 * formula
    assert n == formula or drop_chances(formula, lost, gained, M, alpha)[0] < power


@pytest.mark.parametrize(
    ("discordance", "drop", "power", "planned"),
    [(0.02, 0.0, 0.8, 107), (0.06, 0.0, 0.8, 189), (0.02, 0.01, 0.9, 209), (0.02, 0.02, 0.8, 264)],
)
def test_the_steps_above_the_formula(discordance, drop, power, planned):
    """Where the formula's n falls short, a few steps suffice: one from 188, thirteen from 196, eleven from 253, none from 107."""
    assert stats.examples_for_power(discordance, drop, M, power) == planned


def test_a_plan_above_what_is_enumerated_is_the_formulas():
    """Above 2,000 examples the formula is taken at its word."""
    assert stats.examples_for_power(0.3, 0.03, M) == stats.formula_for_power(0.3, 0.03, M) > MOST_ENUMERATED == 2000


@pytest.mark.parametrize(("formula", "checked", "planned"), [(2000, [2000], 2200), (2001, [], 2001), (1800, [1800, 1980], 2178)])
def test_a_plan_is_checked_up_to_what_is_enumerated(monkeypatch, formula, checked, planned):
    """At 2,000 examples a plan is still checked, and steps up by the share of power that is missing; beyond, it is not."""
    seen = []

    def chances(n, *_):
        seen.append(n)
        return 0.7, 0.0

    monkeypatch.setattr("pytest_distill.stats.planner.formula_for_power", lambda *_: formula)
    monkeypatch.setattr("pytest_distill.stats.planner.drop_chances", chances)
    assert stats.examples_for_power(0.1, 0.0, M) == planned
    assert seen == checked


@pytest.mark.parametrize("plan", [stats.formula_for_power, stats.examples_for_power])
@pytest.mark.parametrize("drop", [0.05, 0.08])
def test_no_number_of_examples_shows_a_drop_at_the_margin(plan, drop):
    """The true drop must lie below the margin."""
    with pytest.raises(ValueError, match=f"seen {drop} and 0.05"):
        plan(0.1, drop, M)
