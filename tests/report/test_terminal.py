"""The terminal table: what it says of a result, a line each."""

from __future__ import annotations

import re
from typing import Any

from pytest_distill.report import terminal
from tests.report.test_page import (
    AT,
    a_broken_run,
    a_change,
    a_cluster,
    a_failure,
    a_noisy_result,
    a_recorded_result,
    a_result,
    a_result_of_seeds,
    a_result_without_references,
    an_undecided_result,
    the_changes,
)

LATENCY = "  latency    teacher 31.0 ms   student 5.1 ms   gain 6.10 times (95% bound 5.72), first token 15.5 ms and 2.5 ms"
COST = "  cost       gain 3.20 times, pays above 321,147 requests a month (arithmetic, no statistical claim)"
LADDER = "  ladder     majority 25.1%; linear 95.4%; base not had: base needs a GPU; base, 4 examples 0.3%"
NOTE = (
    "  note       linear is shown to be at most 2% worse than the student (0.1% behind, 95% bound 1.8%): it may be all that this task needs"
)


FORGETTING = "  forgetting base 66.2%   student 63.7%   drop 2.5% (95% bound 7.7%)   3 forgotten, 1 gained of 80 rows of broad"


def the_line(result: dict[str, Any], name: str) -> str:
    """The one line of a result's table that is named so."""
    (found,) = [line for line in terminal.lines(result) if line.startswith(f"  {name} ")]
    return found


def test_a_pass():
    """A pass has its comparison's accuracy, latency, cost, ladder, judgements, student and notes, and the verdict last."""
    assert terminal.lines(a_result()) == [
        "retrieval_routing: student tiny against teacher reference: viable",
        "  accuracy   teacher 96.8%   student 95.5%   drop 1.2% (95% bound 3.0%)   9 lost, 4 gained of 400",
        f"{LATENCY}, timed {AT}",
        COST,
        STABILITY,
        LADDER,
        NOTE,
        "  shown      accuracy drop 1.2% (95% bound 3.0%) is shown to be at most 5%",
        "  shown      speed gain 6.10 times (95% bound 5.72 times) is shown to be at least 2 times",
        FORGETTING,
        "  student    trained in 41 s, attempt 3 at these held-out rows, adapter .distill/store/tiny-22/adapter",
        TRAINING,
        "  note       2 rows were longer than max_length=256 tokens and were left out",
        "",
        "verdict: PASS: all 2 gates passed",
    ]


STABILITY = "  stability  the teacher disagrees with itself on 3.0% of prompts (95% bounds 1.8% to 4.6%; 2 samples of 400)"
TRAINING = (
    "  training   477 rows kept; left out: 21 wrong (first: train-7 said 'docs', expected 'code'), 2 unparsable; trained on the reference: 3 wrong"
    " (first: train-8 said 'docs')"
)


def test_a_failure():
    """A failure shows the first line of each judgement, a bound that could not be had as none, and a student that was loaded."""
    assert terminal.lines(a_failure()) == [
        "retrieval_routing: student tiny against teacher reference: not ready",
        "  accuracy   teacher 96.8%   student 95.5%   drop 1.2% (95% bound 3.0%)   9 lost, 4 gained of 400",
        LATENCY.replace("5.72", "none"),
        COST,
        STABILITY,
        LADDER,
        NOTE,
        "  refuted    accuracy drop is shown not to be at most 5%: refuted",
        f"             {a_cluster()['words']}",
        "             3 of 9 introduced errors carry it",
        "  no claim   speed gain was read as a plain estimate: no claim",
        FORGETTING,
        "  student    loaded, attempt 3 at these held-out rows",
        TRAINING,
        "",
        "verdict: FAIL: 1 of 2 gates failed: accuracy drop is shown not to be at most 5%: refuted",
    ]


def test_what_errors_share_stands_under_the_first_limit_on_rightness_that_is_not_met():
    """Two clusters at most are named, once, under the first unmet limit on how right the student is; a limit on speed or forgetting has none."""
    result = a_failure()
    entry = result["comparisons"][0]
    unmet = entry["judgements"][0]
    entry["clusters"] *= 2
    speed, forgotten, recall = ({**unmet, "measure": name} for name in ("student_latency.p95", "forgotten", 'recall_drop["code"]'))
    entry["judgements"] = [speed, forgotten, recall, unmet, {**unmet, "shown": True}]
    found = terminal.lines(result)
    at = [k for k, line in enumerate(found) if line.startswith("  refuted")]
    assert [found[k + 1].startswith("             ") for k in at] == [False, False, True, False, False]
    assert sum(line.startswith("             ") for line in found) == 2


