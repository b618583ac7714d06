"""The tasks that this repository declares: their rows, their references, and that nothing leaks."""

from __future__ import annotations

import random
import re
from itertools import islice

import pytest

from pytest_distill import Task
from pytest_distill.answers import Malformed
from pytest_distill.curate import check_leak
from tasks.bug_summary import bug_summary
from tasks.evidence_summarization import evidence_summarization
from tasks.query_rewriting import query_rewriting
from training.rows import written
from training.rows.drills import copies, lookups
from training.rows.evidence_summarization import HEDGE
from training.rows.swap import Pool, made

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


def test_a_drill_asks_for_words_of_the_item_that_it_names():
    """Each question of a drill holds a word of the item whose id is learned, and nothing but that id is learned."""
    bundles = [example.fields["items"] for example in evidence_summarization.train_examples[:50]]
    for pieces in islice(lookups(bundles, 0), 50):
        items = dict(line.removeprefix("[e").lower().split("] ", 1) for line in pieces[0][0].splitlines())
        learned = [at for at, (_, learn) in enumerate(pieces) if learn]
        assert len(learned) >= 4
        for at in learned:
            asked = pieces[at - 1][0].removeprefix("? ").partition("\nJSON:")[0].removesuffix(": e").lower()
            assert any(word in items[pieces[at][0]] for word in asked.split()), (asked, pieces[0])


def test_a_drill_in_copying_repeats_what_was_said():
    """Each learned stretch of a drill follows its first word just as it does in the list at the start."""
    for pieces in islice(copies(["[e1] Sessions expire after thirty minutes", "[e2] See the settings_file"], 0), 50):
        said = f"{pieces[0][0]} "
        learned = [at for at, (_, learn) in enumerate(pieces) if learn]
        assert len(learned) >= 2
        for at in learned:
            first = pieces[at - 1][0].rpartition(" ")[2]
            assert f"{first}{pieces[at][0]} " in said, (pieces[at], said)


def test_a_swapped_row_says_the_same_words_in_prompt_and_reference():
    """File and function that the reference of a swapped bug names stand in its diff or its error output; some thousand rows are swapped."""
    swapped = [example for example in bug_summary.train_examples if "swapped" in example.tags]
    assert len(swapped) >= 1000
    for example in swapped:
        shown = f"{example.fields['diff']}\n{example.fields['error']}"
        assert example.expected["file"] in shown, example.id
        for name in example.expected["symbol"].removeprefix("<module>").split("."):
            assert name in shown, example.id


def test_a_swapped_bundle_of_evidence_still_states_its_answer_as_surely(tmp_path):
    """Where words of evidence are swapped, the answer stands in a cited item, and the confidence is the one that the rules give for its words."""
    rows = written(evidence_summarization.train)
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("often typically harbour lantern copper meadow violin saddle " * 10, encoding="ascii")
    swapped = made(rows, "evidence_summarization", 500, Pool(corpus, random.Random(1)))
    assert not {row["items"] for row in swapped} & {row["items"] for row in rows}
    for row in swapped:
        items, said = dict(re.findall(r"^\[(e\d)\] (.*)$", row["items"], re.MULTILINE)), row["expected"]
        cited = [items[each] for each in said["cited_ids"]]
        assert said["answerable"] is bool(cited), row["id"]
        assert not cited or any(said["answer"] in item for item in cited), row["id"]
        sure = "medium" if "conflict" in row["tags"] or any(map(HEDGE.search, cited)) else "high"
        assert said["confidence"] == (sure if cited else "low"), row["id"]
