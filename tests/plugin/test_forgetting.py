"""Forgetting in a run: a broad task is asked of the student's base and of the student, reported, and gated where that is asked for."""

from __future__ import annotations

import json
import shutil

import pytest

from pytest_distill import lock
from tests.fakes import GATES, HEAD, bench, rows, write_jsonl

# Checkpoints that answer by a rule: the base of a student knows every broad row, the student forgets each of the rows that it is told to.
RULES = """
import os
from pytest_distill import Text
from pytest_distill.models import Timed

def rule(self):
    if self.adapter is None:
        return RuleModel("base", wrong={k: "maybe" for k in BASE_FAILS})
    return RuleModel("small", wrong={k: "maybe" for k in FORGETS})

BASE_FAILS, FORGETS = range(0), [500 + 2 * k for k in range(int(os.environ.get("FORGETS", "1")))]
Checkpoint.digest = property(lambda self: f"sha256:{self.base}-{self.adapter}-{len(FORGETS)}")
Checkpoint.parameters = 1
Checkpoint.local = False
Checkpoint.load = lambda self, device: None
Checkpoint.answer = lambda self, prompts, max_tokens: rule(self).answer(prompts, max_tokens)
Checkpoint.time_one = lambda self, prompt, max_tokens: Timed(0.01, None, 1)
small = Checkpoint("base", adapter="adapter", name="small")
broad = Task(name="general", prompt="{{ text }}", answer=Text(), train=None, heldout=HERE / "broad.jsonl", max_tokens=4)
"""
MARKED = "pytestmark = pytest.mark.distill(task, teacher=teacher, students=[small], broad=broad)\n"
GATE = "\ndef test_forgets_nothing(comparison):\n    assert comparison.forgotten <= 0.05\n"
DEAD = "Checkpoint.answer = Checkpoint.time_one = Checkpoint.load = RuleModel.answer = RuleModel.time_one = None\n"


def project(pytester: pytest.Pytester, *, body: str = RULES + MARKED + GATES, count: int = 100):
    """Write a benchmark with a broad task of so many rows; return its path."""
    made = [
        {"id": row["id"], "text": row["text"], "tags": row["tags"], "expected": row["expected_label"]}
        for row in rows(count, "broad", first=500)
    ]
    write_jsonl(pytester.path / "broad.jsonl", made)
    return bench(pytester.path, body, head=HEAD)


def test_forgetting_is_reported_without_a_gate(pytester, run, result):
    """Whatever the gates ask, the result says how many rows of the broad task base and student get right, and which were forgotten."""
    project(pytester)
    outcome = run()
    assert outcome.ret == 0
    outcome.stdout.fnmatch_lines(
        ["  forgetting base 100.0%   student 99.0%   drop 1.0% (95% bound *)   1 forgotten, 0 gained of 100 rows of general"]
    )
    (entry,) = result()["comparisons"]
    broad = entry["broad"]
    assert {name: broad[name] for name in ("task", "n", "counts", "base", "student")} == {
        "task": "general",
        "n": 100,
        "counts": {"both_right": 99, "forgotten": 1, "gained": 0, "both_wrong": 0},
        "base": 1.0,
        "student": 0.99,
    }
    assert broad["slices"] == {"even": {"n": 50, "base": 1.0, "student": 0.98}}
    assert broad["forgotten"] == [
        {"base": "yes", "id": "broad-500", "input": "broad row=500 want=yes", "expected": "yes", "student": "maybe", "tags": ["even"]}
    ]
    assert (entry["measures"]["forgotten"]["value"], entry["measures"]["forgotten"]["n"]) == (0.01, 100)
    page = (pytester.path / ".distill" / "report.html").read_text()
    assert "Of 100 rows of general the student's base gets 100.0% right and the student 99.0%: 1 forgotten, 0 gained." in page


@pytest.mark.parametrize(("forgets", "verdict"), [("0", "pass"), ("12", "fail"), ("3", "inconclusive")])
def test_forgetting_is_gated(pytester, run, result, monkeypatch, forgets, verdict):
    """A limit on what was forgotten is judged by the exact paired test: shown, refuted or inconclusive, with the numbers of base and student."""
    project(pytester, body=RULES + MARKED + GATES + GATE)
    monkeypatch.setenv("FORGETS", forgets)
    outcome = run()
    assert outcome.ret == (0 if verdict == "pass" else 1)
    assert result()["verdict"] == verdict
    if forgets == "3":
        outcome.stdout.fnmatch_lines(
            [
                "E*AssertionError: forgetting is not shown to be at most 5%: inconclusive",
                "E*base 100.0%, student 97.0% on 100 broad examples: 3 forgotten, 0 gained, drop 3.0% (95% bound *%)",
            ]
        )


def test_a_warm_run_asks_neither_base_nor_student(pytester, run, result):
    """Their replies are kept in the store: a second run loads and asks nothing, in one process or two, and finds the same."""
    path = project(pytester, body=RULES + MARKED + GATES + GATE)
    assert run("-n", "2").ret == 0
    first = result()["comparisons"][0]
    path.write_text(path.read_text().replace("small = Checkpoint", f"{DEAD}small = Checkpoint"))
    for mode in ((), ("-n", "2")):
        assert run(*mode).ret == 0
        again = result()["comparisons"][0]
        assert (again["broad"], again["measures"]["forgotten"]) == (first["broad"], first["measures"]["forgotten"])


