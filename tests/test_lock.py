"""The lock: what it holds judges as the run did, nobody alters it unseen, and every change since has a name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_distill import Comparison, Task, Text, lock, results
from pytest_distill.errors import LockError
from pytest_distill.evaluate import Series, Timing, evaluate
from pytest_distill.measures import Serving
from pytest_distill.verdict import Judging
from tests.fakes import RuleModel
from tests.test_compare_measures import HARD, LIVE, make, replies

ACCEPTED = {"at": "2026-11-22T10:00:00Z", "commit": "0" * 40, "machine": "here, 2 cores"}
SERVING = Serving(usd_per_hour=1.0, requests_per_month=1e6)
PRICES = ((2.0, 0.5, 8.0), None)
REPLY = [("a", "a", "b", ["hard"])]


def judgement(gate="bench_x.py::test_a[s]", measure="accuracy_drop", operator="<=", limit=0.05, **other):
    """A judgement as the result holds it, as far as locks read it."""
    return {"gate": gate, "measure": measure, "operator": operator, "limit": limit, "line": 7} | other


def entry_of(compared, judgements=(), inputs=None):
    """The lock's entry of a comparison, as a run that passes makes it."""
    model = RuleModel("m")
    known = {side: results.model_facts(model, getattr(compared, side), []) for side in ("teacher", "student")}
    facts = {"fingerprint": "sha256:f", "attempt": 1, "trained_seconds": 4.0, "train_examples": 9, "rejected": {}, "replaced": {}}
    of_run = {"judgements": list(judgements), "inputs": inputs or {"task": "t"}, "adapter": None, "own_fixtures": []}
    return lock.entry(results.comparison_entry(compared, {**facts, **of_run}, known), "strict", ACCEPTED)


def locked(path: Path, *entries, ids=("bench_x.py::s",)) -> lock.Lock:
    """The lock that holds these entries, written and read."""
    lock.write(path, dict(zip(ids, entries, strict=True)))
    found = lock.read(path)
    assert found is not None
    return found


def written(tmp_path, judgements=(), inputs=None, name="lock.json") -> lock.Lock:
    return locked(tmp_path / name, entry_of(make(tmp_path, HARD), judgements, inputs))


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from(["a", "b", "c", "?", ""]),
        st.sampled_from(["a", "b", "c", "?"]),
        st.lists(st.sampled_from(["hard", "easy"]), max_size=2, unique=True),
    ),
    min_size=1,
    max_size=30,
)
SECONDS = st.floats(1e-6, 100)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS, times=st.lists(st.tuples(SECONDS, SECONDS), min_size=30, max_size=70), noise=st.sampled_from(["", "the machine was busy"])
)
def test_what_is_rebuilt_from_the_lock_measures_as_the_run_did(tmp_path, rows, times, noise):
    """Written, read and rebuilt, a comparison has the same counts, kinds, classes, slices and measures, and judges limits alike."""
    teacher, student = (tuple(round(pair[at], 9) for pair in times) for at in (0, 1))
    timing = Timing(Series(teacher), Series(student), "stored", "2026-11-22T10:00:00Z", "here", noise=noise)
    compared = make(tmp_path, rows, timing=timing, serving=SERVING, prices=PRICES)
    (entry,) = locked(tmp_path / "lock.json", entry_of(compared)).comparisons.values()
    again = lock.rebuild(entry, compared.task, ("big", "small"), Judging(), SERVING, PRICES)
    assert again.kinds == compared.kinds
    assert (again.counts, again.slices, again.band, again.band_note) == (
        compared.counts,
        compared.slices,
        compared.band,
        compared.band_note,
    )
    assert (again.classes, again.confusion(again.student)) == (compared.classes, compared.confusion(compared.student))
    assert {key: measure.to_json() for key, measure in again.measures.items()} == {
        key: measure.to_json() for key, measure in compared.measures.items()
    }
    for name, limit in (("accuracy_drop", 0.2), ("score_drop", 0.2), ("macro_f1_drop", 0.2), ("introduced_rate", 0.3)):
        first, second = (getattr(of, name) <= limit for of in (compared, again))
        assert (first.words, first.outcome, first.p) == (second.words, second.outcome, second.p)
    assert (again.student_latency.p50 <= 20).words == (compared.student_latency.p50 <= 20).words
    assert (again.cost_gain >= 2).words == (compared.cost_gain >= 2).words


