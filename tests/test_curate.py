"""Curating: which replies are trained on, why the others are not, and when the teacher will not do."""

from __future__ import annotations

import json

import pytest

from pytest_distill.answers import Labels
from pytest_distill.curate import TrainingRow, check_leak, curate
from pytest_distill.errors import TaskError, TeacherError
from pytest_distill.recording import Reply
from pytest_distill.task import Example, Task


def make(tmp_path, train=("a",), heldout=("b",)) -> Task:
    for name, texts in (("train", train), ("held", heldout)):
        rows = [{"id": f"{name}-{k}", "text": text, "expected_label": "yes"} for k, text in enumerate(texts)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Task("t", "say {{ text }}", Labels("yes", "no"), tmp_path / "train.jsonl", tmp_path / "held.jsonl", 4)


def pairs(*rows: tuple[str, str, str | None, str]) -> tuple[list[Example], list[Reply]]:
    """Examples and replies from (text, reply, expected, outcome)."""
    examples = [Example(f"t{k}", {"text": text}, expected, (), k + 1) for k, (text, _, expected, _) in enumerate(rows)]
    return examples, [Reply(f"k{k}", f"t{k}", "big", reply, outcome, 1, 1, "") for k, (_, reply, _, outcome) in enumerate(rows)]


def test_what_is_kept_and_why_the_rest_is_not(tmp_path):
    """Right replies, and valid ones without a reference, are kept as label to the letter; every other one has its reason."""
    good = [(f"more {k}", "yes", "yes", "answered") for k in range(20)]
    examples, replies = pairs(
        ("a", " YES\n", "yes", "answered"),
        ("b", "no", "yes", "answered"),
        ("c", "no", None, "answered"),
        ("d", "perhaps", "yes", "answered"),
        ("e", "yes", "yes", "cut"),
        ("a", "yes", "yes", "answered"),
        *good,
    )
    kept = curate(make(tmp_path), examples, replies)
    assert kept.rows[:2] == (TrainingRow("t0", "say a", "yes"), TrainingRow("t2", "say c", "no"))
    assert [row.id for row in kept.rows[2:]] == [f"t{k}" for k in range(6, 26)]
    assert kept.rejected == {"cut": ("t4",), "duplicate": ("t5",), "unparsable": ("t3",), "wrong": ("t1",)}


def test_a_rejected_reply_makes_no_duplicate(tmp_path):
    """A prompt whose first reply was wrong is still kept when its second is right."""
    examples, replies = pairs(("a", "no", "yes", "answered"), ("a", "yes", "yes", "answered"))
    assert [row.id for row in curate(make(tmp_path), examples, replies).rows] == ["t1"]


@pytest.mark.parametrize(("unparsable", "refused"), [(5, False), (6, True)])
def test_a_teacher_that_does_not_keep_the_contract(tmp_path, unparsable, refused):
    """Five unparsable replies of 100 are left out; six are an error with count, share and the first of them."""
    examples, replies = pairs(
        *[(f"p{k}", "yes", "yes", "answered") for k in range(100 - unparsable)],
        *[(f"q{k}", f" Documentation {k}\n", "yes", "answered") for k in range(unparsable)],
    )
    if not refused:
        assert len(curate(make(tmp_path), examples, replies).rows) == 95
        return
    with pytest.raises(TeacherError) as caught:
        curate(make(tmp_path), examples, replies)
    assert str(caught.value) == (
        "task 't': 6 of 100 teacher replies (6.0%) are none of yes, no; first: t94 said 'Documentation 0'."
        " Tighten the prompt or add the label."
    )


def test_nothing_left_to_train_on(tmp_path):
    """Where every reply is wrong or cut, the error counts the reasons."""
    examples, replies = pairs(("a", "no", "yes", "answered"), ("b", "no", "yes", "answered"), ("c", "yes", "yes", "cut"))
    with pytest.raises(TeacherError, match=r"none of 3 teacher replies is fit to train on \(2 wrong, 1 cut\)"):
        curate(make(tmp_path), examples, replies)


def test_replies_must_pair_with_examples(tmp_path):
    """A missing reply is never passed over."""
    examples, replies = pairs(("a", "yes", "yes", "answered"), ("b", "yes", "yes", "answered"))
    with pytest.raises(ValueError, match="shorter"):
        curate(make(tmp_path), examples, replies[:1])


def test_held_out_examples_in_the_training_data_are_refused(tmp_path, monkeypatch):
    """Equal examples, but for case and punctuation, are counted and the first pair is named with the file to mend."""
    monkeypatch.chdir(tmp_path)
    check_leak(make(tmp_path))
    with pytest.raises(TaskError) as caught:
        check_leak(make(tmp_path, train=("x", "Same one!", "y"), heldout=("z", "same one", "Y")))
    assert str(caught.value) == (
        "task 't': 2 held-out examples are also in the training data; first: held-1 equals train-1. Remove them from train.jsonl."
    )
