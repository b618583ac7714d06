"""What holds for every answer contract, whatever the reply."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from pytest_distill import Json, Labels, Text, ToolCall
from pytest_distill.answers import AsSet, Malformed, Near, RougeL, Tokens


class Inner(BaseModel):
    n: int | None = None
    words: list[str]


class Outer(BaseModel):
    text: str | None
    ids: list[str]
    number: float
    inner: Inner | None


FIELDS = {"text": Tokens(right=0.5), "ids": AsSet(), "number": Near(relative=0.1), "inner.words": AsSet(right=0.5)}
TOOL = {"name": "go", "parameters": {"type": "object", "properties": {"x": {"type": "number"}, "y": {}}}}
TEXTS = st.text(max_size=12) | st.sampled_from(["The  fox", "fox!", "a FOX", "don't", "[1]", "{", "none", "3.5", "\ud800", "İ", "ﬁ"])
NUMBERS = st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False)
INNER = st.none() | st.fixed_dictionaries({"words": st.lists(TEXTS, max_size=2)}, optional={"n": st.none() | st.integers()})
OUTER = st.fixed_dictionaries(
    {"text": st.none() | TEXTS, "ids": st.lists(st.sampled_from("abc"), max_size=3), "number": NUMBERS, "inner": INNER}
)
JUNK = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS, lambda of: st.lists(of, max_size=2) | st.dictionaries(TEXTS, of, max_size=2)
)
CALLS = st.fixed_dictionaries({"tool": st.sampled_from(["go", None])}, optional={"arguments": st.dictionaries(st.sampled_from("xy"), JUNK)})
NAMES = st.sampled_from(["yes", "No", "may be", "MAY_BE", "none", "perhaps"])

CONTRACTS = {
    "labels": (Labels("yes", "no", "may be", aliases={"perhaps": "may be"}, spaces=False), NAMES),
    "several": (Labels("yes", "no", "may be", several=True), st.lists(NAMES, max_size=3).map(", ".join)),
    "exact": (Text(), TEXTS),
    "token_f1": (Text("token_f1", right=0.8, case=True), TEXTS),
    "rouge_l": (Text("rouge_l", right=0.5, articles=True), TEXTS),
    "json": (Json(Outer, fields=FIELDS), OUTER.map(json.dumps)),
    "whole": (Json(Outer, fields={"text": RougeL()}, fenced=True), OUTER.map(lambda each: f"```json\n{json.dumps(each)}\n```")),
    "tool_call": (ToolCall([TOOL]), CALLS.map(json.dumps)),
}


@pytest.mark.parametrize("name", CONTRACTS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_reply_is_a_value_or_malformed(name, data):
    """No text makes reading fail; a malformed reply never scores, with a reason in words."""
    contract, replies = CONTRACTS[name]
    reply = data.draw(replies | st.text() | JUNK.map(json.dumps))
    value = contract.parse(reply)
    if isinstance(value, Malformed):
        assert value.reason
        expected = contract.parse(data.draw(replies))
        if not isinstance(expected, Malformed):
            assert contract.grade(value, contract.as_reference(expected)).score == 0
    else:
        json.dumps(value, allow_nan=False)


@pytest.mark.parametrize("name", CONTRACTS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_value_is_written_and_read_back(name, data):
    """What is written reads as the same value, which is its own reference, whose completion is right."""
    contract, replies = CONTRACTS[name]
    value = contract.parse(data.draw(replies))
    if isinstance(value, Malformed):
        return
    assert contract.parse(contract.written(value)) == value
    expected = contract.as_reference(value)
    completed = contract.parse(contract.completion(expected))
    grade = contract.grade(completed, expected)
    assert (grade.score, grade.right) == (1.0, True)
    assert contract.reference({contract.reference_fields[0]: contract.completion(expected)}) == expected
    assert contract.shown(expected)


@pytest.mark.parametrize("name", CONTRACTS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_equal_keys_are_graded_alike(name, data):
    """Scores lie in 0..1, parts are of those declared, and values of one key are graded alike against any reference."""
    contract, replies = CONTRACTS[name]
    one, other, given = (contract.parse(data.draw(replies)) for _ in range(3))
    if any(isinstance(each, Malformed) for each in (one, other, given)):
        return
    expected = contract.as_reference(given)
    grade = contract.grade(one, expected)
    assert 0 <= grade.score <= 1
    assert all(0 <= score <= 1 for score in grade.parts.values())
    assert {*grade.parts} <= {*contract.parts}
    assert grade.right or grade.score < 1
    if contract.key(one) == contract.key(other):
        assert contract.grade(other, expected) == grade


@given(TEXTS, TEXTS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_texts_of_one_key_meet_the_same_conditions(one, other, case):
    """Parts and refusals are asked of what a text's key says, so that equal answers stay equal."""
    contract = Text(case=case)
    values = [contract.parse(each) for each in (one, f"I'm sorry,\n I can't {other}", other.upper(), "I'm SORRY, I CAN'T " + other)]
    known = [value for value in values if not isinstance(value, Malformed)]
    rows = [{"expected_substr": "sorry"}, {"expected_substr": other or "x"}, {"expected_refusal": True}]
    for row in rows:
        if row.get("expected_substr", "x").strip() in {"", "\ud800"}:
            continue
        expected = contract.reference(row)
        grades: dict[str, object] = {}
        for value in known:
            assert grades.setdefault(contract.key(value), contract.grade(value, expected)) == contract.grade(value, expected)


def test_every_contract_describes_itself_in_plain_json():
    """Descriptions are plain JSON values, all different: they enter the task's digest."""
    told = [json.dumps(contract.describe(), sort_keys=True) for contract, _ in CONTRACTS.values()]
    assert len({*told}) == len(told)
    assert all(contract.misfit and repr(contract) for contract, _ in CONTRACTS.values())
