"""The lock in a run: accepted, judged again without the models, and held against the base branch's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from pytest_distill import lock
from pytest_distill.lock.changes import FIELDS
from pytest_distill.recording import Recording
from tests.api_server import ApiServer
from tests.fakes import GATES, HEAD, MARK, ROOT, bench
from tests.plugin.test_endpoint import BODY, MARKED, RECORDING

LOCK = "distill.lock.json"
# A model that answers no more: what is judged after this is judged from the lock.
DEAD = HEAD.replace("from tests.fakes import RuleModel", "from tests.fakes import RuleModel\nRuleModel.answer = RuleModel.time_one = None")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose lock was accepted, and a copy of it as the base branch has it; nothing else is left of the run."""
    folder = tmp_path_factory.mktemp("accepted")
    bench(folder)
    (folder / "pytest.ini").write_text("[pytest]\ndistill_ladder = off\n")
    command = [sys.executable, "-m", "pytest", "--distill", "--distill-accept", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    shutil.copy(folder / LOCK, folder / "base.json")
    for left in (".distill", "__pycache__"):
        shutil.rmtree(folder / left, ignore_errors=True)
    (folder / "pytest.ini").unlink()
    return folder


@pytest.fixture
def accepted(pytester, project):
    """The benchmark file of a project whose lock was accepted; `base.json` is that lock."""
    shutil.copytree(project, pytester.path, dirs_exist_ok=True)
    return pytester.path / "bench_parity.py"


def edited(path, was: str, now: str) -> None:
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now))


def test_the_lock_judges_again_without_models_in_every_mode(pytester, run, result, accepted, mode):
    """--distill-locked gives the judgements of the accepted run, asks no model, and leaves no store."""
    edited(accepted, HEAD, DEAD)
    outcome = run("--distill-locked", *mode)
    assert outcome.ret == 0, outcome.stdout.str()
    outcome.stdout.fnmatch_lines(["*judged from the lock: accepted 20*", "verdict: PASS: all 2 gates passed: accuracy drop 0.5% (*"])
    found = result()
    (entry,) = found["comparisons"]
    # One that is not listed there would be called a weakening whatever it is.
    assert set(entry["inputs"]) == set(FIELDS) - {"broad", "judge"}
    assert (found["locked"], found["verdict"], found["complete"], found["changes"]) == (True, "pass", True, [])
    assert entry["accepted"] == json.loads((pytester.path / LOCK).read_text())["comparisons"]["bench_parity.py::good"]["accepted"]
    assert [row["id"] for row in entry["errors"]] == ["held-0"]
    assert entry["measures"]["speed_gain"]["timed"] == "stored"
    assert not (pytester.path / ".distill" / "store").exists()


def test_a_limit_is_judged_again_as_it_stands(pytester, run, result, accepted):
    """A tighter limit than the numbers show fails from the lock, with the words of any run."""
    edited(accepted, "<= 0.05", "<= 0.01")
    outcome = run("--distill-locked")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["E*AssertionError: accuracy drop is not shown to be at most 1%: inconclusive"])
    assert result()["verdict"] == "inconclusive"


def test_what_no_longer_holds_is_named_by_field(run, result, accepted):
    """Inputs that changed make the lock unfit: an error that names each field, and says that it needs a run."""
    edited(accepted, "{{ text }}", "{{ text }}!")
    edited(accepted, 'Labels("yes", "no")', 'Labels("yes", "no", "maybe")')
    edited(accepted, "max_tokens=4", "max_tokens=5")
    edited(accepted, 'RuleModel("big", seconds=0.06)', 'RuleModel("big", wrong={1: "yes"}, seconds=0.06)')
    edited(accepted, 'wrong={0: "no"}, seconds=0.01)', "seconds=0.01)")
    edited(accepted, "teacher=teacher,", "teacher=teacher, curation=__import__('pytest_distill').Curation(agreement=0.9),")
    outcome = run("--distill-locked")
    assert outcome.ret == 1
    words = (
        'answer.labels gained [[]"maybe"]; curation.agreement was absent and is 0.9; max_tokens was 4 and is 5; prompt was sha256:*and is'
        " sha256:*; student.digest was sha256:*; teacher.digest was sha256:"
    )
    outcome.stdout.fnmatch_lines([f"*{LOCK} no longer holds for bench_parity.py::good: {words}*needs a run*--distill-accept*"])
    assert result()["verdict"] == "error"


