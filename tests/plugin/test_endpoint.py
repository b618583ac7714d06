"""An Endpoint in a benchmark file: recorded once under --distill-record, replayed for ever, never asked otherwise."""

from __future__ import annotations

import json
import socket
from collections import defaultdict
from dataclasses import replace
from itertools import cycle

import pytest

from pytest_distill.recording import Recording
from tests.api_server import HTML, ApiServer, BatchPlan, limited
from tests.fakes import GATES, MARK, bench

BODY = """
from pytest_distill import Endpoint
teacher = Endpoint("big-1", base_url={url!r}, api_key_env=None, price=(1, 0.5, 2), terms="ours"{more})
fast = RuleModel("fast", seconds=0.0001)

@pytest.fixture(scope="module")
def student(training_set):
    return fast
"""
MARKED = MARK.replace("[good]", "[fast]")
RECORDING = "recordings/parity.big-1.jsonl"


def benchmark(pytester: pytest.Pytester, url: str, more: str = "", gates: str = GATES) -> None:
    bench(pytester.path, BODY.format(url=url, more=more) + MARKED + gates)


def unused_url() -> str:
    """An address at which nothing listens."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{made.getsockname()[1]}/v1"


def test_a_teacher_is_recorded_once_and_replayed_without_its_server(pytester, run, result, mode):
    """Training and held-out replies are asked once each, kept beside the benchmark, and the next run needs no server and no key."""
    with ApiServer(delay=0.004) as server:
        benchmark(pytester, server.url)
        outcome = run("--distill-record", *mode)
        assert outcome.ret == 0, outcome.stdout.str()
        assert server.count["/v1/chat/completions"] == 240
        assert set(server.prompts.values()) == {1}
    recording = (pytester.path / RECORDING).read_bytes()
    lines = [json.loads(line) for line in recording.splitlines()]
    assert len(lines) == 240
    assert {line["origin"] for line in lines} == {server.url}
    assert sum(line.get("alone", False) for line in lines) == 100
    assert {line["terms"] for line in lines} == {"ours"}
    again = run(*mode)
    assert again.ret == 0, again.stdout.str()
    assert (pytester.path / RECORDING).read_bytes() == recording
    entry = result()["comparisons"][0]
    assert entry["models"]["teacher"]["origin"].endswith(f"from {server.url}")
    assert entry["models"]["teacher"]["outcomes"] == {"answered": 200}
    assert entry["measures"]["speed_gain"]["timed"] == "recorded"
    assert entry["measures"]["speed_gain"]["n"] == 100
    assert "from a recording of" in again.stdout.str()


def test_a_missing_reply_names_what_changed_and_the_command(pytester, run, result):
    """Without --distill-record nothing is asked: the error counts what is missing, names the changed field and says how to record it."""
    with ApiServer() as server:
        benchmark(pytester, server.url)
        refused = run()
        assert refused.ret == 1
        refused.stdout.fnmatch_lines(
            [
                "*task 'parity': 200 of 200 replies of 'big-1' are not in recordings/parity.big-1.jsonl; first: held-0: nothing is recorded"
                " for it. Record them: pytest --distill --distill-record (pytest --distill --distill-plan says what that costs)."
            ]
        )
        assert not (pytester.path / "recordings").exists()
        assert run("--distill-record").ret == 0
        asked = server.asked
        for change, words in (
            (", temperature=0.5", "temperature is 0.5, was 0"),
            (", seed=3", "seed is 3, was not given"),
        ):
            benchmark(pytester, server.url, change)
            assert words in run().stdout.str()
        path = pytester.path / "bench_parity.py"
        path.write_text(path.read_text().replace('Endpoint("big-1"', 'Endpoint("big-2", name="big-1"').replace(", seed=3", ""))
        assert "the model is 'big-2', was 'big-1'" in run().stdout.str()
        benchmark(pytester, server.url)
        path.write_text(path.read_text().replace("{{ text }}", "Say: {{ text }}"))
        assert "and since then the prompt has changed" in run().stdout.str()
        assert server.asked == asked
    assert result()["verdict"] == "error"


def test_a_budget_stops_before_it_is_passed(pytester, run, result):
    """The run ends with an error before the request that could pass the budget; what was recorded stays and is built upon."""
    with ApiServer() as server:
        benchmark(pytester, server.url)
        stopped = run("--distill-record", "--distill-budget", "0.0005")
        assert stopped.ret == 1
        stopped.stdout.fnmatch_lines(["*Endpoint 'big-1': the budget of $0.0005 is used up:*replies were recorded in*"])
        kept = [reply.cost for reply in Recording(pytester.path / RECORDING).every()]
        assert 0 < len(kept) < 240
        assert sum(kept) <= 0.0005
        assert run("--distill-record").ret == 0
        assert set(server.prompts.values()) == {1}


def test_a_long_retry_after_stops_the_run_and_says_when(pytester, run, result):
    """A server that asks to wait an hour is not waited for: the error says until when, and no reply is lost."""
    with ApiServer(faults=lambda number, prompt, request: limited(3600) if number == 20 else None) as server:
        benchmark(pytester, server.url, ", concurrency=1")
        stopped = run("--distill-record")
        assert stopped.ret == 1
        stopped.stdout.fnmatch_lines(["*the server asks to wait 3600 s*Go on after *UTC. 20 of 200 replies were recorded*"])
        assert run("--distill-record").ret == 0
        assert set(server.prompts.values()) <= {1, 2}


def test_a_failed_training_reply_is_counted_and_a_failed_held_out_one_is_an_error(pytester, run, result):
    """A reply that cannot be had is left out of training with its reason; among the held-out rows it is an error, not a wrong answer."""

    def garbage(start):
        return lambda number, prompt, request: HTML if prompt.startswith(start) else None

    with ApiServer(faults=garbage("train row=1004 ")) as server:
        benchmark(pytester, server.url)
        again = run("--distill-record")
        assert again.ret == 0
        assert result()["comparisons"][0]["rejected"] == {"failed": 1}
        assert result()["comparisons"][0]["left_out"][0]["id"] == "train-1004"
        assert "training   39 rows kept; left out: 1 failed (first: train-1004 said 'HTTP 200 with" in again.stdout.str()
    with ApiServer(faults=garbage("held row=7 ")) as server:
        (pytester.path / RECORDING).unlink()
        benchmark(pytester, server.url)
        lost = run("--distill-record")
        assert lost.ret == 1
        lost.stdout.fnmatch_lines(
            ["*1 of 200 held-out replies of 'big-1' could not be had; first: held-7: HTTP 200 with something that is no*"]
        )
        assert result()["verdict"] == "error"


def test_a_teacher_that_is_not_stable_is_refused_before_training(pytester, run, result):
    """Whether the teacher agrees with itself is judged on the held-out rows before the training rows are asked and paid for."""
    prompts = defaultdict(lambda: cycle(("yes", "no")))
    with ApiServer(reply=lambda prompt, request: next(prompts[prompt])) as server:
        benchmark(pytester, server.url, ", samples=2")
        path = pytester.path / "bench_parity.py"
        path.write_text(path.read_text().replace("max_tokens=4)", "max_tokens=4, stable=0.05)"))
        outcome = run("--distill-record")
        assert outcome.ret == 1
        outcome.stdout.fnmatch_lines(["*task 'parity' is not stable: big-1 disagrees with itself on 100.0% of 200 held-out prompts*"])
        assert server.asked == 400


def test_what_was_edited_in_a_recording_changes_the_inputs(pytester, run, result):
    """The inputs digest covers what replies bring into a result: text, tokens and the times that are compared."""
    with ApiServer() as server:
        benchmark(pytester, server.url, gates="def test_accuracy(comparison):\n    assert comparison.accuracy_drop <= 0.05\n")
        assert run("--distill-record").ret == 0
    seen = [result()["comparisons"][0]["inputs_digest"]]
    path = pytester.path / RECORDING
    replies = list(Recording(path).every())
    name = next(reply.id for reply in replies if reply.alone)
    for change in ({"tokens_in": 999}, {"seconds": 9.0}, {"text": "no"}):
        path.unlink()
        recording = Recording(path)
        with recording.writing():
            recording.append(replace(reply, **change) if reply.id == name else reply for reply in replies)
        run()
        seen.append(result()["comparisons"][0]["inputs_digest"])
    assert len(set(seen)) == 4


def test_a_local_teacher_is_recorded_beside_the_benchmark_when_asked_for(pytester, run):
    """--distill-record writes a local teacher's replies to the training rows into the recording that is committed."""
    bench(pytester.path, "fast = good\n@pytest.fixture(scope='module')\ndef student(training_set):\n    return fast\n" + MARKED + GATES)
    assert run().ret == 0
    assert not (pytester.path / "recordings").exists()
    assert run("--distill-record").ret == 0
    assert len(Recording(pytester.path / "recordings" / "parity.big.jsonl")) == 40


