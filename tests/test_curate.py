"""Curating: which replies are trained on, why the others are not, and when the teacher will not do."""

from __future__ import annotations

import json
import sys
from dataclasses import FrozenInstanceError, replace
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_distill.answers import Labels, ToolCall
from pytest_distill.curate import Curation, Leak, Rejected, TrainingRow, check_leak, curate
from pytest_distill.errors import TaskError, TeacherError
from pytest_distill.recording import OUTCOMES, Reply
from pytest_distill.task import Example, Task

LONG = " ".join(f"word{k}" for k in range(40))


def make(tmp_path, train=("a",), heldout=("b",)) -> Task:
    for name, texts in (("train", train), ("held", heldout)):
        rows = [{"id": f"{name}-{k}", "text": text, "expected_label": "yes"} for k, text in enumerate(texts)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Task("t", "say {{ text }}", Labels("yes", "no"), tmp_path / "train.jsonl", tmp_path / "held.jsonl", 4)


TASK = Task("t", "say {{ text }}", Labels("yes", "no"), "train.jsonl", "held.jsonl", 4)


def pairs(*rows: tuple[str, str, str | None, str]) -> tuple[list[Example], list[Reply]]:
    """Examples and replies from (text, reply, expected, outcome)."""
    examples = [Example(f"t{k}", {"text": text}, expected, (), k + 1) for k, (text, _, expected, _) in enumerate(rows)]
    return examples, [Reply(f"k{k}", f"t{k}", "big", reply, outcome, 1, 1, "") for k, (_, reply, _, outcome) in enumerate(rows)]


def sampled(*rows: tuple[str | None, tuple[str, ...]]) -> tuple[list[Example], list[Reply]]:
    """Examples and their samples from (expected, replies); a reply that names an outcome has that outcome, and no text."""
    examples = [Example(f"t{k}", {"text": f"text {k}"}, expected, (), k + 1) for k, (expected, _) in enumerate(rows)]
    return examples, [
        Reply(f"k{k}-{s}", f"t{k}", "big", "" if said in OUTCOMES else said, said if said in OUTCOMES else "answered", 1, 1, "", s)
        for k, (_, replies) in enumerate(rows)
        for s, said in enumerate(replies)
    ]


GOOD = [(f"more {k}", "yes", "yes", "answered") for k in range(200)]


def test_what_is_kept_and_why_the_rest_is_not(tmp_path):
    """Right replies, and valid ones without a reference, are kept as label to the letter; every other one has its reason."""
    examples, replies = pairs(
        ("a", " YES\n", "yes", "answered"),
        ("b", "no", "yes", "answered"),
        ("c", "no", None, "answered"),
        ("d", " perhaps ", "yes", "answered"),
        ("e", "yes", "yes", "cut"),
        ("a", "yes", "yes", "answered"),
        ("f", "I cannot help", None, "refused"),
        ("g", "", "no", "filtered"),
        ("h", "", "no", "empty"),
        ("i", "<html>", "no", "malformed"),
        ("j", "", "no", "failed"),
        *GOOD,
    )
    kept = curate(make(tmp_path), examples, replies)
    assert kept.rows[:2] == (TrainingRow("t0", "say a", "yes"), TrainingRow("t2", "say c", "no"))
    assert [row.id for row in kept.rows[2:]] == [f"t{k}" for k in range(11, 211)]
    assert kept.rejected == {
        "cut": (Rejected("t4", "yes", "yes"),),
        "duplicate": (Rejected("t5", "yes", "yes"),),
        "empty": (Rejected("t8", "", "no"),),
        "failed": (Rejected("t10", "", "no"),),
        "filtered": (Rejected("t7", "", "no"),),
        "malformed": (Rejected("t9", "<html>", "no"),),
        "refused": (Rejected("t6", "I cannot help", None),),
        "unparsable": (Rejected("t3", "perhaps", "yes"),),
        "wrong": (Rejected("t1", "no", "yes"),),
    }
    assert kept.replaced == {}


def test_what_was_said_is_cut_and_a_missing_reply_is_explained():
    """Of a long reply the first 120 characters are shown; where nothing came back, the reason why."""
    examples, replies = pairs(*GOOD[:40], ("a", "x" * 121, "yes", "answered"))
    failed = Reply("k", "t41", "big", "", "failed", 0, 0, "", detail="HTTP 500 five times")
    kept = curate(TASK, [*examples, Example("t41", {"text": "b"}, "yes", (), 1)], [*replies, failed])
    assert kept.rejected["unparsable"][0].said == "x" * 117 + "..."
    assert kept.rejected["failed"][0].said == "HTTP 500 five times"


def test_a_rejected_reply_makes_no_duplicate(tmp_path):
    """A prompt whose first reply was wrong is still kept when its second is right; what is wrong is never called a duplicate."""
    examples, replies = pairs(("a", "no", "yes", "answered"), ("a", "yes", "yes", "answered"), ("a", "no", "yes", "answered"))
    kept = curate(make(tmp_path), examples, replies)
    assert [row.id for row in kept.rows] == ["t1"]
    assert [row.id for row in kept.rejected["wrong"]] == ["t0", "t2"]


def test_rows_without_a_reference_can_be_rejected():
    """Where that is asked for, a valid reply that nothing checks is left out; one that is no answer keeps its own reason."""
    examples, replies = pairs(("a", "yes", None, "answered"), ("b", "yes", None, "cut"), ("c", "no", "no", "answered"))
    kept = curate(TASK, examples, replies, Curation(without_reference="reject"))
    assert [row.id for row in kept.rows] == ["t2"]
    assert {reason: [row.id for row in rows] for reason, rows in kept.rejected.items()} == {"cut": ["t1"], "unreferenced": ["t0"]}


def test_the_reference_can_replace_what_the_teacher_did_not_know():
    """Where that is asked for, a row is trained on its reference whatever kept its reply out; without one it stays out."""
    examples, replies = pairs(
        ("a", "no", "yes", "answered"),
        ("b", "perhaps", "no", "answered"),
        ("c", "", "no", "refused"),
        ("d", "", None, "refused"),
        ("e", "no", "yes", "cut"),
        ("a", "no", "yes", "answered"),
        ("f", "no", None, "answered"),
        *GOOD,
    )
    kept = curate(TASK, examples, replies, Curation(train_on_reference=True, without_reference="reject"))
    assert [(row.id, row.completion) for row in kept.rows[:4]] == [("t0", "yes"), ("t1", "no"), ("t2", "no"), ("t4", "yes")]
    assert {reason: [row.id for row in rows] for reason, rows in kept.rejected.items()} == {
        "duplicate": ["t5"],
        "refused": ["t3"],
        "unreferenced": ["t6"],
    }
    assert kept.replaced == {
        "cut": (Rejected("t4", "no", "yes"),),
        "refused": (Rejected("t2", "", "no"),),
        "unparsable": (Rejected("t1", "perhaps", "no"),),
        "wrong": (Rejected("t0", "no", "yes"),),
    }


# Agreement


def test_agreement_trains_on_what_most_samples_say():
    """The value that enough samples agree on is judged and kept; without that the row is unstable, and the values are counted."""
    examples, replies = sampled(
        ("yes", ("no", "yes", "YES")),
        ("yes", ("no", "no", "yes")),
        (None, ("yes", "no", "no")),
        ("yes", ("yes", "no", "cut")),
        ("yes", ("refused", "refused", "yes")),
        ("no", ("cut", "no", "no")),
    )
    kept = curate(TASK, examples, replies, Curation(agreement=2 / 3))
    assert [(row.id, row.completion) for row in kept.rows] == [("t0", "yes"), ("t2", "no"), ("t5", "no")]
    assert kept.rejected == {
        "refused": (Rejected("t4", "refused (2), yes (1)", "yes"),),
        "unstable": (Rejected("t3", "yes (1), no (1), cut (1)", "yes"),),
        "wrong": (Rejected("t1", "no (2), yes (1)", "yes"),),
    }
    unanimous = curate(TASK, examples[:1] + examples[5:], sampled(("yes", ("yes",) * 3))[1] + replies[15:], Curation(agreement=1.0))
    assert [row.id for row in unanimous.rows] == ["t0"]
    assert set(unanimous.rejected) == {"unstable"}


def test_without_agreement_the_first_sample_is_judged():
    """Further samples that nothing asks about change nothing."""
    examples, replies = sampled(("yes", ("yes", "no", "no")), ("yes", ("no", "yes", "yes")))
    kept = curate(TASK, examples, replies)
    assert [row.id for row in kept.rows] == ["t0"]
    assert kept.rejected == {"wrong": (Rejected("t1", "no", "yes"),)}


def test_agreement_needs_samples():
    """Agreement asked of a teacher that answers once is an error that says how to ask more often."""
    examples, replies = sampled(("yes", ("yes",)))
    with pytest.raises(TeacherError) as caught:
        curate(TASK, examples, replies, Curation(agreement=0.8))
    assert str(caught.value) == (
        "task 't': Curation(agreement=0.8) needs two or more replies to each prompt, and the teacher gave one. Ask it more often, as by"
        " Endpoint(…, samples=3), or leave agreement out."
    )


@given(
    st.integers(2, 4).flatmap(
        lambda k: st.lists(
            st.tuples(st.sampled_from(["yes", "no", None]), st.tuples(*[st.sampled_from(["yes", "no", "cut", "refused"])] * k)),
            min_size=1,
            max_size=12,
        )
    ),
    st.sampled_from([0.51, 0.75, 1.0]),
    st.booleans(),
    st.sampled_from(["keep", "reject"]),
)
def test_every_row_is_kept_or_has_one_reason(rows, agreement, train_on_reference, without_reference):
    """Whatever is asked for, each row is kept once or rejected once, what is kept is right or unchecked, and order is that of the file."""
    examples, replies = sampled(*rows)
    curation = Curation(agreement=agreement, train_on_reference=train_on_reference, without_reference=without_reference)
    try:
        kept = curate(TASK, examples, replies, curation)
    except TeacherError as error:
        assert "fit to train on" in str(error)
        return
    rejected = [row.id for rows in kept.rejected.values() for row in rows]
    assert sorted([*rejected, *(row.id for row in kept.rows)]) == sorted(example.id for example in examples)
    by_id = {example.id: example for example in examples}
    assert all(by_id[row.id].expected in (None, row.completion) for row in kept.rows)
    assert [row.id for row in kept.rows] == [example.id for example in examples if example.id not in rejected]
    assert {row.id for rows in kept.replaced.values() for row in rows} <= {row.id for row in kept.rows}
    if train_on_reference:
        assert all(by_id[name].expected is None for name in rejected)
    if without_reference == "reject":
        assert all(by_id[row.id].expected is not None for row in kept.rows)


# A teacher that will not do


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


def test_a_contract_without_labels_has_no_label_to_add(tmp_path):
    """Where answers are calls, the way out of unparsable replies is another contract, not another label."""
    examples, replies = pairs(*[(f"p{k}", "{", None, "answered") for k in range(10)])
    with pytest.raises(TeacherError, match=r"are no valid call; .* Tighten the prompt or loosen the answer contract\.$"):
        curate(replace(make(tmp_path), answer=ToolCall([{"name": "go"}])), examples, replies)


@pytest.mark.parametrize(
    ("outcomes", "what"),
    [
        (
            ("malformed", "answered", "empty", "failed", "failed", "failed"),
            "no usable answer (3 failed, 1 malformed, 1 unparsable, 1 empty); first: t94, malformed: '<html>'."
            " Ask again for those that failed: pytest --distill --distill-record.",
        ),
        (("empty",) * 6, "no usable answer (6 empty); first: t94, empty: '<html>'. Tighten the prompt."),
        (("refused",) * 6, None),
        (("cut",) * 3 + ("filtered",) * 3, None),
        (("failed",) * 5 + ("refused",), None),
    ],
)
def test_a_teacher_that_gives_no_usable_answers(outcomes, what):
    """Replies that failed, were empty or had no form count with unparsable ones; refused, cut and filtered ones do not."""
    examples, replies = pairs(*GOOD[:94], *[(f"q{k}", "<html>", "yes", outcome) for k, outcome in enumerate(outcomes)])
    if what is None:
        assert len(curate(TASK, examples, replies).rows) == 94
        return
    with pytest.raises(TeacherError) as caught:
        curate(TASK, examples, replies)
    assert str(caught.value) == f"task 't': 6 of 100 teacher replies (6.0%) are {what}"


def test_nothing_left_to_train_on(tmp_path):
    """Where every reply is wrong or cut, the error counts the reasons."""
    examples, replies = pairs(("a", "no", "yes", "answered"), ("b", "no", "yes", "answered"), ("c", "yes", "yes", "cut"))
    with pytest.raises(TeacherError, match=r"none of 3 teacher replies is fit to train on \(2 wrong, 1 cut\)"):
        curate(make(tmp_path), examples, replies)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            lambda replies: replies[:-1],
            "3 teacher replies do not pair with 2 training rows; reply 2 is sample 1 of 't0' where sample 0 of 't1'",
        ),
        (
            lambda replies: replies[2:],
            "2 teacher replies do not pair with 2 training rows; reply 1 is sample 0 of 't1' where sample 0 of 't0'",
        ),
        (
            lambda replies: replies[::-1],
            "4 teacher replies do not pair with 2 training rows; reply 1 is sample 1 of 't1' where sample 0 of 't0'",
        ),
        (lambda replies: [], "0 teacher replies do not pair with 2 training rows; reply 1 is nothing where sample 0 of 't0'"),
        (
            lambda replies: replies + replies[:1],
            "5 teacher replies do not pair with 2 training rows; reply 5 is sample 0 of 't0' where nothing",
        ),
    ],
    ids=["one missing", "an example's missing", "other order", "none", "one more"],
)
def test_replies_must_pair_with_examples(change, what):
    """A reply that is missing, or stands where another belongs, is never passed over."""
    examples, replies = sampled(("yes", ("yes", "yes")), ("no", ("no", "no")))
    with pytest.raises(TeacherError) as caught:
        curate(TASK, examples, change(replies))
    assert str(caught.value) == (f"task 't': {what} belongs. Give for each row its samples one after another, in the order of the rows.")