@pytest.mark.parametrize("name", ["heldout.jsonl", "train.jsonl"])
def test_a_changed_row_needs_a_run(pytester, run, result, accepted, name):
    """One edited row, held-out or training, makes the lock unfit; other line ends do not."""
    path = pytester.path / name
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run("--distill-locked").ret == 0
    edited(path, " row=2 " if name == "heldout.jsonl" else " row=1002 ", "  row=2 " if name == "heldout.jsonl" else "  row=1002 ")
    outcome = run("--distill-locked")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines([f"*no longer holds*{name.removesuffix('.jsonl')}*needs a run*"])


def test_a_lock_that_is_missing_unreadable_or_does_not_hold_the_gate_is_an_error(pytester, run, accepted):
    """Without a lock, with a torn one or one of a newer schema nothing runs; a comparison that it lacks needs a run; none is overwritten."""
    path = pytester.path / LOCK
    whole = path.read_text()
    path.unlink()
    outcome = run("--distill-locked")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines([f"*there is no {LOCK} in *--distill-accept*"])
    for torn in (whole[:500], whole.replace("lock/1", "lock/2"), whole.replace('"limit": 0.05', '"limit": 0.5')):
        path.write_text(torn)
        for option in ("--distill-locked", "--distill-accept"):
            assert run(option).ret == pytest.ExitCode.USAGE_ERROR
        assert path.read_text() == torn
    path.write_text(whole)
    edited(accepted, "students=[good]", "students=[good, bad]")
    outcome = run("--distill-locked")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines([f"*{LOCK} does not hold bench_parity.py::bad. It needs a run*"])


def test_what_the_lock_cannot_give_is_refused(pytester, run, accepted):
    """A gate that asks for the student, or a file with fixtures of its own, needs a run; such a file is accepted without numbers."""
    edited(accepted, "def test_speed(comparison)", "def test_speed(comparison, student)")
    run("--distill-locked").stdout.fnmatch_lines(["*the lock holds no student, which bench_parity.py asks for*"])
    own = "@pytest.fixture(scope='module')\ndef student():\n    return good\n"
    edited(accepted, "def test_speed(comparison, student)", f"{own}\ndef test_speed(comparison)")
    run("--distill-locked").stdout.fnmatch_lines(["*the benchmark file brings its own student, and no lock tells*"])
    outcome = run("--distill-accept")
    assert outcome.ret == 0
    outcome.stdout.fnmatch_lines(
        ["lock: *without numbers to judge from, for their files bring fixtures of their own: bench_parity.py::good"]
    )
    assert lock.read(pytester.path / LOCK).comparisons["bench_parity.py::good"]["numbers"] == {}


# Accepting


def test_only_a_whole_run_that_passes_is_accepted(pytester, run):
    """A failing run leaves the lock as it was; a part of a file is refused; the next passing run writes it."""
    path = bench(pytester.path, MARK.replace("good", "bad") + GATES)
    outcome = run("--distill-accept")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines([f"lock: {LOCK} was not written: the verdict is fail"])
    edited(path, "students=[bad]", "students=[good]")
    assert run("--distill-accept", "bench_parity.py::test_speed").ret == pytest.ExitCode.USAGE_ERROR
    outcome = run("--distill-accept", "-k", "speed")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["verdict: ERROR: nothing can be accepted: 1 gates were deselected*"])
    assert not (pytester.path / LOCK).exists()
    assert run("--distill-accept", "-n", "2").ret == 0
    assert [gate["measure"] for gate in lock.read(pytester.path / LOCK).comparisons["bench_parity.py::good"]["gates"]] == [
        "accuracy_drop",
        "speed_gain",
    ]


