"""Endpoints: what is declared, what goes over the wire, and what becomes of all that a server can do."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import socket
import subprocess
import sys
import traceback
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.errors import ModelError
from pytest_distill.evaluate import timing
from pytest_distill.models import Answer, Endpoint, connection
from pytest_distill.models import endpoint as endpoint_module
from pytest_distill.models.wire import NoReplyError
from tests import api_server as api
from tests.api_server import ApiServer, Fault, first
from tests.fakes import ROOT

KEY = "sk-canary/+=0123456789"
SPELT = (KEY, quote(KEY), quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode(), KEY[3:12])
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """The key stands in the environment, and nothing else of OpenAI's does."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS", "OPENAI_LOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CANARY_KEY", KEY)


@pytest.fixture
def connect():
    """Make endpoints of a server, loaded, and unload them at the end."""
    made = []

    def loaded(server: ApiServer, **options) -> Endpoint:
        model = options.pop("model", "big")
        endpoint = Endpoint(model, base_url=server.url, **{"api_key_env": "CANARY_KEY", "timeout": 20.0, **options})
        made.append(endpoint)
        endpoint.load("cpu")
        return endpoint

    yield loaded
    for endpoint in made:
        endpoint.unload()


def ask(endpoint: Endpoint, prompt="row=1 want=yes", schema=None, **options):
    return endpoint.connection.run(endpoint.request(prompt, 8, schema, **options))


def trouble(endpoint: Endpoint, **options) -> NoReplyError:
    with pytest.raises(NoReplyError) as caught:
        ask(endpoint, **options)
    return caught.value


def body_of(server: ApiServer, at=-1) -> dict:
    return json.loads(server.requests[at]["body"])


# ---- The declaration


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": ""}, "model must be the name of a model; seen ''"),
        ({"model": 5}, "model must be the name of a model; seen 5"),
        ({"model": "a\nb"}, "model must be the name of a model; seen 'a\\nb'"),
        ({"name": "a/b"}, "name must be 1 to 100 letters, digits, '.', '_', '-': it names a file; seen 'a/b'"),
        ({"name": ".."}, "name must be 1 to 100 letters"),
        ({"model": "m" * 101}, "name must be 1 to 100 letters"),
        ({"price": (1, 2)}, r"price is (input, cached input, output) in US dollars a million tokens, for example (3, 0.3, 15); seen (1, 2)"),
        ({"price": (1, 0, -1)}, "price is (input, cached input, output)"),
        ({"samples": 0}, "samples must be a whole number from 1 to 100; seen 0"),
        ({"samples": True}, "samples must be a whole number from 1 to 100; seen True"),
        ({"concurrency": 0}, "concurrency must be a whole number from 1 to 1000; seen 0"),
        ({"concurrency": 1001}, "concurrency must be a whole number from 1 to 1000; seen 1001"),
        ({"attempts": 1.5}, "attempts must be a whole number from 1 to 100; seen 1.5"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0; seen 0"),
        ({"timeout": float("nan")}, "timeout must be a number of seconds above 0; seen nan"),
        ({"patience": None}, "patience must be a number of seconds above 0; seen None"),
        ({"requests_per_minute": 0}, "requests_per_minute must be a number above 0, or None; seen 0"),
        ({"tokens_per_minute": "many"}, "tokens_per_minute must be a number above 0, or None; seen 'many'"),
        ({"terms": "x" * 501}, "terms must be a note of at most 500 characters"),
        ({"system": 5}, "system must be a string; seen 5"),
        ({"max_tokens": "ten"}, "max_tokens must be a whole number from 1 to 10,000,000; seen 'ten'"),
        ({"max_completion_tokens": -1}, "max_completion_tokens must be a whole number from 1 to 10,000,000; seen -1"),
        ({"seed": object()}, "its parameters must be plain JSON values"),
        ({"top_p": float("inf")}, "its parameters must be plain JSON values"),
        *(({name: []}, f"{name!r} is no parameter of a reply") for name in ("messages", "prompt", "n", "extra_headers", "api_key", "headers")),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused(options, words):
    """A value outside its range is named with what is allowed, before anything is asked."""
    with pytest.raises(ModelError) as caught:
        Endpoint(options.pop("model", "big"), **options)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "given", [KEY, "AIzaSyCanary0123456789", "0123456789abcdef0123456789abcdef", "abcdef0123456789abcdef0123456789", "Bearer X", "", 5]
)
def test_a_key_in_place_of_the_variable_is_not_repeated(given):
    """What stands where the name of a variable belongs may be the key itself: it is refused and not shown."""
    with pytest.raises(ModelError, match="api_key_env must be the name of an environment variable in capitals") as caught:
        Endpoint("big", api_key_env=given)
    assert "seen something else" in str(caught.value)
    assert not given or str(given) not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["localhost:8000", "ftp://host/v1", "http://", "http://me:secret-word@host/v1", "https://host/v1?key=secret-word", "https://host/v1#secret-word",
     "http://host:99999/v1", "http://host:0/v1", "http://ho st/v1", "http://host/v1\n", "http://[::1/v1", "http://\u2603.example/v1", 5, ""],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_repeated(address):
    """Only an http(s) address without user, password, query or fragment is taken: it is recorded with each reply."""
    with pytest.raises(ModelError, match=r"base_url must be an http\(s\) address without user, password or query") as caught:
        Endpoint("big", base_url=address)
    assert "secret-word" not in str(caught.value)


