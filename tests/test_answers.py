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
        assert CONTRACT.grade(value, "code").score == 0.0


def test_scores_are_one_or_zero():
    """The expected label scores 1, another one and a malformed reply score 0."""
    assert [CONTRACT.grade(value, "code").score for value in ("code", "Docs", Malformed("x"))] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("value", ["CODE", "", None, 1, ["code"], "docs"])
def test_a_reference_is_a_label_to_the_letter(value):
    """A reference must be spelt as declared; anything else is named with what is allowed."""
    with pytest.raises(ValueError, match="none of code, Docs, not found") as caught:
        CONTRACT.reference({"expected_label": value})
    assert str(caught.value).startswith(repr(value))
    assert CONTRACT.reference({"expected_label": "Docs"}) == "Docs"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ((), "two or more strings; seen ()"),
        (("a",), "two or more strings; seen ('a',)"),
        ((["a", "b"],), "two or more strings"),
        (("a", 5), "two or more strings; seen ('a', 5)"),
        (("a", "b", "A"), "repeated: a, A"),
        (("straße", "STRASSE"), "repeated"),
        (("a", ""), "may not be empty"),
        (("a", " b"), "begin or end with a blank; seen ' b'."),
    ],
)
def test_bad_declarations_are_refused(labels, words):
    """Too few, repeated, empty or padded labels are an error of the declaration."""
    with pytest.raises(TaskError) as caught:
        Labels(*labels)
    assert words in str(caught.value)


def test_many_labels_are_told_by_their_number():
    """Of more than a dozen labels messages tell how many there are, and of a reference the one that may be meant."""
    many = Labels(*(f"label_{k}" for k in range(13)))
    assert many.parse("tag") == Malformed("none of the 13 labels")
    with pytest.raises(ValueError, match=r"^'labl_7' is none of the 13 labels \(did you mean 'label_7'\?\)$"):
        many.reference({"expected_label": "labl_7"})
    with pytest.raises(ValueError, match=r"^7 is none of the 13 labels$"):
        many.reference({"expected_label": 7})
    with pytest.raises(TaskError, match=r"'x' stands for 'label_07', which is none of the 13 labels \(did you mean 'label_7'\?\)\."):
        Labels(*many.labels, aliases={"x": "label_07"})
    assert many.labels[11] in Labels(*many.labels[:12]).misfit


def test_the_description_holds_all_that_decides():
    """Kind and labels in order make the description, which enters the task's digest; the rows' field has its name."""
    assert CONTRACT.describe() == {"kind": "labels", "labels": ["code", "Docs", "not found"]}
    assert CONTRACT.reference_fields[0] == "expected_label"
    assert repr(CONTRACT) == "Labels('code', 'Docs', 'not found')"


LOOSE = Labels("api_docs", "source code", "skip", aliases={"documentation": "api_docs", "none of both": "skip"}, spaces=False)
SEVERAL = Labels("code", "docs", "tests", aliases={"documentation": "docs"}, several=True)


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("API docs", "api_docs"),
        ("api-docs", "api_docs"),
        ("Source_Code", "source code"),
        ("Documentation", "api_docs"),
        ("None  of-both", "skip"),
    ],
)
def test_aliases_and_spaces(reply, label):
    """An alias stands for its label, and with spaces=False blanks, '_' and '-' are the same."""
    assert LOOSE.parse(reply) == label


def test_case_counts_where_it_is_to():
    """With case=True labels may differ in case alone, and other letters are no label."""
    contract = Labels("us", "US", case=True)
    assert [contract.parse(reply) for reply in ("us", "US")] == ["us", "US"]
    assert contract.parse("Us") == Malformed("none of us, US")


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        ("code", ["code"]),
        ("Tests, code", ["code", "tests"]),
        ("docs; code;", ["code", "docs"]),
        ("code\ncode\n documentation", ["code", "docs"]),
        ('["tests", "Docs"]', ["docs", "tests"]),
        ("[]", []),
        ("None", []),
    ],
)
def test_several_labels_are_a_list(reply, labels):
    """A reply that lists labels gives each once, in the order of the contract."""
    assert SEVERAL.parse(reply) == labels


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty reply"),
        ("code, other", "none of code, docs, tests"),
        ("code, none", "none of code, docs, tests"),
        (" , ;", "none of code, docs, tests"),
        ("code docs", "none of code, docs, tests"),
        ('["code"', "no JSON: Expecting ',' delimiter at character 8"),
        ("[1]", "no list of labels: [1]"),
        ('[["code"]]', 'no list of labels: [["code"]]'),
    ],
)
def test_a_list_with_another_word_is_malformed(reply, reason):
    """One word that is no label spoils the list."""
    assert SEVERAL.parse(reply) == Malformed(reason)