def test_accepting_replaces_what_was_run_and_keeps_the_rest(pytester, run, accepted):
    """Entries of files that were not collected stay, those of files that are gone or no longer declare them go, and the run says so."""
    bench(pytester.path, name="bench_two.py", head=HEAD.replace('"parity"', '"other"'))
    assert run("--distill-accept", "bench_two.py").ret == 0
    path = pytester.path / LOCK
    assert list(lock.read(path).comparisons) == ["bench_parity.py::good", "bench_two.py::good"]
    accepted.unlink()
    outcome = run("--distill-accept")
    assert outcome.ret == 0
    outcome.stdout.fnmatch_lines(["lock: *; gone from it: bench_parity.py::good"])
    assert list(lock.read(path).comparisons) == ["bench_two.py::good"]


def test_a_changed_limit_is_taken_over_from_the_stored_numbers(pytester, run, accepted):
    """In a locked run a limit that the lock does not list fails, until --distill-locked --distill-accept takes it over, numbers untouched."""
    edited(accepted, "<= 0.05", "<= 0.04")
    outcome = run("--distill-locked")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(
        ["fails*tightened from <=0.05 to <=0.04 (pytest --distill --distill-locked --distill-accept takes that over*"]
    )
    before = lock.read(pytester.path / LOCK).comparisons["bench_parity.py::good"]
    assert run("--distill-locked", "--distill-accept").ret == 0
    after = lock.read(pytester.path / LOCK).comparisons["bench_parity.py::good"]
    assert {part: after[part] for part in ("numbers", "inputs", "accepted")} == {
        part: before[part] for part in ("numbers", "inputs", "accepted")
    }
    assert [gate["limit"] for gate in after["gates"]] == [0.04, 2.0]
    assert run("--distill-locked", "--distill-base-lock=base.json").ret == 0


# Against the base branch


def changed(result, *, verdict="fail"):
    found = result()
    assert found["verdict"] == verdict
    return [change["name"] for change in found["changes"] if change["fails"]]


def test_a_loosened_limit_fails_unless_it_is_allowed_by_name(pytester, run, result, accepted):
    """Live or locked, a looser limit than the base's is named and fails; its name lets it through, and only on the command line."""
    edited(accepted, "<= 0.05", "<= 0.08")
    name = "limit:bench_parity.py::test_accuracy[good]:accuracy_drop<=0.08"
    for option in ((), ("--distill-locked",)):
        outcome = run(*option, "--distill-base-lock=base.json")
        assert outcome.ret == 1
        outcome.stdout.fnmatch_lines(
            ["verdict: FAIL: the gate itself was changed: the limit of accuracy_drop in *loosened from <=0.05 to <=0.08*"]
        )
        assert changed(result) == [name]
        assert run(*option, "--distill-base-lock=base.json", "--distill-allow-change", name).ret == 0
        assert result()["changes"][0]["allowed"]
    assert run("--distill-base-lock=base.json", "--distill-allow-change", name.replace("0.08", "0.09")).ret == 1
    assert run().ret == 0  # without a base, and with models at hand, one's own limits are one's own
    pytester.makeini(f"[pytest]\naddopts = --distill-allow-change '{name}'\n")
    outcome = run("--distill-base-lock=base.json")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*counts on the command line alone*"])


