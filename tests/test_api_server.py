"""The tests' own API server: it says what a real one says, breaks as it is told to, counts, and closes without a trace."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
import zlib
from collections import Counter
from email.utils import formatdate

import openai
import pytest

from tests import api_server as api
from tests.api_server import ApiServer, BatchPlan, first
from tests.fakes import ROOT

SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {"label": {"type": "string"}}}},
}


def client(server: ApiServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=20)


def ask_with(opened: openai.OpenAI, prompt: str = "row=1 want=yes", **parameters):
    return opened.chat.completions.create(model="m", messages=[{"role": "user", "content": prompt}], **parameters)


def ask(server: ApiServer, *prompt: str, **parameters):
    with client(server) as opened:
        return ask_with(opened, *prompt, **parameters)


def stream(server: ApiServer, **parameters):
    with client(server) as opened, ask_with(opened, stream=True, **parameters) as chunks:
        yield from chunks


def connect(server: ApiServer, prompt: str = "row=1 want=yes", **parameters) -> socket.socket:
    """Send one chat request over a socket that is closed after it."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}], **parameters}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    opened = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    opened.sendall(head.encode() + body)
    return opened


def raw(server: ApiServer, **parameters) -> tuple[str, bytes]:
    """The head and the body of a response, as they come over the wire."""
    with connect(server, **parameters) as opened:
        head, _, body = b"".join(iter(lambda: opened.recv(65536), b"")).partition(b"\r\n\r\n")
    return head.decode(), body


def length_in(head: str) -> int:
    return int(re.search(r"content-length: (\d+)", head)[1])


def test_a_chat_completion_has_all_parts():
    """A completion carries the wanted word, the model asked, counts of words, and as many likely tokens as were asked for."""
    with ApiServer(cached=2) as server:
        found = ask(server, "row=1 want=yes please", logprobs=True, top_logprobs=3)
        other = ask(server, "hello", logprobs=False)
    assert found.choices[0].message.content == "yes"
    assert (found.model, found.choices[0].finish_reason) == ("m", "stop")
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.prompt_tokens_details.cached_tokens) == (3, 1, 2)
    (token,) = found.choices[0].logprobs.content
    assert [top.token for top in token.top_logprobs] == ["yes", " other1", " other2"]
    assert (other.choices[0].message.content, other.choices[0].logprobs) == ("ok", None)


def test_a_plain_completion_answers_the_bare_prompt():
    """The completions path answers a prompt without messages, as another model where told so."""
    with ApiServer(model="m-2026") as server, client(server) as opened:
        found = opened.completions.create(model="m", prompt="want=no")
        streamed = "".join(chunk.choices[0].text for chunk in opened.completions.create(model="m", prompt="want=no", stream=True))
    assert (found.choices[0].text, found.object, found.model, streamed) == ("no", "text_completion", "m-2026", "no")


def test_a_stream_says_the_same_in_pieces():
    """A stream opens with the role, gives the text word by word, its end, and the usage where it was asked for."""
    with ApiServer(reply=lambda prompt, request: "one two  three") as server:
        chunks = list(stream(server, stream_options={"include_usage": True}))
        assert all(chunk.choices and chunk.usage is None for chunk in stream(server))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in chunks[1:-2]] == ["one", " two", "  three"]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 3)


def test_a_server_may_ignore_what_it_is_asked():
    """The form asked for is kept and log-probabilities are given, unless the server ignores them with status 200."""
    asked = {"logprobs": True, "top_logprobs": 1, "response_format": SCHEMA}
    with ApiServer(reply=lambda prompt, request: "yes") as server:
        kept = ask(server, **asked).choices[0]
    with ApiServer(reply=lambda prompt, request: "yes", ignores={"logprobs", "response_format"}) as server:
        ignored = ask(server, **asked).choices[0]
    assert json.loads(kept.message.content) == {"label": "yes"}
    assert kept.logprobs.content
    assert (ignored.message.content, ignored.logprobs) == ("yes", None)


def test_a_rule_may_give_every_part_of_a_reply():
    """A rule that gives a dict sets the parts of the completion, tool calls too, whole and in a stream."""
    call = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    with ApiServer(reply=lambda prompt, request: {"tool_calls": [call], "usage": usage, "model": "other"}) as server:
        found = ask(server)
        streamed = [chunk.choices[0].delta.tool_calls for chunk in stream(server) if chunk.choices[0].delta.tool_calls]
    assert (found.model, found.usage.total_tokens, found.choices[0].finish_reason) == ("other", 12, "tool_calls")
    assert found.choices[0].message.tool_calls[0].function.name == streamed[0][0].function.name == "find"


