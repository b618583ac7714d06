"""Leaks: pairs of a held-out and a training row that say the same, or nearly the same.

Two rows are equal where their fields are, but for case, blanks and punctuation. They are near-duplicates where the resemblance of
their texts reaches a similarity: the shingles (runs of three words) that both hold, as a share of those that either holds
(A. Broder, "On the resemblance and containment of documents", 1997). It is counted for all pairs at once as a product of sparse
matrices, by scipy. That is exact: no pair is missed, as sketches such as MinHash miss some, and the similarity told is the true one.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pytest_distill.task import Example, Task

# A swapped word costs three runs of three: from 29 words on such a text is still a near-duplicate at 0.8, while in a short question,
# whose answer one word may rightly change, it is not. Runs of one would lose the order ("from A to B"); short runs of characters
# would make "a party of 4" and "a party of 2" alike.
SHINGLE = 3
# What stands in more than a tenth of the held-out rows (and in more than 20) is boilerplate, such as an instruction that each row
# repeats; it tells no two rows apart. Common shingles are left out as in A. Broder et al., "Syntactic clustering of the Web", 1997.
COMMON, FEW = 0.1, 20
BLOCK = 1000  # training rows compared at a time: bounds the memory

_TELLING = "#%&*/@\\-"  # punctuation that makes another text: C# and C, 3*4 and 3/4
_HYPHEN = re.compile(r"-(?!\s*\d)")  # a dash before a number may be a minus
_WITHOUT_BLANKS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "MYANMAR", "KHMER")  # scripts in which each character is as a word

Fields = tuple[str, ...]
Pair = tuple[float, int, int]  # less the similarity, the place of the held-out row, of the training row: the smallest is the closest


@dataclass(frozen=True, slots=True)
class Leak:
    """A held-out row that a training row equals or nearly equals.

    Attributes:
        heldout: id of the held-out row.
        train: id of the training row.
        similarity: 0 to 1, to three digits; 1.0 where they are equal but for case, blanks and punctuation, and only there.
    """

    heldout: str
    train: str
    similarity: float


def unsearched(near: float) -> str | None:
    """Return why `near_duplicates` finds only equal rows on this installation although `near` asks for more, or None."""
    if near >= 1 or importlib.util.find_spec("scipy"):
        return None
    return (
        "near-duplicates between training and held-out rows were not searched, only equal rows: scipy is not installed."
        " Install pytest-distill[train]."
    )


def near_duplicates(task: Task, near: float) -> list[Leak]:
    """Return each held-out row that leaks with the training row closest to it, and each such training row with its closest held-out row.

    The fields that the prompt uses are compared, each with its like; the similarity of two rows is that of their least similar field,
    and an empty field is as good as none. So questions about one long text are told apart by the question.

    Args:
        task: its training and held-out rows are read.
        near: the similarity from which rows are near-duplicates, 0.5 to 1. At 1 only equal rows are found, and likewise, whatever
            `near` is, on an installation of which `unsearched` says so.

    Returns:
        the pairs in the order of the held-out file, and there of the training file; fewer than there are rows.

    Raises:
        TaskError: a row is wrong.
    """
    held, train = _by_names(task.heldout_examples), _by_names(task.train_examples)
    pairs: list[Iterator[Pair]] = []
    for names in held.keys() & train.keys():
        pairs.append(_equal(held[names], train[names]))
        if names and near < 1 and unsearched(near) is None:
            pairs.append(_similar(held[names], train[names], near))
    return [
        Leak(task.heldout_examples[h].id, task.train_examples[t].id, -less)
        for less, h, t in sorted(_closest(chain.from_iterable(pairs)), key=lambda pair: pair[1:])
    ]


class _Plain(dict[int, str]):
    """What each character becomes where texts are compared, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if character in "'\u2019" or kind == "Cf":
            plain = ""  # what's and whats; soft hyphens
        elif kind[0] == "S" or character in _TELLING:
            plain = f" {character} "
        elif (kind[0] in "PZ" and character != "_") or kind == "Cc":
            plain = " "
        elif code > 0xDFF and unicodedata.name(character, "").startswith(_WITHOUT_BLANKS):
            plain = f" {character} "
        else:
            plain = character
        self[code] = plain
        return plain