TEXTS = (
    ("the red fox", "the red fox", {"expected": "the red fox"}),
    ("A red fox.", "the red fox", {"expected": "the red fox"}),
    ("red", "the blue fox", {"expected_any": ["the red fox", "a blue fox"]}),
    ("a fox", "a dog", {"expected_substr": ["fox"]}),
    ("a fox", " ", {}),
    ("a fox", "A fox", {}),
)


def test_answers_that_are_no_labels_are_rebuilt_as_well(tmp_path):
    """Of free text, too, the lock leaves out the rows where both gave the reference, and measures as the run did."""
    rows = [{"id": f"h{k}", "text": f"text {k}", **reference} for k, (_, _, reference) in enumerate(TEXTS)]
    (tmp_path / "h.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = Task("t", "say {{ text }}", Text("token_f1", right=0.6), tmp_path / "h.jsonl", tmp_path / "h.jsonl", 4)
    sides = [evaluate(name, task, task.heldout_examples, replies([row[at] for row in TEXTS])) for at, name in enumerate(("big", "small"))]
    compared = Comparison(task, task.heldout_examples, *sides, LIVE, Judging())
    (entry,) = locked(tmp_path / "lock.json", entry_of(compared)).comparisons.values()
    assert list(entry["numbers"]["answers"]) == ["h1", "h2", "h3", "h4", "h5"]
    again = lock.rebuild(entry, task, ("big", "small"), Judging(), None, (None, None))
    assert (again.kinds, again.counts) == (compared.kinds, compared.counts)
    assert [side.grades for side in (again.teacher, again.student)] == [side.grades for side in sides]
    del entry["numbers"]["answers"]["h3"]
    with pytest.raises(LockError, match="the answers to 'h3' are missing"):
        lock.rebuild(entry, task, ("big", "small"), Judging(), None, (None, None))


def test_the_file_is_small_sorted_and_one_answer_a_line(tmp_path):
    """The lock is ASCII, sorted by comparison, the same bytes for the same content, and holds each wrong answer on a line of its own."""
    entries = [entry_of(make(tmp_path, HARD)) for _ in range(2)]
    first = locked(tmp_path / "a.json", *entries, ids=("bench_y.py::s", "bench_x.py::s"))
    second = locked(tmp_path / "b.json", *entries, ids=("bench_x.py::s", "bench_y.py::s"))
    assert first.path.read_bytes() == second.path.read_bytes()
    text = first.path.read_bytes().decode("ascii")
    assert list(json.loads(text)["comparisons"]) == ["bench_x.py::s", "bench_y.py::s"]
    assert text.count('\n          "h0": ["a", "b"],\n') == 2
    assert text.endswith("}\n")


def test_no_file_is_no_lock_and_nothing_else_is(tmp_path):
    """Only an absent file reads as no lock; a folder, a dangling link, an empty or a torn file is an error."""
    assert lock.read(tmp_path / "absent.json") is None
    whole = written(tmp_path).path.read_bytes()
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere.json")
    (tmp_path / "folder.json").mkdir()
    for number, data in enumerate((b"", b"{", whole[: len(whole) // 2], b"[]", b"{}", b"\xff\xfe", b"[" * 100_000)):
        (tmp_path / f"{number}.json").write_bytes(data)
    for name in ("link", "folder", *map(str, range(7))):
        with pytest.raises(LockError, match=rf"{name}\.json: .*(accept anew|version of pytest-distill)"):
            lock.read(tmp_path / f"{name}.json")


def test_a_newer_schema_is_refused_and_named(tmp_path):
    """A lock of another schema is an error that names both schemas."""
    path = written(tmp_path).path
    path.write_text(path.read_text().replace("pytest-distill/lock/1", "pytest-distill/lock/2"))
    with pytest.raises(LockError, match=r'of schema "pytest-distill/lock/2", not pytest-distill/lock/1'):
        lock.read(path)


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ('"limit": 0.05', '"limit": 0.5', "altered since it was accepted"),
        ('"h0": ["a", "b"]', '"h0": ["a", "a"]', "altered since it was accepted"),
        ('"n": 10', '"n": 11', "altered since it was accepted"),
        ('"n": 10', '"n": NaN', "NaN is no number"),
        ('"n": 10', '"n": 1e999', "the number 1e999 is too large"),
        ('"n": 10', '"n": 10, "n": 10', "'n' stands twice in one object"),
        ('"machine": "here, 2 cores"', '"machine": 7', "when, where and at which commit"),
        ('"gates": [', '"gatez": [', "'gates' is missing"),
        ('"task": "t"', '"task": 5', "'task' is missing or not as it was written"),
    ],
)
def test_a_lock_that_was_altered_by_hand_is_refused(tmp_path, was, now, words):
    """Changing any number of an entry breaks its digest: an error that names the comparison and the way out."""
    path = written(tmp_path, [judgement()]).path
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now, 1))
    with pytest.raises(LockError, match=words):
        lock.read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"n": 3},
        {"answers": {"h0": ["a", "z"]}},
        {"answers": {"h0": ["a"]}},
        {"answers": {"h99": ["a", "b"]}},
        {"answers": None},
        {"models": {}},
        {"timing": {}},
        {"rejected": [1]},
        {"attempt": "many"},
    ],
)
def test_numbers_that_do_not_fit_the_rows_are_an_error(tmp_path, change):
    """A sealed entry whose numbers do not fit the held-out rows is a LockError, not a wrong judgement and not a traceback."""
    compared = make(tmp_path, HARD)
    entry = entry_of(compared)
    with pytest.raises(LockError, match="do not fit"):
        lock.rebuild({**entry, "numbers": {**entry["numbers"], **change}}, compared.task, ("big", "small"), Judging(), None, (None, None))