def test_a_name_for_files_is_taken_from_the_model():
    """Without a name the model's own, made fit for a file, is used; its owner is left out."""
    assert Endpoint("gpt-4.1-2025-04-14").name == "gpt-4.1-2025-04-14"
    assert Endpoint("Qwen/Qwen3 4B:free").name == "Qwen3-4B-free"
    assert Endpoint("big", name="teacher_1").name == "teacher_1"
    assert repr(Endpoint("big", name="b")) == "Endpoint('big', name='b')"


def test_the_digest_covers_what_changes_a_reply():
    """Model, mode, system message and parameters change the digest; where, how fast and for how much one asks do not."""
    base = Endpoint("big")
    changes = [{"plain": True}, {"system": "s"}, {"seed": 1}, {"temperature": 1}, {"temperature": None}]
    assert len({base.digest, Endpoint("other").digest, *(Endpoint("big", **change).digest for change in changes)}) == 7
    same = Endpoint("big", base_url="http://host/v1", api_key_env=None, name="n", price=(1, 1, 1), samples=3, concurrency=2, stream=True,
                    requests_per_minute=1, terms="t", timeout=1, patience=1, attempts=1, seed=None)  # fmt: skip
    assert same.digest == base.digest


@pytest.mark.parametrize(
    ("address", "plain", "name"),
    [
        (None, False, "max_completion_tokens"),
        ("https://us.api.openai.com/v1", False, "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", False, "max_completion_tokens"),
        (None, True, "max_tokens"),
        ("http://127.0.0.1:8000/v1", False, "max_tokens"),
        ("https://api.openai.com.example/v1", False, "max_tokens"),
        ("https://notopenai.com/v1", False, "max_tokens"),
    ],
)
def test_the_limit_of_tokens_has_the_name_that_the_server_knows(address, plain, name):
    """OpenAI's own servers get max_completion_tokens, all others and plain completions max_tokens."""
    assert Endpoint("big", base_url=address, plain=plain).sent(8) == {"temperature": 0, name: 8}


def test_a_limit_of_one_s_own_stands_in_place_of_the_task_s():
    """A limit that is declared is sent as it is, and none is added."""
    assert Endpoint("big", max_tokens=99).sent(8) == {"temperature": 0, "max_tokens": 99}
    assert Endpoint("big", base_url="http://h/v1", max_completion_tokens=99).sent(8) == {"temperature": 0, "max_completion_tokens": 99}
    assert Endpoint("big", base_url="http://h/v1", max_tokens=None).sent(8) == {"temperature": 0, "max_tokens": 8}


def test_parameters_are_sent_as_they_are():
    """Temperature is 0 unless given, and left out where it is None; other parameters pass unchanged."""
    assert "temperature" not in Endpoint("big", temperature=None).sent(8)
    sent = Endpoint("big", temperature=0.7, seed=7, stop=["\n"], reasoning_effort="low").sent(8)
    assert sent == {"temperature": 0.7, "seed": 7, "stop": ["\n"], "reasoning_effort": "low", "max_completion_tokens": 8}