def test_a_deleted_benchmark_fails(pytester, run, result, accepted):
    """Gates of a file that is gone are named, each; also where the pull request took them out of its own lock."""
    bench(pytester.path, name="bench_two.py", head=HEAD.replace('"parity"', '"other"'))
    accepted.unlink()
    assert run("--distill-accept").ret == 0
    assert run("--distill-locked", "--distill-base-lock=base.json").ret == 1
    names = changed(result)
    assert {name for name in names if name.startswith("gate:")} == {
        "gate:bench_parity.py::test_accuracy[good]:accuracy_drop=removed",
        "gate:bench_parity.py::test_speed[good]:speed_gain=removed",
    }
    assert "lock:bench_parity.py::good=removed" in names


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("def test_accuracy(comparison)", "@pytest.mark.skip\ndef test_accuracy(comparison)"),
        ("    assert comparison.accuracy_drop <= 0.05", "    assert comparison.accuracy_drop.value <= 0.05"),
    ],
)
def test_a_gate_that_judges_no_more_fails(run, result, accepted, was, now):
    """A gate that is skipped, or only reads the plain estimate, is a removed one."""
    edited(accepted, was, now)
    assert run("--distill-base-lock=base.json").ret == 1
    assert changed(result) == ["gate:bench_parity.py::test_accuracy[good]:accuracy_drop=removed"]


def test_a_gate_that_is_left_out_of_the_run_fails(run, result, accepted):
    """Deselecting a gate of the base lock is removing it."""
    assert run("--distill-base-lock=base.json", "-k", "speed").ret == 1
    assert changed(result) == ["gate:bench_parity.py::test_accuracy[good]:accuracy_drop=removed"]


def test_an_edited_row_fails_live_and_locked(pytester, run, result, accepted):
    """One changed held-out row is named by its task and content, where it is measured anew too."""
    edited(pytester.path / "heldout.jsonl", '"even"', '"odd"')
    assert run("--distill-base-lock=base.json").ret == 1
    (name,) = changed(result)
    assert name.startswith("heldout:parity=")
    assert run("--distill-base-lock=base.json", "--distill-allow-change", name).ret == 0
    assert run("--distill-locked", "--distill-base-lock=base.json").ret == 1
    assert changed(result, verdict="error") == [name]


def test_an_edited_reply_fails(pytester, run, result):
    """One changed recorded reply is named by task and teacher, in a live run that would pass with it and in a locked one."""
    with ApiServer() as server:
        bench(pytester.path, BODY.format(url=server.url, more="").split("@pytest.fixture")[0] + MARKED + GATES.split("def test_speed")[0])
        assert run("--distill-record").ret == 0
    assert run("--distill-accept").ret == 0
    shutil.copy(pytester.path / LOCK, pytester.path / "base.json")
    assert run("--distill-locked", "--distill-base-lock=base.json").ret == 0
    path = pytester.path / RECORDING
    replies = list(Recording(path).every())
    path.unlink()
    with Recording(path).writing() as _:
        pass
    recording = Recording(path)
    with recording.writing():
        recording.append([replace(replies[0], tokens_out=77), *replies[1:]])
    assert run("--distill-base-lock=base.json").ret == 1
    (name,) = changed(result)
    assert name.startswith("replies:parity:big-1=")
    outcome = run("--distill-locked", "--distill-base-lock=base.json")
    outcome.stdout.fnmatch_lines(["*no longer holds*replies.big-1 was sha256:*"])
    assert changed(result, verdict="error") == [name]


def test_a_lock_that_accepts_itself_fails(pytester, run, result, accepted):
    """Numbers that a change put into its own lock, digests and all, are not those of the base: named, and nothing passes."""
    path = pytester.path / LOCK
    entries = json.loads(path.read_text())["comparisons"]
    entries["bench_parity.py::good"]["numbers"]["answers"] = {}
    lock.write(path, entries)
    assert run("--distill-locked").ret == 0  # nothing here can tell
    assert run("--distill-locked", "--distill-base-lock=base.json").ret == 1
    (name,) = changed(result)
    assert name.startswith("lock:bench_parity.py::good=")


def test_plain_estimates_fail_where_the_base_wants_evidence(run, result, accepted):
    """--distill-evidence point against a lock of shown limits is a change that fails."""
    assert run("--distill-base-lock=base.json", "--distill-evidence", "point").ret == 1
    assert changed(result) == ["evidence:point"]


