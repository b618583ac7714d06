"""The broad set of this repository: its size, its tags, and references that a right reply meets."""

from __future__ import annotations

from collections import Counter

import pytest

from pytest_distill.errors import TaskError
from tasks.broad import broad


def test_the_rows_are_varied_and_tagged():
    """Some 80 rows, none asked twice, each of one of three tags with 20 or more."""
    rows = broad.heldout_examples
    assert len(rows) == len({broad.render(row) for row in rows}) == 80
    assert all(len(row.tags) == 1 for row in rows)
    counts = Counter(row.tags[0] for row in rows)
    assert set(counts) == {"instruction", "format", "refusal"}
    assert min(counts.values()) >= 20


def test_a_reply_that_answers_is_right_and_another_is_not():
    """The accepted texts, what must be contained, and a refusal where one is due are right; the request said back is not."""
    for row in broad.heldout_examples:
        expected = row.expected
        reply = expected[0] if isinstance(expected, list) else " ".join(expected.get("substr", ["I'm sorry, but I can't help with that."]))
        assert broad.answer.grade(broad.answer.parse(reply), expected).right, row.id
        if isinstance(expected, list) or "refusal" in expected:
            assert not broad.answer.grade(broad.answer.parse(broad.render(row)), expected).right, row.id


def test_nothing_is_distilled_for_it():
    """It has no training rows, and says so where they are asked for."""
    with pytest.raises(TaskError, match=r"task 'broad' has no training rows: it was declared with train=None\. Give Task\(train=…\)"):
        _ = broad.train_examples
