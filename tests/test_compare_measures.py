"""The measures that a comparison offers: slices, classes, missing references, cost, and the ladder of cheaper ways."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_distill.answers import Labels
from pytest_distill.compare import Comparison, ladder, ladder_note
from pytest_distill.evaluate import Evaluation, Series, Timing, evaluate
from pytest_distill.measures import Serving
from pytest_distill.recording import Reply
from pytest_distill.task import Task
from pytest_distill.verdict import Judging

LIVE = Timing(Series((0.06,) * 60), Series((0.02,) * 60), "live", "2026-11-22T10:00:00Z", "here")


def replies(texts: list[str]) -> list[Reply]:
    return [Reply(f"k{k}", f"h{k}", "m", text, "answered", 800, 150, "2026-11-22T10:00:00Z") for k, text in enumerate(texts)]


def make(tmp_path, rows, **options) -> Comparison:
    """A comparison on rows of (expected or None, teacher's reply, student's reply, tags)."""
    made = []
    for k, (expected, _, _, tags) in enumerate(rows):
        row = {"id": f"h{k}", "text": f"text {k}", "tags": tags}
        made.append(row if expected is None else row | {"expected_label": expected})
    (tmp_path / "h.jsonl").write_text("\n".join(map(json.dumps, made)))
    task = Task("t", "say {{ text }}", Labels("a", "b", "c"), tmp_path / "h.jsonl", tmp_path / "h.jsonl", 4)
    sides = [evaluate(name, task, task.heldout_examples, replies([row[at] for row in rows])) for at, name in ((1, "big"), (2, "small"))]
    return Comparison(task, task.heldout_examples, *sides, options.pop("timing", LIVE), options.pop("judging", Judging()), **options)


HARD = [("a", "a", "b", ["hard"])] * 2 + [("a", "b", "a", ["hard"])] + [("b", "b", "b", ["hard"])] * 7
EASY = [("a", "a", "a", ["easy"])] * 10 + [("b", "b", "?", ["easy"])] * 4 + [("b", "b", "b", [])] * 6


def test_a_slice_is_judged_on_its_own_examples(tmp_path):
    """accuracy_drop.on(tag) counts only the examples that carry the tag, and says so in name and words."""
    found = make(tmp_path, HARD + EASY)
    hard = found.accuracy_drop.on("hard")
    assert (hard.both_right, hard.introduced, hard.corrected, hard.inherited, hard.n) == (7, 2, 1, 0, 10)
    judgement = hard <= 0.5
    assert judgement.measure == 'accuracy_drop.on("hard")'
    assert judgement.words.startswith("accuracy drop on 'hard' 10.0% (95% bound ")
    assert [getattr(found, name).on("hard").n for name in ("score_drop", "macro_f1_drop", "quality_retained", "introduced_rate")] == [
        10
    ] * 4
    assert (found.valid_rate.on("easy").valid, found.valid_rate.on("easy").n) == (10, 14)
    assert found.accuracy_drop.on("hard").on("hard").n == 10


def test_an_unknown_slice_is_refused_with_the_tags_there_are(tmp_path):
    """A tag that no held-out example carries is a ValueError that lists the tags."""
    with pytest.raises(ValueError, match=r"task 't' carries the tag 'hrad'. Tags are: easy, hard\."):
        make(tmp_path, HARD + EASY).accuracy_drop.on("hrad")


def test_a_class_is_judged_on_the_examples_that_expect_it(tmp_path):
    """recall_drop[label] is the accuracy drop on the examples whose reference it is; labels without examples are left out."""
    drops = make(tmp_path, HARD + EASY).recall_drop
    assert list(drops) == ["a", "b"]
    assert (drops["a"].introduced, drops["a"].corrected, drops["a"].n) == (2, 1, 13)
    assert (drops["b"].introduced, drops["b"].n, drops["b"].name) == (4, 17, 'recall_drop["b"]')
    with pytest.raises(ValueError, match="no class 'c'"):
        _ = drops["c"]


def test_scores_macro_f1_and_rates(tmp_path):
    """Each measure is computed from the replies: drops of scores, cells of macro-F1, introduced examples, valid replies."""
    found = make(tmp_path, HARD + EASY)
    assert sum(found.score_drop.drops) == 5
    assert found.score_drop.drops == found.score_drop.best
    assert dict(found.macro_f1_drop.cells) == {
        ("a", "a", "b"): 2, ("a", "b", "a"): 1, ("b", "b", "b"): 13, ("a", "a", "a"): 10, ("b", "b", ""): 4,
    }  # fmt: skip
    assert found.macro_f1_drop.estimate == pytest.approx(found.macro_f1("teacher") - found.macro_f1("student"))
    assert (found.introduced_rate.introduced, found.introduced_rate.n) == (6, 30)
    assert (found.valid_rate.valid, found.valid_rate.n) == (26, 30)


def test_latency_is_the_students(tmp_path):
    """student_latency holds the student's times in milliseconds, and the noise of the timing as its reason."""
    found = make(tmp_path, EASY)
    assert (found.student_latency.p95.estimate, found.student_latency.p95.n) == (20.0, 60)
    noisy = make(tmp_path, EASY, timing=replace(LIVE, noise="the fan was loud"))
    assert noisy.student_latency.p50.why == noisy.speed_gain.why == "the fan was loud"
    assert noisy.band != "viable"
    assert make(tmp_path, [("a", "a", "a", [])] * 60).band == "viable"
    assert make(tmp_path, [("a", "a", "a", [])] * 60, timing=replace(LIVE, noise="loud")).band == "marginal"


