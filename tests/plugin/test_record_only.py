"""``--distill-record-only``: what the recordings lack is asked for, and nothing else is done."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.plugin.record_only import conclusion
from pytest_distill.recording import Recording
from tests.api_server import HTML, ApiServer
from tests.fakes import HEAD, rows, write_jsonl

HELD_OUT, TRAIN = 35, 20
DOWN = "http://127.0.0.1:9/v1"
BODY = """
from pytest_distill import Endpoint
teacher = Endpoint("big-1", base_url={url!r}, api_key_env=None, price=(1, 0.5, 2){more})
small = Endpoint("small-1", base_url={url!r}, api_key_env=None, price=(1, 0.5, 2))
tiny = Recipe(name="tiny", base=HERE / "base"{recipe})
pytestmark = pytest.mark.distill(task, teacher=teacher, students=[{students}])

def test_accuracy(comparison):
    pytest.fail("a gate ran")
"""
# Told when the controller ends: the heavy libraries that are loaded.
WATCH = """
import sys

def pytest_unconfigure(config):
    print("\\nLOADED", [name for name in ("torch", "transformers", "trl") if name in sys.modules])
"""


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """A folder with rows, and with what is told apart as a base model and is none: whoever loads or trains it fails."""
    write_jsonl(pytester.path / "train.jsonl", rows(TRAIN, "train", first=1000))
    write_jsonl(pytester.path / "heldout.jsonl", rows(HELD_OUT, "held"))
    (pytester.path / "base").mkdir()
    for name in ("config.json", "model.safetensors"):
        (pytester.path / "base" / name).write_text("{}")
    pytester.makeconftest(WATCH)
    return pytester.path


@pytest.fixture
def bench(folder: Path) -> Callable[..., Path]:
    """Write a benchmark file whose teacher is an Endpoint."""

    def write(url: str, students: str = "tiny", *, own: str = "", more: str = "", recipe: str = "", name: str = "bench_parity.py") -> Path:
        text = BODY.format(url=url, students=students, more=more, recipe=recipe)
        (folder / name).write_text(HEAD + textwrap.dedent(text + own), encoding="utf-8")
        return folder / name

    return write


@pytest.fixture
def recorded(run, result) -> Callable[..., list[dict[str, Any]]]:
    """Record, and return what the result holds of it: no gate ran, nothing heavy was loaded, and no student was made."""

    def recorded(*args: str, status: int = 0) -> list[dict[str, Any]]:
        outcome = run("--distill-record-only", *args)
        text = outcome.stdout.str()
        assert outcome.ret == status, text
        assert "a gate ran" not in text
        assert "LOADED []" in text
        said = result()
        assert (said["gates"], said["comparisons"], said["collected"], said["reported"]) == ([], [], 0, 0)
        assert (said["verdict"], said["complete"]) == (("pass", True) if status == 0 else ("error", False))
        assert not {path.name for path in Path(".distill").rglob("*")} & {"students", "jobs", "timings", "attempts"}
        found: list[dict[str, Any]] = said["recorded"]
        return found

    return recorded


def counts(entries: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Whose replies they are, how many were held, are new and were not had, and the outcome."""
    return [tuple(entry[name] for name in ("role", "model", "held", "asked", "failed", "outcome")) for entry in entries]


