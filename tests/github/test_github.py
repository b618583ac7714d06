"""The second step of the action: what it believes of a result, what it says on GitHub, and how it ends."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.github.__main__ import main
from pytest_distill.github.check import MODES
from tests.github.conftest import Step
from tests.github.runner import MOST_MESSAGE, Effect, outputs

FILE = "benchmarks/bench_routing.py"
ACCURACY, SPEED = f"{FILE}::test_keeps_the_accuracy[tiny]", f"{FILE}::test_is_fast[tiny]"
MISSED = "accuracy drop is not shown to be at most 5%: inconclusive\n  teacher 95.0%, student 92.5%: 7 lost, 2 gained"
not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="no folder can have this name there")
NAME = "limit:benchmarks/bench_routing.py::test_keeps_the_accuracy[tiny]:accuracy_drop<=0.08"


def a_gate(name: str, outcome: str = "passed", message: str = "") -> dict[str, Any]:
    """A gate as results.json holds it."""
    return {"id": name, "outcome": outcome, "message": message}


def a_judgement(gate: str, line: int | None, measure: str = "accuracy_drop", outcome: str = "shown", **other: Any) -> dict[str, Any]:
    """A judgement as results.json holds it."""
    judgement = {"gate": gate, "comparison": f"{FILE}::tiny", "line": line, "measure": measure, "operator": "<=", "limit": 0.05}
    return {**judgement, "outcome": outcome, "shown": outcome == "shown", "words": "words", "method": "exact-tango", **other}


def an_error(number: int, **other: Any) -> dict[str, Any]:
    """An error row as results.json holds it."""
    row = {"id": f"heldout-{number:05}", "kind": "introduced", "input": f"row {number}", "expected": "code", "teacher": "code"}
    return {**row, "student": "docs", "tags": [], **other}


def a_measure(value: float | None, bound: float | None, why: str | None = None) -> dict[str, Any]:
    """A measure as results.json holds it."""
    return {"value": value, "bound": bound, "side": "upper", "confidence": 0.95, "n": 400, "method": "exact-tango", "why": why}


def a_comparison(**other: Any) -> dict[str, Any]:
    """A comparison as results.json holds it, with what is read of it."""
    comparison = {"id": f"{FILE}::tiny", "file": FILE, "line": 12, "task": "routing", "teacher": "reference", "student": "tiny"}
    measures = {"accuracy_drop": a_measure(0.0125, 0.0297), "speed_gain": a_measure(6.1, 5.72)}
    judgements = [a_judgement(SPEED, 16, "speed_gain", operator=">=", limit=2.0), a_judgement(ACCURACY, 12)]
    return {**comparison, "accepted": None, "measures": measures, "judgements": judgements, "errors": [an_error(7)], **other}


def a_change(**other: Any) -> dict[str, Any]:
    """A change of the gate as results.json holds it."""
    change = {"name": NAME, "what": "the limit is looser", "was": "accuracy_drop <= 0.05", "now": "accuracy_drop <= 0.08", "file": FILE}
    return {**change, "line": 12, "weakens": True, "allowed": False, "fails": True, **other}


def a_drift(outcome: str = "not moved", **other: Any) -> dict[str, Any]:
    """An Endpoint that was asked again, as results.json holds it."""
    entry = {"task": "routing", "file": FILE, "line": 9, "role": "teacher", "model": "gpt", "outcome": outcome, "cost_usd": 0.02}
    return {**entry, "words": "teacher 'gpt' answers as recorded", **other}


def a_recording(outcome: str = "recorded", **other: Any) -> dict[str, Any]:
    """A model that was asked for what its recording lacked, as results.json holds it."""
    entry = {"task": "routing", "file": FILE, "line": 9, "role": "teacher", "model": "gpt", "held": 1200, "asked": 30, "failed": 0}
    return {**entry, "cost_usd": None, "outcome": outcome, "words": "1,230 replies are in the recording", **other}


def a_result(**other: Any) -> dict[str, Any]:
    """A result of a run that passed, with the counts of the gates that it is given."""
    gates = other.get("gates", [a_gate(ACCURACY), a_gate(SPEED)])
    counts = {name: sum(gate["outcome"] == name for gate in gates) for name in ("passed", "failed", "inconclusive")}
    numbers = {"worst_accuracy_drop": 0.0125, "worst_accuracy_drop_bound": 0.0297, "smallest_speed_gain": 6.1, "cost_usd": 0.00001}
    result = {
        "schema": "pytest-distill/results/1",
        "complete": True,
        "verdict": "pass",
        "cause": "all 2 gates passed",
        "evidence": "strict",
    }
    result |= {"root": ".", "locked": False, "gates": gates, "collected": len(gates), "reported": len(gates)}
    result |= {"summary": {**counts, **numbers}, "comparisons": [a_comparison()], "changes": [], "drift": [], "recorded": []}
    return {**result, **other}


def a_missed_result(outcome: str = "inconclusive", **other: Any) -> dict[str, Any]:
    """A result in which the accuracy gate was missed."""
    judged = a_judgement(ACCURACY, 12, outcome="refuted" if outcome == "failed" else outcome)
    gates = [a_gate(ACCURACY, outcome, MISSED), a_gate(SPEED)]
    verdict = "fail" if outcome == "failed" else outcome
    comparison = a_comparison(judgements=[a_judgement(SPEED, 16, "speed_gain"), judged])
    return a_result(**{"verdict": verdict, "cause": f"1 of 2 gates {outcome}", "gates": gates, "comparisons": [comparison], **other})


def a_gateless_result(mode: str, entries: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    """A result of mode record or drift."""
    key = {"record": "recorded", "drift": "drift"}[mode]
    return a_result(**{"gates": [], "comparisons": [], key: entries, "cause": "as it should be", **other})


def the_error(done: Step) -> str:
    """The cause of a verdict error: not a pass anywhere, said in the one annotation and in the summary."""
    (annotation,) = done.effects
    assert (done.code, done.outputs["verdict"], done.outputs["complete"]) == (2, "error", "false")
    assert (annotation.kind, annotation.properties["title"]) == ("error", "No verdict")
    assert "**Verdict: error**, because: " in done.summary
    return annotation.data


def test_a_pass(step):
    """A pass has no annotations, ends with 0, and its outputs are the result's numbers as plain decimals."""
    done = step(a_result())
    assert (done.code, done.log) == (0, "verdict: pass\n")
    assert done.outputs == {
        "verdict": "pass",
        "complete": "true",
        "gates": "2",
        "passed": "2",
        "failed": "0",
        "inconclusive": "0",
        "worst-accuracy-drop": "0.0125",
        "worst-accuracy-drop-bound": "0.0297",
        "smallest-speed-gain": "6.1",
        "cost-usd": "0.00001",
        "report-path": "",
        "results-path": "project/.distill/results.json",
        "schema": "pytest-distill/results/1",
    }