# Missing references


BARE = (
    [(None, "a", "a", ["t"])] * 50
    + [(None, "a", "b", ["t"])] * 3
    + [(None, "?", "?", [])]
    + [(None, "?", "b", [])]
    + [(None, "a", "?", [])]
)


def test_equal_answers_need_no_reference(tmp_path):
    """Without references rows with equal answers count as agreed, two broken replies as wrong, and rows that differ wait for a label."""
    found = make(tmp_path, BARE)
    assert found.counts == {"both_right": 0, "introduced": 0, "corrected": 0, "inherited": 1, "agreed": 50, "unlabelled": 5}
    assert [example.id for example in found.unlabelled] == ["h50", "h51", "h52", "h54", "h55"]
    drop = found.accuracy_drop
    assert (drop.n, drop.agreed, drop.unlabelled, drop.estimate) == (56, 50, 5, 5 / 56)
    assert "5 examples on which the models differ have no label" in (drop <= 0.1).words
    assert found.accuracy_drop.on("t").unlabelled == 3
    assert (sum(found.score_drop.drops), sum(found.score_drop.best)) == (5, -5)
    assert found.introduced_rate.estimate == 5 / 56
    assert found.valid_rate.estimate == 54 / 56


def test_labels_of_the_disagreements_are_enough(tmp_path):
    """With a label for each row that differs, the drop is judged exactly as if every row had a reference."""
    rows = [("a", "a", "a", [])] * 480 + [("a", "a", "b", [])] * 8 + [("b", "a", "b", [])] * 4 + [("c", "a", "b", [])] * 8
    bare = [(expected if teacher != student else None, teacher, student, tags) for expected, teacher, student, tags in rows]
    with_all, labelled = make(tmp_path, rows).accuracy_drop <= 0.05, make(tmp_path, bare).accuracy_drop <= 0.05
    assert (labelled.p, labelled.p_refuted, labelled.outcome) == (with_all.p, with_all.p_refuted, "shown")
    assert make(tmp_path, bare).counts == {"both_right": 0, "introduced": 8, "corrected": 4, "inherited": 8, "agreed": 480}