def test_the_lock_keeps_what_was_forgotten(pytester, run, result):
    """From the lock the limit is judged again without a model, in either mode; another broad row, or another task, needs a run."""
    path = project(pytester, body=RULES + MARKED + GATES + GATE)
    assert run("--distill-accept").ret == 0
    before = result()["comparisons"][0]
    shutil.rmtree(pytester.path / ".distill")
    text = path.read_text().replace("small = Checkpoint", f"{DEAD}small = Checkpoint")
    path.write_text(text)
    for mode in ((), ("-n", "2")):
        outcome = run("--distill-locked", *mode)
        assert outcome.ret == 0, outcome.stdout.str()
        assert result()["comparisons"][0]["measures"]["forgotten"] == before["measures"]["forgotten"]
    accepted = lock.read(pytester.path / lock.NAME).comparisons["bench_parity.py::small"]
    assert accepted["numbers"]["broad"]["n"] == 100
    assert accepted["inputs"]["broad"]["task"] == "general"
    file = pytester.path / "broad.jsonl"
    file.write_text(file.read_text().replace("row=500 ", "row=500  "))
    outcome = run("--distill-locked")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["*no longer holds for bench_parity.py::small: broad.heldout.digest was *needs a run*"])


def test_a_broad_task_that_changes_is_a_change_of_the_gate(pytester, run, result, monkeypatch):
    """Against a base lock, leaving the broad task out or asking less of it is named and fails; adding one is no weakening."""
    path = project(pytester)
    monkeypatch.setenv("FORGETS", "0")
    assert run("--distill-accept").ret == 0
    own, marked = pytester.path / lock.NAME, path.read_text()
    shutil.copy(own, pytester.path / "with.json")
    path.write_text(marked.replace(", broad=broad)", ")"))
    assert run("--distill-base-lock=with.json").ret == 1
    assert [change["name"].split("=")[0] for change in result()["changes"] if change["fails"]] == ["broad:bench_parity.py::small"]
    assert result()["comparisons"][0]["broad"] is None
    assert run("--distill-accept").ret == 0
    shutil.copy(own, pytester.path / "without.json")
    path.write_text(marked)
    assert run("--distill-base-lock=without.json").ret == 0
    assert [(change["name"].split("=")[0], change["fails"]) for change in result()["changes"]] == [("broad:bench_parity.py::small", False)]


def test_a_base_that_can_do_nothing_shows_nothing(pytester, run):
    """Where the base gets no row right there is nothing to forget: a limit on it is not met."""
    project(pytester, body=RULES.replace("range(0)", "range(500, 600)") + MARKED + GATES + GATE)
    outcome = run()
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["*forgetting was not measured: the base gets no row of the broad task right*"])


def test_a_base_that_can_do_hardly_anything_shows_nothing(pytester, run):
    """A limit that no student could miss, because the base gets no more rows right than it allows to lose, is not met."""
    weak = RULES.replace("range(0)", "[500 + k for k in range(100) if k not in (0, 1, 2, 3)]").replace('"1"', '"2"')
    project(pytester, body=weak + MARKED + GATES + GATE)
    outcome = run()
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(
        ["*forgetting is not shown to be at most 5%: inconclusive", "E*base 4.0%, *", "E*the base gets no more rows right than the limit *"]
    )


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("broad=broad", "broad='general'", "mark distill: broad is a Task of general prompts"),
        ("students=[small]", "students=[good]", "the base of 'good' is not known. Leave broad= out, or name a Recipe"),
        ("students=[small]", "students=[Checkpoint('base', name='bare')]", "the base of 'bare' is not known"),
        ("pytest.mark.distill(task, ", "pytest.mark.distill(broad, ", "task 'general' has no training rows (train=None)"),
    ],
)
def test_a_wrong_broad_is_a_collection_error(pytester, run, was, now, words):
    """What is no task, a student whose base nobody knows, and a task without training rows to distil are refused at collection."""
    path = project(pytester)
    assert was in path.read_text()
    path.write_text(path.read_text().replace(was, now))
    outcome = run()
    assert outcome.ret == 2
    assert words in outcome.stdout.str()


def test_a_broad_row_needs_a_reference(pytester, run):
    """A broad row that nobody can judge is refused at collection, with its id."""
    project(pytester)
    write_jsonl(pytester.path / "broad.jsonl", [{"id": "b", "text": "row=1 want=no"}])
    outcome = run()
    assert outcome.ret == 2
    outcome.stdout.fnmatch_lines(["*broad task 'general': 1 rows have no reference*first: b. Add expected or *"])


def test_a_gate_without_a_broad_task_is_an_error(pytester, run, result):
    """A gate on what was forgotten, in a file whose mark names no broad task, is an error that says what to add."""
    project(pytester, body=RULES + MARKED.replace(", broad=broad", "") + GATES + GATE)
    assert run().ret == 1
    assert result()["verdict"] == "error"
    assert "comparison.forgotten: the mark distill names no broad task. Add broad=" in json.dumps(result()["gates"], ensure_ascii=False)


def test_the_plan_counts_the_replies_to_the_broad_task(pytester, run):
    """--distill-plan says how many replies of base and student are to be had, and that there are none once a run has had them."""
    project(pytester)
    outcome = run("--distill-plan")
    outcome.stdout.fnmatch_lines(
        ["*broad *base: 0 of 100 rows of the broad task on hand", "*to ask *100 replies on this machine*", "*broad *small: 0 of 100 rows*"]
    )
    assert run().ret == 0
    outcome = run("--distill-plan")
    outcome.stdout.fnmatch_lines(["*broad *base: 100 of 100 rows*", "*broad *small: 100 of 100 rows*", "total: nothing to ask or train"])