@pytest.mark.parametrize("mode", [(), ("-n", "2"), ("-p", "no:xdist")], ids=["plain", "n2", "no-xdist"])
def test_all_that_runs_replay_is_recorded_once(bench, recorded, run, result, mode):
    """Teacher and Endpoint students are asked what a run needs of them, in every mode; then the plan finds nothing missing, and a second time asks nothing."""
    with ApiServer() as server:
        path = bench(server.url, "tiny, small")
        found = recorded(*mode)
        assert counts(found) == [("teacher", "big-1", 0, 55, 0, "recorded"), ("student", "small-1", 0, 35, 0, "recorded")]
        assert server.asked == 90
        files = {name: path.parent / "recordings" / f"parity.{name}.jsonl" for name in ("big-1", "small-1")}
        replies = {name: list(Recording(file).every()) for name, file in files.items()}
        assert [sum(reply.alone for reply in of_one) for of_one in replies.values()] == [35, 35]
        for entry in found:
            assert (entry["file"], entry["line"], entry["task"]) == ("bench_parity.py", 18, "parity")
            cost = sum(reply.cost for reply in replies[entry["model"]])
            assert cost > 0
            assert entry["cost_usd"] == pytest.approx(cost)
        assert found[0]["words"] == (
            "teacher 'big-1' of task 'parity': 55 replies are in recordings/parity.big-1.jsonl, 55 of them new,"
            f" ${found[0]['cost_usd']:.4f}"
        )
        assert result()["cause"] == f"{found[0]['words']}; {found[1]['words']}"
        planned = run("--distill-plan", *mode).stdout.str()
        assert "training rows 20 of 20 on hand, held-out rows 35 of 35 on hand" in planned
        assert "held-out rows 35 of 35 on hand" in planned.partition("small-1")[2]
        assert "to ask" not in planned
        written = [file.read_bytes() for file in files.values()]
        again = recorded(*mode)
        assert counts(again) == [("teacher", "big-1", 55, 0, 0, "recorded"), ("student", "small-1", 35, 0, 0, "recorded")]
        assert [entry["cost_usd"] for entry in again] == [0.0, 0.0]
        assert again[1]["words"].endswith("35 replies are in recordings/parity.small-1.jsonl, none of them new")
        assert (server.asked, [file.read_bytes() for file in files.values()]) == (90, written)


OWN = """
@pytest.fixture(scope="module")
def {name}({takes}):
    return good
"""


FLOWS = (
    ("tiny", "", 55),
    ("good", "", 35),
    ("good", OWN.format(name="student", takes="training_set"), 55),
    ("tiny", OWN.format(name="student", takes=""), 35),
    ("tiny", OWN.format(name="teacher_replies", takes=""), 35),
)


def test_training_rows_are_asked_where_a_student_learns_from_them(bench, recorded):
    """A teacher is asked its training rows for a recipe, or a fixture that takes them, and not where the file's own fixture replaces them."""
    with ApiServer() as server:
        for k, (students, own, _) in enumerate(FLOWS, 1):
            path = bench(server.url, students, own=own, name=f"bench_{k}.py")
            path.write_text(path.read_text().replace('"big-1"', f'"big-{k}"'))
        assert [entry["asked"] for entry in recorded()] == [asked for *_, asked in FLOWS]


def test_two_files_of_one_teacher_ask_it_once(bench, recorded):
    """The needs of both are one: training rows too if the second alone has a student that learns."""
    with ApiServer() as server:
        bench(server.url, "good, small")
        bench(server.url, "small, tiny", name="bench_second.py")
        assert counts(recorded()) == [("teacher", "big-1", 0, 55, 0, "recorded"), ("student", "small-1", 0, 35, 0, "recorded")]
        assert server.asked == 90


def test_students_are_picked_with_pytests_own_options(bench, recorded):
    """What -k leaves out is not asked."""
    with ApiServer() as server:
        bench(server.url, "tiny, small")
        assert counts(recorded("-k", "tiny")) == [("teacher", "big-1", 0, 55, 0, "recorded")]


def test_recording_needs_no_gpu(bench, recorded):
    """A recipe that trains on a GPU alone has its teacher's replies recorded on a machine without one."""
    with ApiServer() as server:
        bench(server.url, recipe=', device="cuda"')
        (entry,) = recorded()
        assert entry["asked"] == 55


# A local teacher