# What changed


def ran(judgements=(), inputs=None, outcomes=None, evidence="strict") -> lock.Ran:
    return lock.Ran(
        {"bench_x.py::s": inputs or {"task": "t"}}, outcomes or {j["gate"]: "passed" for j in judgements}, list(judgements), evidence
    )


def test_nothing_changed_is_no_change(tmp_path):
    """The run that was accepted differs from its lock in nothing."""
    judged = [judgement(), judgement(measure="speed_gain", operator=">=", limit=2.0)]
    base = written(tmp_path, judged)
    assert lock.changes(base, ran(judged)) == []
    assert lock.between_locks(base, base) == []


@pytest.mark.parametrize(
    ("was", "now", "name", "weakens"),
    [
        (("<=", 0.05), ("<=", 0.08), "limit:bench_x.py::test_a[s]:accuracy_drop<=0.08", True),
        (("<=", 0.05), ("<=", 0.03), "limit:bench_x.py::test_a[s]:accuracy_drop<=0.03", False),
        (("<", 0.05), ("<", 0.06), "limit:bench_x.py::test_a[s]:accuracy_drop<0.06", True),
        ((">=", 2.0), (">=", 1.5), "limit:bench_x.py::test_a[s]:accuracy_drop>=1.5", True),
        ((">=", 2.0), (">", 3.0), "limit:bench_x.py::test_a[s]:accuracy_drop>3", False),
        (("<", 0.05), ("<=", 0.05), "limit:bench_x.py::test_a[s]:accuracy_drop<=0.05", True),
        ((">=", 2.0), (">", 2.0), "limit:bench_x.py::test_a[s]:accuracy_drop>2", False),
        (("<=", 0.05), ("<=", 0.0500000000000001), "limit:bench_x.py::test_a[s]:accuracy_drop<=0.0500000000000001", True),
    ],
)
def test_a_moved_limit_is_named_and_told_apart(tmp_path, was, now, name, weakens):
    """A limit that moved is one change with its new value in the name; only the looser one weakens the gate."""
    (change,) = lock.changes(written(tmp_path, [judgement(operator=was[0], limit=was[1])]), ran([judgement(operator=now[0], limit=now[1])]))
    assert (change.name, change.weakens, change.file, change.line) == (name, weakens, "bench_x.py", 7)