def test_the_summary_of_a_missed_gate(step):
    """The verdict and its cause, the table, what the gate said, what changed, lost examples, cost and where the report is, in this order."""
    Path(".distill/report.html").touch()
    done = step(a_missed_result(changes=[a_change()]))
    assert done.summary == (
        "**Verdict: inconclusive**, because: `1 of 2 gates inconclusive`\n\n"
        "| task | teacher | student | accuracy drop | speed gain | limit | judgement |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| `routing` | `reference` | `tiny` | 1.2% (95% bound 3.0%) | 6.10 times (95% bound 5.72 times) | `speed_gain <= 0.05` | shown |\n"
        "|  |  |  |  |  | `accuracy_drop <= 0.05` | **inconclusive** |\n\n"
        "#### Gates that did not pass\n\n"
        "**inconclusive** `benchmarks/bench_routing.py::test_keeps_the_accuracy[tiny]`\n\n"
        f"```text\n{MISSED}\n```\n\n\n"
        "#### What changed in the gate\n\n"
        "- **fails**: `the limit is looser` in `project/benchmarks/bench_routing.py:12`: was `accuracy_drop <= 0.05`, is `accuracy_drop <= 0.08`."
        f" To allow it: `--distill-allow-change '{NAME}'`\n\n"
        "<details>\n<summary>Examples lost: 1 of 1</summary>\n\nStudent `tiny` of task `routing`:\n\n"
        "| example | expected | teacher | student | input |\n| --- | --- | --- | --- | --- |\n"
        "| `heldout-00007` | `code` | `code` | `docs` | `row 7` |\n\n</details>\n\n\n"
        "Cost of all held-out prompts: `$0.0000`.\n\n"
        "The report: `project/.distill/report.html`\n\n"
        "The result: `project/.distill/results.json`\n"
    )
    assert done.outputs["report-path"] == "project/.distill/report.html"