def test_logprobs_are_asked_for_as_each_form_wants_them():
    """Chat takes a switch and a number, plain completions the number alone."""
    assert Endpoint("big", top_logprobs=5).sent(8).items() >= {"logprobs": True, "top_logprobs": 5}.items()
    plain = Endpoint("big", plain=True, top_logprobs=5).sent(8)
    assert plain["logprobs"] == 5
    assert "top_logprobs" not in plain


def test_a_schema_becomes_a_strict_response_format():
    """A task's schema is sent as a strict response format, unless one is declared or the prompt is plain."""
    given = {"type": "json_object"}
    form = Endpoint("big").sent(8, SCHEMA)["response_format"]
    assert form == {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True}}
    assert Endpoint("big", response_format=given).sent(8, SCHEMA)["response_format"] == given
    assert "response_format" not in Endpoint("big", plain=True).sent(8, SCHEMA)
    assert "response_format" not in Endpoint("big").sent(8)


# ---- The connection


def test_a_key_that_is_not_set_names_its_variable(monkeypatch):
    """Without the key nothing is opened, and the error names the variable and both ways out; blanks are no key."""
    for value in (None, "", " \n"):
        monkeypatch.delenv("CANARY_KEY") if value is None else monkeypatch.setenv("CANARY_KEY", value)
        with pytest.raises(ModelError) as caught:
            Endpoint("big", api_key_env="CANARY_KEY").load()
        assert str(caught.value) == (
            "Endpoint 'big' takes its key from the environment variable CANARY_KEY, which is not set. Set it, name another with api_key_env=,"
            " or api_key_env=None for a server that takes no key."
        )


@pytest.mark.parametrize("value", ["sk-canary 0123", "sk-canary\n0123", "sk-canary\x7f0123", "sk-canary\u201d0123"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(monkeypatch, value):
    """A key with a line break or a curly quote in it, as pasting leaves them, is refused before a library could repeat it."""
    monkeypatch.setenv("CANARY_KEY", value)
    with pytest.raises(ModelError, match="what stands in the environment variable CANARY_KEY is no key") as caught:
        Endpoint("big", api_key_env="CANARY_KEY").load()
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_without_the_extra_the_way_out_is_named(monkeypatch):
    """Where the SDK is not installed, the error gives the command."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ModelError, match=r"openai is not installed.*pip install 'pytest-distill\[api\]'"):
        Endpoint("big", api_key_env=None).load()


def test_loading_and_unloading_twice_does_nothing(connect):
    """A second load keeps the connection, a second unload finds none, and a later load opens a new one."""
    with ApiServer() as server:
        endpoint = connect(server)
        before = endpoint.connection
        endpoint.load("cuda")
        assert endpoint.connection is before
        endpoint.unload()
        endpoint.unload()
        endpoint.load()
        assert ask(endpoint).text == "yes"


CLEAN = """
import gc, sys
from pytest_distill.models import Endpoint
from tests.api_server import ApiServer, HANG, RESET, first
with ApiServer(faults=first(None, HANG, RESET)) as server:
    for stream in (False, True):
        endpoint = Endpoint("big", base_url=server.url, api_key_env=None, stream=stream, timeout=1.5)
        endpoint.load()
        for k in range(3):
            try:
                print(endpoint.answer([f"want={k}", f"want={k}"], 4)[1].text)
            except Exception as error:
                print(type(error).__name__)
        endpoint.unload()
        gc.collect()
"""


def test_nothing_is_left_open():
    """After replies, a timeout and a reset, unloading closes all sockets and loops: no warning at all."""
    start = [sys.executable, "-X", "dev", "-W", "error", "-c", CLEAN]
    done = subprocess.run(start, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["ModelError", "ModelError", "2", "0", "1", "2"]


# ---- What is sent


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_request_is_what_was_declared(connect, stream):
    """Model, system message, prompt, parameters, key and path arrive as declared, and nothing else does."""
    with ApiServer() as server:
        endpoint = connect(server, system="Be brief.", seed=7, stream=stream)
        found = ask(endpoint, "row=1 want=yes")
        (request,) = server.requests
    sent = {
        "model": "big", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "row=1 want=yes"}],
        "temperature": 0, "seed": 7, "max_tokens": 8, **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
    }  # fmt: skip
    assert (request["method"], request["path"], json.loads(request["body"])) == ("POST", "/v1/chat/completions", sent)
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    assert (found.text, found.outcome, found.answered_by, found.tokens_in, found.tokens_out) == ("yes", "answered", "big", 2, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_plain_request_is_the_bare_prompt(connect, stream):
    """In plain mode the prompt goes to /completions, behind the system message where there is one."""
    with ApiServer() as server:
        assert ask(connect(server, plain=True, stream=stream)).text == "yes"
        assert (server.requests[0]["path"], body_of(server)["prompt"]) == ("/v1/completions", "row=1 want=yes")
        ask(connect(server, plain=True, stream=stream, system="Be brief."))
        assert body_of(server)["prompt"] == "Be brief.\nrow=1 want=yes"


def test_a_server_that_takes_no_key_gets_none(connect, monkeypatch):
    """With api_key_env=None no key of the environment is sent, OpenAI's own neither."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ApiServer() as server:
        ask(connect(server, api_key_env=None))
        assert not any(spelt in str(server.requests) for spelt in SPELT)


def test_a_prompt_that_is_no_text_is_no_crash(connect):
    """Half of a surrogate pair in a prompt cannot be sent: that is said, and trying again is no use."""
    with ApiServer() as server:
        found = trouble(connect(server), prompt="\ud83d")
        assert (found.again, found.billed, server.asked) == (False, False, 0)
    assert "half of a surrogate pair" in found.words


# ---- What comes back


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "outcome", "text"),
    [
        (api.REFUSAL, "refused", "I cannot help with that."),
        (api.AT_LIMIT, "cut", "yes"),
        (api.FILTERED, "filtered", ""),
        (api.AZURE_FILTERED, "filtered", ""),
        (api.NO_CHOICES, "empty", ""),
        (api.NULL_CONTENT, "empty", ""),
        (api.LONE_SURROGATE, "answered", "cut \ud83d"),
        (Fault(gzip=True), "answered", "yes"),
        (Fault(reply={"text": "a\u2028b\x85c\x0bd\x1ee\rf"}), "answered", "a\u2028b\x85c\x0bd\x1ee\rf"),
    ],
)
def test_each_outcome_comes_over_the_wire(connect, stream, fault, outcome, text):
    """Every kind of reply is told apart from an answer, whole and streamed, with the time it took."""
    with ApiServer(faults=first(fault)) as server:
        found = ask(connect(server, stream=stream))
    assert (found.outcome, found.text) == (outcome, text)
    assert found.seconds > 0


