"""Asking through a recording: once for each reply, within bounds of time, pace and money, and never lost again."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from pytest_distill.answers import Labels, ToolCall
from pytest_distill.ask import Budget, ask, collect, keys_of
from pytest_distill.errors import DistillError, ModelError, RecordingError
from pytest_distill.models import Endpoint
from pytest_distill.recording import FAILED, Recording, prompt_digest
from pytest_distill.task import Example, Task
from tests import api_server as api
from tests.api_server import ApiServer, Fault, first, limited, status
from tests.fakes import ROOT, RuleModel

KEY = "sk-canary/+=0123456789"
SPELT = (KEY, quote(KEY), quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode(), KEY[3:12])
DOLLAR_A_TOKEN = (1e6, 1e6, 1e6)


class Formed(Labels):
    """Labels in a JSON object."""

    json_schema = {"type": "object", "properties": {"label": {"type": "string"}}}  # noqa: RUF012


def make_task(prompt="{{ text }}", answer=None, max_tokens=4) -> Task:
    here = Path("nowhere")
    return Task("parity", prompt, answer or Labels("yes", "no"), here / "train.jsonl", here / "heldout.jsonl", max_tokens)


TASK = make_task()


def rows(n: int, start: int = 0) -> list[Example]:
    return [Example(f"row-{k}", {"text": f"row={k} want={('yes', 'no')[k % 2]}"}, None, (), k + 1) for k in range(start, start + n)]


def prompt(k: int) -> str:
    return rows(1, k)[0].fields["text"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits between attempts are tiny, and the key stands in the environment."""
    monkeypatch.setattr(collect, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(collect, "LONGEST_WAIT", 0.002)
    monkeypatch.setattr(collect, "COMMIT_SECONDS", 0.005)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("CANARY_KEY", KEY)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "recordings" / "parity.big.jsonl"


def endpoint(server: ApiServer, **options) -> Endpoint:
    return Endpoint("big", base_url=server.url, **{"api_key_env": "CANARY_KEY", "timeout": 20.0, "concurrency": 8, **options})


def ready(model):
    @contextmanager
    def loaded():
        model.load("cpu")
        try:
            yield
        finally:
            model.unload()

    return loaded


def record(model, examples, path, *, task=TASK, **options):
    """Ask for what the recording at `path` lacks."""
    return ask(model, task, examples, Recording(path), ready=ready(model), **options)


def stopped(model, examples, path, **options) -> str:
    """The words with which recording stops."""
    with pytest.raises(ModelError) as caught:
        record(model, examples, path, **options)
    return str(caught.value)


def never():
    raise AssertionError("a model was loaded")


def replay(model, examples, path, *, task=TASK, **options):
    """Serve what is recorded; nothing may be loaded."""
    return ask(model, task, examples, Recording(path), may_ask=False, ready=never, **options)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def texts(replies) -> list[str]:
    return [reply.text for reply in replies]


# ---- What is recorded, and replayed


def test_what_was_asked_once_is_never_asked_again(path):
    """Replies come in the order of the examples; a second run asks nothing, a third with more examples only for the new."""
    with ApiServer() as server:
        model = endpoint(server)
        once = record(model, rows(20), path)
        assert (texts(once), server.asked) == (["yes", "no"] * 10, 20)
        assert record(model, rows(20), path) == once
        assert server.asked == 20
        assert texts(record(model, rows(22), path)) == ["yes", "no"] * 11
        assert (server.asked, max(server.prompts.values())) == (22, 1)
    assert replay(model, rows(20), path) == once


def test_a_reply_carries_all_that_is_known_of_it(path):
    """Model asked and model that answered, parameters, tokens, cost, times, origin, shutdown and terms are on record."""
    with ApiServer(model="big-2026-01-14", cached=1, models={"big": {"shutdown_date": "2027-01-14"}}) as server:
        model = endpoint(server, price=(10, 1, 100), seed=7, system="Be brief.", stream=True, terms="no training", top_logprobs=1)
        (reply,) = record(model, rows(1), path)
        parameters = {"temperature": 0, "seed": 7, "max_tokens": 4, "system": "Be brief.", "top_logprobs": 1, "logprobs": True}
        assert reply.parameters == parameters
        assert reply.origin == server.url
    assert (reply.id, reply.model, reply.answered_by, reply.text, reply.outcome) == ("row-0", "big", "big-2026-01-14", "yes", "answered")
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_out, reply.cost) == (2, 1, 1, pytest.approx((10 + 1 + 100) / 1e6))
    assert 0 < reply.first_token <= reply.seconds
    assert (reply.retires, reply.terms, reply.prompt) == ("2027-01-14", "no training", prompt_digest(prompt(0)))
    assert (reply.sample, reply.alone, reply.detail) == (0, False, "")
    assert reply.logprobs == [["yes", -0.1, [["yes", -0.1]]]]
    assert time.strptime(reply.at, "%Y-%m-%dT%H:%M:%SZ")
    assert reply.key == keys_of(model, TASK, [prompt(0)])[0][0]
    assert Recording(path).get(reply.key) == reply


def test_plain_completions_are_recorded_too(path):
    """The bare prompt and its reply go through a recording like any other."""
    with ApiServer() as server:
        assert texts(record(endpoint(server, plain=True), rows(2), path)) == ["yes", "no"]
        assert server.count["/v1/completions"] == 2