def test_models_tell_when_they_end():
    """The models endpoint gives the extra keys that were set, finds ids with a slash, and does not know other ids."""
    with ApiServer(models={"org/m": {"shutdown_date": "2027-01-14"}}) as server, client(server) as opened:
        assert opened.models.retrieve("org/m").shutdown_date == "2027-01-14"
        assert [model.id for model in opened.models.list()] == ["org/m"]
        with pytest.raises(openai.NotFoundError):
            opened.models.retrieve("m")
    with ApiServer() as server, client(server) as opened:
        assert opened.models.retrieve("m").shutdown_date is None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (api.status(401, "invalid_api_key"), openai.AuthenticationError),
        (api.status(403), openai.PermissionDeniedError),
        (api.status(404, "model_not_found"), openai.NotFoundError),
        (api.status(500), openai.InternalServerError),
        (api.AZURE_FILTERED, openai.BadRequestError),
        (api.RESET, openai.APIConnectionError),
        (api.CLOSED, openai.APIConnectionError),
        (api.cut(), openai.APIConnectionError),
        (api.GARBAGE, json.JSONDecodeError),
        (api.cut(seen=False), json.JSONDecodeError),
    ],
)
def test_faults_that_raise(fault, error):
    """Wrong statuses, broken connections and bodies that are no JSON raise in the client; the next request is answered."""
    with ApiServer(faults=first(fault)) as server:
        with pytest.raises(error) as caught:
            ask(server)
        assert ask(server).choices[0].message.content == "yes"
    if fault.content and fault.status != 200:
        assert caught.value.code == fault.content["error"]["code"]


def test_faults_that_pass_for_replies():
    """A page, no choices, a refusal, a cut, a filtered, a null, a huge and a damaged text and another model all come with status 200."""
    faults = [api.HTML, api.NO_CHOICES, api.REFUSAL, api.AT_LIMIT, api.FILTERED, api.NULL_CONTENT, api.LONE_SURROGATE, api.huge(3)]
    with ApiServer(faults=first(*faults, api.other_model("b"))) as server:
        page, empty, *found, other = [ask(server) for _ in range(len(faults) + 1)]
    assert "<!doctype" in page
    assert empty.choices == []
    said = [(reply.choices[0].message.content, reply.choices[0].finish_reason, reply.choices[0].message.refusal) for reply in found]
    assert said[0][::2] == (None, api.REFUSAL.reply["refusal"])
    assert said[1:5] == [("yes", "length", None), ("", "content_filter", None), (None, "stop", None), ("cut \ud83d", "stop", None)]
    assert len(said[5][0]) == 3 * 2**20
    assert (found[0].model, other.model) == ("m", "b")


def test_a_limited_request_says_when_to_come_back():
    """A 429 carries Retry-After in seconds or as a date, or in milliseconds."""
    date = formatdate(time.time() + 3600, usegmt=True)
    with ApiServer(faults=first(api.limited(3600), api.limited(date), api.limited(milliseconds=20))) as server:
        heads = [raw(server)[0] for _ in range(3)]
    assert [head.splitlines()[0] for head in heads] == ["HTTP/1.1 429 Too Many Requests"] * 3
    assert ["retry-after: 3600" in heads[0], f"retry-after: {date}" in heads[1], "retry-after-ms: 20" in heads[2]] == [True] * 3


def test_bytes_on_the_wire():
    """RST and a plain end differ, a seen cut is shorter than its length, an unseen one is not, and half a gzip body stays incomplete."""
    faults = [api.CLOSED, api.RESET, api.cut(), api.cut(seen=False), api.cut(gzip=True), api.cut(gzip=True, seen=False), api.LONE_SURROGATE]
    with ApiServer(faults=first(*faults)) as server:
        assert raw(server) == ("", b"")
        with pytest.raises(ConnectionResetError):
            raw(server)
        answers = [raw(server) for _ in range(5)]
    assert [length_in(head) > len(body) for head, body in answers] == [True, False, True, False, False]
    for head, body in answers[2:4]:
        assert "content-encoding: gzip" in head
        unpacker = zlib.decompressobj(wbits=31)
        unpacker.decompress(body)
        assert not unpacker.eof
    assert rb"cut \ud83d" in answers[4][1]