@pytest.mark.parametrize(
    "text",
    ["a\u2028b\u2029c", "a\x85b", "one\r\ntwo", "\U0001f600", "data: [DONE]\n\ndata: x"],
    ids=["lines", "nel", "crlf", "emoji", "event"],
)
def test_a_stream_is_split_at_its_own_line_ends_alone(connect, text):
    """A server that sends letters as they are may send what Unicode calls the end of a line within an event."""
    event = json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}, ensure_ascii=False).encode()
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    for end in (b"\n", b"\r\n"):
        content = b": a remark" + end * 2 + b"data:" + event + end * 2 + b"data: [DONE]"
        with ApiServer(faults=first(Fault(content=content, headers=headers))) as server:
            assert ask(connect(server, stream=True)).text == text


@given(st.lists(st.binary(max_size=6) | st.sampled_from([b"\n", b"\r\n", b"\x85", "\u2028".encode()]), max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_lines_of_a_stream_do_not_depend_on_its_parts(parts):
    """However the bytes of a stream are cut into parts on the way, they are the same lines, the last one included."""

    async def lines():
        async def arriving():
            for part in parts:
                yield part

        return [line async for line in connection._lines(arriving())]

    assert asyncio.run(lines()) == b"".join(parts).split(b"\n")


def test_20_megabytes_are_cut(connect):
    """20 MB of text are read, counted and cut."""
    with ApiServer(faults=first(api.huge(20))) as server:
        found = ask(connect(server))
    assert (found.outcome, len(found.text)) == ("malformed", 100_000)
    assert "20971520 characters" in found.detail


def test_a_stream_tells_the_time_to_the_first_token(connect):
    """Only a streamed reply has a first token, which is there before its last byte; a server that does not stream tells none."""
    reply = json.dumps(api.completion({"model": "big", "text": "yes", "usage": None}, number=0, chat=True)).encode()
    with ApiServer(faults=first(None, None, Fault(content=reply))) as server:
        whole, streamed, ignored = (ask(connect(server, stream=stream)) for stream in (False, True, True))
    assert 0 < streamed.first_token <= streamed.seconds
    assert whole.first_token is ignored.first_token is None
    assert ignored.text == "yes"


@pytest.mark.parametrize("stream", [False, True])
def test_the_effect_of_the_schema_is_checked_not_assumed(connect, stream):
    """A server that ignores the response format with HTTP 200 is found out; one that keeps to it is not blamed."""
    with ApiServer() as server, ApiServer(ignores=["response_format"]) as other:
        assert ask(connect(server, stream=stream), schema=SCHEMA).text == '{"label": "yes"}'
        found = ask(connect(other, stream=stream), schema=SCHEMA)
    assert (found.outcome, found.text) == ("malformed", "yes")
    assert "does not keep to it" in found.detail


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_are_kept_where_the_server_gives_them(connect, stream):
    """The likeliest tokens come back in one form, and None where the server ignores the wish."""
    with ApiServer() as server, ApiServer(ignores=["logprobs"]) as other:
        assert ask(connect(server, stream=stream, top_logprobs=2)).logprobs == [["yes", -0.1, [["yes", -0.1], [" other1", -2.1]]]]
        assert ask(connect(other, stream=stream, top_logprobs=2)).logprobs is None


# ---- What goes wrong


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "words", "garbled", "billed"),
    [
        (api.RESET, "broke the connection", False, True),
        (api.CLOSED, "broke the connection", False, True),
        (api.HTML, "HTTP 200 with something that is no JSON: '<!doctype html>", True, True),
        (api.GARBAGE, "HTTP 200 with something that is no JSON", True, True),
        (api.cut(), "broke off", True, True),
        (api.cut(gzip=True), "broke off", True, True),
        (api.cut(seen=False), "", True, True),
        (api.cut(seen=False, gzip=True), "", True, True),
        (Fault(content=b"nonsense", headers={"content-encoding": "gzip"}), "", True, True),
        (Fault(content=b""), "HTTP 200 with something that is no JSON: ''", True, True),
        (api.status(500), "HTTP 500: Internal Server Error", False, False),
        (api.limited(7), "HTTP 429: Too Many Requests", False, False),
    ],
)
def test_each_trouble_on_the_way_may_be_tried_again(connect, stream, fault, words, garbled, billed):
    """Resets, HTML, damaged gzip, half a body and half a stream are troubles with their kind: no crash, and no answer."""
    with ApiServer(faults=first(fault)) as server:
        found = trouble(connect(server, stream=stream))
        assert server.asked == 1
    assert words in found.words
    assert (found.garbled, found.billed, found.again, found.hopeless) == (garbled, billed, True, False)
    assert found.after == (7 if "HTTP 429" in found.words else None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [api.HANG, api.drip(0.05), api.slow(30)])
