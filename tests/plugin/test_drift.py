"""``--distill-drift``: recorded prompts are asked again, in place of running gates; whether an Endpoint has moved is said and judged."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_distill import Endpoint, Labels, Task, stats
from pytest_distill.ask import Budget
from pytest_distill.plugin.declare import declared
from pytest_distill.plugin.drift import ask_again, conclusion
from pytest_distill.plugin.flow import Pairing
from pytest_distill.recording import Recording, Reply, reply_key
from pytest_distill.report import terminal
from tests.api_server import ApiServer, first, limited, status, wanted
from tests.fakes import HEAD, RuleModel, rows, write_jsonl

HELD_OUT, TRAIN = 100, 40
DOWN = "http://127.0.0.1:9/v1"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """A server that answers right, as the model that it is asked for."""
    with ApiServer() as running:
        yield running


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """A folder with the rows of a benchmark, in which pytester runs too."""
    write_jsonl(pytester.path / "train.jsonl", rows(TRAIN, "train", first=1000))
    write_jsonl(pytester.path / "heldout.jsonl", rows(HELD_OUT, "held"))
    return pytester.path


@pytest.fixture
def record(folder: Path) -> Callable[..., Path]:
    """Record right answers, but for the second sample of the first `wavered` held-out rows; return the file."""

    def write(heldout: int = HELD_OUT, train: int = TRAIN, *, samples: int = 1, wavered: int = 0, by: str = "", of: str = "gpt") -> Path:
        recording = Recording(folder / "recordings" / f"parity.{of}.jsonl")
        with recording.writing():
            for k, row in enumerate([*rows(heldout, "held"), *rows(train, "train", first=1000)]):
                for sample in range(samples):
                    text = "maybe" if sample and k < wavered else str(row["expected_label"])
                    key = reply_key(Endpoint(of).digest, str(row["text"]), 4, sample=sample)
                    about = {"sample": sample, "answered_by": by}
                    recording.write(Reply(key, str(row["id"]), of, text, "answered", 5, 1, "2026-09-01T10:00:00Z", **about))
        return recording.path

    return write


@pytest.fixture
def ask(folder: Path, server: ApiServer) -> Callable[..., list[dict[str, Any]]]:
    """Ask `n` recorded prompts of an Endpoint again, without a run of pytest around it."""

    def again(n: int, *, stable: float | None = 0.05, budget: float | None = None, students: Sequence[Any] = (), **given: Any) -> Any:
        task = Task("parity", "{{ text }}", Labels("yes", "no"), folder / "train.jsonl", folder / "heldout.jsonl", 4, stable=stable)
        options = {"base_url": server.url, "api_key_env": None, "attempts": 1}
        teacher = Endpoint("gpt", **options | given)
        run: Any = SimpleNamespace(
            settings=SimpleNamespace(drift=n, store=folder / "store"),
            budget=Budget(budget),
            progress=SimpleNamespace(say=print, step=print),
            relative=lambda path: path.name,
        )
        found = declared(pytest.mark.distill(task, teacher=teacher, students=students or [RuleModel("good")]).mark)
        pairings = [Pairing(found, student, folder / "bench_parity.py", 7, run) for student in found.students]
        items: Any = [SimpleNamespace(callspec=SimpleNamespace(params={"distill_pairing": pairing})) for pairing in pairings]
        return ask_again(run, [SimpleNamespace(), *items, *items])

    return again


def changing(share: int, start: int = 0) -> Callable[[str, dict[str, Any]], str]:
    """A reply that is another than the recorded one for so many rows."""
    others = range(start, start + share)

    def reply(prompt: str, request: dict[str, Any]) -> str:
        return "maybe" if int(prompt.split("row=")[1].split(maxsplit=1)[0]) in others else wanted(prompt, request)

    return reply


def shown(entries: Sequence[dict[str, Any]]) -> list[str]:
    """What the terminal shows of them."""
    return terminal.lines({"comparisons": [], "seeds": [], "evidence": "strict", **conclusion(entries, "")})


# What asking again finds


def test_an_endpoint_that_answers_as_recorded_has_not_moved(ask, record, server):
    """Nothing changed, shown by the upper bound; each prompt of the sample is asked once, and the recording stays as it is."""
    path = record(by="gpt")
    before = path.read_bytes()
    (entry,) = ask(90)
    assert path.read_bytes() == before
    assert sorted(found.name for found in path.parent.iterdir()) == ["parity.gpt.jsonl", "parity.gpt.jsonl.lock"]
    assert (server.asked, len(server.prompts)) == (90, 90)
    assert {prompt.split()[0] for prompt in server.prompts} == {"train", "held"}
    assert (entry["outcome"], entry["asked"], entry["recorded"], entry["limit"]) == ("not moved", 90, 140, 0.05)
    assert entry["answers"] == entry["texts"] == {"rate": 0.0, "lower": 0.0, "upper": 0.032738, "n": 90, "method": "clopper-pearson"}
    assert (entry["file"], entry["line"], entry["role"], entry["cost_usd"]) == ("bench_parity.py", 7, "teacher", None)
    assert conclusion([entry], "") | {"drift": None} == {
        "verdict": "pass",
        "cause": "teacher 'gpt' of task 'parity' answers as recorded: otherwise on 0.0% of 90 prompts (95% bound: at most 3.3%), allowed are 5%",
        "complete": True,
        "collected": 0,
        "reported": 0,
        "drift": None,
    }
    assert shown([entry]) == [
        "parity: teacher gpt asked again: not moved",
        "  prompts    90 of 140 recorded ones, from held-out and training rows alike"
        f" (the sample of {entry['sample']}; recorded from 2026-09-01 on)",
        "  answers    0 changed: 0.0% (95% bounds 0.0% to 3.3%); texts 0.0% (95% bounds 0.0% to 3.3%)",
        "  itself     recorded once: how often it disagrees with itself is not known (Endpoint(samples=2) would tell)",
        "  accuracy   100.0% as recorded, 100.0% now, on 90 prompts with a reference",
        "  model      gpt",
        f"  not moved  {entry['words']}",
        "",
        f"verdict: PASS: {entry['words']}",
    ]


def test_the_sample_is_the_same_all_day_and_another_the_next(ask, record, server):
    """Asking again on one day asks the same prompts; two days are told apart by the date that the result holds."""
    record()
    first_day, again = ask(30)[0]["sample"], ask(30)[0]["sample"]
    # At midnight (UTC) between the runs there are two samples.
    assert (Counter(server.prompts.values()) == {2: 30}) is (first_day == again)


def test_an_endpoint_that_is_shown_to_have_moved_fails(ask, record, server):
    """With 30 % other answers the check fails, with the share, its bound, the limit, the way out and the first changed answers."""
    record(train=0, by="gpt-2026-04-14")
    server.reply, server.model = changing(30), "gpt-2026-10-01"
    (entry,) = ask(100)
    assert (entry["outcome"], entry["changed"], len(entry["first"])) == ("moved", 30, 5)
    assert entry["answered_by"] == {"then": ["gpt-2026-04-14"], "now": ["gpt-2026-10-01"]}
    lines = shown([entry])
    assert lines[2].startswith("  answers    30 changed: 30.0% (95% bounds 22.5% to 38.4%); ")
    assert lines[4:6] == [
        "  accuracy   100.0% as recorded, 70.0% now, on 100 prompts with a reference",
        "  model      answered by gpt-2026-04-14 as recorded and by gpt-2026-10-01 now",
    ]
    row = entry["first"][0]
    assert lines[6] == f"  changed    {row['id']}: {row['then']}, now (unparsable)"
    assert lines[-1] == (
        "verdict: FAIL: teacher 'gpt' of task 'parity' has moved: it answers otherwise than recorded on 30.0% of 100 prompts (95% bound:"
        " at least 22.5%), allowed are 5%. Delete the recording, record anew and judge the students again, or ask for a dated model."
    )


@pytest.mark.parametrize(
    ("train", "way"), [(0, "about 286 prompts, of which 100 are recorded, would show"), (300, "--distill-drift 286 would show")]
)
def test_what_is_not_shown_passes_and_says_so(ask, record, server, folder, train, way):
    """Between the bounds nothing is decided: no failure, and how many prompts would do, if so many are recorded."""
    write_jsonl(folder / "train.jsonl", rows(max(train, 1), "train", first=1000))
    record(train=train)
    changed: list[str] = []

    def reply(prompt: str, request: dict[str, Any]) -> str:
        changed.extend([prompt][: 3 - len(changed)])
        return "maybe" if prompt in changed else wanted(prompt, request)

    server.reply = reply
    (entry,) = ask(100)
    assert (entry["outcome"], conclusion([entry], "")["verdict"]) == ("inconclusive", "pass")
    assert entry["words"] == (
        "teacher 'gpt' of task 'parity' is shown neither to have moved nor to answer as recorded: otherwise on 3.0% of 100 prompts (95%"
        f" bounds 0.8% to 7.6%), allowed are 5%; {way} that it has not moved, if the share stays as it is"
    )
    assert stats.rate_bound(286 * 3 // 100, 286) <= 0.05


def test_without_a_limit_it_is_reported_alone(ask, record, server):
    """Where the task states no limit nothing is judged, whatever has changed."""
    record(train=0)
    server.reply = changing(30)
    (entry,) = ask(100, stable=None)
    assert (entry["outcome"], conclusion([entry], "")["verdict"]) == ("reported", "pass")
    assert "on 30.0% of 100 prompts (95% bounds 22.5% to 38.4%); the task states no limit, Task(stable=…)" in entry["words"]


def test_more_than_is_recorded_asks_all_of_it(ask, record, server):
    """A number above that of the recorded prompts asks each of them once; what failed when it was recorded is not among them."""
    recording = Recording(record(30, 5))
    with recording.writing():
        (row,) = rows(1, "held", first=50)
        key = reply_key(Endpoint("gpt").digest, str(row["text"]), 4)
        recording.write(Reply(key, "held-50", "gpt", "", "failed", 0, 0, "2026-09-01T10:00:00Z", detail="HTTP 500"))
    (entry,) = ask(999_999)
    assert (entry["recorded"], entry["asked"], server.asked) == (35, 35, 35)


@pytest.mark.parametrize(("wavered", "beyond"), [(12, False), (0, True)])
def test_drift_is_held_against_what_it_does_by_itself(ask, record, server, wavered, beyond):
    """With recorded samples it is told whether more has changed than the Endpoint disagrees with itself anyway."""
    record(train=0, samples=2, wavered=wavered)
    server.reply = changing(12, start=50)
    (entry,) = ask(100, samples=2)
    assert (server.asked, entry["answers"]["rate"], entry["itself"]["rate"]) == (100, 0.12, wavered / 100)
    assert entry["beyond"] is beyond
    itself, more = shown([entry])[3:5]
    assert itself.startswith(f"  itself     it disagrees with itself on {wavered}.0% of prompts (95% bounds ")
    assert f"changed more than that is {'' if beyond else 'not '}shown (p {'<' if beyond else '='} 0." in more


def test_each_endpoint_is_asked_once_in_either_role(ask, record, server):
    """Two students of one teacher ask it once; an Endpoint in the student's place is asked too."""
    record(20, 0)
    record(20, 0, of="mini")
    found = ask(20, students=[RuleModel("good"), RuleModel("other"), Endpoint("mini", base_url=server.url, api_key_env=None)])
    assert [(entry["role"], entry["model"]) for entry in found] == [("teacher", "gpt"), ("student", "mini")]
    assert server.asked == 40
    assert conclusion(found * 2, "")["cause"].endswith("; and 1 more")