def test_a_stream_may_break():
    """Cut midway a stream raises in the client; cut unseen it just ends, without a reason for its end."""
    with ApiServer(
        reply=lambda prompt, request: "one two three four", faults=first(api.cut(), api.cut(seen=False), api.cut(gzip=True))
    ) as server:
        with pytest.raises(openai.APIConnectionError):
            list(stream(server))
        assert [chunk.choices[0].finish_reason for chunk in stream(server)] == [None] * 3
        head, body = raw(server, stream=True)
    assert "text/event-stream" in head
    assert not body.endswith(b"0\r\n\r\n")


def test_a_drip_comes_whole_in_the_end():
    """A body that comes byte by byte, and a stream event by event, are whole."""
    with ApiServer(faults=lambda *_: api.drip(0.0005)) as server:
        assert ask(server).choices[0].message.content == "yes"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream(server)) == "yes"


def wait_for(condition) -> None:
    for _ in range(20_000):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError("waited in vain")


def test_it_closes_while_requests_hang():
    """The server closes at once although a request hangs, others drip and a connection waits; what was not sent yet is never sent."""
    with ApiServer(faults=first(api.HANG, api.drip(60), api.drip(60))) as server:
        waiting = [connect(server), connect(server), connect(server, stream=True), socket.create_connection(("127.0.0.1", server.port))]
        wait_for(lambda: server.asked == 3)
        assert server.peak == 3
    received = []
    for opened in waiting:
        with opened:
            received.append(b"".join(iter(lambda opened=opened: opened.recv(65536), b"")))
    assert received[0] == received[3] == b""
    assert all(head.startswith(b"HTTP/1.1 200") and head.endswith(b"\r\n\r\n") for head in received[1:3])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_a_client_that_leaves_is_no_longer_in_flight():
    """A request given up by its client makes room at once: the peak counts the requests that are waited for."""
    with ApiServer(faults=first(api.HANG, api.slow(60), api.drip(60))) as server:
        for number in range(1, 5):
            with connect(server):
                wait_for(lambda number=number: server.asked == number)
        assert server.peak == 1


def test_counters():
    """Requests are counted by path, prompts by text, the peak is that of the client, and whole requests are kept."""

    async def many(url: str) -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="secret", max_retries=0) as opened:
            gate = asyncio.Semaphore(5)

            async def one(k: int) -> None:
                async with gate:
                    await opened.chat.completions.create(
                        model="m", messages=[{"role": "system", "content": "s"}, {"role": "user", "content": f"p{k % 20}"}]
                    )

            await asyncio.gather(*(one(k) for k in range(30)))

    with ApiServer(delay=0.02) as server:
        asyncio.run(many(server.url))
    assert (server.peak, server.count) == (5, Counter({api.CHAT: 30}))
    assert server.prompts == Counter([f"p{k % 20}" for k in range(30)])
    assert len(server.requests) == 30
    kept = server.requests[0]
    assert (kept["path"], kept["headers"]["authorization"], json.loads(kept["body"])["model"]) == (api.CHAT, "Bearer secret", "m")
    assert [request["started"] for request in server.requests] == sorted(request["started"] for request in server.requests)
    with ApiServer(keep=False) as server:
        ask(server)
    assert (server.requests, server.asked) == ([], 1)


def test_what_breaks_in_a_rule_is_raised():
    """An error in a test's own rule ends the connection and comes out of the block, so that no test passes over it."""

    def broken(prompt: str, request: dict) -> str:
        raise LookupError(prompt)

    with pytest.raises(LookupError, match="want=yes"), ApiServer(reply=broken) as server, pytest.raises(openai.APIConnectionError):
        ask(server)