def test_a_local_teachers_training_replies_are_recorded_beside_the_benchmark(folder, recorded, run):
    """As under --distill-record; its held-out replies stay in the store, to be given when a run needs them. They cost nothing."""
    (folder / "bench_parity.py").write_text(
        HEAD
        + BODY.replace('Endpoint("big-1"', 'RuleModel("big") or Endpoint("big-1"').format(url=DOWN, students="tiny", more="", recipe=""),
        encoding="utf-8",
    )
    (entry,) = recorded()
    assert counts([entry]) == [("teacher", "big", 0, 20, 0, "recorded")]
    assert entry["cost_usd"] is None
    assert len(Recording(folder / "recordings" / "parity.big.jsonl")) == 20
    assert not (folder / ".distill" / "store" / "replies").exists()
    assert counts(recorded()) == [("teacher", "big", 20, 0, 0, "recorded")]


def test_nothing_to_record_is_an_error(folder, recorded, result):
    """Where no Endpoint and nothing to learn from is among what was collected the run is not green."""
    (folder / "bench_parity.py").write_text(
        HEAD + "pytestmark = pytest.mark.distill(task, teacher=teacher, students=[good])\ndef test_a(comparison):\n    pass\n",
        encoding="utf-8",
    )
    assert recorded(status=1) == []
    assert result()["cause"] == (
        "nothing was recorded: no Endpoint is among what was collected, and no student that learns from a local teacher's replies"
    )


# Trouble


def test_a_server_that_is_down_does_not_stop_the_others(bench, recorded, result):
    """The one that failed is an error with its words and the run's cause; the other's replies stay, and the next run asks the rest."""
    with ApiServer() as server:
        path = bench(server.url, "tiny, small")
        text = path.read_text()
        path.write_text(text.replace(f'"big-1", base_url={server.url!r}', f'"big-1", base_url={DOWN!r}, attempts=1'))
        first, second = found = recorded(status=1)
        assert counts(found) == [("teacher", "big-1", 0, 0, 55, "error"), ("student", "small-1", 0, 35, 0, "recorded")]
        assert first["words"].startswith(
            "task 'parity': Endpoint 'big-1': 3 replies in a row failed, asked at http://127.0.0.1:9/v1; the last: "
        )
        assert (first["cost_usd"], result()["cause"]) == (0.0, first["words"])
        assert second["outcome"] == "recorded"
        path.write_text(text)
        assert counts(recorded()) == [("teacher", "big-1", 0, 55, 0, "recorded"), ("student", "small-1", 35, 0, 0, "recorded")]
        assert server.asked == 90


def test_a_reply_that_is_not_had_is_an_error(bench, recorded):
    """Replies that could not be had are counted, in training rows too, and the first is named; all others are kept, and these alone are asked again."""
    lost = ("train row=1004 ", "held row=7 ")
    with ApiServer(faults=lambda number, prompt, request: HTML if prompt.startswith(lost) else None) as server:
        bench(server.url)
        (entry,) = recorded(status=1)
        assert counts([entry]) == [("teacher", "big-1", 0, 53, 2, "error")]
        assert entry["words"].startswith("teacher 'big-1' of task 'parity': 2 of 55 replies could not be had; first: held-7: HTTP 200 with")
        assert entry["words"].endswith(". The same command asks for them again.")
    with ApiServer() as server:
        bench(server.url)
        assert counts(recorded()) == [("teacher", "big-1", 53, 2, 0, "recorded")]
        assert server.asked == 2


def test_one_budget_holds_for_all_of_them(bench, recorded):
    """What all Endpoints together cost stays within the budget; what was had is kept and built upon."""
    with ApiServer() as server:
        path = bench(server.url, "tiny, small", more=", concurrency=2")
        found = recorded("--distill-budget", "0.0003", status=1)
        assert [entry["outcome"] for entry in found] == ["error", "error"]
        assert all("the budget of $0.0003 is used up" in entry["words"] for entry in found)
        had = found[0]["asked"]
        assert 0 < had < 55
        assert [entry["held"] + entry["asked"] + entry["failed"] for entry in found] == [55, 35]
        assert 0 < sum(entry["cost_usd"] for entry in found) <= 0.0003
        assert len(list(Recording(path.parent / "recordings" / "parity.big-1.jsonl").every())) == had
        assert counts(recorded("--distill-budget", "5"))[0] == ("teacher", "big-1", had, 55 - had, 0, "recorded")
        assert set(server.prompts.values()) <= {1, 2}  # the same prompts are asked of both
        assert server.asked == 90


