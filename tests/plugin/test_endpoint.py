"""An Endpoint in a benchmark file: recorded once under --distill-record, replayed for ever, never asked otherwise."""

from __future__ import annotations

import json
import socket

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
                "*task 'parity': 40 of 40 replies of 'big-1' are not in recordings/parity.big-1.jsonl; first: train-1000: nothing is recorded"
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
        stopped.stdout.fnmatch_lines(["*the server asks to wait 3600 s*Go on after *UTC. 20 of 40 replies were recorded*"])
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
    assert "the teacher's recording holds no time of a prompt that was asked alone" in outcome.stdout.str()
    gates = {gate["id"].rpartition("::")[2]: gate["outcome"] for gate in result()["gates"]}
    assert gates == {"test_accuracy[fast]": "passed", "test_speed[fast]": "inconclusive"}
    assert result()["comparisons"][0]["models"]["teacher"]["latency_ms"] is None
    assert result()["comparisons"][0]["models"]["student"]["latency_ms"]["n"] == 100
    assert [path.name for path in (pytester.path / "recordings").iterdir()] == ["parity.big-1.jsonl"]