_PLAIN = _Plain()


def plain(text: str) -> str:
    """Return the words of `text` with one blank between them, without case and punctuation; or, where it has none, what it holds."""
    return " ".join(_HYPHEN.sub(" ", unicodedata.normalize("NFC", text.casefold())).translate(_PLAIN).split()) or text.strip()


def shingles(text: str) -> set[str]:
    """Return the runs of `SHINGLE` words of a plain text; a shorter one is itself a run."""
    words = text.split(" ")
    return {" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1))}


def _by_names(examples: Sequence[Example]) -> dict[Fields, list[tuple[int, Fields]]]:
    """Return the rows by the names of their fields that are not empty: the place of each, and its plain texts in the order of the names."""
    rows: dict[Fields, list[tuple[int, Fields]]] = defaultdict(list)
    for at, example in enumerate(examples):
        texts = example.texts
        names = tuple(sorted(name for name, text in texts.items() if text.strip()))
        rows[names].append((at, tuple(plain(texts[name]) for name in names)))
    return rows


def _closest(pairs: Iterable[Pair]) -> set[Pair]:
    """Return for each row of either side the closest of its pairs, so that many rows that are all alike make no list of all their pairs."""
    best: dict[tuple[str, int], Pair] = {}
    for pair in pairs:
        for row in (("heldout", pair[1]), ("train", pair[2])):
            best[row] = min(best.get(row, pair), pair)
    return set(best.values())


def _equal(held: Sequence[tuple[int, Fields]], train: Sequence[tuple[int, Fields]]) -> Iterator[Pair]:
    places: dict[Fields, list[int]] = defaultdict(list)
    for t, texts in train:
        places[texts].append(t)
    for h, texts in held:
        yield from ((-1.0, h, t) for t in places.get(texts, ()))


def _similar(held: Sequence[tuple[int, Fields]], train: Sequence[tuple[int, Fields]], near: float) -> Iterator[Pair]:
    """Find the pairs of at least the similarity `near`, equal ones among them, in memory bounded by the held-out rows."""
    import numpy as np
    from scipy import sparse

    # All pairs are compared in the field with the most different texts, which leaves few of them to the other fields.
    first, *others = sorted(range(len(held[0][1])), key=lambda field: -len({texts[field] for _, texts in held}))
    count = Counter(chain.from_iterable(shingles(texts[first]) for _, texts in held))
    common = {shingle for shingle, rows in count.items() if rows > max(FEW, COMMON * len(held))}
    column = {shingle: at for at, shingle in enumerate(count)}

    def matrix(rows: Sequence[tuple[int, Fields]]) -> tuple[Any, Any]:
        """Return which of the held-out rows' shingles each row holds, and how many shingles it has."""
        sets = [shingles(texts[first]) - common for _, texts in rows]
        columns = [[column[shingle] for shingle in found if shingle in column] for found in sets]
        ends = np.cumsum([0, *map(len, columns)], dtype=np.int32)
        indices = np.fromiter(chain.from_iterable(columns), np.int32, ends[-1])
        return sparse.csr_array((np.ones_like(indices), indices, ends), shape=(len(rows), len(column))), np.array([*map(len, sets)])

    theirs, their_sizes = matrix(held)
    theirs = theirs.T.tocsr()
    for start in range(0, len(train), BLOCK):
        block = train[start : start + BLOCK]
        ours, our_sizes = matrix(block)
        shared = (ours @ theirs).tocoo()
        similarity = shared.data / (our_sizes[shared.row] + their_sizes[shared.col] - shared.data)
        kept = similarity >= near
        for t, h, value in zip(shared.row[kept].tolist(), shared.col[kept].tolist(), similarity[kept].tolist(), strict=True):
            least = min([value, *(_resemblance(held[h][1][field], block[t][1][field]) for field in others)])
            if least >= near:
                yield -min(round(least, 3), 0.999), held[h][0], block[t][0]


def _resemblance(one: str, other: str) -> float:
    ours, theirs = shingles(one), shingles(other)
    return len(ours & theirs) / len(ours | theirs)