def test_the_wall_limit_holds_whatever_the_server_does(connect, stream, fault):
    """A server that never answers, or goes on for ever in small pieces, is left after the wall limit, and may charge."""
    with ApiServer(faults=lambda *_: fault) as server:
        found = trouble(connect(server, stream=stream, timeout=0.15))
        shorter = trouble(connect(server, stream=stream), limit=0.1)
    assert (found.words, found.again, found.billed) == ("no reply within 0.15 s", True, True)
    assert shorter.words == "no reply within 0.1 s"


def test_a_server_that_is_not_there_costs_nothing(connect, monkeypatch):
    """A refused connection and a name that no DNS knows may pass and were not charged; the address is named."""
    with ApiServer() as server:
        endpoint = connect(server)
    found = trouble(endpoint)
    assert (found.again, found.billed) == (True, False)
    assert found.words.startswith(f"{server.url} cannot be reached (ConnectError")

    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    named = Endpoint("big", base_url="http://nowhere.invalid/v1", api_key_env=None)
    named.load()
    found = trouble(named)
    named.unload()
    assert (found.again, found.billed) == (True, False)
    assert found.words.startswith("http://nowhere.invalid/v1 cannot be reached")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_its_variable_and_never_its_value(connect, caplog, stream, status):
    """401 and 403 name the variable; the key is in no error, no traceback and no log, though the server repeats it."""
    caplog.set_level(logging.DEBUG)
    fault = api.status(status, "invalid_api_key", f"Incorrect API key provided: {KEY}. Header: Bearer {KEY}")
    with ApiServer(faults=first(fault)) as server:
        endpoint = connect(server, stream=stream)
        with pytest.raises(ModelError) as caught:
            endpoint.answer(["row=1 want=yes"], 8)
        assert server.asked == 1
    assert "Incorrect API key provided: ***. Header: Bearer ***" in str(caught.value)
    assert f"{server.url} refuses the key" in str(caught.value)
    assert "It is taken from the environment variable CANARY_KEY: set another one there" in str(caught.value)
    seen = (
        "".join(traceback.format_exception(caught.value))
        + repr(caught.value)
        + repr(caught.value.args)
        + repr(vars(endpoint))
        + repr(endpoint)
    )
    assert any(record.name.startswith(("openai", "httpx")) for record in caplog.records)
    seen += caplog.text + "".join(repr(record.args) + str(record.__dict__) for record in caplog.records)
    assert [spelt for spelt in SPELT if spelt in seen] == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_key_that_a_server_repeats_is_not_passed_on(connect, stream):
    """A reply, an error page and the name of a model that hold the key come back without it; a dummy key leaves replies alone."""
    faults = first(Fault(reply={"text": f"the={KEY}", "model": f"m-{KEY}"}), Fault(content=b"<html>" + KEY.encode()), None)
    with ApiServer(faults=faults) as server:
        endpoint = connect(server, stream=stream)
        found = ask(endpoint)
        assert (found.text, found.answered_by) == ("the=***", "m-***")
        assert "<html>***" in trouble(endpoint).words
        assert ask(connect(server, api_key_env=None), "want=none").text == "none"