# Trouble is an error, and never reads as a move


def trouble(entries: Sequence[dict[str, Any]]) -> str:
    """The words of the one that is not known, which is an error and has no numbers."""
    said = conclusion(entries, "")
    (entry,) = (entry for entry in entries if entry["outcome"] == "error")
    assert (said["verdict"], said["cause"], said["complete"]) == ("error", entry["words"], False)
    assert (entry["answers"], entry["changed"]) == (None, None)
    assert f"  error      {entry['words']}" in shown(entries)
    return str(entry["words"])


def test_without_a_recording_the_command_that_makes_one_is_named(ask, record, server):
    """A missing recording, and one of other prompts, is an error with the command; nothing is asked."""
    way_out = ". Record first: pytest --distill --distill-record."
    words = trouble(ask(10))
    assert words.startswith("task 'parity': the recording of 'gpt', ")
    assert words.endswith(f"recordings/parity.gpt.jsonl, is not there{way_out}")
    record()
    assert trouble(ask(10, seed=7)).endswith(f" holds no reply to a prompt as it is asked now{way_out}")
    assert server.asked == 0


def test_a_server_that_is_down_is_an_error(ask, record):
    """Where the server cannot be reached it is not known whether anything has moved."""
    record()
    words = trouble(ask(20, base_url=DOWN))
    assert words.startswith(
        "task 'parity': whether 'gpt' has moved is not known: 10 replies in a row failed, asked at http://127.0.0.1:9/v1; the last: http://127.0.0.1:9/v1"
    )
    assert "of 20 prompts were asked again. Run again when that is mended." in words


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (first(status(401)), "refuses the key"),
        (first(limited(after=3600)), "the server asks to wait 3600 s"),
        (first(*[status(500)] * 6), "3 of 40 prompts had no reply; first: "),
    ],
)
def test_replies_that_are_not_had_are_an_error(ask, record, server, faults, words):
    """Too many failed requests are an error with the cause, though all other answers have changed."""
    record()
    server.faults, server.reply = faults, changing(2000)
    assert words in trouble(ask(40, attempts=2, concurrency=1))