def test_each_outcome_is_recorded_and_replayed(path):
    """Refused, cut, filtered, empty and malformed replies are on record with their reason and are not asked for again."""
    faults = first(api.REFUSAL, api.AT_LIMIT, api.FILTERED, api.AZURE_FILTERED, api.NO_CHOICES, api.LONE_SURROGATE, api.huge(20))
    outcomes = ["refused", "cut", "filtered", "filtered", "empty", "answered", "malformed"]
    with ApiServer(faults=faults) as server:
        model = endpoint(server, concurrency=1)
        found = record(model, rows(7), path)
        assert record(model, rows(7), path) == found
        assert server.asked == 7
    assert [reply.outcome for reply in found] == outcomes
    assert [bool(reply.detail) for reply in found] == [outcome != "answered" for outcome in outcomes]
    assert (found[5].text, len(found[6].text)) == ("cut \ud83d", 100_000)
    assert path.stat().st_size < 120_000
    assert replay(model, rows(7), path) == found


def test_examples_with_one_prompt_share_one_reply(path):
    """A prompt that two examples have in common is asked once; each example's reply carries its own id."""
    twins = [rows(1)[0], replace(rows(1)[0], id="twin")]
    with ApiServer() as server:
        found = record(endpoint(server), twins, path)
        assert server.asked == 1
    assert [reply.id for reply in found] == ["row-0", "twin"]
    assert len(lines(path)) == 1


def test_samples_are_asked_and_recorded_each(path):
    """With samples=3 each prompt is asked three times, its replies follow one another, and more samples later ask only for the new."""
    numbers = iter(range(100))
    with ApiServer(reply=lambda prompt, request: f"{prompt} {next(numbers)}") as server:
        three = record(endpoint(server, samples=3), rows(4), path)
        assert [(reply.id, reply.sample) for reply in three] == [(f"row-{k}", sample) for k in range(4) for sample in range(3)]
        assert all(reply.text.startswith(prompt(int(reply.id[4:]))) for reply in three)
        assert len(set(texts(three))) == 12
        five = record(endpoint(server, samples=5), rows(4), path)
        one = replay(endpoint(server), rows(4), path)
        assert server.asked == 20
    assert [reply for reply in five if reply.sample < 3] == three
    assert one == [reply for reply in three if not reply.sample]


def test_a_response_format_belongs_to_the_question(path):
    """A task whose answers are JSON sends its schema; a server that ignores it is on record, and another schema is another question."""
    formed = make_task(answer=Formed("yes", "no"))
    with ApiServer(ignores=["response_format"]) as server:
        model = endpoint(server)
        (ignored,) = record(model, rows(1), path, task=formed)
        (other,) = record(model, rows(1), path)
        assert server.asked == 2
    assert (ignored.outcome, other.outcome) == ("malformed", "answered")
    assert ignored.parameters["response_format"]["json_schema"]["schema"] == Formed.json_schema
    assert "does not keep to it" in ignored.detail
    with ApiServer() as server:
        (kept,) = record(endpoint(server), rows(1, 5), path, task=formed)
    assert (kept.outcome, kept.text) == ("answered", '{"label": "no"}')


@pytest.mark.parametrize("options", [{}, {"stream": True}, {"plain": True}])
def test_tools_are_offered_and_what_is_called_is_the_reply(path, options):
    """The tools of a task are sent with each prompt, and belong to the question; a call comes back as a reply that the task reads."""
    find = {"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
    task = make_task(answer=ToolCall([find]))
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}}

    def reply(prompt, request):
        return {"text": None, "tool_calls": [call]} if "tools" in request and "want=yes" in prompt else "Paris."

    with ApiServer(reply=reply) as server:
        model = endpoint(server, **options)
        replies = record(model, rows(2), path, task=task)
        assert record(model, rows(2), path, task=make_task(answer=ToolCall([{**find, "name": "look"}]))) is not None
        assert server.asked == 4
    called = {"tool": None} if "plain" in options else {"tool": "find", "arguments": {"q": "x"}}
    assert [task.answer.parse(each.text) for each in replies] == [called, {"tool": None}]
    assert replies[0].parameters.get("tools") == (None if "plain" in options else list(task.answer.tools))


def test_tokens_that_were_not_counted_have_no_cost(path):
    """Where the server counts no tokens, no cost is made up."""
    with ApiServer(reply=lambda *_: {"text": "yes", "usage": None}) as server:
        (reply,) = record(endpoint(server, price=DOLLAR_A_TOKEN), rows(1), path)
    assert (reply.tokens_in, reply.tokens_out, reply.cost, reply.counted) == (0, 0, None, False)


# ---- Replay


@pytest.fixture
def sealed(monkeypatch):
    """No socket can be opened, and no key is set."""

    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.delenv("CANARY_KEY")


@pytest.fixture
def recorded(path, monkeypatch):
    """Two replies of a model with a parameter."""
    with ApiServer() as server:
        model = endpoint(server, seed=7)
        record(model, rows(2), path)
    return model


def test_a_replay_opens_no_socket_and_needs_no_key(path, recorded, sealed):
    """What is recorded is served, under --distill-record as well, without a connection or a key."""
    assert texts(replay(recorded, rows(2), path)) == ["yes", "no"]
    assert texts(ask(recorded, TASK, rows(2), Recording(path), ready=never)) == ["yes", "no"]


CHANGES = [
    ({"model": "bigger"}, {}, "recorded 20..-..-.., and since then the model is 'bigger', was 'big'"),
    ({}, {"prompt": "New: {{ text }}"}, "and since then the prompt has changed"),
    ({"seed": 8}, {}, "and since then seed is 8, was 7"),
    ({"seed": None}, {}, "and since then seed is not given, was 7"),
    ({"temperature": 0.5, "top_p": 1}, {}, r"and since then temperature is 0\.5, was 0; top_p is 1, was not given"),
    ({"system": "Be brief."}, {}, "and since then system is 'Be brief.', was not given"),
    ({}, {"max_tokens": 9}, "and since then max_tokens is 9, was 4"),
    ({"plain": True}, {}, "it was recorded in another way"),
    ({}, {"answer": Formed("yes", "no")}, "and since then response_format is .*, was not given"),
    (
        {"model": "bigger", "seed": 8},
        {"prompt": "New: {{ text }}"},
        "the model is 'bigger', was 'big'; the prompt has changed; seed is 8, was 7",
    ),
]