def test_the_tightest_of_several_limits_counts(tmp_path):
    """A gate that holds a measure twice demands the tighter limit; dropping that one loosens it, dropping the other changes nothing."""
    both = [judgement(limit=0.05), judgement(limit=0.2)]
    base = written(tmp_path, both)
    assert lock.changes(base, ran([both[0]])) == []
    (change,) = lock.changes(base, ran([both[1]]))
    assert change.weakens
    assert (change.was, change.now) == ("<=0.05", "<=0.2")


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ({}, "was removed, or left out of this run"),
        ({"bench_x.py::test_a[s]": "skipped"}, "is skipped"),
        ({"bench_x.py::test_a[s]": "passed"}, "holds accuracy_drop against no limit any more"),
    ],
)
def test_a_gate_that_is_gone_is_named(tmp_path, outcomes, words):
    """A gate that was removed, deselected, skipped or emptied weakens the gate, each in its words."""
    base = written(tmp_path, [judgement()])
    (change,) = lock.changes(base, lock.Ran({"bench_x.py::s": {"task": "t"}}, outcomes, [], "strict"))
    assert (change.name, change.weakens) == ("gate:bench_x.py::test_a[s]:accuracy_drop=removed", True)
    assert change.what.endswith(words)


@pytest.mark.parametrize("outcome", ["failed", "inconclusive", "error", ""])
def test_a_gate_that_failed_is_not_called_removed(tmp_path, outcome):
    """A gate that failed before it came to a limit says so itself and is no change of the gate."""
    base = written(tmp_path, [judgement()])
    assert lock.changes(base, lock.Ran({"bench_x.py::s": {"task": "t"}}, {"bench_x.py::test_a[s]": outcome}, [], "strict")) == []


def test_a_new_gate_is_told_and_weakens_nothing(tmp_path):
    """A limit that the lock does not hold is listed as new."""
    (change,) = lock.changes(written(tmp_path), ran([judgement()]))
    assert (change.name, change.weakens, change.now) == ("gate:bench_x.py::test_a[s]:accuracy_drop=new", False, "accuracy_drop <=0.05")


def test_plain_estimates_in_place_of_evidence_are_named(tmp_path):
    """Going from strict to point weakens every gate."""
    (change,) = lock.changes(written(tmp_path, [judgement()]), ran([judgement()], evidence="point"))
    assert (change.name, change.weakens, change.was, change.now) == ("evidence:point", True, "strict", "point")


def test_a_gate_that_passed_without_its_comparison_is_named(tmp_path):
    """Where a gate passed and nothing tells what it compared, that is a change that weakens."""
    base = written(tmp_path, [judgement()])
    (change,) = lock.changes(base, lock.Ran({}, {"bench_x.py::test_a[s]": "passed"}, [judgement()], "strict"))
    assert (change.name, change.weakens) == ("inputs:bench_x.py::s=unknown", True)


INPUTS = {
    "task": "t",
    "prompt": "sha256:" + "a" * 64,
    "heldout": {"rows": 10, "digest": "sha256:" + "b" * 64},
    "replies": {"big": "sha256:" + "c" * 64},
    "student": {"name": "s", "seeds": 3, "rank": 8},
    "curation": {"near": 0.8},
    "stable": 0.05,
    "fixtures": [],
    "train": "sha256:" + "d" * 64,
}


@pytest.mark.parametrize(
    ("field", "now", "start", "weakens", "words"),
    [
        ("heldout", {"rows": 9, "digest": "sha256:" + "e" * 64}, "heldout:t=", True, "heldout.rows was 10 and is 9"),
        (
            "replies",
            {"big": "sha256:" + "e" * 64},
            "replies:t:big=",
            True,
            "replies.big was sha256:cccccccccccc and is sha256:eeeeeeeeeeee",
        ),
        ("prompt", "sha256:" + "e" * 64, "prompt:t=", True, "the prompt of t changed"),
        ("student", {"name": "s", "seeds": 3, "rank": 16}, "student:bench_x.py::s=", False, "student.rank was 8 and is 16"),
        ("train", "sha256:" + "e" * 64, "train:t=", False, "the training rows of t changed"),
        ("student", {"name": "s", "seeds": 1, "rank": 8}, "student:bench_x.py::s=", True, "student.seeds was 3 and is 1"),
        ("student", {"name": "s", "seeds": 9, "rank": 8}, "student:bench_x.py::s=", False, "student.seeds was 3 and is 9"),
        ("curation", {"near": 1.0}, "curation:bench_x.py::s=", True, "curation.near was 0.8 and is 1.0"),
        ("curation", {"near": 0.7}, "curation:bench_x.py::s=", False, "curation.near was 0.8 and is 0.7"),
        ("stable", 0.01, "stable:t=", False, "stable was 0.05 and is 0.01"),
        ("stable", 0.06, "stable:t=", True, "stable was 0.05 and is 0.06"),
        ("stable", None, "stable:t=", True, "stable was 0.05 and is absent"),
        ("fixtures", ["student"], "fixtures:bench_x.py::s=", True, 'fixtures gained ["student"]'),
        ("later", 5, "later:bench_x.py::s=", True, "later was absent and is 5"),
    ],
)
def test_changed_inputs_are_named_by_field(tmp_path, field, now, start, weakens, words):
    """Each input that changed is a change of its own; what the gate is about weakens it, the student does not; an unknown one does."""
    base = written(tmp_path, inputs=INPUTS)
    (change,) = lock.changes(base, ran(inputs={**INPUTS, field: now}))
    assert change.name.startswith(start)
    assert len(change.name) == len(start) + 12
    assert change.weakens is weakens
    assert words in change.what