ESCAPED = KEY.replace("/", r"\/").replace("+", r"\u002b")


def event_stream(*deltas: str) -> Fault:
    """A stream of these texts, each as it stands in JSON."""
    events = ['{"choices": [{"delta": {"content": "' + delta + '"}}]}' for delta in deltas]
    events.append('{"choices": [{"delta": {}, "finish_reason": "stop"}]}')
    return Fault(content="".join(f"data: {event}\n\n" for event in events).encode(), headers={"content-type": "text/event-stream"})


@pytest.mark.parametrize("spelt", [ESCAPED, *SPELT[:4]])
def test_a_key_in_another_spelling_is_not_passed_on(connect, spelt):
    """Escaped for JSON or an address, in base64, or in two parts of a stream: the key is in no answer, no page and no refusal."""
    whole = Fault(content=('{"model": "m", "choices": [{"message": {"content": "the=' + spelt + ' end"}}]}').encode())
    page = Fault(content=b"<html>" + spelt.encode())
    refusal = Fault(status=401, content=('{"error": {"message": "Wrong: ' + spelt + '"}}').encode())
    with ApiServer(faults=first(whole, page, refusal)) as server:
        endpoint = connect(server)
        texts = [ask(endpoint).text, trouble(endpoint).words, trouble(endpoint).words]
    half = 9  # within no escape
    with ApiServer(faults=first(event_stream("the=", spelt), event_stream(spelt[:half], spelt[half:]))) as server:
        endpoint = connect(server, stream=True)
        texts += [ask(endpoint).text, ask(endpoint).text]
    assert texts[0].startswith("the=***")
    assert "Wrong: ***" in texts[2]
    assert all("***" in text and "canary" not in text and spelt.strip("=") not in text for text in texts)


def test_a_key_that_a_message_was_cut_in_is_not_passed_on(connect):
    """Messages are quoted in part: the first part of a key at the end of the quotation goes too."""
    page = Fault(content=b"<html>" + b"x" * 56 + KEY.encode())
    with ApiServer(faults=first(page, api.status(500, "broken", "x" * 280 + KEY))) as server:
        endpoint = connect(server)
        for words in (trouble(endpoint).words, trouble(endpoint).words):
            assert "xx***" in words
            assert "canary" not in words