@pytest.mark.parametrize(
    ("value", "expected", "score"),
    [
        (["code"], ["code"], 1),
        (["code", "docs"], ["code"], 2 / 3),
        (["docs"], ["code"], 0),
        ([], [], 1),
        ([], ["code"], 0),
        (Malformed("x"), [], 0),
    ],
)
def test_several_labels_are_scored_by_f1(value, expected, score):
    """The score is the F1 of both sets, and only equal sets are right."""
    grade = SEVERAL.grade(value, expected)
    assert (grade.score, grade.right) == (pytest.approx(score, abs=1e-6), score == 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["tests", "code"], ["code", "tests"]),
        ([], []),
        ("tests; code", ["code", "tests"]),
        ("none", []),
        ("[]", []),
        ("documentation", ["docs"]),
    ],
)
def test_a_reference_of_several_is_a_list_or_its_text(value, expected):
    """Rows list labels as JSON or as a reply does; the completion reads back."""
    found = SEVERAL.reference({"expected": value})
    assert found == expected
    assert SEVERAL.parse(SEVERAL.completion(found)) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "5 is no list of labels"),
        (None, "None is no list of labels"),
        ("", "'' is no list"),
        ("[", r"'\[' is no list"),
        (["Code"], "'Code' is none of"),
        ("a", "'a' is none of"),
        ([["code"]], r"\['code'\] is none of"),
    ],
)
def test_a_bad_reference_of_several_is_named(value, words):
    """What is no list of labels to the letter is named."""
    with pytest.raises(ValueError, match=words):
        SEVERAL.reference({"expected": value})


def test_both_reference_fields_must_agree():
    """A row may give its label in either field, or the same in both."""
    assert CONTRACT.reference({"expected": "code"}) == "code"
    assert CONTRACT.reference({"expected_label": "code", "expected": "code"}) == "code"
    with pytest.raises(ValueError, match="different things, 'code' and 'Docs'"):
        CONTRACT.reference({"expected_label": "code", "expected": "Docs"})


def test_a_reference_may_be_an_alias_to_the_letter():
    """Rows that call a label by its alias mean the label."""
    assert LOOSE.reference({"expected": "documentation"}) == "api_docs"
    with pytest.raises(ValueError, match="none of"):
        LOOSE.reference({"expected": "Documentation"})


def test_where_none_is_a_label_an_empty_list_is_written_as_json():
    """A label called none keeps its meaning in lists."""
    contract = Labels("None", "some", several=True)
    assert contract.parse("none") == ["None"]
    assert contract.written([]) == "[]"
    assert contract.parse("[]") == []
    assert SEVERAL.written([]) == "none"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"aliases": {"x": "c"}}, "stands for 'c', which is none of a, b"),
        ({"aliases": {" ": "a"}}, "an alias is a text"),
        ({"aliases": {5: "a"}}, "an alias is a text"),
        ({"aliases": {"B": "a"}}, "'B' stands for 'b' already"),
        ({"aliases": {"x": "a", "X": "b"}}, "'X' stands for 'a' already"),
        ({"aliases": ["x"]}, "is a label by alias"),
        ({"case": 1}, "Labels(case=…) is True or False"),
        ({"spaces": None}, "Labels(spaces=…) is True or False"),
        ({"several": "yes"}, "Labels(several=…) is True or False"),
        ({"several": True, "aliases": {"x,y": "a"}}, "takes no label with a comma"),
    ],
)
def test_bad_options_are_refused(options, words):
    """An alias that is a label, means two or means none, and an option that is no switch are errors of the declaration."""
    with pytest.raises(TaskError) as caught:
        Labels("a", "b", **options)
    assert words in str(caught.value)


def test_labels_that_fold_to_one_are_refused():
    """With spaces=False labels must differ in more than blanks."""
    with pytest.raises(TaskError, match="case or blanks, '_' and '-' does not tell them apart"):
        Labels("a b", "a_b", spaces=False)


def test_options_are_described_where_they_differ():
    """Options enter the digest only where they are set, so that plain labels keep theirs."""
    assert LOOSE.describe() == {"kind": "labels", "labels": [*LOOSE.labels], "aliases": LOOSE.aliases, "spaces": False}
    assert repr(SEVERAL) == "Labels('code', 'docs', 'tests', aliases={'documentation': 'docs'}, several=True)"
    assert (LOOSE.classes, SEVERAL.classes) == (LOOSE.labels, SEVERAL.labels)
