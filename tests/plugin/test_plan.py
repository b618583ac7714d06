"""--distill-plan: what a run would ask, train and spend, told without doing any of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_distill import Endpoint, Labels, Recipe, Task
from pytest_distill.ask import Budget, keys_of
from pytest_distill.ask.batch.notes import Batch, Notes
from pytest_distill.ask.collect import Asking, Wanted
from pytest_distill.plugin.forecast import Seen, Trained, added, forecast, forecast_of_timing
from pytest_distill.plugin.plan_words import _dollars, _duration, _round
from pytest_distill.recording import Recording, Reply
from tests.fakes import GATES, MARK, ROOT, bench
from tests.tiny import make_base

API = """
from pytest_distill import Endpoint

def api(name, **more):
    given = {"base_url": "http://127.0.0.1:9/v1", "api_key_env": None, "price": (2, 0.5, 8)}
    return Endpoint(name, **(given | more))
"""
RECIPE = 'tiny = Recipe(name="tiny", base=HERE / "base")\n'
# Sockets, and what would change files, in the process that plans; told when it ends, with the heavy libraries that are loaded.
WATCH = """
import sys

seen = []

def watch(event, args):
    if event.startswith("socket.") or event in ("os.mkdir", "os.remove", "os.rename", "os.truncate"):
        seen.append(event)

sys.addaudithook(watch)

def pytest_unconfigure(config):
    heavy = [name for name in ("torch", "transformers", "openai", "trl", "datasets") if name in sys.modules]
    print("\\nWATCHED", sorted(set(seen)), heavy)
"""


def mark(teacher: str, students: str) -> str:
    return f"pytestmark = pytest.mark.distill(task, teacher={teacher}, students=[{students}])\n"


def endpoint(name: str = "gpt-x", **more: Any) -> Endpoint:
    return Endpoint(name, **({"base_url": "http://127.0.0.1:9/v1", "api_key_env": None, "price": (2, 0.5, 8)} | more))


def task_of(folder: Path) -> Task:
    return Task(
        name="parity",
        prompt="{{ text }}",
        answer=Labels("yes", "no"),
        train=folder / "train.jsonl",
        heldout=folder / "heldout.jsonl",
        max_tokens=4,
    )


def record(folder: Path, model: Endpoint, rows: Iterable[int] = range(40), *, heldout: Iterable[int] = (), **values: Any) -> None:
    """Record the replies of an Endpoint to these training and held-out rows: 50 tokens in and 2 out, half a second each."""
    task = task_of(folder)
    examples = [*(task.train_examples[k] for k in rows), *(task.heldout_examples[k] for k in heldout)]
    given = {"tokens_in": 50, "tokens_out": 2, "outcome": "answered", "seconds": 0.5, "origin": model.origin} | values
    recording = Recording(folder / "recordings" / f"parity.{model.name}.jsonl")
    with recording.writing():
        for example in examples:
            for sample, key in enumerate(keys_of(model, task, [task.render(example)])[0]):
                reply = Reply(key, example.id, model.model, str(example.expected), at="2026-11-20T10:00:00Z", sample=sample, **given)
                recording.append([reply])


def write_base(folder: Path) -> None:
    """Write what is told apart as a base model, and is none."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("{}")


