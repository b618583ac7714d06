"""What the statistics promise as a whole: risks and power by enumeration, and once more by seeded simulation."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill import stats
from pytest_distill.stats import ALPHA, drop_chances, drop_p, drop_p_refuted, drop_regions

M = 0.05
GAINED = 0.01
DROPS = (0.0, 0.02, 0.05, 0.08, 0.10, 0.15)


def shown(n: int, drop: float, alpha: float = ALPHA) -> float:
    """The chance that n examples show the drop to be at most 5 %, where one in a hundred is gained."""
    return drop_chances(n, GAINED + drop, GAINED, M, alpha)[0]


def refuted(n: int, drop: float, alpha: float = ALPHA) -> float:
    return drop_chances(n, GAINED + drop, GAINED, M, alpha)[1]


def tables(n: int, drop: float, evals: int, seed: int) -> list[tuple[int, int]]:
    """(b, c) of so many simulated evals of n examples."""
    chance, weights = random.Random(seed), (GAINED + drop, GAINED, 1 - drop - 2 * GAINED)
    found = []
    for _ in range(evals):
        drawn = chance.choices("bc-", weights, k=n)
        found.append((drawn.count("b"), drawn.count("c")))
    return found


def naively_viable(b: int, c: int, n: int) -> bool:
    """The naive rule: the plain estimate of the drop is at most 5 %."""
    return Fraction(b - c, n) <= Fraction(5, 100)


def naive_chance(n: int, drop: float) -> float:
    lost, total = GAINED + drop, 0.0
    for c in range(n + 1):
        for b in range(n - c + 1):
            if naively_viable(b, c, n):
                total += math.comb(n, b) * math.comb(n - b, c) * lost**b * GAINED**c * (1 - lost - GAINED) ** (n - b - c)
    return total


# Many limits


def test_a_bad_gate_among_ten_is_not_merged():
    """With one of ten gates at a drop of 8 % the chance that all pass at n = 200 is at most 5 %; in fact about 0.1 %, however they depend."""
    bad, good = shown(200, 0.08), shown(200, 0.0)
    assert bad * good**9 <= bad <= 0.0012


def test_ten_good_gates_pass_together_as_often_as_printed():
    """At n = 200, .872 without any drop and .168 at 1 %; at n = 500, .974 at 1 % and .382 at 2 %."""
    assert [shown(200, drop) ** 10 for drop in (0.0, 0.01, 0.02)] == pytest.approx([0.872, 0.168, 0.002], abs=6e-4)
    assert [shown(500, drop) ** 10 for drop in (0.0, 0.01, 0.02)] == pytest.approx([1.0, 0.974, 0.382], abs=6e-4)


@pytest.mark.parametrize("n", [100, 200, 500])
def test_holm_keeps_ten_gates_at_the_limit_from_being_called_worse(n):
    """All ten at exactly 5 %: one in three runs calls some gate refuted without a correction, at most one in twenty with Holm's."""
    assert 0.30 <= 1 - (1 - refuted(n, M)) ** 10 <= 0.39
    assert 1 - (1 - refuted(n, M, ALPHA / 10)) ** 10 <= 0.0455
    assert 10 * refuted(n, M, ALPHA / 10) <= ALPHA


def test_holm_keeps_it_in_simulated_runs():
    """In 1,500 simulated runs of ten gates at the limit, n = 100, at most 5 % call one refuted; without the correction 30 % do."""
    drawn = tables(100, M, 15_000, seed=2)
    p_values = [drop_p_refuted(b, c, 100, M) for b, c in drawn]
    runs = [p_values[at : at + 10] for at in range(0, len(p_values), 10)]
    assert sum(any(stats.holm(run)) for run in runs) <= 0.05 * len(runs)
    assert sum(min(run) <= ALPHA for run in runs) >= 0.27 * len(runs)


# The size of the test


@pytest.mark.parametrize("n", [*range(30, 62), 80, 100, 150, 200, 300, 400, 500])
def test_the_size_of_pass_and_of_refuted_is_five_percent(n):
    """At a true drop of exactly 5 % neither answer comes up more often than 5.02 %, on a grid of the nuisance finer than the test's."""
    np, binom = pytest.importorskip("numpy"), pytest.importorskip("scipy.stats").binom
    gained, grid = np.arange(n + 1), ((1 - M) / 4 * (1 - np.cos(np.pi * np.arange(400) / 399)))[:, None]
    lost = np.clip((grid + M) / (1 - grid), 0, 1)
    outer = binom.pmf(gained, n, grid)
    passed, kept = ((outer * binom.cdf(np.array(region), n - gained, lost)).sum(axis=1) for region in drop_regions(n, M))
    assert 0.02 < passed.max() <= 0.0502
    assert 0.02 < (1 - kept).max() <= 0.0502


# False answers and power


def test_a_student_eight_percent_worse_does_not_pass_at_200():
    """At n = 200 and a drop of 8 % a pass comes up at most once in a hundred, enumerated, and in at most 5 % of 2,000 simulated evals."""
    assert shown(200, 0.08) <= 0.01
    region = drop_regions(200, M)[0]
    assert sum(b <= region[c] for b, c in tables(200, 0.08, 2000, seed=1)) <= 0.05 * 2000