@pytest.mark.parametrize(("outcome", "title"), [("failed", "A gate failed"), ("inconclusive", "A gate is inconclusive")])
def test_a_missed_gate_is_annotated_at_its_limit(step, outcome, title):
    """The annotation stands at the line of the missed limit, its file seen from the workspace, and says what the gate said."""
    done = step(a_missed_result(outcome))
    first, second = MISSED.split("\n")
    message = f"{outcome}: test_keeps_the_accuracy[tiny]\n| {first}\n| {second}"
    assert done.effects == [Effect("error", message, {"title": title, "file": f"project/{FILE}", "line": "12"})]
    assert done.code == 1


def test_a_gate_in_error_is_annotated_at_the_mark(step):
    """A gate that ended before it judged anything points at the mark of its file; its message is the error, said once."""
    gates = [a_gate(ACCURACY, "error", "ModelError: no GPU"), a_gate(SPEED)]
    done = step(a_result(verdict="error", cause="ModelError: no GPU (it)", gates=gates, comparisons=[a_comparison(line=8, judgements=[])]))
    (annotation,) = done.effects
    assert annotation.properties == {"title": "A gate ended in an error", "file": f"project/{FILE}", "line": "8"}
    assert annotation.data.endswith("\n| ModelError: no GPU")


def test_a_folder_may_hold_two_colons(step):
    """The file of a gate is the one that a comparison names, and otherwise ends where a Python file ends: never the folder before it."""
    file = "x::y/a.py::z/bench_a.py"
    judged = a_judgement(f"{file}::test_a[b::c.py::d]", 7, outcome="refuted")
    gates = [a_gate(judged["gate"], "failed", "m"), a_gate("x::y/bench_b.py::test_b[e.py::f]", "error", "m")]
    comparison = a_comparison(file=file, line=5, judgements=[judged])
    done = step(a_result(verdict="error", cause="m", gates=gates, comparisons=[comparison]))
    found = [(effect.properties["file"], effect.properties.get("line"), effect.data) for effect in done.effects]
    assert found == [
        ("project/x::y/bench_b.py", None, "error: test_b[e.py::f]\n| m"),
        (f"project/{file}", "7", "failed: test_a[b::c.py::d]\n| m"),
    ]


def test_a_limit_that_was_passed_over_is_annotated(step):
    """Where a gate that missed its limit was expected to fail, the cause of the verdict is annotated at that limit."""
    gates = [a_gate(ACCURACY, "skipped", "xfail"), a_gate(SPEED)]
    judged = a_judgement(ACCURACY, 12, outcome="refuted")
    comparison = a_comparison(judgements=[a_judgement(SPEED, 16, "speed_gain"), judged])
    done = step(a_result(verdict="fail", cause="a limit was passed over", gates=gates, comparisons=[comparison]))
    where = {"title": "The verdict is fail", "file": f"project/{FILE}", "line": "12"}
    assert done.effects == [Effect("error", "fail: a limit was passed over", where)]


def test_a_fail_without_any_place_is_annotated_as_well(step):
    """A verdict that no gate and no change explains is annotated with its cause alone."""
    done = step(a_result(verdict="inconclusive", cause="nobody knows"))
    assert done.effects == [Effect("error", "inconclusive: nobody knows", {"title": "The verdict is inconclusive"})]


def test_only_a_change_that_weakens_can_be_let_through(step):
    """A change that fails without weakening the gate, such as one that the lock does not list, says itself what to do."""
    listed = a_change(weakens=False, what="the gate is new: accept it", name="gate:new")
    done = step(a_result(verdict="fail", cause="changed", changes=[listed, a_change()]))
    hinted = ["--distill-allow-change" in effect.data for effect in done.effects]
    assert hinted == [False, True]
    assert "- **fails**: `the gate is new: accept it` in " in done.summary
    assert done.summary.count("To allow it: ") == 1


@pytest.mark.parametrize(("other", "outcome"), [({"allowed": True}, "allowed"), ({}, "weakens"), ({"weakens": False}, "changed")])
def test_a_change_that_does_not_fail_is_listed(step, other, outcome):
    """The summary says of each change what it comes to, in the words of the terminal and the page."""
    assert f"- {outcome}: `the limit is looser` in " in step(a_result(changes=[a_change(fails=False, **other)])).summary