def test_two_different_edits_have_two_names(tmp_path):
    """What is allowed by name is one content: another edit of the same rows has another name."""
    base = written(tmp_path, inputs=INPUTS)
    edits = [{**INPUTS, "heldout": {"rows": 10, "digest": "sha256:" + digit * 64}} for digit in "ef"]
    names = [lock.changes(base, ran(inputs=edit))[0].name for edit in edits]
    assert len(set(names)) == 2


def test_a_lock_that_accepts_itself_is_named(tmp_path):
    """Numbers that the base does not hold, or no longer, and provenance other than the base's are changes of the lock."""
    base = written(tmp_path, [judgement()])
    forged = locked(tmp_path / "forged.json", entry_of(make(tmp_path, REPLY * 10), [judgement()]))
    (change,) = lock.between_locks(base, forged)
    assert change.name.startswith("lock:bench_x.py::s=")
    assert "other numbers than the base lock" in change.what
    assert [change.name for change in lock.between_locks(base, None)] == ["lock:bench_x.py::s=removed"]
    more = locked(
        tmp_path / "more.json", base.comparisons["bench_x.py::s"], forged.comparisons["bench_x.py::s"], ids=("bench_x.py::s", "n")
    )
    (change,) = lock.between_locks(base, more)
    assert "numbers that the base lock does not hold for n" in change.what
    assert change.weakens
    elsewhere = locked(
        tmp_path / "elsewhere.json", {**base.comparisons["bench_x.py::s"], "accepted": {**ACCEPTED, "machine": "a better one"}}
    )
    (change,) = lock.between_locks(base, elsewhere)
    assert "(accepted.machine)" in change.what


def test_looser_gates_in_a_lock_are_named(tmp_path):
    """A lock that lists a looser limit, or a gate no longer, is named like the gate itself: the next change would be held to it."""
    base = written(tmp_path, [judgement(), judgement(gate="bench_x.py::test_b[s]")])
    own = written(tmp_path, [judgement(limit=0.5)], name="own.json")
    assert [(change.name, change.weakens, change.file) for change in lock.between_locks(base, own)] == [
        ("limit:bench_x.py::test_a[s]:accuracy_drop<=0.5", True, "own.json"),
        ("gate:bench_x.py::test_b[s]:accuracy_drop=removed", True, "own.json"),
    ]


def test_a_lock_that_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    """A lock beyond the size that is read is refused when it is written, and the old one stays."""
    path = written(tmp_path).path
    before = path.read_bytes()
    monkeypatch.setattr("pytest_distill.lock.file.MOST_BYTES", 1000)
    with pytest.raises(LockError, match=r"allowed are 0\. The old one is as it was"):
        lock.write(path, {"x": entry_of(make(tmp_path, HARD))})
    assert path.read_bytes() == before


def test_infinite_numbers_never_reach_a_lock(tmp_path):
    """A number that JSON cannot say is refused before anything is written."""
    entry = entry_of(make(tmp_path, HARD))
    entry["numbers"]["trained_seconds"] = math.inf
    with pytest.raises(ValueError, match="Out of range"):
        lock.write(tmp_path / "lock.json", {"x": entry})
    assert not (tmp_path / "lock.json").exists()