# Leaks


def test_held_out_examples_in_the_training_data_are_refused(tmp_path, monkeypatch):
    """Equal examples, but for case and punctuation, are counted and the first pair is named with the file to mend."""
    monkeypatch.chdir(tmp_path)
    check_leak(make(tmp_path))
    with pytest.raises(TaskError) as caught:
        check_leak(make(tmp_path, train=("x", "Same one!", "y"), heldout=("z", "same one", "Y")))
    assert str(caught.value) == (
        "task 't': 2 held-out examples are also in the training data; first: held-1 equals train-1. Remove them from train.jsonl"
        " or leave them out with Curation(leaked='reject')."
    )


def test_near_duplicates_are_refused(tmp_path, monkeypatch):
    """Nearly equal examples are counted beside the equal ones; the first pair is shown with its similarity and the ways out."""
    pytest.importorskip("scipy")
    monkeypatch.chdir(tmp_path)
    train = ("x", LONG, f"{LONG} {LONG[::-1]}", "y", f"{LONG} now", f"{LONG} now then", "Y!")
    near = "similarity 0.854): 'word0 word1 word2 word3 word4 word5 word6 word7 word8 wor...' / 'word0 word1"
    ways_out = (
        "Remove them from train.jsonl or leave them out with Curation(leaked='reject'); if they ask something else, raise"
        " Curation(near=0.8)."
    )
    heldout = ("z", LONG.replace("word20", "other"))
    with pytest.raises(TaskError) as caught:
        check_leak(make(tmp_path, train, heldout))
    text = str(caught.value)
    assert text.startswith(f"task 't': 1 held-out example is nearly equal to training rows; first: held-1 nearly equals train-1 ({near}")
    assert text.endswith(ways_out)
    heldout = ("Y", *heldout, f"hello {LONG}", f"{LONG} now")  # the last equals one training row and nearly equals two
    with pytest.raises(TaskError) as caught:
        check_leak(make(tmp_path, train, heldout))
    text = str(caught.value)
    assert text.startswith(
        "task 't': 2 held-out examples are also in the training data; first: held-0 equals train-3."
        f" 2 more held-out examples are nearly equal to training rows; first: held-2 nearly equals train-1 ({near}"
    )
    assert text.endswith(ways_out)
    check_leak(make(tmp_path, train, heldout[1:-1]), Curation(near=0.99))