def test_the_worst_comes_first(step):
    """Changes that fail, then errors, then what failed, then what is inconclusive."""
    outcomes = ("inconclusive", "failed", "passed", "error", "skipped")
    gates = [a_gate(f"{FILE}::test_{outcome}", outcome, outcome) for outcome in outcomes]
    done = step(a_result(verdict="error", cause="an error", gates=gates, changes=[a_change(fails=False, allowed=True), a_change()]))
    assert [effect.data.partition(":")[0] for effect in done.effects] == ["changed", "error", "failed", "inconclusive"]
    assert f"--distill-allow-change allows it: {NAME}" in done.effects[0].data
    assert done.summary.index("**error**") < done.summary.index("**failed**") < done.summary.index("**skipped**")
    assert "- allowed: " in done.summary


@pytest.mark.parametrize(("budget", "shown"), [(10, 10), (3, 3), (0, 0)])
def test_no_more_annotations_than_asked_for(step, budget, shown):
    """Of 500 missed gates the first are annotated, the last says how many more, and the summary says it as well."""
    gates = [a_gate(f"{FILE}::test_x[{at}]", "failed", "the same") for at in range(500)]
    done = step(a_result(verdict="fail", cause="500 gates failed", gates=gates), annotations=budget)
    assert [effect.shown for effect in done.effects] == [True] * shown
    assert [f"{500 - budget} more" in effect.data for effect in done.effects] == [at == shown for at in range(1, shown + 1)]
    assert f"{shown} of 500 findings are annotated; {500 - budget} more stand only here and in the report." in done.summary


def test_500_lost_examples_are_counted(step):
    """Of 500 lost examples the first ten are shown and the others counted."""
    done = step(a_missed_result(comparisons=[a_comparison(errors=[an_error(at) for at in range(500)])]))
    assert "<summary>Examples lost: 10 of 500</summary>" in done.summary
    assert "490 more are in the report." in done.summary
    assert "`heldout-00009`" in done.summary
    assert "`heldout-00010`" not in done.summary


@pytest.mark.parametrize(
    ("note", "end"), [("", "]"), ("x" * 9000, " more characters)"), ("😀" * 9000, " more characters)"), ("\0" * 9000, "…")]
)
def test_a_message_ends_where_github_cuts_it(step, note, end):
    """Whatever a gate says, the runner cuts nothing away, and how many more there are is still read at the end."""
    gates = [a_gate(f"{FILE}::test_x[{at}]", "failed", note) for at in range(11)]
    *others, last = step(a_result(verdict="fail", gates=gates)).effects
    assert all(effect.data.endswith(end) for effect in others)
    assert len(others[0].data.encode("utf-16-le")) <= 2 * MOST_MESSAGE
    assert last.data.endswith("\n1 more: see the summary of this step.")


@pytest.mark.parametrize(
    ("root", "file", "seen"),
    [
        (".", "benchmarks/a b,c:d.py", "project/benchmarks/a b,c:d.py"),
        (".", "benchmarks/100%,::d=e.py", "project/benchmarks/100%,::d=e.py"),
        pytest.param(".", "benchmarks/back\\slash.py", "project/benchmarks/back\\slash.py", marks=not_on_windows),
        ("..", "bench_a.py", "bench_a.py"),
        ("sub/..", "./bench_a.py", "project/bench_a.py"),
        ("../..", "bench_a.py", None),
        (".", "/elsewhere/bench_a.py", None),
    ],
)
def test_a_path_lands_on_its_file(step, root, file, seen):
    """Paths with blanks, commas, colons and backslashes arrive as they are; a file outside the workspace is not named."""
    done = step(a_result(root=root, verdict="fail", cause="c", changes=[a_change(file=file)]))
    where = {} if seen is None else {"file": seen, "line": "12"}
    assert done.effects[0].properties == {"title": "A change of the gate is not allowed", **where}


def test_drift_is_annotated_and_listed(step):
    """An Endpoint that moved or could not be asked is annotated at its mark; the summary lists all of them."""
    entries = [a_drift(), a_drift("inconclusive"), a_drift("moved", words="it has moved"), a_drift("error", words="no key")]
    done = step(a_gateless_result("drift", entries, verdict="fail", cause="it has moved"), "drift")
    titles = ["A model could not be asked", "A model no longer answers as recorded"]
    assert [effect.properties["title"] for effect in done.effects] == titles
    assert done.effects[1] == Effect("error", "moved: it has moved", {"title": titles[1], "file": f"project/{FILE}", "line": "9"})
    assert "| `routing` | `teacher` | `gpt` | **moved** | `$0.0200` | `it has moved` |" in done.summary
    assert (done.code, done.outputs["gates"]) == (1, "0")