def test_another_student_is_told_and_may_pass(pytester, run, result, accepted):
    """A changed student is what a pull request is for: measured anew it passes, and the change is listed."""
    edited(accepted, 'wrong={0: "no"}', 'wrong={2: "no"}')
    assert run("--distill-base-lock=base.json").ret == 0
    assert [change["name"].split("=")[0] for change in result()["changes"]] == ["student:bench_parity.py::good"]


@pytest.mark.parametrize(
    ("content", "words"), [(None, "there is no such file"), ("{", "no lock can be read"), ('{"schema": "x"}', 'of schema "x"')]
)
def test_a_base_lock_that_cannot_be_read_is_an_error(pytester, run, accepted, content, words):
    """A base lock that is missing, torn or foreign stops the run; it never reads as no base."""
    path = pytester.path / "other.json"
    if content is not None:
        path.write_text(content)
    outcome = run("--distill-base-lock=other.json")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines([f"*{words}*"])
    assert not (pytester.path / ".distill" / "results.json").exists()


def test_a_base_lock_as_a_word_of_its_own_is_refused(run, accepted):
    """pytest would take the path for one of tests and look for its root folder there: the option is written with =."""
    outcome = run("--distill-base-lock", "base.json")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*Write --distill-base-lock=base.json*"])


@pytest.mark.parametrize(
    "options",
    [
        ("--distill-locked", "--distill-record"),
        ("--distill-locked", "--distill-live"),
        ("--distill-plan", "--distill-locked"),
        ("--distill-accept", "--distill-record"),
        ("--distill-record-only", "--distill-accept"),
        ("--distill-record-only", "--distill-locked"),
        ("--distill-drift=5", "--distill-locked"),
        ("--distill-plan", "--distill-base-lock=base.json"),
    ],
)
def test_options_that_contradict_are_refused(run, options):
    """What asks, trains or writes does not go with what judges from the lock or accepts it."""
    outcome = run(*options)
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines([f"*does not go with {options[1].split('=')[0]}: *Leave one of them out.*"])


@pytest.mark.parametrize(
    ("name", "fixture"),
    [
        ("student", "def student():\n    return good\n"),
        ("comparison", "def comparison(comparison):\n    return comparison\n"),
        ("distill_pairing", "def distill_pairing(distill_pairing):\n    return distill_pairing\n"),
    ],
)
def test_a_fixture_of_ones_own_is_a_change_of_the_gate(run, result, accepted, name, fixture):
    """A benchmark file that begins to bring a step of the data flow itself is named and fails, live; locked it needs a run."""
    edited(accepted, "def test_accuracy(", f"@pytest.fixture(scope='module')\n{fixture}\ndef test_accuracy(")
    assert run("--distill-base-lock=base.json").ret == 1
    assert "fixtures:bench_parity.py::good" in [name.split("=")[0] for name in changed(result)]
    assert run("--distill-locked", "--distill-base-lock=base.json").ret == 1