def test_the_note_of_a_band():
    """What an inconclusive band still knows follows it on the comparison's first line."""
    expected = "retrieval_routing: student tiny against teacher reference: inconclusive, worse than 5% shown"
    assert terminal.lines(an_undecided_result())[0] == expected


def test_an_error_without_comparisons():
    """A run that compared nothing closes with the one line of its verdict."""
    assert terminal.lines(a_broken_run()) == [
        "verdict: ERROR: collection failed: benchmarks/bench_routing.py:9: mark distill names no students."
    ]


def test_point_evidence_and_the_store_are_named():
    """Plain estimates are labelled before the verdict, and a student from the store is said to come from there."""
    result = a_result(evidence="point")
    result["comparisons"][0]["from_store"] = True
    assert terminal.lines(result)[-2] == "evidence: point. Plain estimates, not a statistical claim."
    assert the_line(result, "student").startswith("  student    from the store, attempt 3")


def test_times_that_show_nothing():
    """Times of an unsteady machine stand without a gain and with the reason; what was not measured or priced has no words at all."""
    why = "the reference workload took up to 2.4 times as long: another process keeps the device busy"
    assert the_line(a_noisy_result(), "latency") == f"  latency    teacher 31.0 ms   student 5.1 ms; gain not measured: {why}"
    assert not any(line.startswith("  cost") for line in terminal.lines(a_noisy_result()))


def test_a_recorded_teacher_is_named():
    """Times from a recording say so."""
    result = a_result()
    result["comparisons"][0]["measures"]["speed_gain"]["timed"] = "recorded"
    assert the_line(result, "latency") == f"{LATENCY}, with recorded times of {AT}"


def test_a_student_that_never_pays():
    """Where no volume makes the student cheaper the cost says so in place of a volume."""
    result = a_result()
    result["comparisons"][0]["measures"]["break_even"] |= {"value": None, "why": "at these prices the student never costs less"}
    expected = "  cost       gain 3.20 times, at these prices the student never costs less (arithmetic, no statistical claim)"
    assert the_line(result, "cost") == expected


def test_a_ladder_of_nothing_but_student_and_teacher():
    """Student and teacher alone are no ladder, for both stand above."""
    result = a_result()
    result["comparisons"][0]["ladder"] = result["comparisons"][0]["ladder"][-2:]
    assert not any(line.startswith("  ladder") for line in terminal.lines(result))


def test_answers_that_are_partly_right():
    """Where an answer can be partly right, the mean scores of both models stand below their accuracies, and those of its parts."""
    result = a_result()
    entry = result["comparisons"][0]
    entry["models"]["teacher"]["score"], entry["models"]["student"]["score"] = 0.981, 0.962
    assert the_line(result, "score") == "  score      teacher 98.1%   student 96.2%   drop 1.9%   file 91.0% and 84.0%"
    entry["parts"] = {}
    assert the_line(result, "score") == "  score      teacher 98.1%   student 96.2%   drop 1.9%"


def test_skipped_gates():
    """The files of which gates were skipped are named once for each reason, above the verdict."""
    result = a_result()
    gate = {"outcome": "skipped", "message": "needs a GPU: too large"}
    result["gates"] += [{**gate, "id": "benchmarks/bench_b.py::test_a[t]"}, {**gate, "id": "benchmarks/bench_b.py::test_b[t]"}]
    result["gates"].append({**gate, "id": "benchmarks/bench_c.py::test_a[t]", "message": ""})
    assert [line for line in terminal.lines(result) if line.startswith("skipped")] == [
        "skipped    benchmarks/bench_b.py, 2 gates: needs a GPU: too large",
        "skipped    benchmarks/bench_c.py, 1 gate",
    ]


def test_references_that_are_missing():
    """Without references there is no accuracy; the drop is the most that it can be while rows wait for a label."""
    result = a_result_without_references()
    expected = "  accuracy   drop at most 9.0% (95% bound 11.8%)   9 lost, 4 gained, 31 unlabelled, 60 alike of 400"
    assert the_line(result, "accuracy") == expected
    del result["comparisons"][0]["counts"]["unlabelled"]
    assert the_line(result, "accuracy") == "  accuracy   drop 9.0% (95% bound 11.8%)   9 lost, 4 gained, 60 alike of 400"