def test_recording_is_annotated_and_listed(step):
    """What could not be recorded is annotated; the summary lists what was held, asked and not had."""
    entries = [a_recording(), a_recording("error", failed=3, words="429")]
    done = step(a_gateless_result("record", entries, verdict="error", complete=False, cause="429"), "record")
    assert [effect.data for effect in done.effects] == ["error: 429"]
    assert "| `routing` | `teacher` | `gpt` | 1,200 | 30 | 3 | **error** | not known | `429` |" in done.summary
    assert step(a_gateless_result("record", [a_recording()]), "record").code == 0


def test_a_locked_result_says_whose_it_is(step):
    """A result that was judged again from the lock says so, and when, where and at which commit it was accepted."""
    accepted = {"at": "2026-11-22T10:00:00Z", "commit": "abc", "machine": "CPU, 2 cores"}
    done = step(a_result(locked=True, comparisons=[a_comparison(accepted=accepted)]), "locked")
    assert done.code == 0
    assert "Judged again from the lock: nothing was asked, trained or loaded." in done.summary
    assert "- `routing`, `tiny`: accepted `2026-11-22T10:00:00Z` at commit `abc` on `CPU, 2 cores`" in done.summary


def test_point_evidence_is_labelled(step):
    """Plain estimates are never taken for a claim."""
    judged = a_judgement(ACCURACY, 12, outcome="point", shown=True)
    assert "not a statistical claim" in step(a_result(evidence="point", comparisons=[a_comparison(judgements=[judged])])).summary


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no result can be read"),
        (b"", "no result can be read"),
        (b'{"schema": "pytest-distill/res', "no result can be read"),
        (b"\xff\xfe", "no result can be read"),
        (b"[" * 100_000, "recursion"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "no result can be read"),
        (b"[]", "not of schema"),
        (b'{"schema": "pytest-distill/results/2"}', "not of schema"),
        (b'{"schema": "pytest-distill/results/1"}', "complete: true or false is expected, and nothing is there"),
    ],
)
def test_a_result_that_cannot_be_read_is_an_error(step, content, said):
    """Missing, empty, torn, of another schema: an error that says so and how pytest ended, never a pass."""
    assert said in (cause := the_error(step(content, status="0")))
    assert "pytest ended with exit status 0" in cause


def test_a_huge_result_is_not_read(step, monkeypatch):
    """A file that would fill the memory is refused by its size."""
    monkeypatch.setattr("pytest_distill.github.check.MOST_BYTES", 100)
    assert "at most 100 are read" in the_error(step(a_result()))


def test_a_folder_is_no_result(step):
    """Something that is not a file is refused."""
    Path(".distill/results.json").mkdir()
    assert "is not a file" in the_error(step(None, status="0"))


DAMAGE: list[tuple[str, Any]] = [
    ("verdict", "PASS"),
    ("cause", None),
    ("complete", 1),
    ("evidence", "naive"),
    ("root", None),
    ("locked", "false"),
    ("gates", {}),
    ("gates.0", "passed"),
    ("gates.0.outcome", "xfailed"),
    ("gates.0.message", ["a"]),
    ("collected", True),
    ("collected", -1),
    ("reported", 2.0),
    ("summary", None),
    ("summary.passed", "2"),
    ("summary.cost_usd", float("nan")),
    ("summary.smallest_speed_gain", float("inf")),
    ("summary.worst_accuracy_drop", 10**400),
    ("comparisons.0.task", 7),
    ("comparisons.0.line", "12"),
    ("comparisons.0.accepted", {}),
    ("comparisons.0.measures.accuracy_drop.value", "small"),
    ("comparisons.0.measures.speed_gain", None),
    ("comparisons.0.judgements.0.outcome", "pass"),
    ("comparisons.0.judgements.0.shown", None),
    ("comparisons.0.judgements.0.limit", "0.05"),
    ("comparisons.0.errors.0.student", None),
    ("changes", None),
    ("changes", [{}]),
    ("drift", [a_drift("fine")]),
    ("recorded", [a_recording(held=None)]),
]


