"""Comparers: how one field is held against the reference."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.answers import AsSet, Exact, Near, RougeL, Tokens
from pytest_distill.errors import TaskError

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e300])
    | st.sampled_from(["", "a", "A b", "b a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=5,
)
COMPARERS = [Exact(), AsSet(), AsSet(right=0.5), Near(tolerance=1), Near(relative=0.5), Tokens(), RougeL(right=0.3)]


@pytest.mark.parametrize(
    ("given", "expected", "equal"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (1, True, False),
        (0, False, False),
        (0, None, False),
        ("a", "A", False),
        ("1", 1, False),
        ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1}, True),
        ([1, 2], [2, 1], False),
        (2**60, float(2**60) + 1024, False),
    ],
)
def test_exact_is_equal_as_json(given, expected, equal):
    """Values are equal as JSON values: numbers by value, no type for another, objects whatever the order of keys."""
    assert Exact().compare(given, expected) == (float(equal), equal)


@pytest.mark.parametrize(
    ("given", "expected", "score"),
    [
        (["a", "b"], ["b", "a", "a"], 1.0),
        (["a"], ["a", "b"], 2 / 3),
        ([], [], 1.0),
        ([], ["a"], 0.0),
        ([{"x": 1}], [{"x": 1.0}], 1.0),
        ([1], [True], 0.0),
        (None, [], 0.0),
        (None, None, 1.0),
    ],
)
def test_sets_are_scored_by_f1(given, expected, score):
    """Order and repetitions do not count; null is no empty list."""
    found, right = AsSet(right=0.6).compare(given, expected)
    assert (found, right) == (pytest.approx(score), score >= 0.6)


@pytest.mark.parametrize(
    ("comparer", "given", "expected", "near"),
    [
        (Near(tolerance=0.1), 0.8, 0.7, True),
        (Near(tolerance=0.1), 0.81, 0.7, False),
        (Near(tolerance=1), -1, 0, True),
        (Near(relative=0.1), 110, 100, True),
        (Near(relative=0.1), 100, 112, False),
        (Near(relative=0.1), -90, -100, True),
        (Near(relative=0.1), 0.001, 0, False),
        (Near(tolerance=0.01, relative=0.1), 0.001, 0, True),
        (Near(tolerance=1), True, 1, False),
        (Near(tolerance=1), None, 0, False),
        (Near(tolerance=1), None, None, True),
        (Near(tolerance=1), 1e308, -1e308, False),
        (Near(tolerance=1), 10**300, 10**300 + 1, True),
    ],
)
def test_numbers_are_near_within_the_tolerance(comparer, given, expected, near):
    """The larger tolerance holds, in decimals as they are written; what is no number must be equal."""
    assert comparer.compare(given, expected) == (float(near), near)


def test_texts_are_compared_by_their_words():
    """Tokens counts the words that both have, RougeL those in the same order; null is no empty text."""
    assert Tokens(right=0.5).compare("The fox, red", "red fox") == (1.0, True)
    assert RougeL().compare("fox red", "red fox") == (0.5, False)
    assert Tokens().compare(None, "") == (0.0, False)
    assert Tokens().compare("", "") == (1.0, True)


@pytest.mark.parametrize("make", [AsSet, Tokens, RougeL])
@pytest.mark.parametrize("right", [0, 1.5, "1", None, True])
def test_a_limit_is_above_0_and_at_most_1(make, right):
    """A score that no answer could miss or reach is an error that names the comparer."""
    with pytest.raises(TaskError, match=rf"^{make.__name__}\(right=…\) .*seen {right!r}"):
        make(right=right)


@pytest.mark.parametrize("options", [{"tolerance": -1}, {"relative": "1"}, {"tolerance": float("inf")}, {"relative": float("nan")}, {}])
def test_a_tolerance_is_a_number(options):
    """A negative, infinite or missing tolerance is an error of the declaration."""
    with pytest.raises(TaskError, match="Near"):
        Near(**options)


@pytest.mark.parametrize("comparer", COMPARERS, ids=repr)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_value_is_compared(comparer, data):
    """No value makes a comparer fail: scores lie in 0..1, a value equals itself, and equal keys are compared alike."""
    one, other, expected = (data.draw(PLAIN) for _ in range(3))
    score, right = comparer.compare(one, expected)
    assert 0 <= score <= 1
    assert right or score < 1
    assert comparer.compare(one, one) == (1.0, True)
    if comparer.key(one) == comparer.key(other):
        assert comparer.compare(other, expected) == (score, right)


def test_descriptions_hold_all_that_decides():
    """Kind and settings of a comparer enter the task's digest."""
    assert [each.describe() for each in (Exact(), AsSet(), Near(tolerance=1), RougeL(right=0.5))] == [
        {"kind": "Exact"},
        {"kind": "AsSet", "right": 1.0},
        {"kind": "Near", "tolerance": 1, "relative": 0.0},
        {"kind": "RougeL", "right": 0.5},
    ]
