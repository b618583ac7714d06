"""Words of a text, token F1 and ROUGE-L: held to published values, and to the plain algorithm."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.answers.words import folded, rouge_l, token_f1, words

SOME_WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Quick, brown  fox!", ["quick", "brown", "fox"]),
        ("don't — DON\u2019T", ["dont", "dont"]),
        ("well-known (or well known)", ["well", "known", "or", "well", "known"]),
        ("3.5 is not 35, nor 3. 5", ["3.5", "is", "not", "35", "nor", "3", "5"]),
        ("1,000 at -1 and 2-3", ["1,000", "at", "-1", "and", "2", "3"]),
        ("C++ and C# and C", ["c++", "and", "c#", "and", "c"]),
        ("**snake_case** and __init__", ["snake_case", "and", "init"]),
        ("src/app.py:12", ["src", "app", "py", "12"]),
        ("\uff26\uff35\uff2c\uff2c\u00a0width\u200bstrasse STRASSE straße", ["full", "width", "strasse", "strasse", "strasse"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("「答案」です。", ["答案", "です"]),
        ("A", ["a"]),
        ("the  a", ["the a"]),
        ("?!", ["?!"]),
        (" _ ", ["_"]),
        ("", []),
        (" \n", []),
    ],
)
def test_words_are_what_is_compared(text, found):
    """Case, punctuation, articles and blanks are set aside; numbers, names in code and what is nothing but marks stay what they are."""
    assert list(words(text)) == found


def test_case_and_articles_count_where_they_are_to():
    """With both options on, words keep their letters and articles; an article in capitals is one all the same."""
    assert words("The fox", case=True, articles=True) == ("The", "fox")
    assert words("THE An fox", case=True) == ("fox",)


@given(st.text(max_size=30), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_words_depend_on_the_folded_text_alone(text, case, articles):
    """Texts that fold to the same have the same words, which is what keys rely on."""
    assert words(text, case=case, articles=articles) == words(folded(text, case=case), case=case, articles=articles)
    assert bool(words(text, case=case, articles=articles)) == bool(folded(text, case=case))


@pytest.mark.parametrize(
    ("given", "expected", "score"),
    [
        # Of the SQuAD metric: words are counted as often as they stand there.
        ("the cat sat on the mat", "cat sat on the mat", 1.0),
        ("cat", "cat sat", 2 / 3),
        ("x b c", "b b c", 2 / 3),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("", "", 1.0),
        ("Saint Bernadette Soubirous", "Bernadette Soubirous", 0.8),
    ],
)
def test_token_f1_is_the_published_one(given, expected, score):
    """Token F1 is what the SQuAD metric gives for the same words."""
    assert token_f1(words(given), words(expected)) == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "expected", "score"),
    [
        # The example of the rouge-score library: ROUGE-L F1 0.5882…
        ("The quick brown dog jumps on the log.", "The quick brown fox jumps over the lazy dog", 0.5882352941176471),
        # The examples of the paper that defines ROUGE-L: 3 and 2 of 4 words in order.
        ("police kill the gunman", "police killed the gunman", 0.75),
        ("the gunman kill police", "police killed the gunman", 0.5),
        ("", "", 1.0),
        ("x", "", 0.0),
    ],
)
def test_rouge_l_is_the_published_one(given, expected, score):
    """ROUGE-L is what its paper and the reference library give, articles counted as they do."""
    assert rouge_l(words(given, articles=True), words(expected, articles=True)) == pytest.approx(score, abs=1e-12)


@given(SOME_WORDS, SOME_WORDS)
@settings(max_examples=200, deadline=None)
def test_rouge_l_agrees_with_the_plain_table(ours, theirs):
    """The longest common sequence is that of the table of all prefixes, and no better in order than out of it."""
    table = [[0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    for i, one in enumerate(ours):
        for j, other in enumerate(theirs):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    total = len(ours) + len(theirs)
    assert rouge_l(ours, theirs) == (2 * table[-1][-1] / total if total else 1.0)
    assert rouge_l(ours, theirs) == rouge_l(theirs, ours) <= token_f1(ours, theirs)