def submit(opened: openai.OpenAI, prompts: list[str], ids: list[str] | None = None):
    """Upload the prompts as the lines of a batch, and create it."""
    bodies = [{"model": "m", "messages": [{"role": "user", "content": prompt}]} for prompt in prompts]
    lines = [{"custom_id": (ids or prompts)[k], "method": "POST", "url": api.CHAT, "body": body} for k, body in enumerate(bodies)]
    file = opened.files.create(file=("in.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode()), purpose="batch")
    return opened.batches.create(input_file_id=file.id, endpoint=api.CHAT, completion_window="24h", metadata={"task": "t"})


def lines_of(opened: openai.OpenAI, file: str | None) -> list[dict]:
    return [json.loads(line) for line in opened.files.content(file).text.splitlines()] if file else []


def test_a_batch_is_answered_after_some_looks():
    """A batch goes through its states; its output keeps the ids in another order, lacks what it is told to lose, and errors stand in their own file."""
    prompts = [f"row={k} want=w{k}" for k in range(20)]
    faults = {3: api.status(400, "bad"), 4: api.REFUSAL}
    with ApiServer(faults=lambda number, *_: faults.get(number), batches=[BatchPlan(polls=3, lost=2)]) as server, client(server) as opened:
        batch = submit(opened, prompts)
        seen = [batch.status, *(opened.batches.retrieve(batch.id).status for _ in range(3))]
        done = opened.batches.retrieve(batch.id)
        output, errors = lines_of(opened, done.output_file_id), lines_of(opened, done.error_file_id)
        assert [found.id for found in opened.batches.list()] == [batch.id]
    assert seen == ["validating", "in_progress", "in_progress", "completed"]
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed, done.metadata) == (
        20,
        19,
        1,
        {"task": "t"},
    )
    said = {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in output}
    assert len(said) == 17
    assert all(text == (None if prompt == prompts[4] else prompt.split("want=")[1]) for prompt, text in said.items())
    assert list(said) != [prompt for prompt in prompts if prompt in said]
    assert [(line["custom_id"], line["response"]["status_code"], line["error"]) for line in errors] == [(prompts[3], 400, None)]
    assert server.prompts == Counter(prompts)


def test_batches_end_in_other_ways():
    """A batch may fail with errors, expire or be cancelled half done, or be refused for its lines; each plan holds for one batch."""
    plans = [BatchPlan(polls=1, ends="failed"), BatchPlan(polls=1, ends="expired"), BatchPlan(polls=9), BatchPlan(polls=1, most_lines=2)]
    with ApiServer(batches=plans) as server, client(server) as opened:
        failed = opened.batches.retrieve(submit(opened, ["a"]).id)
        expired = opened.batches.retrieve(submit(opened, ["a", "b"]).id)
        unfinished = lines_of(opened, expired.error_file_id)
        going = submit(opened, ["c", "d"])
        assert opened.batches.cancel(going.id).status == "cancelling"
        cancelled = opened.batches.retrieve(going.id)
        refused = opened.batches.retrieve(submit(opened, ["a", "b", "c"], ids=["1", "2", "1"]).id)
        with pytest.raises(openai.NotFoundError):
            opened.batches.retrieve("batch_9")
    assert (failed.status, [error.code for error in failed.errors.data], failed.output_file_id) == (
        "failed",
        ["token_limit_exceeded"],
        None,
    )
    assert (expired.status, expired.request_counts.completed) == ("expired", 1)
    assert [(line["custom_id"], line["response"], line["error"]["code"]) for line in unfinished] == [("b", None, "batch_expired")]
    assert (cancelled.status, bool(cancelled.output_file_id)) == ("cancelled", True)
    assert [(error.code, error.line) for error in refused.errors.data] == [("too_many_tasks", None), ("duplicate_custom_id", 3)]
    assert server.prompts == Counter("ac")


def test_other_requests_may_fail_too():
    """Faults outside of completions are set by route and number."""
    fault = lambda number, route: api.status(500) if (number, route) == (0, "GET /v1/batches/batch_0") else None  # noqa: E731
    with ApiServer(other_faults=fault) as server, client(server) as opened:
        batch = submit(opened, ["a"])
        with pytest.raises(openai.InternalServerError):
            opened.batches.retrieve(batch.id)
        assert opened.batches.retrieve(batch.id).status == "in_progress"


def test_a_process_of_its_own():
    """Run as a module it prints its URL first, tells its counters, and ends with its standard input."""
    command = [sys.executable, "-W", "error", "-m", "tests.api_server", "--delay", "0.001"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        url = process.stdout.readline().strip()
        with openai.OpenAI(base_url=url, api_key="none") as opened:
            for _ in range(2):
                opened.completions.create(model="m", prompt="a")
            with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
                stats = json.load(answer)
            rest = process.communicate(timeout=20)  # the client's connection is still open
    assert stats == {"count": {api.PLAIN: 2}, "peak": 1, "asked": 2, "repeated": 1}
    assert (rest, process.returncode) == (("", ""), 0)