def test_leaked_training_rows_can_be_left_out(tmp_path):
    """Where that is asked for, the gate is not refused, and the rows that leak are rejected, whatever their replies; none else."""
    pytest.importorskip("scipy")
    task = make(tmp_path, ("x", LONG, "Same!", "y", f"hello {LONG}"), ("z", LONG.replace("word20", "other"), "same", LONG))
    examples = task.train_examples
    replies = [Reply(f"k{k}", each.id, "big", ("yes", "no")[k == 2], "answered", 1, 1, "") for k, each in enumerate(examples)]
    curation = Curation(leaked="reject", train_on_reference=True)
    assert check_leak(task, curation) is None
    kept = curate(task, examples, replies, curation)
    assert [row.id for row in kept.rows] == ["train-0", "train-3"]
    assert [row.id for row in kept.rejected["leaked"]] == ["train-1", "train-2", "train-4"]
    assert kept.replaced == {}


def test_leaks_that_are_known_are_not_searched_again(tmp_path):
    """What an earlier search found is taken as it is, also where it found nothing."""
    task = make(tmp_path, ("same", "other"), ("same",))
    examples, replies = task.train_examples, [Reply("k", f"train-{k}", "big", "yes", "answered", 1, 1, "") for k in range(2)]
    assert check_leak(task, leaks=[]) is None
    with pytest.raises(TaskError, match="held-0 equals train-1"):
        check_leak(task, leaks=[Leak("held-0", "train-1", 1.0)])
    kept = curate(task, examples, replies, Curation(leaked="reject"), [Leak("held-0", "train-1", 1.0)])
    assert [row.id for row in kept.rows] == ["train-0"]
    assert len(curate(task, examples, replies, Curation(leaked="reject"), []).rows) == 2