def test_a_few_failed_replies_are_left_out_and_said(ask, record, server):
    """One failed request of forty is left out, and is no change."""
    record()
    server.faults = first(status(500))
    (entry,) = ask(40)
    assert (entry["lost"], entry["answers"]["n"], entry["changed"]) == (1, 39, 0)
    assert shown([entry])[2].endswith("; 1 left out for want of a reply")


def test_without_its_key_an_endpoint_is_not_asked(ask, record, server, monkeypatch):
    """The variable is named, and nothing is asked."""
    monkeypatch.delenv("A_KEY", raising=False)
    record()
    assert "takes its key from the environment variable A_KEY, which is not set" in trouble(ask(10, api_key_env="A_KEY"))
    assert server.asked == 0


def test_the_budget_is_kept(ask, record, server):
    """What could pass the budget is not asked: an error that says how far it came; without a price no budget can be kept."""
    price = (1000.0, 500.0, 1000.0)  # a prompt may cost about 6 cents, and costs half a cent
    record()
    words = trouble(ask(60, price=price, concurrency=1, budget=0.2))
    assert "the budget of $0.2 is used up" in words
    assert 0 < server.asked < 60
    assert f"{server.asked} of 60 prompts were asked again" in words
    (entry,) = ask(10, price=price, budget=50.0)
    assert entry["cost_usd"] == pytest.approx(0.04)  # of three words asked and one answered
    assert "  cost       $0.0400" in shown([entry])
    assert "has no price, so a budget cannot be kept" in trouble(ask(10, budget=50.0))


