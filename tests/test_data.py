"""The data of retrieval routing: sizes, balance, variety, and no leak."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from pytest_distill.curate import near_duplicates
from tasks.retrieval_routing import retrieval_routing

pytest.importorskip("sklearn")

from training.data_card import closest, frames
from training.finetune import TEACHER_ROWS, learned_rows


def test_there_are_enough_rows():
    """At least 500 held-out and 3,000 training rows, 1,500 of them with a reference and some without."""
    train = retrieval_routing.train_examples
    with_reference = sum(example.expected is not None for example in train)
    assert len(retrieval_routing.heldout_examples) >= 500
    assert len(train) >= 3000
    assert 1500 <= with_reference < len(train)


@pytest.mark.parametrize("split", ["heldout", "train"])
def test_no_label_and_no_phrase_frame_prevails(split):
    """No label makes up more than 35 % of a split, and no opening of three words more than 2 %."""
    rows = getattr(retrieval_routing, f"{split}_examples")
    labels = Counter(example.expected for example in rows if example.expected)
    assert set(labels) == {"code", "docs", "hybrid", "skip"}
    assert max(labels.values()) / sum(labels.values()) <= 0.35
    assert frames(rows).most_common(1)[0][1] / len(rows) <= 0.02


def test_the_hard_slices_are_tagged():
    """Hard negatives, ambiguous rows, context, terse and sloppy wording are each a slice of at least 40 held-out rows."""
    tags = Counter(tag for example in retrieval_routing.heldout_examples for tag in example.tags)
    assert set(tags) == {"hard-negative", "ambiguous", "context", "terse", "typo"}
    assert min(tags.values()) >= 40
    for example in retrieval_routing.heldout_examples:
        assert ("context" in example.tags) == bool(example.fields.get("conversation_context"))


def test_no_heldout_row_equals_or_nearly_equals_one_that_a_model_learned_from():
    """No held-out row equals, or shares more than four fifths of its words with, a row that teacher or student trains on."""
    learned = learned_rows(retrieval_routing)
    for train in (retrieval_routing.train, TEACHER_ROWS):
        assert near_duplicates(replace(retrieval_routing, train=train), 0.8) == []
    assert max(closest(learned, retrieval_routing.heldout_examples)) <= 0.8


def test_no_heldout_prompt_stands_twice():
    """Each held-out row asks something of its own."""
    prompts = [retrieval_routing.render(example) for example in retrieval_routing.heldout_examples]
    assert len(set(prompts)) == len(prompts)
