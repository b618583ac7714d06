"""Scoring one model, timing two, and comparing them: kinds, counts, classes, confusion, slices and bands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_distill.answers import Grade, Labels, Malformed, Text
from pytest_distill.compare import Comparison, latency
from pytest_distill.evaluate import Evaluation, Series, Timing, evaluate
from pytest_distill.recording import Reply
from pytest_distill.task import Task
from pytest_distill.verdict import Judging

# expected, teacher's reply, student's reply, tags
ROWS = [
    ("a", "a", "a", ["easy"]),
    ("a", "a", "b", []),
    ("a", "b", "b", ["hard"]),
    ("b", "b", " B\n", ["easy"]),
    ("b", "b", "what?", ["easy", "hard"]),
    ("b", "a", "b", []),
    ("c", "a", "c", []),
    ("c", "", "a", []),
]
LIVE = Timing(Series((0.06,) * 30), Series((0.02,) * 30), "live", "2026-11-22T10:00:00Z", "here")


def make(tmp_path, rows=ROWS, timing: Timing = LIVE, judging: Judging | None = None) -> Comparison:
    """A comparison on rows of (expected, teacher's reply, student's reply, tags)."""
    made = [{"id": f"h{k}", "text": f"text {k}", "expected_label": row[0], "tags": row[3]} for k, row in enumerate(rows)]
    (tmp_path / "h.jsonl").write_text("\n".join(map(json.dumps, made)))
    task = Task("t", "say {{ text }}", Labels("a", "b", "c"), tmp_path / "h.jsonl", tmp_path / "h.jsonl", 4)
    sides = [evaluate(name, task, task.heldout_examples, replies([row[at] for row in rows])) for at, name in ((1, "big"), (2, "small"))]
    return Comparison(task, task.heldout_examples, *sides, timing, judging or Judging())


def replies(texts: list[str]) -> list[Reply]:
    return [Reply(f"k{k}", f"h{k}", "m", text, "answered", 10, 2, f"2026-11-22T10:00:{59 - k % 50:02}Z") for k, text in enumerate(texts)]


def counted(tmp_path, b: int, c: int, n: int, gain: float = 3.0, evidence: str = "strict") -> Comparison:
    """A comparison with b lost, c gained of n, and thirty equal ratios."""
    rows = [("a", "a", "b", [])] * b + [("a", "b", "a", [])] * c + [("a", "a", "a", [])] * (n - b - c)
    return make(tmp_path, rows, Timing(Series((gain,) * 30), Series((1.0,) * 30), "live", "", ""), Judging(evidence))


# One model


def test_replies_are_scored_against_references(tmp_path):
    """An evaluation holds values, scores and texts in order, the totals of tokens, and the time of the oldest reply."""
    student = make(tmp_path).student
    wrong = Malformed("none of a, b, c")
    assert student == Evaluation(
        "small", ("a", "b", "b", "b", wrong, "b", "c", "a"), ("a", "b", "b", "b", None, "b", "c", "a"),
        tuple(Grade(score, bool(score)) for score in (1, 0, 0, 1, 0, 1, 1, 0)),
        ("a", "b", "b", " B\n", "what?", "b", "c", "a"), 80, 16, "2026-11-22T10:00:52Z",
    )  # fmt: skip
    assert student.right == 4


def test_a_reply_that_was_cut_is_wrong(tmp_path):
    """A reply that ran into max_tokens is malformed, even where its text is a label."""
    task = make(tmp_path).task
    found = evaluate("m", task, task.heldout_examples[:1], [replace(replies(["a"])[0], outcome="cut")])
    assert (found.values, found.scores, found.texts) == ((Malformed("cut at max_tokens"),), (0.0,), ("a",))


def test_replies_must_pair_with_the_examples(tmp_path):
    """Replies in another order, or fewer of them, are never scored."""
    task = make(tmp_path).task
    found = replies(["a"] * 8)
    for wrong in (found[::-1], found[:7], [*found, found[0]]):
        with pytest.raises(ValueError, match="do not pair"):
            evaluate("m", task, task.heldout_examples, wrong)


# Two models


def test_kinds_and_counts(tmp_path):
    """Each example is both right, introduced, corrected or inherited, and the counts add up to all of them."""
    found = make(tmp_path)
    assert found.kinds == ["both_right", "introduced", "inherited", "both_right", "introduced", "corrected", "corrected", "inherited"]
    assert found.counts == {"both_right": 2, "introduced": 2, "corrected": 2, "inherited": 2}


def test_measures_come_from_the_counts_and_times(tmp_path):
    """The drop is of the counts, the gain of the times, the quality of the scores."""
    found = counted(tmp_path, 7, 2, 40)
    assert list(found.measures) == ["accuracy_drop", "speed_gain", "quality_retained", "introduced_rate", "valid_rate"]
    assert (found.accuracy_drop.introduced, found.accuracy_drop.corrected, found.accuracy_drop.n) == (7, 2, 40)
    assert (found.accuracy_drop.estimate, found.speed_gain.estimate, found.quality_retained.estimate) == (0.125, 3.0, 33 / 38)
    assert (found.accuracy_drop <= 0.5).shown
    assert found.accuracy_drop.judging is found.judging


def test_confusion(tmp_path):
    """Rows are expected labels, columns given ones in the contract's order, with (none) for what is no label."""
    found = make(tmp_path)
    assert found.labels == ["a", "b", "c", "(none)"]
    assert found.confusion(found.teacher) == [[2, 1, 0, 0], [1, 2, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
    assert found.confusion(found.student) == [[1, 2, 0, 0], [0, 2, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_classes_and_macro_f1(tmp_path):
    """Each label has its support, and precision, recall and F1 of both models; a label that was never given has F1 0."""
    found = make(tmp_path)
    names = ("support", *(f"{side}_{figure}" for side in ("teacher", "student") for figure in ("precision", "recall", "f1")))
    assert found.classes == {
        "a": dict(zip(names, (3, 2 / 4, 2 / 3, 4 / 7, 1 / 2, 1 / 3, 2 / 5), strict=True)),
        "b": dict(zip(names, (3, 2 / 3, 2 / 3, 4 / 6, 2 / 4, 2 / 3, 4 / 7), strict=True)),
        "c": dict(zip(names, (2, 0.0, 0.0, 0.0, 1.0, 1 / 2, 2 / 3), strict=True)),
    }
    assert found.macro_f1("teacher") == pytest.approx((4 / 7 + 4 / 6) / 3)
    assert found.macro_f1("student") == pytest.approx((2 / 5 + 4 / 7 + 2 / 3) / 3)
    assert make(tmp_path, ROWS[:2]).classes["c"] == dict.fromkeys(names, 0)


def test_slices(tmp_path):
    """Each tag has its examples, both accuracies and both mean scores; an example counts for every tag that it has."""
    assert make(tmp_path).slices == {
        "easy": {"n": 3, "teacher": 1.0, "student": 2 / 3, "teacher_score": 1.0, "student_score": 2 / 3},
        "hard": {"n": 2, "teacher": 0.5, "student": 0.0, "teacher_score": 0.5, "student_score": 0.0},
    }
    assert make(tmp_path, ROWS[1:2]).slices == {}


def test_errors_are_listed_introduced_first(tmp_path):
    """What a model got wrong is listed with prompt, reference and both replies: introduced, then corrected, then inherited."""
    errors = make(tmp_path).errors()
    assert [(row["id"], row["kind"]) for row in errors] == [
        ("h1", "introduced"), ("h4", "introduced"), ("h5", "corrected"), ("h6", "corrected"), ("h2", "inherited"), ("h7", "inherited"),
    ]  # fmt: skip
    assert errors[1] == {
        "id": "h4", "kind": "introduced", "input": "say text 4", "expected": "b", "teacher": "b", "student": "what?",
        "tags": ["easy", "hard"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "gain", "band", "note"),
    [
        ((0, 0, 59), 3.0, "viable", ""),
        ((4, 0, 200), 2.1, "viable", ""),
        ((4, 0, 200), 2.0, "marginal", ""),
        ((4, 0, 200), 1.5, "marginal", ""),
        ((0, 0, 58), 3.0, "marginal", ""),
        ((1, 0, 46), 3.0, "marginal", ""),
        ((140, 0, 2000), 3.0, "marginal", ""),
        ((2, 0, 46), 3.0, "inconclusive", ""),
        ((20, 0, 200), 3.0, "inconclusive", "worse than 5% shown"),
        ((30, 0, 200), 3.0, "not ready", ""),
        ((30, 0, 200), 1.0, "not ready", ""),
    ],
)
def test_the_band_of_what_is_shown(tmp_path, counts, gain, band, note):
    """Under strict evidence a band is what is shown at 5 and 10 % and at twice the speed; only an inconclusive one has a note."""
    compared = counted(tmp_path, *counts, gain)
    assert (compared.band, compared.band_note) == (band, note)


@pytest.mark.parametrize(
    ("counts", "gain", "band"),
    [
        ((5, 0, 100), 2.0, "viable"),
        ((5, 0, 100), 1.9, "marginal"),
        ((6, 0, 100), 3.0, "marginal"),
        ((10, 0, 100), 3.0, "marginal"),
        ((11, 0, 100), 3.0, "not ready"),
        ((2, 0, 46), 2.0, "viable"),
        ((4, 0, 46), 2.0, "marginal"),
    ],
)
def test_the_band_of_plain_estimates(tmp_path, counts, gain, band):
    """Under point evidence it is the naive rule on exact fractions: 100/100 against 95/100 is viable; no band has a note."""
    compared = counted(tmp_path, *counts, gain, "point")
    assert (compared.band, compared.band_note) == (band, "")


# Times


@pytest.mark.parametrize(
    ("n", "p90", "p95", "p99"),
    [(1, None, None, None), (28, None, None, None), (29, 27, None, None), (58, 53, None, None), (59, 54, 57, None), (298, 269, 284, None),
     (299, 270, 285, 297), (1000, 900, 950, 990)],
)  # fmt: skip
def test_latency(n, p90, p95, p99):
    """Latency is count, median and nearest-rank percentiles in milliseconds; a percentile that n is too small for is None."""
    seconds = [k / 1000 for k in range(n, 0, -1)]
    assert latency(seconds) == {"n": n, "p50": (n + 1) / 2, "p90": p90, "p95": p95, "p99": p99}


def test_a_refusal_in_its_own_field_is_a_text_like_any_other(tmp_path):
    """In free text a refusal counts as its words, also where the API marks it; labels have no place for one."""
    (tmp_path / "h.jsonl").write_text('{"id": "h0", "text": "x", "expected_refusal": true}')
    (tmp_path / "l.jsonl").write_text('{"id": "h0", "text": "x", "expected_label": "a"}')
    refused = [replace(replies(["I'm sorry, but I can't help with that."])[0], outcome="refused", detail="the model refused")]
    text = Task("t", "say {{ text }}", Text(), tmp_path / "h.jsonl", tmp_path / "h.jsonl", 4)
    labels = Task("t", "say {{ text }}", Labels("a", "b"), tmp_path / "l.jsonl", tmp_path / "l.jsonl", 4)
    assert evaluate("m", text, text.heldout_examples, refused).right == 1
    assert evaluate("m", labels, labels.heldout_examples, refused).values == (Malformed("the model refused"),)


def test_a_mistyped_measure_is_told_the_right_one(tmp_path):
    """What a comparison does not have is an AttributeError that names the likest measure, or all there are."""
    found = make(tmp_path)
    with pytest.raises(AttributeError, match=r"no 'accuracy_drops'\. Did you mean 'accuracy_drop'\?"):
        _ = found.accuracy_drops
    with pytest.raises(AttributeError, match=r"no 'xyz'\. It has .*accuracy_drop, "):
        _ = found.xyz