def test_a_store_under_version_control_is_refused(pytester, run, accepted):
    """With a base lock a store that was committed stops the run: a change could bring its own replies in it."""
    assert run().ret == 0
    for command in (["init", "-q"], ["add", "-f", ".distill/store"]):
        subprocess.run(["git", *command], cwd=pytester.path, check=True)
    outcome = run("--distill-base-lock=base.json")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*.distill/store/*is under version control*git rm -r --cached .distill/store*"])
    subprocess.run(["git", "rm", "-rq", "--cached", ".distill"], cwd=pytester.path, check=True)
    assert run("--distill-base-lock=base.json").ret == 0
    assert run().ret == 0
    (pytester.path / ".distill").rename(pytester.path / "cache")
    (pytester.path / ".distill").symlink_to("cache")
    outcome = run("--distill-base-lock=base.json")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*the store .distill/store lies behind a link*"])
    (pytester.path / ".distill").unlink()
    (pytester.path / ".git" / "HEAD").unlink()
    outcome = run("--distill-base-lock=base.json")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*git does not tell whether .distill/store is under version control*"])


def test_a_lock_that_loosens_itself_for_the_next_change_fails(pytester, run, result, accepted):
    """A change that loosens the limit in the lock alone is named, also where addopts ask to accept it."""
    entries = json.loads((pytester.path / LOCK).read_text())["comparisons"]
    entries["bench_parity.py::good"]["gates"][0]["limit"] = 0.5
    lock.write(pytester.path / LOCK, entries)
    pytester.makeini("[pytest]\ndistill_ladder = off\naddopts = --distill-accept\n")
    for option in ((), ("--distill-locked",)):
        assert run(*option, "--distill-base-lock=base.json").ret == 1
        assert "limit:bench_parity.py::test_accuracy[good]:accuracy_drop<=0.5" in changed(result)


def test_a_part_of_the_benchmarks_can_be_judged_from_the_lock(pytester, run, accepted):
    """Without a base to compare with, one file or one gate is judged from the lock by itself; a gate that was deleted still fails."""
    bench(pytester.path, name="bench_two.py", head=HEAD.replace('"parity"', '"other"'))
    assert run("--distill-accept").ret == 0
    assert run("--distill-locked", "bench_two.py").ret == 0
    assert run("--distill-locked", "-k", "speed", "-n", "2").ret == 0
    edited(accepted, "def test_accuracy(", "def not_accuracy(")
    assert run("--distill-locked").ret == 1


def test_a_lock_is_never_accepted_without_some_of_its_gates(pytester, run, accepted):
    """Deselecting in workers, by addopts, or naming a gate in addopts is noticed; a skipped gate that leaves the lock is told."""
    before = (pytester.path / LOCK).read_bytes()
    assert run("--distill-accept", "-n", "2", "-k", "speed").ret == 1
    pytester.makeini("[pytest]\ndistill_ladder = off\naddopts = bench_parity.py::test_speed\n")
    assert run("--distill-accept").ret == pytest.ExitCode.USAGE_ERROR
    assert (pytester.path / LOCK).read_bytes() == before
    pytester.makeini("[pytest]\ndistill_ladder = off\n")
    edited(accepted, "def test_accuracy(", "@pytest.mark.skip\ndef test_accuracy(")
    outcome = run("--distill-accept")
    assert outcome.ret == 0
    outcome.stdout.fnmatch_lines(["lock: *; gone from it: bench_parity.py::test_accuracy[[]good]"])


def test_accepting_again_what_is_unchanged_changes_nothing(pytester, run, accepted):
    """The same numbers from the same inputs keep the date and place of the run that made them: the file stays byte for byte."""
    assert run("--distill-accept").ret == 0
    first = (pytester.path / LOCK).read_bytes()
    assert run("--distill-accept").ret == 0
    assert (pytester.path / LOCK).read_bytes() == first


def test_a_refused_run_leaves_no_earlier_verdict(pytester, run, accepted):
    """A run that a bad lock stops has taken the last result away: nobody can read it for its own."""
    assert run().ret == 0
    (pytester.path / LOCK).write_text("{")
    assert run().ret == pytest.ExitCode.USAGE_ERROR
    assert not (pytester.path / ".distill" / "results.json").exists()


def test_a_broken_benchmark_is_no_removed_gate(run, result, accepted):
    """Where collection failed the cause is that, and no gate is called removed."""
    edited(accepted, "def test_accuracy(", "def test_accuracy((")
    assert run("--distill-base-lock=base.json").ret != 0
    assert result()["verdict"] == "error"
    assert result()["changes"] == []


def test_a_file_that_is_gone_is_named_in_a_sentence(pytester, run, accepted):
    """A training file that is missing in a locked run is named, without a traceback."""
    (pytester.path / "train.jsonl").unlink()
    outcome = run("--distill-locked")
    outcome.stdout.fnmatch_lines(["*task 'parity': cannot read train.jsonl: No such file or directory*"])
    outcome.stdout.no_fnmatch_line("*Traceback*")