@pytest.mark.parametrize(("options", "declared", "words"), CHANGES)
def test_a_missing_reply_names_what_changed(path, recorded, sealed, options, declared, words):
    """A recording made for another model, prompt or parameter is not used; the error says what changed and which command records it."""
    options = {"seed": 7, **options}
    model = Endpoint(options.pop("model", "big"), base_url=recorded.base_url, api_key_env="CANARY_KEY", **options)
    with pytest.raises(RecordingError, match=words) as caught:
        replay(model, rows(2), path, task=make_task(**declared))
    assert f"task 'parity': 2 of 2 replies of {model.name!r} are not in " in str(caught.value)
    assert "; first: row-0: " in str(caught.value)
    assert "Record them: pytest --distill --distill-record" in str(caught.value)


def test_a_reply_that_was_never_recorded_is_said_to_be_new(path, recorded, sealed):
    """A new example, and a further sample, are missing for no change of theirs."""
    with pytest.raises(RecordingError, match=r"1 of 3 replies of 'big' are not in .*; first: row-2: nothing is recorded for it"):
        replay(recorded, rows(3), path)
    more = Endpoint("big", base_url=recorded.base_url, api_key_env="CANARY_KEY", seed=7, samples=2)
    with pytest.raises(
        RecordingError, match=r"2 of 4 replies of 'big' are not in .*; first: sample 1 of row-0: nothing is recorded for it"
    ):
        replay(more, rows(2), path)


def test_a_recording_that_vanishes_is_said_to(path, recorded):
    """A file that is deleted or replaced between its reading and its use is an error of the recording."""
    opened = Recording(path)
    data = path.read_bytes()
    path.unlink()
    with pytest.raises(RecordingError, match="cannot be read any more"):
        ask(recorded, TASK, rows(2), opened, may_ask=False, ready=never)
    path.write_bytes(data.replace(b'"text":"yes"', b'"text":"no!"'))
    with pytest.raises(RecordingError, match="the file changed while it was in use"):
        ask(recorded, TASK, rows(2), opened, may_ask=False, ready=never)


# ---- Many at once, and alone


def test_as_many_are_in_flight_as_declared(path):
    """The peak at the server is exactly the concurrency."""
    with ApiServer(delay=0.1) as server:
        record(endpoint(server, concurrency=8), rows(40), path)
        assert (server.peak, server.asked) == (8, 40)


def test_what_is_to_be_alone_is_asked_first_and_one_at_a_time(path):
    """Prompts whose times count are asked with nothing else in flight and marked; their further samples and the rest are neither."""
    peaks: dict[str, list[int]] = {}

    def watch(number, asked, request):
        peaks.setdefault(asked, []).append(server.peak)

    with ApiServer(faults=watch, delay=0.02) as server:
        found = record(endpoint(server, samples=2), rows(12), path, alone={prompt(k) for k in (3, 7, 11)})
        assert server.peak > 1
        order = [api.prompt_of(json.loads(request["body"])) for request in server.requests if request["method"] == "POST"]
    assert order[:3] == [prompt(3), prompt(7), prompt(11)]
    assert [peaks[each][0] for each in order[:3]] == [1, 1, 1]
    assert [(reply.id, reply.sample) for reply in found if reply.alone] == [("row-3", 0), ("row-7", 0), ("row-11", 0)]


def test_a_reply_of_a_second_attempt_was_not_alone(path):
    """A request that was given up may still be at work in the server: the one that succeeded after it has no time to compare."""
    with ApiServer(faults=first(None, status(500))) as server:
        found = record(endpoint(server), rows(3), path, alone={prompt(k) for k in range(3)})
    assert [(reply.outcome, reply.alone) for reply in found] == [("answered", True), ("answered", False), ("answered", True)]


# ---- Pace


def starts(server: ApiServer) -> list[float]:
    return [request["started"] for request in server.requests if request["method"] == "POST"]


def test_requests_keep_to_the_limit_a_minute(path):
    """Eight requests at 1,200 a minute begin over at least seven twentieths of a second (half of it is demanded here)."""
    with ApiServer() as server:
        record(endpoint(server, requests_per_minute=1200), rows(8), path)
        begun = starts(server)
    assert max(begun) - min(begun) > 0.5 * 7 / 20


def test_tokens_keep_to_the_limit_a_minute(path):
    """Requests wait for the tokens that those before them may use: over 100 each here, 60,000 a minute (half of it is demanded)."""
    with ApiServer() as server:
        record(endpoint(server, tokens_per_minute=60_000, max_tokens=100, concurrency=4), rows(5), path)
        begun = starts(server)
    assert max(begun) - min(begun) > 0.5 * 4 / 10


def test_tokens_that_were_not_used_are_used_by_the_next(path):
    """What a reply may take is only waited for until it is known what it took: here a thousandth, and no wait of ten seconds each."""
    with ApiServer() as server:
        record(endpoint(server, tokens_per_minute=6000, max_tokens=1000, concurrency=1), rows(3), path)
        begun = starts(server)
    assert max(begun) - min(begun) < 9


def test_one_s_own_pace_does_not_use_up_the_patience(path):
    """Replies that wait for their turn longer than a reply may take in all are not given up, at the first try and at the next."""
    with ApiServer(faults=lambda number, *_: status(500) if number < 10 else None) as server:
        found = record(endpoint(server, requests_per_minute=600, patience=0.7, concurrency=10), rows(10), path)
        assert server.asked == 20
    assert {reply.outcome for reply in found} == {"answered"}


