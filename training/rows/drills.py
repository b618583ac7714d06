"""Drills in looking up and in copying, for the teacher and for the students' base.

Looking up: which item holds the words that are asked for? Several questions about the same items, only the ids are learned.

A model of ten million weights, given rows of evidence summarization alone, learns their form and never which item a question is about:
one token of forty depends on it. Here every question gives one such token. Half of the drills have items of random words,
half the items of training rows; a question is some words of one item.

Copying: words, made-up names among them, then stretches of them again. What follows the first word of a stretch is learned. A row of a task has few
tokens that can only be copied, a drill has dozens.

Nobody wrote them: they are to learn from, never to judge on.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator, Sequence

REPLY = ('\nJSON: {"cited_ids": ["e', '"]}\n')
BRIEF = (": e", "\n")


def lookups(bundles: Sequence[str], seed: int) -> Iterator[list[tuple[str, bool]]]:
    """Yield drills without end, each as its pieces of text in order, with whether a piece is learned.

    `bundles` are the items of training rows, one ``[e3] text`` a line.
    """
    rng = random.Random(seed)
    words = sorted({word for bundle in bundles for word in re.findall(r"[a-z_]{4,}", bundle)})
    while True:
        if rng.random() < 0.5:
            length = rng.choice((2, 3, 4, 5, 7, 10))
            items = [rng.choices(words, k=length) for _ in range(rng.choice((2, 3, 3, 4, 5)))]
            names = [f"e{number}" for number in rng.sample(range(1, 10), len(items))]
            first = rng.choice((str, str.capitalize))
            text = "\n".join(f"[{name}] {first(' '.join(item))}." for name, item in zip(names, items, strict=True))
        else:
            text = rng.choice(bundles)
            names = re.findall(r"^\[(e\d)\]", text, re.MULTILINE)
            items = [re.findall(r"[A-Za-z_]{4,}", line) for line in text.split("\n")]
            if len(names) != len(items) or min(map(len, items)) < 3:
                continue
        pieces = [(f"{text}\n", False)]
        for _ in range(rng.randint(4, 8)):
            at = rng.randrange(len(items))
            asked = rng.sample(items[at], min(len(items[at]), rng.choice((1, 1, 2, 3, 4, 5))))
            asked += rng.choices(words, k=rng.random() < 0.3)
            if rng.random() < 0.3:
                rng.shuffle(asked)
            before, after = BRIEF if rng.random() < 0.25 else REPLY
            pieces += [(f"? {' '.join(asked)}{before}", False), (names[at][1:], True), (after, False)]
        yield pieces


def copies(bundles: Sequence[str], seed: int) -> Iterator[list[tuple[str, bool]]]:
    """Yield drills in copying without end, in the form of those above."""
    rng = random.Random(seed)
    words = sorted({word for bundle in bundles for word in re.findall(r"[A-Za-z_]{3,}", bundle)})
    ends = ("\n", "\n", ",", ".", "?", " '", ' "', ":", " (", " /")

    def word() -> str:
        chance = rng.random()
        if chance < 0.3:
            return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9)))
        return "_".join(rng.choices(words, k=2)) if chance < 0.4 else rng.choice(words)

    while True:
        said = [word() for _ in range(rng.randint(4, 40))]
        pieces = [(" ".join(said), False)]
        for _ in range(rng.randint(2, 6)):
            at = rng.randrange(len(said) - 2)
            stretch = said[at : at + rng.randint(2, 12)]
            pieces += [(f"{rng.choice(ends)} {stretch[0]}", False), ("".join(f" {each}" for each in stretch[1:]), True)]
        yield pieces
