"""Scoring one model, timing two, and comparing them: kinds, counts, classes, confusion, slices and bands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_distill.answers import Labels, Malformed
from pytest_distill.compare import Comparison, latency
from pytest_distill.evaluate import Evaluation, Timing, evaluate, time_pairs
from pytest_distill.recording import Reply
from pytest_distill.task import Task
from pytest_distill.verdict import Judging
from tests.fakes import RuleModel

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
LIVE = Timing((0.06,) * 30, (0.02,) * 30, "live", "2026-11-22T10:00:00Z", "here")


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
    return make(tmp_path, rows, Timing((gain,) * 30, (1.0,) * 30, "live", "", ""), Judging(evidence))


# One model


def test_replies_are_scored_against_references(tmp_path):
    """An evaluation holds values, scores and texts in order, the totals of tokens, and the time of the oldest reply."""
    student = make(tmp_path).student
    wrong = Malformed("none of a, b, c")
    assert student == Evaluation(
        "small", ("a", "b", "b", "b", wrong, "b", "c", "a"), (1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0),
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
    assert list(found.measures) == ["accuracy_drop", "speed_gain", "quality_retained"]
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
    """Each label has its support, and F1 and recall of both models; a label that was never given has F1 0."""
    found = make(tmp_path)
    assert found.classes == {
        "a": {"support": 3, "teacher_f1": 4 / 7, "teacher_recall": 2 / 3, "student_f1": 2 / 5, "student_recall": 1 / 3},
        "b": {"support": 3, "teacher_f1": 4 / 6, "teacher_recall": 2 / 3, "student_f1": 4 / 7, "student_recall": 2 / 3},
        "c": {"support": 2, "teacher_f1": 0.0, "teacher_recall": 0.0, "student_f1": 2 / 3, "student_recall": 1 / 2},
    }
    assert found.macro_f1("teacher") == pytest.approx((4 / 7 + 4 / 6) / 3)
    assert found.macro_f1("student") == pytest.approx((2 / 5 + 4 / 7 + 2 / 3) / 3)
    assert make(tmp_path, ROWS[:2]).classes["c"] == {
        "support": 0, "teacher_f1": 0.0, "teacher_recall": 0.0, "student_f1": 0.0, "student_recall": 0.0,
    }  # fmt: skip


def test_slices(tmp_path):
    """Each tag has its examples and both accuracies; an example counts for every tag that it has."""
    assert make(tmp_path).slices == {"easy": {"n": 3, "teacher": 1.0, "student": 2 / 3}, "hard": {"n": 2, "teacher": 0.5, "student": 0.0}}
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
    ("seconds", "found"),
    [
        ([0.003, 0.001, 0.002], {"n": 3, "p50": 2.0, "p95": 3.0}),
        ([k / 1000 for k in range(1, 101)], {"n": 100, "p50": 50.5, "p95": 95.0}),
        ([0.5], {"n": 1, "p50": 500.0, "p95": 500.0}),
    ],
)
def test_latency(seconds, found):
    """Latency is count, median and the nearest-rank 95th percentile in milliseconds."""
    assert latency(seconds) == found


def test_a_timing_survives_the_store():
    """A timing that was written comes back as stored, with its date and machine."""
    back = Timing.from_json(json.loads(json.dumps(LIVE.to_json())))
    assert back == replace(LIVE, timed="stored")
    assert back.ratios == pytest.approx([3.0] * 30)


@pytest.mark.parametrize("damage", [{"student": [1.0]}, {"teacher": [], "student": []}, {"student": [0.0] * 30}, {"teacher": ["x"] * 30}])
def test_a_damaged_timing_is_refused(damage):
    """Series that do not pair, are empty, or hold what is no time above 0 raise ValueError."""
    with pytest.raises(ValueError, match=r"pair|float"):
        Timing.from_json(LIVE.to_json() | damage)


class Clock(RuleModel):
    """A model whose times follow a list, the last one for ever; notes whom it was asked what."""

    def __init__(self, name, log, seconds):
        super().__init__(name)
        self.log, self.times = log, iter(seconds)

    def time_one(self, prompt, max_tokens):
        self.log.append((self.name, prompt, max_tokens))
        self.seconds = next(self.times, self.seconds)
        return self.seconds


def test_models_are_warmed_up_and_timed_in_turn():
    """After a warm-up until two medians of five agree, at most 100 prompts are timed in pairs whose order varies, the same each time."""
    logs, found = ([], []), []
    for log in logs:
        slow_start = Clock("big", log, [9.0] * 5 + [5.0] * 5 + [4.9] * 5 + [3.0])
        found.append(time_pairs(slow_start, Clock("small", log, [1.0]), [f"p{k}" for k in range(150)], 7, "here"))
    log = logs[0]
    warm, timed = log[:25], log[25:]
    assert [name for name, _, _ in warm] == ["big"] * 15 + ["small"] * 10
    pairs = [timed[at : at + 2] for at in range(0, 200, 2)]
    assert (len(timed), all(one[1] == two[1] and one[0] != two[0] for one, two in pairs)) == (200, True)
    assert len({prompt for _, prompt, _ in timed}) == 100
    assert 30 <= sum(one[0] == "big" for one, _ in pairs) <= 70
    assert {limit for _, _, limit in log} == {7}
    assert logs[0] == logs[1]
    assert (found[0].teacher, found[0].student, found[0].timed, found[0].machine) == ((3.0,) * 100, (1.0,) * 100, "live", "here")


def test_a_warm_up_ends():
    """A model whose times never settle is warmed up with 40 prompts and no more; a few prompts are used again and again."""
    log = []
    restless = Clock("big", log, [2.0**k for k in range(40) for _ in range(5)])
    time_pairs(restless, Clock("small", log, [1.0]), ["p0", "p1", "p2"], 4, "here")
    assert [name for name, _, _ in log[:41]] == ["big"] * 40 + ["small"]
    assert len(log) == 40 + 10 + 6