def test_one_trouble_does_not_hide_what_another_did(ask, record, server):
    """Each Endpoint is told of by itself; trouble with one makes the check an error."""
    record()
    server.reply = changing(30)
    found = ask(140, students=[Endpoint("lost", base_url=server.url, api_key_env=None)])
    assert [entry["outcome"] for entry in found] == ["moved", "error"]
    assert "the recording of 'lost'" in trouble(found)


# The run


BODY = """
pytestmark = pytest.mark.distill(task, teacher=teacher, students=[good])

def test_accuracy(comparison):
    pytest.fail("a gate ran")
"""


@pytest.fixture
def bench(folder: Path, server: ApiServer) -> Path:
    """A benchmark file whose teacher is an Endpoint."""
    head = HEAD.replace("import Checkpoint,", "import Checkpoint, Endpoint,").replace("max_tokens=4", "max_tokens=4, stable=0.05")
    head = head.replace('RuleModel("big", seconds=0.06)', f'Endpoint("gpt", base_url="{server.url}", api_key_env=None)')
    path = folder / "bench_parity.py"
    path.write_text(head + textwrap.dedent(BODY), encoding="utf-8")
    return path


@pytest.mark.parametrize("mode", [("-n", "2"), ("-p", "no:xdist")], ids=["n2", "no-xdist"])
def test_a_run_that_asks_again_runs_no_gate(bench, record, server, run, result, mode):
    """With -n 2 and without xdist each prompt is asked once; result and page are written, and the exit status is 1 where one has moved."""
    before = record(train=0).read_bytes()
    server.reply = changing(30)
    outcome = run("--distill-drift", "100", *mode)
    assert outcome.ret == 1
    said = result()
    assert (said["verdict"], said["complete"], said["gates"], said["collected"], said["comparisons"]) == ("fail", True, [], 0, [])
    assert (server.asked, said["drift"][0]["changed"], said["drift"][0]["recording"]) == (100, 30, "recordings/parity.gpt.jsonl")
    assert (bench.parent / "recordings" / "parity.gpt.jsonl").read_bytes() == before
    assert "has moved: it answers otherwise" in (bench.parent / ".distill" / "report.html").read_text(encoding="utf-8")
    outcome.stdout.fnmatch_lines(["parity: asking gpt again: 100/100", "  moved      teacher 'gpt' *", "verdict: FAIL: teacher 'gpt' *"])
    assert "a gate ran" not in outcome.stdout.str()


def test_a_run_in_which_nothing_has_moved_passes(bench, record, server, run, result):
    """The exit status is 0, and pytest's own -k says who is asked."""
    record()
    assert run("--distill-drift", "140", "-k", "good").ret == 0
    assert (result()["verdict"], server.asked) == ("pass", 140)


def test_a_run_without_an_endpoint_has_nothing_to_ask(bench, run, result):
    """Where nothing can be asked again the check is an error, and not green."""
    bench.write_text(HEAD + BODY, encoding="utf-8")
    outcome = run("--distill-drift", "5")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["verdict: ERROR: nothing was asked again: no Endpoint is among what was collected"])
    assert (result()["drift"], result()["complete"]) == ([], False)


def test_a_benchmark_that_is_not_understood_is_an_error(bench, record, server, run, result):
    """Collection errors stop the check, or make it an error where pytest is told to go on."""
    record()
    (bench.parent / "bench_broken.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    assert run("--distill-drift", "5").ret == 2
    assert server.asked == 0
    assert run("--distill-drift", "5", "--continue-on-collection-errors").ret == 1
    assert server.asked == 5
    assert result()["verdict"] == "error"
    assert "nothing_of_this_name" in result()["cause"]