@pytest.mark.parametrize(("where", "value"), DAMAGE, ids=[f"{where}={str(value)[:20]}" for where, value in DAMAGE])
def test_a_key_of_another_type_is_an_error(step, where, value):
    """Each key that is used is checked before anything of the result is believed; the cause names it."""
    result: Any = copy.deepcopy(a_result())
    *path, last = where.split(".")
    place: Any = result
    for key in path:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[int(last) if isinstance(place, list) else last] = value
    done = step(result, status="0")
    first = where.split(".", 1)[0]
    assert f"is not a result: {first}" in the_error(done)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"complete": False}, "the run is not complete"),
        ({"collected": 3}, "the counts of gates disagree: 3 collected, 2 reported, 2 listed"),
        ({"reported": 1}, "the counts of gates disagree"),
        ({"gates": [a_gate(ACCURACY)] * 2}, "the counts of gates disagree"),
        ({"gates": []}, "no gate ran"),
        ({"summary": {**a_result()["summary"], "failed": 1}}, "the summary counts 1 gates failed, and 0 are listed"),
        ({"gates": [a_gate(ACCURACY, "skipped", "no GPU")]}, "no gate ran: all 1 were skipped"),
        ({"gates": [a_gate(ACCURACY), a_gate(SPEED, "failed", "slow")]}, "the verdict is pass, and the gates say fail"),
        ({"gates": [a_gate(ACCURACY), a_gate(SPEED, "inconclusive", "noisy")]}, "the gates say inconclusive"),
        ({"gates": [a_gate(ACCURACY), a_gate(SPEED, "error", "OOM")]}, "the gates say error"),
        ({"comparisons": []}, "the gates say error: no gate claims anything that holds"),
        ({"comparisons": [a_comparison(judgements=[a_judgement(ACCURACY, 1, outcome="refuted")])]}, "the gates say fail"),
        ({"locked": True}, "the mode is gpu, and the result was judged from the lock"),
        ({"root": ".."}, "lie in 'project', and pytest's root folder, whose lock holds, is '.'"),
        ({"root": "sub"}, "lie in 'project', and pytest's root folder, whose lock holds, is 'project/sub'"),
        ({"drift": [a_drift()]}, "the mode is gpu, and the result is one of mode drift"),
        ({"recorded": [a_recording()]}, "the mode is gpu, and the result is one of mode record"),
    ],
)
def test_a_pass_that_contradicts_itself_is_an_error(step, other, said):
    """Incomplete, counts that disagree, nothing that ran, a gate that did not pass, another mode or folder: the verdict is error."""
    done = step(a_result(**other), status="0")
    assert (done.code, done.outputs["verdict"]) == (2, "error")
    assert said in next(effect.data for effect in done.effects if effect.properties["title"] == "No verdict")


def test_a_pass_beside_a_change_that_fails_is_an_error(step):
    """A verdict cannot pass over a change that is not allowed; both are annotated, the change first."""
    done = step(a_result(changes=[a_change()]), status="0")
    assert done.code == 2
    assert "the gates say fail: the gate itself was changed: the limit is looser" in done.effects[1].data
    assert [effect.properties["title"] for effect in done.effects] == ["A change of the gate is not allowed", "No verdict"]


@pytest.mark.parametrize(
    ("mode", "result", "said"),
    [
        ("locked", a_result(), "was not judged from the lock"),
        ("record", a_gateless_result("record", []), "holds nothing under 'recorded'"),
        ("record", a_gateless_result("record", [a_recording("error")]), "1 of 1 models"),
        ("record", a_result(recorded=[a_recording()]), "holds gates"),
        ("record", a_gateless_result("record", [a_recording()], changes=[a_change()]), "holds gates"),
        ("locked", a_result(locked=True, root="../other"), "is 'other'"),
        ("drift", a_gateless_result("drift", []), "holds nothing under 'drift'"),
        ("drift", a_gateless_result("drift", [a_drift("moved"), a_drift()]), "1 of 2 models"),
        ("drift", a_gateless_result("record", [a_recording()]), "one of mode record"),
    ],
)
def test_each_mode_wants_its_own_evidence(step, mode, result, said):
    """A mode without what it is for, or with what cannot pass, is an error."""
    done = step(result, mode, status="0")
    assert (done.code, done.outputs["verdict"]) == (2, "error")
    assert said in "".join(effect.data for effect in done.effects)