def test_a_server_that_counts_no_tokens_supports_no_cost(pytester, run, result):
    """Where a priced model's tokens were not counted, its cost is unknown: a limit on it fails with the reason."""
    gates = GATES + "\ndef test_cost(comparison):\n    assert comparison.cost_gain >= 2\n"
    mark = MARKED.replace("students=[fast]", "students=[fast], serving=Serving(usd_per_hour=1, requests_per_month=1e6)")
    with ApiServer(reply=lambda prompt, request: {"text": prompt.split("want=")[1].split()[0], "usage": None}) as server:
        text = BODY.format(url=server.url, more="").replace("import Endpoint", "import Endpoint, Serving")
        bench(pytester.path, text + mark + gates)
        outcome = run("--distill-record")
    assert "cost gain was not measured: the server of 'big-1' counted no tokens of some replies" in outcome.stdout.str()
    assert result()["comparisons"][0]["models"]["teacher"]["cost_usd"] is None


def test_a_live_timing_that_may_pass_the_budget_is_not_begun(pytester, run):
    """What timing an Endpoint may cost at most, all tries included, is held against the budget before it begins."""
    with ApiServer() as server:
        benchmark(pytester, server.url)
        assert run("--distill-record").ret == 0
        asked = server.asked
        outcome = run("--distill-live", "--distill-budget", "0.05")
        assert outcome.ret == 1
        outcome.stdout.fnmatch_lines(["*timing with --distill-live may cost up to $0.*of the budget of $0.05 are spent*"])
        assert server.asked == asked


