"""Text: free text against accepted texts or a condition."""

from __future__ import annotations

import pytest

from pytest_distill import Text
from pytest_distill.answers import Malformed
from pytest_distill.answers.text import is_refusal
from pytest_distill.errors import TaskError

F1 = Text("token_f1", right=0.8)


def graded(answer, reply, **row):
    """Return score and rightness of a reply against a row."""
    grade = answer.grade(answer.parse(reply), answer.reference(row))
    return grade.score, grade.right


@pytest.mark.parametrize(
    ("metric", "right"),
    [
        ("f1", 1.0),
        ("", 1.0),
        (None, 1.0),
        ("exact", 0),
        ("exact", 1.1),
        ("exact", -1),
        ("exact", True),
        ("exact", "1"),
        ("exact", float("nan")),
    ],
)
def test_bad_declarations_are_refused(metric, right):
    """Another metric, and a score that is none or that every answer reaches, are errors of the declaration."""
    with pytest.raises(TaskError, match=r"seen "):
        Text(metric, right=right)


@pytest.mark.parametrize("option", ["case", "articles"])
def test_options_are_switches(option):
    """What is neither true nor false is no option."""
    with pytest.raises(TaskError, match=option):
        Text(**{option: "no"})


@pytest.mark.parametrize("reply", ["", " \n\t", "\u00a0"])
def test_an_empty_reply_says_so(reply):
    """A blank reply is malformed, and scores nothing."""
    assert F1.parse(reply) == Malformed("empty reply")
    assert graded(F1, reply, expected="x") == (0.0, False)


def test_exact_is_exact_after_normalisation():
    """By default what differs in case, punctuation, articles and blanks is the same, and nothing else is."""
    assert graded(Text(), " the  Answer: 42!", expected="Answer 42") == (1.0, True)
    assert graded(Text(), "Answer 4.2", expected="Answer 42") == (0.0, False)
    assert graded(Text(case=True), "answer", expected="Answer") == (0.0, False)
    assert graded(Text(articles=True), "the answer", expected="answer") == (0.0, False)


def test_the_best_of_the_accepted_texts_counts():
    """The score is that of the nearest accepted text, right from the declared score on."""
    row = {"expected_any": ["quick red fox jumps", "quick brown fox jumps high"]}
    assert graded(F1, "quick brown fox jumps", **row) == (pytest.approx(8 / 9, abs=1e-6), True)
    assert graded(F1, "quick fox", **row) == (pytest.approx(2 / 3, abs=1e-6), False)


def test_a_score_that_is_just_reached_is_right():
    """A token F1 of 4/5 reaches right=0.8."""
    assert graded(F1, "Saint Bernadette Soubirous", expected="Bernadette Soubirous") == (0.8, True)


def test_rouge_l_minds_the_order():
    """Words out of order score less by ROUGE-L than by token F1."""
    assert graded(Text("rouge_l", right=0.5), "high jumps fox", expected="fox jumps high") == (pytest.approx(1 / 3, abs=1e-6), False)
    assert graded(Text("token_f1"), "high jumps fox", expected="fox jumps high") == (1.0, True)


@pytest.mark.parametrize(
    ("reply", "parts", "right"),
    [
        ("Run PIP  install x", "pip install", True),
        ("Run pip\ninstall x", ["pip install", "x"], True),
        ("Run pip", ["pip", "uv"], False),
        ("use --force", "--force", True),
        ("use force", "--force", False),
    ],
)
def test_a_row_can_ask_for_parts_of_a_text(reply, parts, right):
    """All parts must stand in the reply, as they are written but for case and blanks."""
    assert graded(F1, reply, expected_substr=parts) == (float(right), right)