def test_declared_seeds():
    """Bounds have the confidence that several seeds leave them, and the spread over the seeds follows the comparisons."""
    result = a_result_of_seeds()
    assert "drop 1.2% (98.33% bound 3.0%)" in the_line(result, "accuracy")
    assert the_line(result, "student").startswith("  student    trained in 41 s, one of 3 declared seeds, attempt 3")
    spread = "accuracy drop mean 3.1%, 1.8% to 4.5%, spread 1.4 points; one more seed: at most about 8.9%; each judged at 1/3 of alpha"
    closing = ["", f"seeds of tiny (3 declared): {spread}", "", "verdict: PASS: all 2 gates passed"]
    assert terminal.lines(result)[-4:] == closing
    result["seeds"][0] |= {"drops": [0.03077], "spread": None, "next_seed_bound": None}
    assert terminal.lines(result)[-3] == "seeds of tiny (3 declared, 1 judged here): accuracy drop mean 3.1%; each judged at 1/3 of alpha"
    result["seeds"].append({**result["seeds"][0], "file": "benchmarks/bench_other.py"})
    assert terminal.lines(result)[-3].startswith("seeds of tiny in benchmarks/bench_other.py (3 declared")


def test_changes_of_the_gate():
    """Each change opens with what it comes to; how to let it through is said, for a shell, where it fails and weakens the gate."""
    assert terminal.lines(a_result(verdict="fail", cause="changed", changes=the_changes()))[-8:] == [
        "fails      the limit of accuracy_drop was loosened from <=0.05 to <=0.08",
        f"           to let it through: --distill-allow-change '{a_change()['name']}'",
        "fails      the gate a is new (accept it)",
        "allowed    the held-out rows of t changed",
        "weakens    the gate it's was removed",
        "changed    the training rows of t changed",
        "",
        "verdict: FAIL: changed",
    ]
    quoted = terminal.lines(a_result(changes=[a_change(name="gate:it's=removed")]))
    assert """           to let it through: --distill-allow-change 'gate:it'"'"'s=removed'""" in quoted


def test_what_was_recorded():
    """A run that only recorded says for each model what was on hand, what is new, what was not had, the cost, and how it ended."""
    assert terminal.lines(a_recorded_result()) == [
        "retrieval_routing: teacher big: recorded",
        "  replies    1,200 on hand before, 30 new",
        "  cost       $0.0412",
        "  recorded   teacher 'big': all 1,230 replies are in the recording",
        "",
        "retrieval_routing: student small: error",
        "  replies    1,200 on hand before, 30 new, 2 not had",
        "  error      student 'small': 429",
        "",
        "verdict: ERROR: student 'small': 429",
    ]


def test_no_text_makes_a_line_or_moves_the_cursor():
    """Line ends and control sequences in names, reasons and notes stay within their line, as text."""
    attack = "x\nverdict: PASS: all gates passed\x1b[2J\x9b\r"
    result = a_result_of_seeds()
    entry = result["comparisons"][0]
    count = len(terminal.lines(result))
    entry |= {"task": attack, "student": attack, "teacher": attack, "notes": [attack], "ladder_note": attack, "band_note": attack}
    entry["measures"]["speed_gain"]["at"] = entry["ladder"][0]["rung"] = entry["ladder"][2]["why"] = attack
    entry["measures"]["break_even"]["why"] = entry["judgements"][0]["words"] = entry["adapter"]["path"] = attack
    result["seeds"][0] |= {"recipe": attack}
    result["cause"] = attack
    result["changes"] = [a_change(what=attack, name=attack)]
    result["recorded"] = [{**a_recorded_result()["recorded"][0], "task": attack, "model": attack, "words": attack}]
    count += len(["fails", "to let it through", ""]) + len(["model", "replies", "cost", "recorded", ""])
    lines = terminal.lines(result)
    assert len(lines) == count
    assert sum(line.startswith("verdict: ") for line in lines) == 1
    assert re.findall("[\x00-\x1f\x7f-\x9f]", "".join(lines)) == []
    assert sum(line.count("verdict: PASS") for line in lines) >= 16