@pytest.mark.parametrize("n", [46, 100, 200, 500])
def test_a_student_at_the_limit_passes_one_time_in_twenty(n):
    """At a drop of exactly 5 % at most 6 % of 2,000 simulated evals pass, and about as many as enumerated."""
    region = drop_regions(n, M)[0]
    passed = sum(b <= region[c] for b, c in tables(n, M, 2000, seed=n)) / 2000
    assert passed <= 0.06
    assert passed == pytest.approx(shown(n, M), abs=0.017)


def test_a_tiny_set_does_not_let_a_bad_student_pass():
    """At n = 46 and a drop of 8 % at most 2 % pass, where the naive rule lets through more than 25 %."""
    assert shown(46, 0.08) <= 0.02
    assert 0.25 <= naive_chance(46, 0.08) == pytest.approx(0.295, abs=6e-4)


def test_no_discordance_decides_from_59_examples_on():
    """Without a loss or a gain 58 examples decide nothing, and 59 pass."""
    assert drop_p(0, 0, 58, M) > ALPHA
    assert drop_p_refuted(0, 0, 58, M) > ALPHA
    assert drop_p(0, 0, 59, M) <= ALPHA


def test_the_power_to_pass():
    """A student without a drop passes at n = 200, one of 2 % at n = 500 and at n = 1,000."""
    assert shown(200, 0.0) >= 0.95
    assert shown(500, 0.02) >= 0.88
    assert shown(1000, 0.02) >= 0.99


def test_the_power_to_refute():
    """A drop of 15 % is refuted at n = 200, one of 10 % at n = 500."""
    assert refuted(200, 0.15) >= 0.95
    assert refuted(500, 0.10) >= 0.95


@pytest.mark.parametrize("n", [46, 100, 200, 500])
@pytest.mark.parametrize("drop", DROPS)
def test_two_runs_do_not_contradict_each_other(n, drop):
    """A pass on one run and a refusal on the other, in either order, comes up at most once in two hundred."""
    assert 2 * shown(n, drop) * refuted(n, drop) <= 0.005


@given(st.integers(5, 80), st.data(), st.sampled_from([0.02, 0.05, 0.1]))
@settings(max_examples=40, deadline=None)
def test_correcting_any_student_error_never_worsens_a_decision(n, data, margin):
    """Mending one reply, lost or wrong on both sides, keeps a pass a pass, and never makes a refusal where there was none."""
    b = data.draw(st.integers(0, n))
    c = data.draw(st.integers(0, n - b))
    better = ([(b - 1, c)] if b else []) + ([(b, c + 1)] if b + c < n else [])
    for mended in better:
        assert drop_p(*mended, n, margin) <= drop_p(b, c, n, margin) + 1e-12
        assert drop_p_refuted(*mended, n, margin) >= drop_p_refuted(b, c, n, margin) - 1e-12


def test_the_same_counts_give_the_same_numbers():
    """Computed anew, and not from the cache, every number is the same to the last digit."""
    functions = (drop_p, drop_p_refuted, stats.drop_bound, drop_regions)
    inputs = ((7, 2, 150, M), (7, 2, 150, M), (7, 2, 150), (60, M))
    first = [function(*given) for function, given in zip(functions, inputs, strict=True)]
    for function in functions:
        function.cache_clear()
    assert [function(*given) for function, given in zip(functions, inputs, strict=True)] == first


# The planner


def test_the_planner_keeps_its_word():
    """The fewest examples that could pass with 0 to 4 losses, and a plan whose power holds by enumeration."""
    assert [stats.fewest_examples(b, 0, M) for b in range(5)] == [59, 93, 124, 153, 181]
    n = stats.examples_for_power(0.04, 0.02, M)
    assert drop_chances(n, 0.03, 0.01, M)[0] >= 0.8


# Declared seeds


def test_five_declared_seeds_do_not_ship_a_bad_student():
    """Five seeds at n = 46, each at a fifth of alpha: that any bad one passes has a chance of at most 1 %, for whatever dependence.

    Drops are spread around 8 % with a deviation of 1.5 points; a student is bad above 5 %.
    """
    spread = NormalDist(0.08, 0.015)
    steps = [0.05 + 0.002 * k for k in range(41)]
    weights = [spread.cdf(step + 0.001) - spread.cdf(step - 0.001) for step in steps]
    ships = 5 * sum(weight * shown(46, step, ALPHA / 5) for weight, step in zip(weights, steps, strict=True))
    assert ships <= 0.01
    assert 5 * shown(46, 0.08, ALPHA / 5) <= 0.01
    assert 5 * shown(46, M, ALPHA / 5) <= ALPHA


def test_retrying_the_naive_rule_ships_a_bad_student():
    """Retried on five seeds until it passes, the naive rule ships a truly bad student in more than 60 % of 2,000 simulated cases."""
    chance, shipped = random.Random(10), 0
    for _ in range(2000):
        right = sum(chance.random() < 0.95 for _ in range(46))  # the teacher's replies are recorded: the same for every seed
        for _ in range(5):
            drop = max(chance.gauss(0.08, 0.015), 0.0)
            b = sum(chance.random() < (GAINED + drop) / 0.95 for _ in range(right))
            c = sum(chance.random() < GAINED / 0.05 for _ in range(46 - right))
            if naively_viable(b, c, 46):
                shipped += drop > M
                break
    assert shipped >= 0.6 * 2000