def test_a_stop_does_not_wait_for_those_who_wait(path):
    """Where asking ends, those who wait for their turn (minutes, here) end with it."""
    began = time.monotonic()
    with ApiServer(faults=first(status(401))) as server:
        words = stopped(endpoint(server, requests_per_minute=1), rows(20), path)
        assert server.asked == 1
    assert "refuses the key" in words
    assert time.monotonic() - began < 30


def test_all_wait_where_the_server_asks_one_to(path):
    """After Retry-After no request begins before that time, whoever it was told; then all are answered."""
    faults = first(limited(milliseconds=700), *[api.slow(0.35)] * 3)
    with ApiServer(faults=faults) as server:
        found = record(endpoint(server, concurrency=4), rows(12), path)
        begun = starts(server)
        assert server.asked == 13
    assert {reply.outcome for reply in found} == {"answered"}
    assert min(begun[4:]) - begun[0] >= 0.7


@pytest.mark.parametrize("after", ["3600", "1e300", "Fri, 31 Dec 2066 23:59:59 GMT"])
def test_a_long_wait_is_not_waited_for(path, after):
    """429 with a Retry-After beyond the patience stops at once and says when to go on; what is in flight is kept, the rest not asked."""
    with ApiServer(faults=lambda number, *_: limited(after) if number == 1 else api.slow(0.4)) as server:
        words = stopped(endpoint(server, concurrency=3), rows(30), path)
        assert (server.asked, len(lines(path))) == (3, 2)
        server.faults = api.NEVER
        assert texts(record(endpoint(server), rows(30), path)) == ["yes", "no"] * 15
        assert server.asked == 31
    if after == "3600":
        when = time.strftime("%Y-%m-%d %H", time.gmtime(time.time() + 3600))
        before = time.strftime("%Y-%m-%d %H", time.gmtime(time.time() + 3540))
        assert "the server asks to wait 3600 s (HTTP 429: Too Many Requests)" in words
        assert f"Go on after {when}" in words or f"Go on after {before}" in words
    assert "2 of 30 replies were recorded in" in words
    assert words.endswith("are kept; the same command asks for the rest.")


# ---- Trying again


@pytest.mark.parametrize("fault", [status(500), status(503), api.RESET, api.CLOSED, limited(milliseconds=1), limited()])
def test_a_passing_trouble_is_tried_again(path, fault):
    """Server errors, resets and rate limits that pass cost tries and no reply."""
    with ApiServer(faults=first(fault, fault, None, fault)) as server:
        found = record(endpoint(server, concurrency=1), rows(3), path)
        assert server.asked == 6
    assert texts(found) == ["yes", "no", "yes"]
    assert len(lines(path)) == 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault", [api.HTML, api.GARBAGE, api.cut(), api.cut(gzip=True), api.cut(seen=False, gzip=True), Fault(content=b"")]
)
def test_a_damaged_reply_is_tried_once_more(path, stream, fault):
    """HTML with HTTP 200, truncated gzip and a stream cut midway are tried again once; then no reply was had, and that is on record."""
    with ApiServer(faults=first(fault, None, fault, fault)) as server:
        found = record(endpoint(server, concurrency=1, stream=stream), rows(3), path)
        assert list(server.prompts.values()) == [2, 2, 1]
    assert [reply.outcome for reply in found] == ["answered", FAILED, "answered"]
    assert found[1].detail
    assert (found[1].text, found[1].seconds, found[1].cost) == ("", None, None)


def test_attempts_bound_what_is_tried(path):
    """A prompt that brings server errors for ever is tried as often as declared, and then failed; others are not touched by it."""
    with ApiServer(faults=lambda number, asked, request: status(500) if asked == prompt(2) else None) as server:
        found = record(endpoint(server, attempts=4), rows(5), path)
        assert server.prompts == {prompt(k): 4 if k == 2 else 1 for k in range(5)}
    assert [reply.outcome for reply in found] == ["answered", "answered", FAILED, "answered", "answered"]
    assert found[2].detail == "HTTP 500: Internal Server Error"