def test_a_search_that_was_not_made_is_told(tmp_path, monkeypatch):
    """Where scipy is missing, the check passes with a note; asked for equal rows alone, it has nothing to note."""
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert "were not searched" in check_leak(make(tmp_path))
    assert check_leak(make(tmp_path), Curation(near=1)) is None


# The declaration


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"without_reference": "drop"}, "Curation(without_reference=…) is 'keep' or 'reject'; seen 'drop'."),
        ({"train_on_reference": 1}, "Curation(train_on_reference=…) is True or False; seen 1."),
        ({"agreement": 0.5}, "Curation(agreement=…) is a share above 0.5, up to 1; seen 0.5. Write"),
        ({"agreement": 80}, "seen 80. Write 0.8, or leave it out to judge the first sample alone."),
        ({"agreement": nan}, "seen nan"),
        ({"agreement": True}, "seen True"),
        ({"leaked": True}, "Curation(leaked=…) is 'refuse' or 'reject'; seen True."),
        ({"near": 0.49}, "Curation(near=…) is a similarity from 0.5 to 1; seen 0.49. Write 0.8, or 1 to find equal rows alone."),
        ({"near": 80}, "seen 80"),
        ({"near": nan}, "seen nan"),
        ({"near": "0.8"}, "seen '0.8'"),
    ],
)
def test_a_wrong_declaration(values, what):
    """A value outside of what is allowed is an error that names it and what is allowed."""
    with pytest.raises(TaskError) as caught:
        Curation(**values)
    assert what in str(caught.value)


def test_a_declaration_is_fixed_and_named():
    """Its values are given by name and never change."""
    with pytest.raises(TypeError):
        Curation("keep")
    with pytest.raises(FrozenInstanceError):
        Curation().near = 1
    assert Curation() == Curation(without_reference="keep", train_on_reference=False, agreement=None, leaked="refuse", near=0.8)