def test_a_key_in_log_probabilities_is_not_passed_on(connect):
    """A token that holds the key comes back without it; tokens that spell it together do not come back at all."""

    def answer(*tokens: str) -> Answer:
        return Answer("yes", "answered", 1, 1, logprobs=[[token, -0.1, [[token, -0.1], [f" {KEY}", None]]] for token in tokens])

    with ApiServer() as server:
        endpoint = connect(server)
        assert endpoint.redacted(answer(KEY)).logprobs == [["***", -0.1, [["***", -0.1], [" ***", None]]]]
        assert endpoint.redacted(answer(KEY[:5], KEY[5:])).logprobs is None
        assert endpoint.redacted(Answer("a", "answered", 1, 1, logprobs=[["a", -0.1, []]])).logprobs == [["a", -0.1, []]]
        entry = {"token": KEY, "logprob": -0.5, "top_logprobs": []}
    with ApiServer(faults=first(Fault(reply={"logprobs": {"content": [entry]}}))) as server:
        assert ask(connect(server, top_logprobs=1)).logprobs == [["***", -0.5, []]]


def test_a_filtered_prompt_and_other_requests_are_without_the_key(connect):
    """What the connection itself makes of a refusal, for a batch too, holds no key."""
    filtered = api.status(400, "content_filter", f"Filtered for {KEY}")
    with ApiServer(faults=first(filtered, filtered, api.status(400, "bad", f"Bad: {KEY}"))) as server:
        endpoint = connect(server)
        assert ask(endpoint).detail == "the provider filtered the prompt (HTTP 400: Filtered for ***)"
        sent = endpoint.connection.send("POST", endpoint.path, endpoint.body("want=yes", 8))
        assert endpoint.connection.run(sent).detail == "the provider filtered the prompt (HTTP 400: Filtered for ***)"
        with pytest.raises(NoReplyError) as caught:
            endpoint.connection.run(endpoint.connection.send("POST", endpoint.path, endpoint.body("want=yes", 8)))
    assert (caught.value.words, str(caught.value)) == ("HTTP 400: Bad: ***", "HTTP 400: Bad: ***")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1", "ImportError: "),
        ("HTTPS_PROXY", "foo://127.0.0.1:1", "ValueError: "),
        ("SSL_CERT_FILE", "/nonexist", "FileNotFoundError: "),
    ],
)
def test_a_client_that_cannot_be_made_is_an_error_without_the_key(monkeypatch, variable, value, words):
    """A proxy or a certificate that the transport refuses is named with the way out; no frame shown holds the key."""
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ModelError, match=f"no connection to http://host/v1 can be made: {words}") as caught:
        Endpoint("big", base_url="http://host/v1", api_key_env="CANARY_KEY").load()
    assert variable in str(caught.value)
    assert caught.value.__suppress_context__
    assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(caught.traceback[-1].frame.f_locals)


def test_what_an_exception_says_of_the_key_is_not_repeated(monkeypatch):
    """Whatever the SDK says on its way down is repeated without the key."""
    import openai

    def broken(**options):
        raise RuntimeError(f"odd: {options['api_key']}")

    monkeypatch.setattr(openai, "AsyncOpenAI", broken)
    with pytest.raises(ModelError, match=r"can be made: RuntimeError: odd: \*\*\*"):
        Endpoint("big", base_url="http://host/v1", api_key_env="CANARY_KEY").load()


def test_troubles_keep_no_key_in_their_chain(connect):
    """What is raised to a user holds no library's error with the request, and so its headers, in its chain."""
    with ApiServer(faults=lambda *_: api.RESET) as server:
        found = trouble(connect(server))
    assert found.__cause__ is None
    assert found.__suppress_context__
    assert not any(spelt in "".join(traceback.format_exception(found)) for spelt in SPELT)


# ---- What every model does


def test_answers_come_in_the_order_of_the_prompts(connect):
    """All prompts are asked at once, no more than may be in flight, and answered in order."""
    prompts = [f"want={k}" for k in range(12)]
    with ApiServer(delay=0.05) as server:
        found = connect(server, concurrency=4).answer(prompts, 8)
        assert (server.peak, server.asked) == (4, 12)
    assert [answer.text for answer in found] == [str(k) for k in range(12)]


def test_one_prompt_is_timed_alone(connect):
    """A timing has the whole time and, where streamed, the time to the first token; a passing trouble is tried again."""
    with ApiServer(faults=first(api.RESET, api.HTML)) as server:
        found = connect(server).time_one("want=yes", 8)
        streamed = connect(server, stream=True).time_one("want=yes please", 8)
        assert (server.asked, server.peak) == (4, 1)
    assert found.seconds > 0
    assert (found.first_token, found.tokens_out) == (None, 1)
    assert 0 < streamed.first_token <= streamed.seconds