def test_a_missing_key_is_named_by_its_variable(pytester, run, monkeypatch):
    """Recording without the key names the environment variable; replaying needs none."""
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    benchmark(pytester, unused_url())
    path = pytester.path / "bench_parity.py"
    path.write_text(path.read_text().replace("api_key_env=None", 'api_key_env="TEACHER_KEY"'))
    outcome = run("--distill-record")
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["*Endpoint 'big-1' takes its key from the environment variable TEACHER_KEY, which is not set.*"])


def test_a_student_behind_an_endpoint_is_judged_like_any_other(pytester, run, result):
    """An Endpoint as student is recorded and replayed too; --distill-live times both over the wire in one run."""
    gates = GATES.replace(">= 2", ">= 1.2")
    with ApiServer(delay=0.01) as slow, ApiServer() as quick:
        text = BODY.format(url=slow.url, more="") + f'fast = Endpoint("small", base_url={quick.url!r}, api_key_env=None)\n'
        bench(pytester.path, text.replace("def student(training_set)", "def unused(training_set)") + MARKED + gates)
        assert run("--distill-record").ret == 0, result()["cause"]
        assert (slow.asked, quick.asked) == (200, 200)
        assert result()["comparisons"][0]["measures"]["speed_gain"]["timed"] == "recorded"
        assert run("--distill-live").ret == 0, result()["cause"]
        assert result()["comparisons"][0]["measures"]["speed_gain"]["timed"] == "live"
        asked = (slow.asked, quick.asked)
        assert min(asked) >= 300
        assert run().ret == 0
        assert result()["comparisons"][0]["measures"]["speed_gain"]["timed"] == "stored"
        assert (slow.asked, quick.asked) == asked


def test_a_batch_has_no_times_and_says_how_to_get_some(pytester, run, result):
    """Recorded through the Batch API the accuracy is judged as ever; a speed limit is inconclusive and says how to get times."""
    with ApiServer(batches=(BatchPlan(polls=0),)) as server:
        benchmark(pytester, server.url, ", batch=True")
        outcome = run("--distill-record")
        assert server.count["/v1/chat/completions"] == 0
        assert server.count["/v1/batches"] == 2
    assert outcome.ret == 1
    assert (
        "the teacher's recording holds no time of an answer to a prompt that was asked alone (a refusal or an empty reply is none)"
        in outcome.stdout.str()
    )
    gates = {gate["id"].rpartition("::")[2]: gate["outcome"] for gate in result()["gates"]}
    assert gates == {"test_accuracy[fast]": "passed", "test_speed[fast]": "inconclusive"}
    assert result()["comparisons"][0]["models"]["teacher"]["latency_ms"] is None
    assert result()["comparisons"][0]["models"]["student"]["latency_ms"]["n"] == 100
    assert [path.name for path in (pytester.path / "recordings").iterdir()] == ["parity.big-1.jsonl"]