def test_case_counts_in_parts_where_it_is_to():
    """With case=True a part in other letters is none."""
    assert graded(Text(case=True), "Run PIP", expected_substr="pip") == (0.0, False)


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, I cannot assist with this request.",
        "Sorry. I am unable to answer this question.",
        "I cannot provide medical advice.",
        "Thanks for asking! I won't be able to do that, I must decline.",
        "As an AI language model, I do not have opinions.",
        "We are not able to share this.",
        "I have to decline.",
        "I can not\nanswer that",
        "Sorry, I can't.",
        "I can't recommend it.",
        "I do not feel comfortable helping.",
    ],
)
def test_a_refusal_is_heard(reply):
    """What people and models say when they decline counts as a refusal."""
    assert is_refusal(reply)
    assert graded(F1, reply, expected_refusal=True) == (1.0, True)
    assert graded(F1, reply, expected_refusal=False) == (0.0, False)


@pytest.mark.parametrize(
    "reply",
    [
        "The file cannot be opened because it is locked.",
        "You can't divide by zero.",
        "Paris.",
        "Open the settings. Choose a name. If it fails I am sorry, I cannot help you further.",
        "The server refused the connection.",
        "No.",
        "I am sorry to hear that; restart the server and it will work.",
        "I will answer: 42.",
        "I'm sorry to hear that your file cannot be opened. Run chmod.",
        "I'm sorry, the cache was stale. You cannot lose data: run pip cache purge.",
        "I can't help but notice that the loop never ends.",
        "We can't write to the file, so open it with sudo.",
    ],
)
def test_an_answer_is_no_refusal(reply):
    """An answer that only holds words of refusals, or says them late, is none."""
    assert not is_refusal(reply)
    assert graded(F1, reply, expected_refusal="FALSE") == (1.0, True)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"expected": 5}, "must be a text; seen 5"),
        ({"expected": ["a"]}, "'expected_any'"),
        ({"expected": " "}, "none of them empty"),
        ({"expected": None}, "must be a text"),
        ({"expected_any": []}, "seen []"),
        ({"expected_any": ["a", ""]}, "none of them empty"),
        ({"expected_substr": {"a": 1}}, "a text or a list of texts"),
        ({"expected_refusal": 1}, "true (the reply refuses) or false"),
        ({"expected_refusal": "yes"}, "seen 'yes'"),
        ({"expected": "a", "expected_any": ["a"]}, "one kind of reference"),
    ],
)
def test_bad_references_are_named(row, words):
    """What is no reference is named with what is allowed."""
    with pytest.raises(ValueError, match=r".") as caught:
        F1.reference(row)
    assert words in str(caught.value)


def test_references_are_kept_shown_and_trained_on():
    """Accepted texts are kept as a list, of which the first is trained on; a condition is shown in words and has no completion."""
    texts = F1.reference({"expected_any": [" a b ", "c"]})
    assert (texts, F1.shown(texts), F1.completion(texts)) == (["a b", "c"], "a b | c", "a b")
    parts = F1.reference({"expected_substr": "x"})
    assert (parts, F1.shown(parts), F1.completion(parts)) == ({"substr": ["x"]}, "a reply with 'x'", None)
    refusal = [F1.reference({"expected_refusal": value}) for value in (True, "false")]
    assert [F1.shown(each) for each in refusal] == ["a refusal", "no refusal"]
    assert [F1.completion(each) for each in refusal] == [None, None]


def test_the_description_holds_all_that_decides():
    """Metric, limit and options enter the task's digest, and show in the contract's own text."""
    assert F1.describe() == {"kind": "text", "metric": "token_f1", "right": 0.8, "case": False, "articles": False}
    assert repr(Text("rouge_l", right=1, case=True)) == "Text('rouge_l', right=1, case=True)"


def test_a_reply_that_goes_round_in_circles_is_read():
    """A model that says one thing over and over is heard like any other, however long it goes on."""
    assert not is_refusal("I am sorry " * 20_000)
    assert is_refusal("I am sorry " * 20_000 + "but I cannot")


def test_half_a_character_is_no_text():
    """What cannot be written to a file is neither a reply nor a reference."""
    assert Text().parse("a \ud800") == Malformed("half of a surrogate pair")
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        Text().reference({"expected_any": ["a", "\ud800"]})