def test_without_its_key_an_endpoint_is_not_asked(bench, recorded, monkeypatch):
    """The variable is named, and nothing of what it holds is written down."""
    monkeypatch.delenv("BIG_KEY", raising=False)
    with ApiServer() as server:
        path = bench(server.url)
        path.write_text(path.read_text().replace("api_key_env=None", 'api_key_env="BIG_KEY"', 1))
        (entry,) = recorded(status=1)
        assert "takes its key from the environment variable BIG_KEY, which is not set" in entry["words"]
        assert server.asked == 0
        monkeypatch.setenv("BIG_KEY", "sk-secret")
        assert recorded()[0]["asked"] == 55
        assert not [file for file in path.parent.rglob("*.json*") if "sk-secret" in file.read_text(encoding="utf-8")]


def test_a_teacher_that_is_not_stable_is_refused_before_its_training_rows_are_paid_for(bench, recorded):
    """As in any run the held-out rows come first, and a teacher that the task does not find stable is asked no more."""
    prompts = defaultdict(lambda: cycle(("yes", "no")))
    with ApiServer(reply=lambda prompt, request: next(prompts[prompt])) as server:
        path = bench(server.url, more=", samples=2")
        path.write_text(path.read_text().replace("max_tokens=4)", "max_tokens=4, stable=0.05)"))
        (entry,) = recorded(status=1)
        assert counts([entry]) == [("teacher", "big-1", 0, 70, 40, "error")]
        assert "task 'parity' is not stable: big-1 disagrees with itself" in entry["words"]
        assert server.asked == 70


def test_a_damaged_recording_is_an_error_of_its_own(bench, recorded):
    """It is left as it is and named by its line; nothing is asked for it, and the others go on."""
    with ApiServer() as server:
        path = bench(server.url, "tiny, small").parent / "recordings" / "parity.big-1.jsonl"
        recorded("-k", "tiny")
        damaged = path.read_bytes().replace(b'"yes"', b'"no"', 1)
        path.write_bytes(damaged)
        first, second = recorded(status=1)
        assert "parity.big-1.jsonl:1: the line is damaged" in first["words"]
        assert counts([first]) == [("teacher", "big-1", 0, 0, 55, "error")]
        assert second["asked"] == 35
        assert (path.read_bytes(), server.asked) == (damaged, 90)


def test_collection_errors_stop_it_or_are_the_cause(bench, recorded, run, result):
    """Nothing is asked where a benchmark is not understood, unless pytest is told to go on: then the run is an error all the same."""
    with ApiServer() as server:
        path = bench(server.url)
        (path.parent / "bench_broken.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
        assert run("--distill-record-only").ret == 2
        assert server.asked == 0
        (entry,) = recorded("--continue-on-collection-errors", status=1)
        assert entry["outcome"] == "recorded"
        assert "nothing_of_this_name" in result()["cause"]


def test_many_recordings_are_a_pass_in_few_words():
    """The cause spells three of them out and counts the others; trouble and an error come before them."""
    entries = [{"outcome": "recorded", "words": f"words {k}"} for k in range(5)]
    assert conclusion(entries, "")["cause"] == "words 0; words 1; words 2; and 2 more"
    assert conclusion(entries, "the run was interrupted")["verdict"] == "error"
    failed = conclusion([*entries, {"outcome": "error", "words": "no"}], "")
    assert (failed["verdict"], failed["cause"], failed["complete"], len(failed["recorded"])) == ("error", "no", False, 6)