def test_what_needs_every_reference_says_so(tmp_path):
    """Accuracies, macro-F1, recall and quality retained are not measured while a reference is missing, and the reason counts them."""
    found = make(tmp_path, BARE + EASY)
    for measure in (found.macro_f1_drop, found.quality_retained, found.recall_drop["a"]):
        assert measure.why.startswith("56 of 76 held-out examples have no reference")
        assert "was not measured: 56 of 76" in ((measure >= 0.5) if measure.side == "lower" else (measure <= 0.5)).words
    assert (found.accuracy("teacher"), found.macro_f1("student"), found.classes, found.confusion(found.teacher)) == (None, None, {}, [])
    assert found.slices["easy"]["teacher"] == 1.0
    assert found.slices["t"] == {"n": 53, **dict.fromkeys(("teacher", "student", "teacher_score", "student_score"))}
    kinds = [row["kind"] for row in found.errors()]
    assert kinds == ["introduced"] * 4 + ["inherited"] + ["unlabelled"] * 5
    assert found.errors()[-1]["expected"] == ""


# Cost


SERVING = Serving(usd_per_hour=2, requests_per_month=1_000_000, training_usd=200, months=6, requests_per_second=1)


def test_cost_comes_from_prices_and_measured_tokens(tmp_path):
    """With a teacher's price and the student's serving, cost gain and break-even stand in the result; tokens are those that were measured."""
    found = make(tmp_path, EASY, serving=SERVING, prices=((3, 0.3, 15), None))
    assert found.bill.teacher == pytest.approx(0.00465)
    assert found.break_even.estimate == pytest.approx(321_147, abs=1)
    assert list(found.measures)[-2:] == ["cost_gain", "break_even"]
    assert (found.cost_gain >= 3).outcome == "point"
    by_tokens = make(tmp_path, EASY, prices=((3, 0.3, 15), (0.3, 0.03, 1.5)))
    assert by_tokens.cost_gain.estimate == pytest.approx(10)


def test_the_rate_of_a_replica_is_measured_where_none_is_declared(tmp_path):
    """Without requests_per_second a replica answers one request after the other, at the student's median time."""
    found = make(tmp_path, EASY, serving=replace(SERVING, requests_per_second=None), prices=((3, 0.3, 15), None))
    assert found.bill.requests_per_second == pytest.approx(50)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"serving": SERVING}, "the teacher 'big' has no price. Give it price=(input, cached, output)"),
        ({"prices": ((3, 0.3, 15), None)}, "nothing says what the student costs. Add serving=Serving("),
        ({}, "has no price"),
    ],
)
def test_cost_without_a_price_names_what_is_missing(tmp_path, options, words):
    """Where a price is missing the cost gain was not measured, fails its limit, and is left out of the standing measures."""
    found = make(tmp_path, EASY, **options)
    for judgement in (found.cost_gain >= 2, found.break_even <= 1000):
        assert judgement.outcome == "inconclusive"
        assert words in judgement.words
    assert "cost_gain" not in found.measures


def test_a_student_that_never_pays_misses_any_break_even(tmp_path):
    """Where the student costs more at any volume, the limit is missed, the words say so, and the result holds no number."""
    dear = replace(SERVING, usd_per_hour=100)
    even = make(tmp_path, EASY, serving=dear, prices=((3, 0.3, 15), None)).break_even
    judgement = even <= 1e9
    assert (judgement.outcome, judgement.shown) == ("point", False)
    assert judgement.words.startswith("break-even volume out of reach misses at most 1,000,000,000 requests a month")
    assert "the student never costs less" in judgement.words
    assert (even.to_json()["value"], even.to_json()["why"]) == (None, "at these prices the student never costs less")


def test_cost_needs_a_quiet_timing_and_a_price_above_nothing(tmp_path):
    """Without a declared rate the replicas come from the timing, so a noisy one leaves the cost unmeasured; so does a teacher for free."""
    noisy = replace(LIVE, noise="the fan was loud")
    by_time = replace(SERVING, requests_per_second=None)
    found = make(tmp_path, EASY, serving=by_time, prices=((3, 0.3, 15), None), timing=noisy)
    assert (found.cost_gain.why, found.break_even.why) == ("the fan was loud", "the fan was loud")
    assert make(tmp_path, EASY, serving=SERVING, prices=((3, 0.3, 15), None), timing=noisy).cost_gain.why == ""
    assert make(tmp_path, EASY, prices=((0, 0, 0), (0, 0, 0))).cost_gain.why == "the teacher costs nothing"