def test_between_the_tries_of_a_timing_the_server_is_left_alone(connect, monkeypatch):
    """The wait is what the server asks for, else short and growing; it is no part of the time."""
    waited = []
    monkeypatch.setattr(endpoint_module.time, "sleep", waited.append)
    with ApiServer(faults=first(api.limited(30), api.status(500))) as server:
        assert connect(server).time_one("want=yes", 8).seconds < 20
    assert waited == [30, 2 * endpoint_module.TIMING_PAUSE]
    with ApiServer(faults=first(api.status(500), api.limited(0))) as server:
        connect(server, patience=0.1).time_one("want=yes", 8)
    assert waited[2:] == [0.1, 0]


def test_a_timing_of_what_nobody_counted_has_no_tokens(connect):
    """Where the server sends no usage, the timing says so: 0 tokens would be a claim."""
    with ApiServer(faults=first(Fault(reply={"usage": None}), api.AT_LIMIT)) as server:
        endpoint = connect(server)
        uncounted, counted = (endpoint.time_one("want=yes", 8) for _ in range(2))
    assert (uncounted.tokens_out, counted.tokens_out) == (None, 1)
    assert timing._series(endpoint, [counted, uncounted]).tokens_out == ()
    assert timing._series(endpoint, [counted, counted]).tokens_out == (1, 1)


@pytest.mark.parametrize(
    ("fault", "asked", "words"),
    [
        (api.status(500), 3, "HTTP 500"),
        (api.status(401), 1, ".* refuses the key"),
        (api.status(400), 1, "HTTP 400"),
        (api.limited(3600), 1, "HTTP 429: Too Many Requests. The server asks to wait 3600 s, patience is 120 s"),
        (api.FILTERED, 1, r"it answered '' with outcome filtered \(the provider filtered the reply\)"),
        (api.REFUSAL, 1, "it answered 'I cannot help with that.' with outcome refused"),
        (api.NULL_CONTENT, 1, "it answered '' with outcome empty"),
    ],
)
def test_a_timing_that_fails_says_why(connect, monkeypatch, fault, asked, words):
    """Three tries without a reply end a timing; what trying again will not mend, and what is no reply to time, does at once."""
    monkeypatch.setattr(endpoint_module, "TIMING_PAUSE", 0)
    with ApiServer(faults=lambda *_: fault) as server:
        with pytest.raises(ModelError, match=f"Endpoint 'big' could not be timed: {words}"):
            connect(server).time_one("want=yes", 8)
        assert server.asked == asked


def test_the_date_of_the_shutdown_is_asked_for(connect):
    """The date comes from the models endpoint; a server that does not know, refuses, breaks or never answers tells none."""
    with ApiServer(models={"org/big": {"shutdown_date": "2027-01-14"}}) as server:
        known, other = connect(server, model="org/big"), connect(server)
        assert known.connection.run(known.retires()) == "2027-01-14"
        assert other.connection.run(other.retires()) == ""
    faults = first(api.status(401), api.HTML, api.RESET, api.HANG, api.cut())
    with ApiServer(models={"big": {"shutdown_date": "2027-01-14"}}, other_faults=faults) as server:
        endpoint = connect(server, timeout=0.6)
        assert [endpoint.connection.run(endpoint.retires()) for _ in range(6)] == ["", "", "", "", "", "2027-01-14"]


def test_unloading_in_the_middle_is_clean(connect):
    """A failed request among several leaves the others to be ended by unloading, without a warning."""
    with ApiServer(faults=first(api.status(401)), delay=0.05) as server:
        endpoint = connect(server)
        with pytest.raises(ModelError):
            endpoint.answer([f"want={k}" for k in range(5)], 8)
        endpoint.unload()
        gc.collect()


def test_an_openai_account_is_not_told_to_other_servers(monkeypatch):
    """Organization and project of an OpenAI account, which the SDK takes from the environment, go to no other server."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-canary")
    with ApiServer() as server:
        endpoint = Endpoint("m", base_url=server.url, api_key_env=None)
        endpoint.load()
        try:
            endpoint.answer(["want=yes"], 4)
        finally:
            endpoint.unload()
        assert "canary" not in str(server.requests)
