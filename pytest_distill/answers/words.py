"""Words of a text, and how much of them two texts share."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

ARTICLES = frozenset({"a", "an", "the", "A", "An", "The", "AN", "THE"})
# Part of a word: all but blanks, punctuation and symbols; '_' is, for the sake of names in code.
_IN_WORD = r"[^\s\x00-/:-@\[-^`{-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u2000-\u2bff\u2e00-\u2e7f\u3000-\u303f]"
# What makes another thing of its neighbour stays: the point of 3.5, the sign of -1, the end of C++ and C#.
_WORD = re.compile(rf"(?:(?<!\S)-(?=\d))?{_IN_WORD}+(?:(?<=\d)[.,](?=\d){_IN_WORD}+)*(?:\+\+|#)?")
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc]")


def folded(text: str, *, case: bool = False) -> str:
    """Return `text` with single blanks and one form of each character, in one case where `case` does not count."""
    text = unicodedata.normalize("NFKC", text)
    return " ".join((text if case else text.casefold()).split())


@lru_cache(maxsize=4096)  # a reference is read for each model, a reply for its key and its grade
def words(text: str, *, case: bool = False, articles: bool = False) -> tuple[str, ...]:
    """Return the words of `text`, as answers are compared by them.

    Punctuation and symbols part words, apostrophes are left out. What is nothing but such marks, or nothing but articles, is one word.

    Args:
        text: any.
        case: whether the case of letters counts.
        articles: whether the English articles count.
    """
    text = folded(text, case=case)
    found = _WORD.findall(_APOSTROPHES.sub("", text))
    if "_" in text:
        found = [word for each in found if (word := each.strip("_"))]
    kept = found if articles else [word for word in found if word not in ARTICLES]
    return tuple(kept) or ((text,) if text else ())


def token_f1(given: Sequence[str], expected: Sequence[str]) -> float:
    """Return the F1, 0 to 1, of the words of an answer, each counted as often as it stands there; 1 where both have none."""
    return _f1((Counter(given) & Counter(expected)).total(), given, expected)


def rouge_l(given: Sequence[str], expected: Sequence[str]) -> float:
    """Return ROUGE-L, 0 to 1: the F1 of the longest sequence of words that both have in the same order; 1 where both have none."""
    return _f1(_longest_common(given, expected), given, expected)


def _f1(shared: int, given: Sequence[str], expected: Sequence[str]) -> float:
    total = len(given) + len(expected)
    return 2 * shared / total if total else 1.0


def _longest_common(given: Sequence[str], expected: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    One whole number holds a row of the usual table, a zero bit wherever the length grows (Hyyrö 2004).
    """
    places: dict[str, int] = {}
    for at, word in enumerate(expected):
        places[word] = places.get(word, 0) | 1 << at
    whole = (1 << len(expected)) - 1
    row = whole
    for word in given:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & whole
    return len(expected) - row.bit_count()
