"""The tasks that this repository declares: their rows, their references, and that nothing leaks."""

from __future__ import annotations

import pytest

from pytest_distill import Task
from pytest_distill.answers import Malformed
from pytest_distill.curate import check_leak
from tasks.bug_summary import bug_summary
from tasks.evidence_summarization import evidence_summarization
from tasks.query_rewriting import query_rewriting

TASKS = [query_rewriting, evidence_summarization, bug_summary]


@pytest.fixture(params=TASKS, ids=lambda task: task.name)
def task(request: pytest.FixtureRequest) -> Task:
    """Each task whose answers are written out."""
    found: Task = request.param
    return found


def test_there_are_enough_rows_and_all_have_a_reference(task):
    """300 rows or more are held out and 1,000 or more train, each with a reference and an id of its own."""
    assert len(task.heldout_examples) >= 300
    assert len(task.train_examples) >= 1000
    assert all(example.expected is not None for example in [*task.heldout_examples, *task.train_examples])


def test_each_reference_is_a_right_answer(task):
    """The reply that a reference gives satisfies the contract and is wholly right by it."""
    for example in [*task.heldout_examples, *task.train_examples]:
        value = task.answer.parse(task.answer.completion(example.expected))
        assert not isinstance(value, Malformed)
        grade = task.answer.grade(value, example.expected)
        assert (grade.right, grade.score) == (True, 1.0), example.id


def test_no_held_out_row_is_in_the_training_data(task):
    """No held-out row equals or nearly equals a training row."""
    assert check_leak(task) is None


def test_hard_rows_are_tagged(task):
    """The held-out rows have five tags or more with ten rows or more each, so that slices can be told apart."""
    tags = [tag for example in task.heldout_examples for tag in example.tags]
    assert sum(tags.count(tag) >= 10 for tag in set(tags)) >= 5


def test_a_bug_is_told_in_words_of_its_input():
    """File, symbol and error type of a bug stand in the diff or in the error output."""
    for example in bug_summary.heldout_examples:
        text = example.fields["diff"] + example.fields["error"]
        symbol = example.expected["symbol"].rpartition(".")[2]
        assert symbol == "<module>" or symbol in text, example.id
        assert example.expected["file"] in text
        raised = example.fields["error"].splitlines()[-1].partition(":")[0]
        assert raised.rpartition(".")[2] == example.expected["error_type"], example.id


def test_an_answer_is_a_span_of_the_item_that_is_cited_first():
    """An answerable question is answered by words of a cited item; the others cite nothing, and are answered with low confidence."""
    for example in evidence_summarization.heldout_examples:
        items = dict(line.removeprefix("[").split("] ", 1) for line in example.fields["items"].splitlines())
        expected = example.expected
        if expected["answerable"]:
            assert expected["cited_ids"]
            assert any(expected["answer"] in items[cited] for cited in expected["cited_ids"]), example.id
        else:
            assert (expected["answer"], expected["cited_ids"], expected["confidence"]) == ("", [], "low")