def test_patience_bounds_what_is_tried(path, monkeypatch):
    """However many attempts are allowed, a reply is given up when it took as long as it may in all."""
    monkeypatch.setattr(collect, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(collect, "LONGEST_WAIT", 0.2)
    with ApiServer(faults=lambda *_: status(500)) as server:
        (reply,) = record(endpoint(server, attempts=100, patience=0.5), rows(1), path)
        assert 1 <= server.asked <= 6
    assert reply.outcome == FAILED


def test_nobody_waits_for_a_try_that_would_come_too_late(path, monkeypatch):
    """Where the next try would begin after the patience ends, the reply is given up at once."""
    monkeypatch.setattr(collect, "FIRST_WAIT", 60.0)
    monkeypatch.setattr(collect, "LONGEST_WAIT", 60.0)
    began = time.monotonic()
    with ApiServer(faults=lambda *_: status(500)) as server:
        assert [reply.outcome for reply in record(endpoint(server, patience=5), rows(1), path)] == [FAILED]
        assert server.asked == 1
    assert time.monotonic() - began < 25


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_never_answers_is_given_up(path, stream):
    """A server that accepts and never answers costs the wall limit of each try and the patience in all, no more."""
    with ApiServer(faults=lambda *_: api.HANG) as server:
        began = time.monotonic()
        found = record(endpoint(server, timeout=0.2, patience=0.5, attempts=100, stream=stream), rows(3), path)
        assert time.monotonic() - began < 10
        assert server.asked <= 9
    assert {(reply.outcome, reply.detail[:15]) for reply in found} == {(FAILED, "no reply within")}


def test_waits_double_and_are_left_to_chance():
    """Without a wish of the server's, waits double up to the longest, with half of each left to chance."""
    trouble = collect.NoReplyError("x", again=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "FIRST_WAIT", 1.0)
        patch.setattr(collect, "LONGEST_WAIT", 5.0)
        waits = [[collect.Collection._wait(None, trouble, attempt) for _ in range(50)] for attempt in range(1, 6)]
    for tried, most in zip(waits, (1, 2, 4, 5, 5), strict=True):
        assert most / 2 <= min(tried) < max(tried) <= most
    assert collect.Collection._wait(None, collect.NoReplyError("x", again=True, after=9.0), 1) == 9.0


def test_three_failures_one_at_a_time_are_enough(path):
    """Where prompts are asked alone, each failure was waited for: after three in a row asking ends."""
    with ApiServer(faults=lambda *_: status(500)) as server:
        model = endpoint(server, attempts=2)
        with pytest.raises(ModelError, match="3 replies in a row failed"):
            record(model, rows(20), path, alone=[row.fields["text"] for row in rows(20)])
        assert server.asked == 6


def test_a_server_that_is_down_is_left_alone(path):
    """After ten failed replies in a row asking ends, and says why."""
    with ApiServer(faults=lambda *_: status(500)) as server:
        words = stopped(endpoint(server, attempts=2, concurrency=4), rows(200), path)
        assert 20 <= server.asked <= 2 * 14
    assert f"10 replies in a row failed, asked at {server.url}; the last: HTTP 500: Internal Server Error" in words
    assert words.endswith("Error. No reply was had; the same command asks again.")
    assert {line["outcome"] for line in lines(path)} == {FAILED}


def test_failures_here_and_there_end_nothing(path):
    """Failed replies that are not in a row do not end the asking."""
    with ApiServer(faults=lambda number, asked, request: status(500) if number % 2 else None) as server:
        found = record(endpoint(server, attempts=1, concurrency=1), rows(40), path)
    assert Counter(reply.outcome for reply in found) == {"answered": 20, FAILED: 20}


def test_a_failed_reply_is_asked_for_again_and_replayed_as_it_is(path):
    """Where asking is allowed a failed reply is asked for anew; a replay passes it on, and takes the later one once it is there."""
    with ApiServer(faults=first(None, status(500))) as server:
        model = endpoint(server, attempts=1, concurrency=1)
        assert [reply.outcome for reply in record(model, rows(3), path)] == ["answered", FAILED, "answered"]
        assert [reply.outcome for reply in replay(model, rows(3), path)] == ["answered", FAILED, "answered"]
        assert texts(record(model, rows(3), path)) == ["yes", "no", "yes"]
        assert server.prompts == {prompt(0): 1, prompt(1): 2, prompt(2): 1}
        assert texts(replay(model, rows(3), path)) == ["yes", "no", "yes"]
    assert [line["outcome"] for line in lines(path)] == ["answered", FAILED, "answered", "answered"]


# ---- What ends the asking


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, " refuses the key (HTTP 401: Bad key ***). It is taken from the environment variable CANARY_KEY"),
        (403, " refuses the key (HTTP 403: Bad key ***). It is taken from the environment variable CANARY_KEY"),
        (404, " knows no model 'big', or the address is wrong (HTTP 404: Bad key ***)"),
    ],
)
def test_a_refusal_of_all_ends_at_once_without_the_key(path, caplog, stream, code, words):
    """401, 403 and 404 are not tried again; the variable is named, and its value is in no error, log, file or traceback."""
    caplog.set_level(logging.DEBUG)
    with ApiServer(faults=lambda number, *_: status(code, message=f"Bad key {KEY}") if number >= 2 else None) as server:
        model = endpoint(server, concurrency=1, stream=stream, price=(1, 1, 1))
        with pytest.raises(ModelError) as caught:
            record(model, rows(9), path)
        assert server.asked == 3
    assert str(caught.value).startswith(f"task 'parity': Endpoint 'big': {server.url}{words}")
    assert "2 of 9 replies were recorded in" in str(caught.value)
    assert texts(replay(model, rows(2), path)) == ["yes", "no"]
    assert any(record.name.startswith(("openai", "httpx")) for record in caplog.records)
    seen = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    seen += "".join(str(record.__dict__) for record in caplog.records) + "".join(each.read_text() for each in path.parent.iterdir())
    assert [spelt for spelt in SPELT if spelt in seen] == []


def test_a_key_that_a_model_repeats_is_not_recorded(path):
    """A reply that holds the key is on record without it."""
    with ApiServer(reply=lambda *_: f"the key is {KEY}") as server:
        assert texts(record(endpoint(server), rows(1), path)) == ["the key is ***"]
    assert [spelt for spelt in SPELT if spelt.encode() in path.read_bytes()] == []


def test_a_first_request_that_is_not_understood_ends_it(path):
    """Where the very first request is refused as malformed, no other is sent: they would all be."""
    with ApiServer(faults=lambda *_: status(400, message="Unknown parameter: 'sparkle'")) as server:
        words = stopped(endpoint(server, concurrency=1, sparkle=1), rows(9), path)
        assert server.asked == 1
    assert "HTTP 400: Unknown parameter: 'sparkle'" in words


def test_a_single_prompt_that_is_refused_ends_nothing(path):
    """One prompt that a server refuses among others it takes is failed, untried; the next run asks it again and is not stopped by it."""
    with ApiServer(faults=lambda number, asked, request: status(400, message="too long") if asked == prompt(3) else None) as server:
        model = endpoint(server, concurrency=1)
        for asked in (6, 7):
            found = record(model, rows(6), path)
            assert [reply.outcome for reply in found] == ["answered"] * 3 + [FAILED] + ["answered"] * 2
            assert (found[3].detail, server.asked) == ("HTTP 400: too long", asked)