def test_a_class_without_examples_leaves_macro_f1_unmeasured(tmp_path):
    """A label of the contract that no held-out example expects makes the mean over labels unknown, also on a slice."""
    found = make(tmp_path, EASY)
    assert found.macro_f1_drop.why.startswith("no held-out example is of the class 'c'")
    whole = make(tmp_path, [*EASY, ("c", "c", "c", [])])
    assert whole.macro_f1_drop.why == ""
    assert "'c'" in whole.macro_f1_drop.on("easy").why


def test_a_teacher_that_is_always_wrong_retains_nothing(tmp_path):
    """Quality retained is not measured where the teacher's mean score is 0."""
    found = make(tmp_path, [("a", "b", "b", [])] * 20)
    assert found.quality_retained.why == "the teacher's mean score is 0"


def test_a_label_may_have_any_name(tmp_path):
    """Labels with quotes, or called as the column of no label, are counted and named as Python would write them."""
    (tmp_path / "h.jsonl").write_text(json.dumps({"id": "h0", "text": "t", "expected_label": "(none)", "tags": ['a "q" tag']}))
    task = Task("t", "say {{ text }}", Labels("(none)", 'say "hi"'), tmp_path / "h.jsonl", tmp_path / "h.jsonl", 4)
    sides = [evaluate(name, task, task.heldout_examples, replies(["what"])) for name in ("big", "small")]
    found = Comparison(task, task.heldout_examples, *sides, LIVE, Judging())
    assert found.confusion(found.teacher) == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert found.accuracy_drop.on('a "q" tag').name == 'accuracy_drop.on("a \\"q\\" tag")'


# The ladder


def say(found: Comparison, texts: list[str]) -> Evaluation:
    return evaluate("rung", found.task, found.examples, replies(texts))


def test_the_ladder_compares_each_rung_with_student_and_teacher(tmp_path):
    """Each rung has its accuracy and how far it is behind both, the student how far it is behind the teacher; a failed one has its reason."""
    rows = [("a", "a", "a", [])] * 190 + [("b", "b", "a", [])] * 10
    found = make(tmp_path, rows)
    rows_of = ladder(found, [("majority", say(found, ["c"] * 200)), ("linear", say(found, ["a"] * 200)), ("base", "it does not fit")])
    assert [(row["rung"], row["accuracy"], row["why"], row["as_good"]) for row in rows_of] == [
        ("majority", 0.0, None, False), ("linear", 0.95, None, True), ("base", None, "it does not fit", False),
        ("student", 0.95, None, False), ("teacher", 1.0, None, False),
    ]  # fmt: skip
    assert rows_of[1]["behind_student"]["value"] == 0
    assert rows_of[1]["behind_teacher"]["value"] == pytest.approx(0.05)
    assert rows_of[3]["behind_student"] is None
    assert rows_of[3]["behind_teacher"]["value"] == pytest.approx(0.05)
    note = ladder_note(rows_of)
    assert note.startswith("linear is shown to be at most 2% worse than the student (level, 95% bound 1.5% behind): it may be all")
    assert ladder_note(rows_of[:1]) == ""


def test_a_rung_is_as_good_only_where_it_is_shown(tmp_path):
    """With few examples an equal rung is not called as good: that too must be shown."""
    found = make(tmp_path, [("a", "a", "a", [])] * 100)
    assert ladder(found, [("linear", say(found, ["a"] * 100))])[0]["as_good"] is False


def test_the_ladder_tells_the_gate_nothing(tmp_path):
    """Comparing rungs makes no judgement that a gate would hear."""
    heard = []
    found = make(tmp_path, EASY, judging=Judging(heard=lambda *seen: heard.append(seen)))
    ladder(found, [("linear", say(found, ["a"] * 20))])
    assert heard == []