@pytest.mark.parametrize("status", ["1", "2", "3", "4", "5", "137", "-9", "0x0", "none"])
@pytest.mark.parametrize("mode", MODES)
def test_a_pass_wants_pytests_own_zero(step, mode, status):
    """Beside any other exit status than 0 a pass is an error; without any, nothing of the result is believed."""
    whole = {
        "locked": a_result(locked=True),
        "gpu": a_result(),
        "record": a_gateless_result("record", [a_recording()]),
        "drift": a_gateless_result("drift", [a_drift()]),
    }
    assert step(whole[mode], mode, "0").code == 0
    cause = the_error(step(whole[mode], mode, status))
    assert ("the gates did not run to their end" if status == "none" else f"exit status {status}") in cause


@pytest.mark.parametrize("complete", [True, False])
def test_complete_says_whether_every_gate_reported(step, complete):
    """One gate that ended in an error leaves a run complete; a run that was broken off is not."""
    gates = [a_gate(ACCURACY, "error", "no GPU"), a_gate(SPEED)]
    done = step(a_result(verdict="error", cause="no GPU", gates=gates, complete=complete))
    assert (done.outputs["verdict"], done.outputs["complete"]) == ("error", "true" if complete else "false")


def test_an_error_keeps_its_own_cause(step):
    """Where the run itself tells of an error, what is missing in consequence does not hide its cause."""
    result = a_result(verdict="error", cause="collection failed: bench_a.py:3", complete=False, gates=[], comparisons=[])
    assert the_error(step(result, status="2")) == "error: collection failed: bench_a.py:3"


def test_without_github_it_prints_for_people(step, monkeypatch):
    """Without GITHUB_OUTPUT the same is printed, no command among it, and the exit status is the same."""
    monkeypatch.delenv("GITHUB_OUTPUT")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    done = step(a_missed_result("failed"))
    assert (done.code, done.effects, done.outputs, done.summary) == (1, [], {}, "")
    assert done.log.startswith(f"A gate failed: project/{FILE}:12: failed: test_keeps_the_accuracy[tiny] | accuracy drop")
    assert "**Verdict: fail**, because: `1 of 2 gates failed`\n" in done.log
    assert done.log.endswith("verdict=fail\n")
    assert "\n```text\n| accuracy drop is" in done.log
    assert step(a_result()).code == 0


def test_what_is_printed_speaks_to_no_other_service(step, monkeypatch):
    """No reply gives an order to a service that reads the log, and no line but the last ones says what ours say."""
    monkeypatch.delenv("GITHUB_OUTPUT")
    said = "a\n##vso[task.complete result=Succeeded;]\n ##teamcity[buildStatus status='SUCCESS']\n###[group]\n##section\n::error::b"
    said += "\nverdict: pass\nverdict=pass\n**Verdict: pass**\n````text\n```"
    gates = [a_gate("verdict=pass::test_a", "failed", said), a_gate(SPEED, "failed", said)]
    done = step(
        a_result(verdict="fail", cause=said, gates=gates, comparisons=[a_comparison(file=said, errors=[an_error(1, student=said)])])
    )
    assert not re.search(r"##[^\s#]", done.log)
    assert [line for line in done.log.splitlines() if line.lower().startswith(("verdict", "**verdict", "::"))] == [
        done.log.splitlines()[2],
        "verdict=fail",
    ]
    assert done.log.splitlines()[2].startswith("**Verdict: fail**, because: ")
    assert done.log.count("| verdict: pass\n") == 2