def test_an_alias_that_changes_its_model_is_found_out(path):
    """Where another model answers than before, asking ends and its reply is not kept, in the same run and in a later one."""
    with ApiServer(model="big-may", faults=lambda number, *_: api.other_model("big-june") if number == 3 else None) as server:
        words = stopped(endpoint(server, concurrency=1), rows(9), path)
        assert server.asked == 4
    assert "'big' answered as 'big-june' now, and as 'big-may' before" in words
    assert [line["answered_by"] for line in lines(path)] == ["big-may"] * 3
    with ApiServer(model="big-june") as server:
        words = stopped(endpoint(server, concurrency=8), rows(9), path)
        assert server.asked == 1  # one tells, before many are paid for
    assert "'big' answered as 'big-june' now, and as 'big-may' before" in words
    assert len(lines(path)) == 3


def test_a_recording_of_two_models_is_not_served(path):
    """A recording whose replies stem from two models is no one's, and the error says which and where."""
    with ApiServer(model="big-may") as server:
        model = endpoint(server)
        record(model, rows(2), path)
    with ApiServer(model="big-june") as server:
        record(endpoint(server), rows(1, 2), path.with_name("other"))
    path.write_bytes(path.read_bytes() + path.with_name("other").read_bytes())
    with pytest.raises(RecordingError, match=r"'big' answered as 'big-may' \(for row-\d\) and as 'big-june' \(for row-2\): these are two"):
        replay(model, rows(3), path)
    assert texts(replay(model, rows(2), path)) == ["yes", "no"]


# ---- Money


def test_the_budget_ends_before_the_call_that_could_pass_it(path):
    """Asking ends while the next reply still fits for sure; what was spent is known, and a larger budget goes on from there."""
    with ApiServer() as server:
        model = endpoint(server, price=DOLLAR_A_TOKEN, max_tokens=1)  # each costs 3 dollars, and up to 145 to 146 as far as one can tell
        budget = Budget(157)
        words = stopped(model, rows(30), path, budget=budget)
        assert 1 <= server.asked <= 5
        assert server.asked == len(lines(path))
        assert budget.spent == 3 * server.asked
        assert "the budget of $157 is used up: $" in words
        assert "and the next reply may cost up to $14" in words
        more = Budget(240)
        found = record(model, rows(30), path, budget=more)
        assert (server.asked, max(server.prompts.values())) == (30, 1)
    assert sum(reply.cost for reply in found) == 90 == budget.spent + more.spent


def test_a_budget_too_small_for_one_asks_nothing(path):
    """Where not even one reply is sure to fit, nothing is asked."""
    with ApiServer() as server:
        assert "$0.0000 spent" in stopped(endpoint(server, price=DOLLAR_A_TOKEN), rows(3), path, budget=Budget(20))
        assert server.asked == 0


def test_who_waits_for_money_is_not_asked_after_the_end(path):
    """A request that waits until others have their true cost is not sent where asking ends meanwhile."""
    with ApiServer(faults=first(replace(status(401), seconds=0.2))) as server:
        words = stopped(endpoint(server, price=DOLLAR_A_TOKEN), rows(5), path, budget=Budget(200))
        assert server.asked == 1
    assert "refuses the key" in words


def test_a_budget_needs_a_price(path):
    """Without a price a budget cannot be kept: nothing is asked, and the way out is named."""
    with ApiServer() as server:
        assert "has no price, so a budget cannot be kept. Give it price=" in stopped(endpoint(server), rows(3), path, budget=Budget(20))
        assert server.asked == 0


@pytest.mark.parametrize(
    ("fault", "spent"),
    [(api.HTML, "most"), (api.RESET, "most"), (api.HANG, "most"), (status(500), "nothing"), (limited(milliseconds=1), "nothing")],
)
def test_a_request_that_may_have_been_charged_counts(path, fault, spent):
    """A try that brought no reply counts as dear as it may have been, where the server did its work; an error it reported costs nothing."""
    with ApiServer(faults=first(fault)) as server:
        model = endpoint(server, price=DOLLAR_A_TOKEN, max_tokens=10, timeout=1.0 if fault is api.HANG else 20.0)
        budget = Budget(1000)
        record(model, rows(1), path, budget=budget)
        assert server.asked == 2
    most = len(json.dumps(model.body(prompt(0), 4))) + collect.OVERHEAD_TOKENS + 10
    assert budget.spent == pytest.approx(3 + (most if spent == "most" else 0))


def test_a_reply_without_count_is_charged_in_full(path):
    """A reply whose tokens nobody counted counts against the budget with all it may have cost."""
    with ApiServer(reply=lambda *_: {"text": "yes", "usage": None}) as server:
        model, budget = endpoint(server, price=(1e6, 0, 2e6), system="Be brief."), Budget(1000)
        record(model, rows(1), path, budget=budget)
    assert budget.spent == pytest.approx(len(json.dumps(model.body(prompt(0), 4))) + collect.OVERHEAD_TOKENS + 2 * 4)


TOOLS = [{"type": "function", "function": {"name": "f", "description": "é€" * 50_000}}]


