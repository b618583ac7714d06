"""Answer contracts: what a reply may be and how right it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.answers import Labels, Malformed
from pytest_distill.errors import TaskError

CONTRACT = Labels("code", "Docs", "not found")


@pytest.mark.parametrize(
    ("reply", "label"), [("code", "code"), (" code\n", "code"), ("CODE", "code"), ("docs", "Docs"), ("Not Found", "not found")]
)
def test_blanks_around_and_case_do_not_count(reply, label):
    """A reply that is a label but for blanks around it and case is that label, spelt as declared."""
    assert CONTRACT.parse(reply) == label


@pytest.mark.parametrize("reply", ["Documentation", "code.", "code docs", '"code"', "notfound", "not  found"])
def test_anything_else_is_malformed(reply):
    """A reply that is no label to the letter is malformed, and the reason lists the labels."""
    assert CONTRACT.parse(reply) == Malformed("none of code, Docs, not found")
    assert CONTRACT.misfit == "none of code, Docs, not found"


@pytest.mark.parametrize("reply", ["", " \n\t"])
def test_an_empty_reply_says_so(reply):
    """A blank reply is malformed as empty."""
    assert CONTRACT.parse(reply) == Malformed("empty reply")


@given(st.text())
@settings(max_examples=60, deadline=None)
def test_any_reply_is_a_label_or_malformed(reply):
    """No text makes parsing fail, and a malformed one never scores."""
    value = CONTRACT.parse(reply)
    assert value in CONTRACT.labels or isinstance(value, Malformed)
    if isinstance(value, Malformed):
        assert CONTRACT.score(value, "code") == 0.0


def test_scores_are_one_or_zero():
    """The expected label scores 1, another one and a malformed reply score 0."""
    assert [CONTRACT.score(value, "code") for value in ("code", "Docs", Malformed("x"))] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("value", ["CODE", "", None, 1, ["code"], "docs"])
def test_a_reference_is_a_label_to_the_letter(value):
    """A reference must be spelt as declared; anything else is named with what is allowed."""
    assert CONTRACT.check_reference(value) == f"{value!r} is none of code, Docs, not found"
    assert CONTRACT.check_reference("Docs") is None


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ((), "two or more strings; seen ()"),
        (("a",), "two or more strings; seen ('a',)"),
        ((["a", "b"],), "two or more strings"),
        (("a", 5), "two or more strings; seen ('a', 5)"),
        (("a", "b", "A"), "repeated: a, b, A"),
        (("straße", "STRASSE"), "repeated"),
        (("a", ""), "may not be empty"),
        (("a", " b"), "begin or end with a blank"),
    ],
)
def test_bad_declarations_are_refused(labels, words):
    """Too few, repeated, empty or padded labels are an error of the declaration."""
    with pytest.raises(TaskError) as caught:
        Labels(*labels)
    assert words in str(caught.value)


def test_the_description_holds_all_that_decides():
    """Kind and labels in order make the description, which enters the task's digest; the rows' field has its name."""
    assert CONTRACT.describe() == {"kind": "labels", "labels": ["code", "Docs", "not found"]}
    assert CONTRACT.reference_field == "expected_label"
    assert repr(CONTRACT) == "Labels('code', 'Docs', 'not found')"