def test_a_summary_is_not_needed(step, monkeypatch):
    """Without GITHUB_STEP_SUMMARY everything else is as it would be, and the log says so."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    done = step(a_result())
    assert (done.code, done.summary, done.outputs["verdict"]) == (0, "", "pass")
    assert done.log == "GITHUB_STEP_SUMMARY is not set: no summary is written.\nverdict: pass\n"


@pytest.mark.parametrize(("name", "verdict"), [("STEP_SUMMARY", "error"), ("OUTPUT", None)])
def test_a_file_that_cannot_be_written_is_a_clear_error(step, tmp_path, name, verdict):
    """A pass that GitHub cannot be told is an error that says which file; no output says pass, and the summary not as its last word."""
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    done = step(a_result())
    assert (done.code, done.outputs.get("verdict")) == (2, verdict)
    (annotation,) = done.effects
    assert f"cannot be written to GITHUB_{name}: " in annotation.data
    assert done.summary == "" or f"\n\n**Verdict: error**, because: `the outputs cannot be written to GITHUB_{name}: " in done.summary


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("github", [True, False])
@pytest.mark.parametrize("ends", ["full", "closed"])
def test_a_log_that_cannot_be_written_is_no_pass(tmp_path, github, ends):
    """Where nothing can be printed the exit status says so, without a traceback, and no output says pass."""
    (tmp_path / "results.json").write_text(json.dumps(a_result()), encoding="ascii")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    environment.pop("PYTHONUNBUFFERED", None)  # with it nothing is left to be written at the interpreter's end
    if github:
        environment |= {f"GITHUB_{name}": str(tmp_path / name) for name in ("OUTPUT", "STEP_SUMMARY")}
    if ends == "full":
        stdout = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, stdout = os.pipe()
        os.close(reader)
    try:
        command = [sys.executable, "-W", "error", "-P", "-m", "pytest_distill.github", "results.json", "--mode", "gpu", "--status", "0"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False)
    finally:
        os.close(stdout)
    assert (done.returncode, done.stderr) == (2, b"")
    if github:
        assert outputs((tmp_path / "OUTPUT").read_text(encoding="utf-8")) == {"complete": "false", "verdict": "error"}
        summary = (tmp_path / "STEP_SUMMARY").read_text(encoding="utf-8")
        why = "No space left on device" if ends == "full" else "Broken pipe"
        assert summary.endswith(f"\n\n**Verdict: error**, because: `the result could not be shown: {why}`\n")


def test_trouble_of_the_step_itself_is_no_traceback(step, monkeypatch):
    """What nobody thought of ends with an error that quotes nothing of the result."""
    monkeypatch.setattr("pytest_distill.github.__main__.checked", lambda *_: 1 / 0)
    done = step(a_result())
    assert the_error(done) == "error: the result could not be shown: ZeroDivisionError"
    assert len(done.outputs) == 2


@not_on_windows
def test_outputs_of_any_path_arrive(step, tmp_path, monkeypatch):
    """A folder whose name looks like records of the output file is an output's value and nothing else."""
    project = tmp_path / "work" / "a\nverdict=pass\nghadelimiter_0\nEOF"
    (project / ".distill").mkdir(parents=True)
    monkeypatch.chdir(project)
    done = step(a_missed_result("failed"))
    assert done.outputs["results-path"] == f"{project.name}/.distill/results.json"
    assert done.outputs["verdict"] == "fail"
    assert len(done.outputs) == 13


def test_the_module_runs_away_from_the_checkout(tmp_path):
    """Run as a module it takes nothing from the folder that it is started in, and prints for people."""
    (tmp_path / "pytest_distill.py").write_text("raise SystemExit(0)", encoding="ascii")
    (tmp_path / "results.json").write_text(json.dumps(a_missed_result("failed")), encoding="ascii")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    command = [sys.executable, "-W", "error", "-P", "-m", "pytest_distill.github", "results.json", "--mode", "gpu", "--status", "1"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "verdict=fail\n" in done.stdout


@pytest.mark.parametrize("wrong", ["11", "-1", "", "1e1", "many\n::error::a"])
def test_a_wrong_number_of_annotations_is_a_clear_error(step, wrong):
    """A value out of its range ends with a verdict that GitHub shows, and says what is allowed."""
    cause = the_error(step(a_result(), annotations=wrong))
    assert cause.startswith("error: wrong arguments: argument --annotations: a whole number from 0 to 10 is expected, and ")


@pytest.mark.parametrize("wrong", [["--annotations", "11"], ["--mode", "fast"], ["--stat", "0"]])
def test_wrong_arguments_are_refused(wrong, capsys, monkeypatch):
    """Outside GitHub an option that does not exist, or a value out of its range, is said in a line, and ends with 2."""
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
    assert main(["results.json", "--mode", "gpu", "--status", "0", *wrong]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("error: wrong arguments: ")
    assert wrong[0] in printed.out
    assert printed.err == ""


def test_the_result_of_the_page_is_one_of_these():
    """The step and the page read the same result: what the page's tests call whole is whole here."""
    from pytest_distill.github.shape import RESULT
    from tests.report import test_page

    assert RESULT(test_page.a_result(), "") == ""