@pytest.mark.parametrize("options", [{}, {"tools": TOOLS}, {"system": 'Say "é".'}, {"plain": True, "system": "Be brief."}])
@pytest.mark.parametrize("schema", [None, {"type": "object", "description": "é€"}])
@pytest.mark.parametrize("text", ["", "plain", 'é "quoted"\n', "half \ud83d \ude00"])
def test_all_that_is_sent_counts_as_tokens(options, schema, text):
    """What a prompt may cost covers each byte of the request: tools, a reply schema and whatever else is sent become tokens, too."""
    model = Endpoint("big", base_url="http://127.0.0.1:1/v1", **options)
    whole = json.dumps(model.body(text, 4, schema), ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert collect.Asking(model, 4, schema, Budget()).most_tokens(text) == (len(whole) + collect.OVERHEAD_TOKENS, 4)


def test_drafts_that_are_thrown_away_count_as_tokens():
    """With best_of the server writes several replies and returns one: all of them are charged."""
    model = Endpoint("big", base_url="http://127.0.0.1:1/v1", plain=True, best_of=3)
    assert collect.Asking(model, 4, None, Budget()).most_tokens("x")[1] == 12


def test_a_budget_outlives_the_process(path):
    """What a process that is killed has spent stands in the ledger, and counts for the one that takes its place."""
    ledger = path.parent / "ledger.json"
    with ApiServer(delay=0.04) as server:
        started = child(server.url, path, 300, 100_000, ledger)
        with started:
            told = next(int(line) for line in started.stdout if int(line) >= 40)
            started.kill()
            told = max([told, *(int(line) for line in started.stdout.read().split())])
            started.stderr.read()
        saved = json.loads(ledger.read_text())
        assert saved > 3 * told
        words = stopped(endpoint(server, price=DOLLAR_A_TOKEN), rows(300), path, budget=Budget(saved, ledger))
    assert f"${saved:.4f} spent" in words


# ---- Disk


def test_progress_is_told_after_what_it_tells_is_on_disk(path, monkeypatch):
    """A number is told only when so many lines were synced, the last number is the whole, and lines share their syncs."""
    synced, told, late, sync = [0], [], [], os.fsync

    def watched(handle):
        there = path.read_bytes().count(b"\n") if path.exists() else 0
        sync(handle)
        synced.append(there)

    def progress(done, of):
        told.append(done)
        if done > synced[-1] or of != 60:
            late.append((done, of, synced[-1]))

    monkeypatch.setattr(os, "fsync", watched)
    with ApiServer(delay=0.01) as server:
        record(endpoint(server), rows(60), path, progress=progress)
    assert late == []
    assert told == sorted(told)
    assert told[-1] == 60
    assert 2 <= len(synced) < 60


def test_a_disk_that_fails_ends_the_asking(path, monkeypatch):
    """Where lines cannot be made durable, asking ends soon: what comes would be paid for and perhaps lost."""

    def broken(handle):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with ApiServer(delay=0.02) as server:
        with pytest.raises(RecordingError, match=r"a reply could not be written: .*Input/output error"):
            record(endpoint(server), rows(400), path)
        assert server.asked < 400


FULL = """
import resource, sys
from tests.test_ask import *
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), hard))
model = Endpoint("big", base_url=sys.argv[1], api_key_env=None, concurrency=8)
try:
    record(model, rows(60), Path(sys.argv[2]))
except RecordingError as error:
    print(error)
"""


def test_a_full_disk_costs_no_line(path):
    """Where the disk takes only part of a line, no half of it stays, the lines before are kept, and the next run asks for the rest."""
    with ApiServer() as server:
        run = [sys.executable, "-W", "error", "-c", FULL, server.url, str(path), "5000"]
        done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "a reply could not be written" in done.stdout
        kept = {line["id"] for line in lines(path)}
        assert path.read_bytes().endswith(b"\n")
        assert 5 < len(kept) < 30
        record(Endpoint("big", base_url=server.url, api_key_env=None), rows(60), path)
        assert all(server.prompts[example.fields["text"]] == 1 for example in rows(60) if example.id in kept)
    assert not path.with_name(path.name + ".quarantine").exists()
    assert len({line["id"] for line in lines(path)}) == len(lines(path)) == 60


def test_a_recording_that_is_replaced_meanwhile_ends_the_asking(path):
    """A checkout that replaces the file while replies come in ends the asking soon: they would be paid for and lost."""

    def checkout(number, *_):
        if number == 20:
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data)

    with ApiServer(delay=0.02, faults=checkout) as server:
        with pytest.raises(RecordingError, match="was replaced while it was being written"):
            record(endpoint(server), rows(400), path)
        assert server.asked < 400


def test_trouble_that_is_not_the_recording_s_is_not_called_so(path):
    """An error of the file system in loading a model stays what it is."""

    def broken():
        raise FileNotFoundError(2, "no certificate")

    with pytest.raises(FileNotFoundError, match="no certificate"):
        ask(Endpoint("big", api_key_env=None), TASK, rows(1), Recording(path), ready=broken)


def test_a_place_that_cannot_be_written_costs_no_call(tmp_path):
    """A recording below something that is no folder is an error before anything is asked."""
    (tmp_path / "file").write_text("")
    with ApiServer() as server:
        with pytest.raises(RecordingError, match="file"):
            record(endpoint(server), rows(3), tmp_path / "file" / "r.jsonl")
        assert server.asked == 0


# ---- Interrupted, and several at once

CHILD = """
import sys
from tests.test_ask import *
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins without it
model = Endpoint("big", base_url=sys.argv[1], api_key_env=None, concurrency=8, price=DOLLAR_A_TOKEN, max_tokens=1)
budget = Budget(float(sys.argv[4]), Path(sys.argv[5])) if len(sys.argv) > 4 else None
try:
    found = record(model, rows(int(sys.argv[3])), Path(sys.argv[2]), budget=budget, progress=lambda done, of: print(done, flush=True))
    print("end", *texts(found))
except ModelError as error:
    print("stopped", error)
"""