def tree(folder: Path) -> dict[str, Any]:
    """Every file below `folder`: its bytes and when it was written; without what running pytest in a test leaves there."""
    own = re.compile(r"runpytest-.*|stdout|stderr")
    paths = [path for path in sorted(folder.rglob("*")) if not own.fullmatch(path.relative_to(folder).parts[0])]
    return {str(path): (path.is_dir() or path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


@pytest.fixture
def plan(pytester: pytest.Pytester, run, monkeypatch) -> Callable[..., pytest.RunResult]:
    """Plan, hold against the folder before that nothing was written, and against what was watched that nothing was opened."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    pytester.makeconftest(WATCH)

    def plan(*args: str, status: int = 0) -> list[str]:
        before = tree(pytester.path)
        outcome = run("--distill-plan", *args)
        assert outcome.ret == status
        assert tree(pytester.path) == before
        assert "WATCHED [] []" in outcome.outlines
        return outcome.outlines

    return plan


def line(lines: list[str], start: str) -> str:
    """The first line that begins with these words, blanks made one."""
    return next(plain for plain in (" ".join(each.split()) for each in lines) if plain.startswith(start))


def test_a_plan_counts_what_is_missing_and_what_it_costs(pytester, plan, mode):
    """Replies on hand and missing, tokens by those on hand, cost, bound and time are told alike in every mode; nothing is opened or written."""
    bench(
        pytester.path,
        API
        + 'teacher = api("gpt-x", concurrency=5)\n'
        + mark("teacher", "good")
        + GATES.replace("comparison)", "comparison, training_set)"),
    )
    model, task = endpoint(), task_of(pytester.path)
    record(pytester.path, model, range(30), heldout=range(50))
    (pytester.path / ".distill").mkdir()
    (pytester.path / ".distill" / "results.json").write_text("of an earlier run")
    lines = plan(*mode)
    assert line(lines, "plan:") == "plan: nothing is asked, trained or written"
    assert line(lines, "parity") == "parity (bench_parity.py)"
    assert line(lines, "teacher") == "teacher gpt-x: training rows 30 of 40 on hand, held-out rows 50 of 200 on hand"
    prompts = [task.render(example) for example in [*task.train_examples, *task.heldout_examples]]
    size = [len(prompt) for prompt in prompts]
    ratio = 50 * 80 / (sum(size[:30]) + sum(size[40:90]))
    missing = size[30:40] + size[90:]
    expected = (sum(missing) * ratio * 2 + 160 * 2 * 8) / 1e6
    asking = Asking(model, 4, None, Budget())
    most = sum(asking.most_cost("x" * each) for each in missing)
    asks = line(lines, "to ask")
    assert asks.startswith(f"to ask 160 replies: about {_round(sum(missing) * ratio)} tokens in and 320 out (by 80 replies on hand), ")
    assert f"expected {_dollars(expected)}, at most {_dollars(most, up=True)}, about " in asks
    assert line(lines, "student") == "student good: held-out rows 0 of 200 on hand"
    assert line(lines, "timing") == "timing 100 prompts beside the teacher's recorded times, time unknown"
    assert line(lines, "total").startswith("total: 160 replies to ask: ")
    assert line(lines, "total").endswith("; 200 replies to ask on this machine, time unknown")
    assert line(lines, "to record") == "to record: pytest --distill --distill-record"
    assert line(lines, "store:") == "store: .distill/store: 0 students, 0 recordings of replies, 0.0 MB"
    assert not any("verdict" in each for each in lines)


def test_what_is_asked_alone_takes_its_time_in_turn(pytester, plan):
    """The held-out prompts that are timed are reckoned one after another, all others at the declared concurrency."""
    bench(pytester.path, API + 'teacher = api("gpt-x", concurrency=5)\n' + mark("teacher", "good") + GATES, heldout=200)
    record(pytester.path, endpoint(), range(10))
    # 100 alone and 100 five at a time, half a second each.
    assert line(plan(), "to ask").endswith(", about 1 min")


def test_what_is_unknown_is_said_to_be_unknown(pytester, plan):
    """Without price, recorded times or replies no number is made up; what tokens are reckoned by is said."""
    bench(pytester.path, API + 'teacher = api("gpt-x", price=None)\n' + mark("teacher", "good") + GATES, heldout=10)
    lines = plan("--distill-budget", "1")
    size = sum(len(task_of(pytester.path).render(example)) + 32 for example in task_of(pytester.path).heldout_examples)
    tokens = f"about {_round(size / 4)} tokens in and 20 out"
    assert (
        line(lines, "to ask")
        == f"to ask 10 replies: {tokens} (by 4 bytes a token, half of the longest reply), no price given, time unknown"
    )
    assert line(lines, "without") == "without the cost of gpt-x, which has no price"
    assert line(lines, "the budget").startswith("the budget of $1 cannot be kept without a price")
    assert not any("at most" in each for each in lines)


def test_a_failed_reply_and_each_missing_sample_are_asked_again(pytester, plan):
    """What failed counts as missing, and is told apart; each of several samples is one reply."""
    bench(pytester.path, API + 'teacher = api("gpt-x", samples=3)\n' + mark("teacher", "good") + GATES, heldout=10)
    model = endpoint(samples=3)
    record(pytester.path, model, [], heldout=range(4))
    record(pytester.path, model, [], heldout=range(4, 6), outcome="failed", tokens_in=0, tokens_out=0, seconds=None)
    lines = plan()
    assert line(lines, "teacher") == "teacher gpt-x: held-out rows 4 of 10 on hand"
    assert line(lines, "to ask").startswith("to ask 18 replies (6 asked for before and not had): ")


def test_limits_a_minute_bound_the_time(pytester, plan):
    """Requests a minute make the least time where none is recorded, and the time itself where replies come faster."""
    body = API + 'teacher = api("gpt-x", requests_per_minute=10)\n' + mark("teacher", "good") + GATES
    bench(pytester.path, body, heldout=35)
    assert line(plan(), "to ask").endswith(", time unknown, at least 3 min 30 s by the limits a minute")
    record(pytester.path, endpoint(), [], heldout=range(5), seconds=0.01)
    assert line(plan(), "to ask").endswith(", about 3 min")


def test_a_batch_brings_its_replies_within_a_day_and_no_times(pytester, plan):
    """A batch is told by its bound; replies of one that runs are not paid for again; and no gain can come of it."""
    bench(pytester.path, API + 'teacher = api("gpt-x", batch=True)\n' + mark("teacher", "good") + GATES, heldout=10)
    model, task = endpoint(batch=True), task_of(pytester.path)
    keys = [key for (key,) in keys_of(model, task, [task.render(example) for example in task.heldout_examples])]
    (pytester.path / "recordings").mkdir()
    Notes(pytester.path / "recordings" / "parity.gpt-x.jsonl").add(
        Batch("t", "2026-11-20T10:00:00Z", model.origin, "file-1", keys[:7], "b-1")
    )
    lines = plan()
    assert line(lines, "to ask").startswith("to ask 10 replies (7 in a batch that runs): about ")
    assert line(lines, "to ask").endswith(", within 24 h")
    assert line(lines, "total").startswith("total: 3 replies to ask: ")
    assert line(lines, "timing") == "timing no gain can be told: a recording holds no time of a prompt that was asked alone"


def test_a_key_that_is_not_set_is_named(pytester, plan, monkeypatch):
    """The variable is named where something must be asked and it is empty; where it is set, nothing of it is shown."""
    bench(pytester.path, API + 'teacher = api("gpt-x", api_key_env="BIG_KEY")\n' + mark("teacher", "good") + GATES, heldout=10)
    monkeypatch.setenv("BIG_KEY", " ")
    assert line(plan(), "note") == "note BIG_KEY is not set: gpt-x cannot be asked without it"
    monkeypatch.setenv("BIG_KEY", "sk-very-secret")
    assert not any("BIG_KEY" in each or "secret" in each for each in plan())
    monkeypatch.delenv("BIG_KEY")
    record(pytester.path, endpoint(), [], heldout=range(10))
    assert not any("BIG_KEY" in each for each in plan())


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (53, "(in 53 days): record what you still need of it"),
        (61, "(in 61 days)"),
        (0, "(it is no longer there to be asked)"),
    ],
)
def test_a_shutdown_is_told_and_60_days_before_it_is_warned_of(pytester, plan, days, words):
    """The date of a recording is shown, also where all its replies were to other prompts; near it the line says what to do."""
    bench(pytester.path, API + 'teacher = api("gpt-x", temperature=1)\n' + mark("teacher", "good") + GATES, heldout=10)
    date = (datetime.now(UTC).date() + timedelta(days=days)).isoformat()
    record(pytester.path, endpoint(), [1], retires=date)
    assert line(plan(), "note") == f"note gpt-x is shut down on {date} {words}"


def test_students_are_picked_and_endpoints_among_them_are_asked(pytester, plan):
    """With -k only the chosen students are planned; a student that is an Endpoint has its replies, cost and times told like a teacher."""
    body = API + 'teacher, small = api("gpt-x"), api("small-1", price=(0.1, 0.1, 0.4))\n' + mark("teacher", "good, small") + GATES
    bench(pytester.path, body, heldout=10)
    record(pytester.path, endpoint(), [], heldout=range(10), alone=True)
    lines = plan("-k", "small")
    assert line(lines, "student") == "student small-1: held-out rows 0 of 10 on hand"
    assert line(lines, "to ask").startswith("to ask 10 replies: about ")
    assert line(lines, "timing") == "timing both sides' times come from their recordings"
    assert line(plan("-k", "good"), "timing") == "timing 10 prompts beside the teacher's recorded times, time unknown"
    assert "total: nothing to ask or train" not in lines


def test_replies_that_two_benchmarks_need_are_counted_once(pytester, plan):
    """The second of two files with the same task and teacher says that the first asks for them; the total has them once."""
    body = API + 'teacher = api("gpt-x")\n' + mark("teacher", "good") + GATES
    bench(pytester.path, body, heldout=10)
    bench(pytester.path, body, name="bench_second.py", heldout=10)
    lines = plan()
    assert "to ask 10 replies (10 asked for by a benchmark above)" in [" ".join(each.split()) for each in lines]
    assert line(lines, "total").startswith("total: 10 replies to ask: ")


def test_timing_endpoints_live_is_paid_for(pytester, plan):
    """Under --distill-live the replies of the timing are told beside those of the recording, for each student once, in the total too."""
    bench(pytester.path, API + 'teacher = api("gpt-x")\n' + mark("teacher", "good, bad") + GATES, heldout=40)
    record(pytester.path, endpoint(), [], heldout=range(40))
    lines = plan("--distill-live")
    assert line(lines, "to time").startswith("to time 100 replies: about ")
    assert line(lines, "total").startswith("total: 100 replies to ask: ")
    assert [" ".join(each.split()) for each in lines].count("timing 40 prompts on both models in turn, time unknown") == 2


def test_a_budget_that_may_not_do_is_told(pytester, plan):
    """A budget below what the replies may cost at most is said to be one, a larger one is not."""
    bench(pytester.path, API + 'teacher = api("gpt-x")\n' + mark("teacher", "good") + GATES, heldout=10)
    assert line(plan("--distill-budget", "0.001"), "the budget") == "the budget of $0.001 may not be enough for all of it"
    assert not any("the budget" in each for each in plan("--distill-budget", "5"))


def test_a_local_teacher_is_asked_on_this_machine(pytester, plan, run):
    """Replies that a local teacher has given in the store count as on hand; those it has yet to give cost nothing, their time is unknown."""
    bench(pytester.path)
    assert line(plan(), "total") == "total: 400 replies to ask on this machine, time unknown"
    assert run().ret == 0
    lines = plan()
    assert line(lines, "teacher") == "teacher big: held-out rows 200 of 200 on hand"
    assert line(lines, "timing") == "timing stored"
    assert line(lines, "total") == "total: nothing to ask or train"


def test_a_recipe_waits_for_the_teachers_replies(pytester, plan):
    """Before they are on hand nobody can say what is trained: at most so many rows, and in the store or not."""
    bench(pytester.path, API + RECIPE + 'teacher = api("gpt-x")\n' + mark("teacher", "tiny") + GATES, heldout=10)
    write_base(pytester.path / "base")
    record(pytester.path, endpoint(), range(39))
    lines = plan()
    unknown = "time unknown: the store holds no training like it"
    tell = "whether it is in the store, the teacher's replies will tell"
    assert line(lines, "student") == f"student tiny (recipe): would train on at most 40 rows (cpu), {unknown}; {tell}"
    assert line(lines, "total").endswith("; 1 training, time unknown")
    record(pytester.path, endpoint(), [39], outcome="refused")
    assert line(plan(), "student") == f"student tiny (recipe): would train on 39 rows (cpu), {unknown}"


@pytest.mark.parametrize("fixture", ["student", "training_set"])
def test_a_benchmarks_own_fixture_is_not_second_guessed(pytester, plan, fixture):
    """Where a benchmark file brings its own fixture of the data flow, the plan says that it decides, and which."""
    own = f"\n@pytest.fixture(scope='module')\ndef {fixture}(teacher_replies):\n    pytest.fail('it ran')\n"
    bench(pytester.path, API + RECIPE + 'teacher = api("gpt-x")\n' + mark("teacher", "tiny") + own + GATES, heldout=10)
    write_base(pytester.path / "base")
    lines = plan()
    assert line(lines, "student") == f"student tiny: not known: the benchmark's own fixture {fixture} decides"
    assert line(lines, "teacher") == "teacher gpt-x: training rows 0 of 40 on hand, held-out rows 0 of 10 on hand"


def test_what_cannot_be_planned_is_an_error_and_the_rest_is_told(pytester, plan):
    """A damaged recording ends the plan of its benchmark in its own words and the run in status 1; other benchmarks are planned."""
    body = API + 'teacher = api("gpt-x")\n' + mark("teacher", "good") + GATES
    bench(pytester.path, body, heldout=10)
    bench(pytester.path, MARK + GATES, name="bench_other.py", heldout=10)
    record(pytester.path, endpoint(), [], heldout=range(3))
    path = pytester.path / "recordings" / "parity.gpt-x.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"yes"', b'"no"', 1))
    lines = plan(status=1)
    assert line(lines, "error").startswith("error this cannot be planned: student good: ")
    assert "parity.gpt-x.jsonl:1: the line is damaged" in line(lines, "error")
    assert line(lines, "teacher") == "teacher big: held-out rows 0 of 10 on hand"


def test_a_mark_that_is_wrong_leaves_no_plan(pytester, plan):
    """What cannot be collected is pytest's own error, and no half a plan looks like a whole one."""
    bench(pytester.path, mark("teacher", "good, good") + GATES)
    lines = plan(status=2)
    assert not any("plan:" in each for each in lines)


def test_a_plan_without_benchmarks_says_so(pytester, plan):
    """Where the command line leaves nothing over, the plan says that there is nothing, with pytest's own status for that."""
    bench(pytester.path)
    lines = plan("-k", "nothing", status=5)
    assert line(lines, "no benchmark") == "no benchmark was collected"


def test_what_a_run_here_would_skip_is_named_and_not_counted(pytester, plan, mode):
    """A file that a mark skips on this machine is named with its reason, and nothing that it would take is in the plan."""
    skip = MARK.replace("pytestmark = ", "pytestmark = [pytest.mark.skipif(True, reason='needs a GPU'), ").rstrip() + "]\n"
    bench(pytester.path, skip + GATES)
    lines = plan(*mode)
    assert line(lines, "skipped") == "skipped bench_parity.py, 2 gates: needs a GPU"
    assert line(lines, "nothing would run") == "nothing would run here: every gate is skipped"
    bench(pytester.path, MARK + GATES, name="bench_other.py", heldout=10)
    lines = plan(*mode)
    assert line(lines, "parity") == "parity (bench_other.py)"
    assert line(lines, "skipped") == "skipped bench_parity.py, 2 gates: needs a GPU"
    assert line(lines, "total") == "total: 20 replies to ask on this machine, time unknown"


TRAINED = """
tiny = Recipe(name="tiny", base=HERE / "base", rank=8, learning_rate=5e-3, epochs={epochs}, batch=8, max_length=64)
pytestmark = pytest.mark.distill(task, teacher=teacher, students=[tiny])

def test_runs(student):
    pytest.skip("the student alone is asked for here")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder in which a student was trained for real."""
    pytest.importorskip("trl")
    folder = tmp_path_factory.mktemp("trained")
    make_base(folder / "base")
    bench(folder, TRAINED.format(epochs=1), heldout=10)
    command = [sys.executable, "-m", "pytest", "--distill", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert (folder / ".distill" / "store" / "students").is_dir(), done.stdout
    return folder


@pytest.fixture
def as_trained(pytester: pytest.Pytester, trained: Path) -> Path:
    """A copy of it, at the place where it was: the base's path is part of what is compared."""
    for path in trained.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, pytester.path / path.name)
    return pytester.path


def test_a_student_in_the_store_is_found_by_what_a_run_would_train_on(as_trained, plan):
    """The student that a run trained is in the store to the next plan, and its held-out replies are what is missing."""
    lines = plan()
    today = datetime.now(UTC).date().isoformat()
    assert line(lines, "student") == f"student tiny (recipe): in the store, trained {today}; held-out rows 0 of 10 on hand"
    assert line(lines, "teacher") == "teacher big: training rows 40 of 40 on hand, held-out rows 0 of 10 on hand"
    assert line(lines, "total") == "total: 20 replies to ask on this machine, time unknown"
    assert line(lines, "store:").startswith("store: .distill/store: 1 student, 1 recording of replies, ")


@pytest.mark.parametrize("reason", ["--distill-retrain", "its files do not match their digests"])
def test_a_stored_student_may_be_trained_again(as_trained, plan, reason):
    """Where the store's student would be trained again, because that is asked for or its files are altered, the plan says why."""
    if reason.startswith("its"):
        (config,) = as_trained.glob(".distill/store/students/*/adapter/adapter_config.json")
        config.write_text(config.read_text() + " ")
    lines = plan(*([reason] if reason.startswith("--") else []))
    today = datetime.now(UTC).date().isoformat()
    assert line(lines, "student").startswith(
        f"student tiny (recipe): in the store, trained {today}; {reason}: would train on 40 rows (cpu), "
    )
    assert "; 1 training, " in line(lines, "total")


def test_another_recipe_takes_its_time_from_one_of_its_kind(as_trained, plan):
    """Twice the epochs make another student, which takes twice as long for each row as the one in the store took."""
    bench(as_trained, TRAINED.format(epochs=2), heldout=10)
    (manifest,) = as_trained.glob(".distill/store/students/*/manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"rows": 20, "trained_seconds": 30.0}))
    job = manifest.with_name("job.json")
    told = json.loads(job.read_text())
    job.write_text(json.dumps(told | {"recipe": told["recipe"] | {"base": str(as_trained / "base")}}))
    assert line(plan(), "student") == "student tiny (recipe): would train on 40 rows (cpu), about 2 min (as 20 rows took 30 s)"


def key_of(*fingerprints: str) -> str:
    """The store key by its definition."""
    return hashlib.sha256(json.dumps(sorted(fingerprints), separators=(",", ":")).encode()).hexdigest()


def test_the_store_key_names_what_a_run_trains_or_takes(as_trained, plan, run):
    """It is the last line, made of the fingerprints that a run's result holds, the same before and after the training; two files count one student once."""
    judged = (
        TRAINED.format(epochs=1).replace("(student)", "(comparison)").replace("pytest.skip", "assert comparison.accuracy_drop.value <= 1, ")
    )
    for name in ("bench_parity.py", "bench_second.py"):
        bench(as_trained, judged, name=name, heldout=10)
    stored = plan()
    at = next(k for k, each in enumerate(stored) if each.startswith("store: "))
    assert run("--distill-pairs", "30").ret in (0, 1)
    compared = json.loads((as_trained / ".distill" / "results.json").read_text())["comparisons"]
    assert [entry["from_store"] for entry in compared] == [True, True]
    key = key_of(*{entry["fingerprint"] for entry in compared})
    assert stored[at + 1] == f"store key: {key}"
    shutil.rmtree(as_trained / ".distill" / "store" / "students")
    assert line(plan(), "store key:") == f"store key: {key}"
    assert line(plan("--distill-retrain"), "store key:") == f"store key: {key}"
    bench(as_trained, judged.replace("epochs=1", "epochs=2"), name="bench_second.py", heldout=10)
    other = line(plan("-k", "bench_second"), "store key:")
    assert re.fullmatch("store key: [0-9a-f]{64}", other)
    assert len({other, line(plan(), "store key:"), f"store key: {key}"}) == 3


@pytest.mark.parametrize(
    ("students", "own", "replies"),
    [
        ("good", "", 40),
        ("tiny", "", 39),
        ("good, tiny", "def student():\n    pass\n", 40),
        ("tiny", "def training_set():\n    pass\n", 40),
    ],
    ids=["no recipe", "a reply is missing", "own student", "own training set"],
)
def test_without_all_fingerprints_there_is_no_store_key(pytester, plan, students, own, replies):
    """Where nothing is trained, or it is not known yet what one student learns from, a cache has no key."""
    own = f"\n@pytest.fixture(scope='module')\n{own}" if own else ""
    bench(pytester.path, API + RECIPE + 'teacher = api("gpt-x")\n' + mark("teacher", students) + own + GATES, heldout=10)
    write_base(pytester.path / "base")
    record(pytester.path, endpoint(), range(replies))
    assert line(plan(), "store key:") == "store key: none"


def test_students_without_a_recipe_do_not_hide_the_store_key(pytester, plan):
    """A model beside a recipe, and a benchmark that brings its own student, leave the key to the students of the store; what cannot be planned does not."""
    body = API + RECIPE + 'teacher = api("gpt-x")\n'
    own = "\n@pytest.fixture(scope='module')\ndef student():\n    return good\n"
    bench(pytester.path, body + mark("teacher", "tiny") + GATES, heldout=10)
    write_base(pytester.path / "base")
    record(pytester.path, endpoint())
    alone = line(plan(), "store key:")
    assert re.fullmatch("store key: [0-9a-f]{64}", alone)
    bench(pytester.path, body + mark("teacher", "good, tiny") + GATES, heldout=10)
    bench(pytester.path, body + mark("teacher", "good") + own + GATES, name="bench_own.py", heldout=10)
    assert line(plan(), "store key:") == alone
    bench(
        pytester.path,
        body + mark("teacher", "tiny").replace("teacher=teacher", 'teacher=api("gpt-y")') + GATES,
        name="bench_own.py",
        heldout=10,
    )
    (pytester.path / "recordings" / "parity.gpt-y.jsonl").write_text("damaged\nlines\n")
    assert line(plan(status=1), "store key:") == "store key: none"


def asking(**more: Any) -> Asking:
    return Asking(endpoint(**more), 10, None, Budget())


def test_cached_tokens_are_expected_as_they_were():
    """The share of prompts that the server had cached is expected of those to come, at its price; the bound counts on none."""
    wanted = [Wanted(str(k), "", "x" * 100, 0) for k in range(10)]
    known = Seen(size=200, tokens_in=100, tokens_cached=60, tokens_out=[3, 5], seconds=[2.0, 4.0, 90.0])
    found = forecast(asking(concurrency=4), wanted, known, batch=False)
    assert (found.replies, found.tokens_in, found.tokens_out, found.by) == (10, 500, 40, 2)
    assert found.expected == pytest.approx((200 * 2 + 300 * 0.5 + 40 * 8) / 1e6)
    assert found.most == pytest.approx(10 * asking().most_cost("x" * 100))
    assert found.seconds == 4.0 * 3


def test_a_timing_is_expected_steady_and_bounded_unsteady():
    """Two rounds of warming up and each prompt once are expected; the bound holds four timings and the longest warming up."""
    found = forecast_of_timing(asking(), ["x" * 68] * 10, Seen(), 2)
    one = asking().most_cost("x" * 68)
    assert found.replies == 2 * (10 + 2 * 5)
    assert found.most == pytest.approx(2 * (4 * 10 + 40) * one)
    assert forecast_of_timing(asking(price=None), ["x"], Seen(), 1).most is None


def test_a_sum_is_unknown_where_a_part_is():
    """Costs are added without those that have no price; a time that is unknown makes the sum unknown."""
    wanted = [Wanted("k", "", "x" * 68, 0)]
    timed = forecast(asking(), wanted, Seen(seconds=[2.0]), batch=False)
    unpriced = forecast(asking(price=None), wanted, Seen(seconds=[3.0]), batch=False)
    assert (added([timed, unpriced]).most, added([timed, unpriced]).seconds) == (timed.most, 5.0)
    assert added([unpriced]).expected is None
    assert added([timed, forecast(asking(), wanted, Seen(), batch=False)]).seconds is None


def test_a_training_of_another_kind_tells_no_time():
    """A training tells the time of others on its device with its base and sizes alone, in proportion to rows and epochs."""
    recipe = Recipe(name="a", base="one", epochs=2)
    earlier = Trained(recipe, "cpu", 100, 60.0)
    assert earlier.seconds_of(Recipe(name="b", base="one", epochs=1, learning_rate=0.1, seed=5), "cpu", 50) == 15.0
    assert earlier.seconds_of(recipe, "cuda", 100) is None
    for other in ({"base": "two"}, {"rank": 4}, {"batch": 1}, {"max_length": 8}, {"train_whole": ["norm"]}):
        assert earlier.seconds_of(Recipe(**({"name": "a", "base": "one"} | other)), "cpu", 100) is None


@pytest.mark.parametrize(
    ("write", "value", "words"),
    [
        (_round, 310_449, "310,000"),
        (_round, 99.6, "100"),
        (_round, 0.3, "0"),
        (_dollars, 12.345, "$12.35"),
        (_dollars, 0.661, "$0.66"),
        (_dollars, 0.000418, "$0.00042"),
        (_dollars, 0, "$0.00"),
        (_dollars, 1234.5, "$1,234.50"),
        (_duration, 0.2, "1 s"),
        (_duration, 59.6, "1 min"),
        (_duration, 70, "1 min 10 s"),
        (_duration, 3605, "1 h"),
        (_duration, 7384, "2 h 3 min"),
        (_duration, 86_400, "24 h"),
    ],
)
def test_estimates_are_written_for_people(write, value, words):
    """Estimates show no more digits than they are worth, and small sums are not rounded to nothing."""
    assert write(value) == words


def test_a_bound_is_rounded_up():
    """What a recording costs at most is never written as less."""
    assert _dollars(0.9011, up=True) == "$0.91"
    assert _dollars(2.001, up=True) == "$2.01"