def child(*arguments: object) -> subprocess.Popen[str]:
    run = [sys.executable, "-W", "error", "-c", CHILD, *map(str, arguments)]
    return subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_recording_that_is_broken_off_keeps_what_it_told(path, sent):
    """Ctrl-C, SIGTERM and kill -9 in the middle lose no reply that was told; the next run asks no finished one again."""
    with ApiServer(delay=0.04) as server:
        started = child(server.url, path, 300)
        with started:
            told = next(int(line) for line in started.stdout if int(line) >= 40)
            started.send_signal(sent)
            told = max([told, *(int(line) for line in started.stdout.read().split())])
            assert started.wait(60) != 0
            last = started.stderr.read().splitlines()[-1:]
        assert last == (["KeyboardInterrupt"] if sent == signal.SIGINT else [])
        before, kept = server.asked, Recording(path)
        assert told <= len(kept) <= before < 300
        finished = {reply.id for reply in kept.every()}
        server.delay = 0.0
        model = Endpoint("big", base_url=server.url, api_key_env=None, concurrency=8, max_tokens=1)
        assert texts(record(model, rows(300), path)) == ["yes", "no"] * 150
        repeated = {asked for asked, times in server.prompts.items() if times > 1}
        assert all(server.prompts[example.fields["text"]] == 1 for example in rows(300) if example.id in finished)
        # An interruption waits for what is in flight: it is paid for.
        assert len(repeated) <= (0 if sent == signal.SIGINT else 8)
        assert server.asked == 300 + len(repeated)
    assert Counter(line["id"] for line in lines(path)) == {f"row-{k}": 1 for k in range(300)}


def test_a_second_interruption_waits_no_longer(path):
    """A second Ctrl-C leaves what is in flight, be it that the server never answers; finished replies are kept."""

    def faults(number, prompt, request):
        return api.HANG if number >= 20 else None

    with ApiServer(delay=0.01, faults=faults) as server, child(server.url, path, 100) as started:
        while server.asked < 28:  # the last of them hang
            time.sleep(0.01)
        started.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(0.5)
        started.send_signal(signal.SIGINT)
        assert started.wait(20) != 0
        started.stdout.read()
        started.stderr.read()
    assert len(Recording(path)) == 20


def test_a_torn_last_line_costs_one_call(path):
    """After a crash within a line that one reply is asked for again, and no other."""
    with ApiServer() as server:
        model = endpoint(server, concurrency=1)
        record(model, rows(5), path)
        path.write_bytes(path.read_bytes()[:-30])
        assert texts(record(model, rows(5), path)) == ["yes", "no", "yes", "no", "yes"]
        assert server.prompts == {prompt(k): 2 if k == 4 else 1 for k in range(5)}
    assert len(lines(path)) == 5
    assert path.with_name(path.name + ".quarantine").exists()


def test_two_processes_that_record_at_once_ask_once(path):
    """Two processes that record the same replies at the same time make one call and one line for each, and both have all of them."""
    with ApiServer(delay=0.01) as server:
        children = [child(server.url, path, 60) for _ in range(2)]
        said = [each.communicate(timeout=60) for each in children]
        assert [each.returncode for each in children] == [0, 0]
        assert server.prompts == {prompt(k): 1 for k in range(60)}
        assert server.peak <= 8
    assert [errors for _, errors in said] == ["", ""]
    assert {out.splitlines()[-1] for out, _ in said} == {"end " + " ".join(["yes", "no"] * 30)}
    assert Counter(line["id"] for line in lines(path)) == {f"row-{k}": 1 for k in range(60)}


def test_processes_of_one_run_share_the_budget(path):
    """Two processes with one ledger spend no more together than the budget, to the dollar."""
    ledger = path.parent / "ledger.json"
    with ApiServer(delay=0.005) as server:
        children = [child(server.url, path.with_name(f"{k}.jsonl"), 40, 247, ledger) for k in range(2)]
        said = [each.communicate(timeout=60) for each in children]
        assert [each.returncode for each in children] == [0, 0]
        spent = 3 * server.asked
    assert [errors for _, errors in said] == ["", ""]
    assert json.loads(ledger.read_text()) == spent
    assert 247 - 147 < spent <= 247
    assert all("stopped task 'parity'" in out for out, _ in said)


# ---- Other models


def test_any_model_is_asked_in_batches_and_once(path):
    """A model on this machine is asked for what is missing whether or not an endpoint may be; its lines hold nothing that it lacks."""
    calls, told = [], []

    class Counting(RuleModel):
        def answer(self, prompts, max_tokens):
            calls.append(len(prompts))
            return super().answer(prompts, max_tokens)

    model = Counting("small")
    found = record(model, rows(300), path, may_ask=False, progress=lambda done, of: told.append((done, of)))
    assert (texts(found), calls, told) == ([" yes", " no"] * 150, [256, 44], [(256, 300), (300, 300)])
    assert record(model, rows(300), path, may_ask=False) == found
    assert len(calls) == 2
    assert lines(path)[0].keys() == {"key", "id", "model", "text", "outcome", "tokens_in", "tokens_out", "at", "sha"}


def test_a_committed_recording_is_looked_at_first_and_only_read(path):
    """What a committed recording holds is not asked and not written again; the rest goes to the other."""
    model = RuleModel("small")
    record(model, rows(3), path)
    before, new = path.read_bytes(), path.with_name("new.jsonl")
    found = record(model, rows(5), new, committed=Recording(path))
    assert texts(found) == [" yes", " no", " yes", " no", " yes"]
    assert (path.read_bytes(), len(lines(new))) == (before, 2)


def test_every_trouble_of_asking_is_of_one_family(path):
    """What ends the asking can be caught as the package's own error."""
    with ApiServer(faults=lambda *_: status(401)) as server, pytest.raises(DistillError):
        record(endpoint(server), rows(1), path)
