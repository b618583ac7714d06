"""Asking OpenAI without a stored key: GitHub's word for the job, exchanged; what refuses on the way, and what of it is shown."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from pytest_distill.answers import Labels
from pytest_distill.ask import ask, collect
from pytest_distill.errors import ModelError
from pytest_distill.models import Endpoint, connection, identity
from pytest_distill.models import endpoint as endpoint_module
from pytest_distill.models.identity import OFFER, Secrets
from pytest_distill.recording import Recording
from pytest_distill.task import Example, Task
from tests import api_server as api
from tests.api_server import CHAT, ApiServer, Fault, first

IDS = ("idp_0123", "user-acct_4567")
KEY = "sk-canary/+=0123456789"
TASK = Task("parity", "{{ text }}", Labels("yes", "no"), Path("nowhere/train.jsonl"), Path("nowhere/heldout.jsonl"), 4)
HOUR = 3600


def jwt(of: str) -> str:
    """A token in GitHub's form, with its own letters in every part but the first."""
    parts = ({"typ": "JWT", "alg": "RS256", "kid": f"key of {of}"}, {"jti": f"{of}-canary", "sub": f"repo:{of}/{of}"})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, base64.urlsafe_b64encode(f"signature of {of}, canary".encode()).decode().rstrip("=")])


class Services:
    """GitHub's token service and OpenAI's exchange, on loopback. Each token is another one.

    `github` and `exchange` hold what is said in place of a token by the next requests, as (status, body), the body perhaps made
    at that time; None stands for a token.
    """

    def __init__(self) -> None:
        self.asked_with = jwt("request")
        self.github: list[tuple[int, Any] | None] = []
        self.exchange: list[tuple[int, Any] | None] = []
        self.seen: list[tuple[str, dict[str, Any]]] = []  # the service, and what it was asked
        self.tokens = [self.asked_with]
        self.expires_in: float = HOUR
        self.opaque = False
        self.delay = 0.0

    def count(self, service: str) -> int:
        """How often a service was asked."""
        return [name for name, _ in self.seen].count(service)

    def says(self, service: str, asked: dict[str, Any]) -> tuple[int, Any]:
        """The response, as (status, body)."""
        self.seen.append((service, asked))
        said = getattr(self, service)
        if said and (instead := said.pop(0)) is not None:
            return (instead[0], instead[1]()) if callable(instead[1]) else instead
        made = f"oat-access-canary-{len(self.tokens):04}" if service == "exchange" and self.opaque else jwt(f"{service}{len(self.tokens)}")
        self.tokens.append(made)
        if service == "github":
            return 200, {"count": 1, "value": made}
        time.sleep(self.delay)
        return 200, {"access_token": made, "expires_in": self.expires_in, "token_type": "Bearer"}


@contextmanager
def listening(services: Services):
    """Serve both, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            self.say("github", {"path": parts.path, "query": parse_qs(parts.query), "authorization": self.headers["authorization"]})

        def do_POST(self):
            self.say("exchange", json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def say(self, service, asked):
            status, body = services.says(service, asked)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def clock(monkeypatch):
    """The clock that the SDK keeps tokens by; it stands until it is moved on."""
    from openai.auth import _workload

    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(_workload, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def github(monkeypatch):
    """A job on GitHub Actions that may ask for an identity token, has no key, and finds OpenAI's exchange on loopback."""
    from openai.auth import WorkloadIdentityAuth

    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS", "OPENAI_LOG", *OFFER):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(identity, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(collect, "FIRST_WAIT", 0.001)
    services = Services()
    with listening(services) as address:
        monkeypatch.setenv(OFFER[0], f"{address}/idtoken?api-version=2.0")
        monkeypatch.setenv(OFFER[1], services.asked_with)
        monkeypatch.setitem(WorkloadIdentityAuth.__init__.__kwdefaults__, "token_exchange_url", f"{address}/oauth/token")
        yield services


@pytest.fixture
def declare(monkeypatch):
    """Make endpoints of a server that stands in for OpenAI, and unload them at the end."""
    made = []

    def declared(server: ApiServer, **options) -> Endpoint:
        for module in (endpoint_module, connection):
            monkeypatch.setattr(module, "OPENAI", server.url)
        made.append(Endpoint("big", **{"identity": IDS, "timeout": 20.0, **options}))
        return made[-1]

    yield declared
    for endpoint in made:
        endpoint.unload()


def request(endpoint: Endpoint, prompt: str = "row=1 want=yes"):
    """One answer, asked alone."""
    endpoint.load()
    return endpoint.connection.run(endpoint.request(prompt, 8))


def bearers(server: ApiServer) -> list[str]:
    """What completions were asked with."""
    return [each["headers"]["authorization"] for each in server.requests if each["path"] == CHAT]


def examples(n: int) -> list[Example]:
    return [Example(f"row-{k}", {"text": f"row={k} want={('yes', 'no')[k % 2]}"}, None, (), k + 1) for k in range(n)]


def record(endpoint: Endpoint, n: int, path: Path, *, say=print):
    @contextmanager
    def ready():
        endpoint.load()
        yield

    return ask(endpoint, TASK, examples(n), Recording(path), ready=ready, say=say)


def leaks(services: Services, text: str) -> list[str]:
    """The parts of tokens that stand in a text: second and third parts, in the spellings that a server may use."""
    parts = {part for token in services.tokens for part in (token.split(".")[1:] or [token])}
    whole = {base64.b64encode(token.encode()).decode().rstrip("=")[:-4] for token in services.tokens}
    spelt = {each for part in parts for each in (part, quote(part, safe=""), part.replace("-", r"\u002d"))} | whole
    return sorted(each for each in spelt if each in text)


# ---- From GitHub's word to a reply


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("opaque", [False, True])
def test_github_s_word_becomes_a_reply(github, declare, stream, opaque):
    """GitHub is asked for a token for OpenAI, that is exchanged for the declared account, and with what comes replies are asked for."""
    github.opaque = opaque
    with ApiServer() as server:
        assert request(declare(server, stream=stream)).text == "yes"
        assert bearers(server) == [f"Bearer {github.tokens[2]}"]
    (first_service, to_github), (second_service, to_openai) = github.seen
    assert (first_service, second_service) == ("github", "exchange")
    assert to_github == {
        "path": "/idtoken",
        "query": {"api-version": ["2.0"], "audience": ["https://api.openai.com/v1"]},
        "authorization": f"bearer {github.asked_with}",
    }
    assert to_openai == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": github.tokens[1],
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "identity_provider_id": IDS[0],
        "service_account_id": IDS[1],
    }


def test_one_exchange_serves_a_whole_recording(github, declare, tmp_path):
    """Many replies at once, and the other requests of a recording, share one token; none is in the file."""
    path = tmp_path / "parity.big.jsonl"
    with ApiServer() as server:
        replies = record(declare(server, concurrency=8), 20, path)
        asked_with = {each["headers"]["authorization"] for each in server.requests}
    assert [reply.text for reply in replies] == ["yes", "no"] * 10
    assert asked_with == {f"Bearer {github.tokens[2]}"}
    assert (github.count("github"), github.count("exchange")) == (1, 1)
    assert leaks(github, path.read_text(encoding="utf-8")) == []


def test_a_token_that_is_about_to_end_is_replaced(github, declare, clock):
    """Before a token ends another is had for a new word of GitHub; until then the first is used."""
    with ApiServer() as server:
        endpoint = declare(server)
        for moved in (0, 600, HOUR - 601, HOUR):
            clock.seconds += moved
            request(endpoint)
        asked_with = bearers(server)
    assert asked_with == [f"Bearer {token}" for token in (github.tokens[2], github.tokens[2], github.tokens[4], github.tokens[6])]
    assert len(set(github.tokens)) == 7


def test_the_wall_limit_is_the_reply_s_alone(github, declare):
    """Getting a token may take longer than a reply may: it is had before the clock of the reply starts."""
    github.delay = 1.0
    with ApiServer() as server:
        assert request(declare(server, timeout=0.8)).text == "yes"


def test_a_passing_trouble_on_the_way_is_waited_for(github, declare):
    """What may pass at GitHub or at the exchange is tried again, a few times."""
    github.github = [(503, b"busy"), None]
    github.exchange = [(500, b"")]
    with ApiServer() as server:
        assert request(declare(server)).text == "yes"
    assert [service for service, _ in github.seen] == ["github", "github", "exchange", "github", "exchange"]


# ---- Refusals: each stops the run, says why, and shows no token

MAPPED = "the service account 'user-acct_4567' be mapped to this repository, branch and environment"
REFUSALS = {
    "github refuses": ("github", (403, {"message": "no"}), 1, 0, 'no identity token (HTTP 403: {"message": "no"}). It takes `permissions: id-token: write`'),
    "github is down": ("github", (502, b"<html>"), 3, 0, "no identity token (HTTP 502: <html>)"),
    "github says nothing": ("github", (200, b"<html>"), 1, 0, "no identity token (HTTP 200 with something else)"),
    "github gives a number": ("github", (200, {"value": 5}), 1, 0, "no identity token (HTTP 200 with something else)"),
    "no mapping": ("exchange", (401, {"error": "invalid_grant", "error_description": "no mapping"}), 1, 1, "(HTTP 401: invalid_grant: no mapping). At"),
    "another audience": ("exchange", (400, {"error": "invalid_subject_token"}), 1, 1, "(HTTP 400: invalid_subject_token: OAuth authentication error)"),
    "no words": ("exchange", (403, b"<html>"), 1, 1, MAPPED),
    "exchange is down": ("exchange", (503, b""), 3, 3, "(OpenAIError: Token exchange failed with status 503)"),
    "exchange limits": ("exchange", (429, b""), 3, 3, "(OpenAIError: Token exchange failed with status 429)"),
    "nothing came": ("exchange", (200, {}), 3, 3, "did not include a valid access_token)"),
    "no token came": ("exchange", (200, {"access_token": "two words", "expires_in": 9}), 1, 1, "(what came is no token)"),
    "it has ended": ("exchange", (200, {"access_token": "oat-canary-0000", "expires_in": 0}), 3, 3, "(RuntimeError: Token is unusable"),
}  # fmt: skip


@pytest.mark.parametrize(("service", "said", "to_github", "to_openai", "words"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_on_the_way_ends_the_run_and_says_why(github, declare, tmp_path, service, said, to_github, to_openai, words):
    """Where there is no token to be had the run stops as it does for a refused key: no reply counts as failed, and nobody is asked again."""
    setattr(github, service, [said] * 50)
    path = tmp_path / "parity.big.jsonl"
    with ApiServer() as server:
        endpoint = declare(server, concurrency=4)
        for _ in range(2):  # the same Endpoint has been told
            with pytest.raises(ModelError) as caught:
                record(endpoint, 9, path)
        with pytest.raises(ModelError, match="could not be timed"):
            endpoint.time_one("row=1 want=yes", 8)
        assert server.requests == []
    assert words in str(caught.value)
    assert "No reply was had; the same command asks again" in str(caught.value)
    assert (github.count("github"), github.count("exchange")) == (to_github, to_openai)
    assert not path.exists() or path.read_bytes() == b""


def test_of_many_at_once_one_is_refused(github, declare):
    """Requests that wait for a token while it is refused are refused with it: GitHub and OpenAI are not asked for each."""
    github.exchange = [(401, {"error": "invalid_grant"})] * 50
    with ApiServer() as server:
        endpoint = declare(server, concurrency=8)
        endpoint.load()
        with pytest.raises(ModelError, match="invalid_grant"):
            endpoint.answer([f"want={k}" for k in range(8)], 8)
        endpoint.unload()
    assert (github.count("github"), github.count("exchange")) == (1, 1)


def test_a_service_that_cannot_be_reached_is_named(github, declare, monkeypatch):
    """An address where nobody listens, or that is none, ends the run as a refusal does."""
    for address in ("http://127.0.0.1:1/idtoken?a=b", "foo://x", "http://[::"):
        monkeypatch.setenv(OFFER[0], address)
        with ApiServer() as server:
            endpoint = declare(server)
            endpoint.load()
            with pytest.raises(ModelError, match=r"GitHub gives this job no identity token \(\w+"):
                endpoint.answer(["want=yes"], 8)
    assert github.seen == []


def test_a_refusal_in_the_middle_keeps_what_was_had(github, declare, clock, tmp_path):
    """Where no second token is to be had, the replies until then are recorded, and the next run asks for the rest."""
    github.exchange = [None, (401, {"error": "invalid_grant"})]
    path = tmp_path / "parity.big.jsonl"

    def late(prompt: str, _: Any) -> str:
        clock.seconds += HOUR / 4
        return prompt.rpartition("=")[2]

    with ApiServer(reply=late) as server:
        with pytest.raises(ModelError, match=r"HTTP 401: invalid_grant.*3 of 9 replies were recorded in .* asks for the rest"):
            record(declare(server, concurrency=1), 9, path)
        assert len(path.read_bytes().splitlines()) == 3
        clock.seconds += HOUR
        replies = record(declare(server, concurrency=1), 9, path)
        assert server.asked == 9
    assert [reply.outcome for reply in replies] == ["answered"] * 9


def test_openai_itself_refuses_the_token(github, declare):
    """A 401 of the model's server names the service account, not a variable, and is final."""
    with ApiServer(faults=first(api.status(401, message="expired"))) as server:
        endpoint = declare(server)
        endpoint.load()
        with pytest.raises(
            ModelError, match=r"refuses the key \(HTTP 401: expired\)\. It is taken from GitHub's identity token.*'user-acct_4567'"
        ):
            endpoint.answer(["want=yes"], 8)
        assert server.asked == 1


# ---- Nothing leaks


@pytest.mark.parametrize("opaque", [False, True])
def test_no_token_is_shown_though_all_repeat_it(github, declare, clock, tmp_path, caplog, capfd, opaque):
    """Replies, pages, refusals at every step and the SDK's own log: none has a token in it, nor has what was used before a refresh."""
    caplog.set_level(logging.DEBUG)
    github.opaque = opaque
    path = tmp_path / "parity.big.jsonl"
    told, errors = [], []

    def repeat(prompt: str, _: Any) -> str:
        clock.seconds += HOUR
        return f"{prompt} all: {' '.join(github.tokens)} {base64.b64encode(github.tokens[-1].encode()).decode()}"

    def page(number: int, *_: Any) -> Fault | None:
        return Fault(content=b"<html>" + b" ".join(token.encode() for token in github.tokens)) if number == 1 else None

    with ApiServer(reply=repeat, faults=page) as server:
        endpoint = declare(server, concurrency=1, attempts=2)
        replies = record(endpoint, 4, path, say=told.append)
        assert len({*bearers(server)}) > 2
        assert replies[-1].text.count("***") == len(github.tokens) + 1
        github.github = [(403, lambda: {"message": f"got {github.asked_with}"}), None, None]
        github.exchange = [(401, lambda: {"error": "e", "error_description": f"got {github.tokens[-1]} for {github.asked_with}"}), None]
        server.faults = lambda *_: api.status(401, message=f"got {github.tokens[-1]}")
        for words in ("got ***", "e: got *** for ***", "HTTP 401: got ***"):
            refused = declare(server)
            refused.load()
            with pytest.raises(ModelError) as caught:
                refused.answer(["want=yes"], 8)
            assert words in str(caught.value)
            errors.append(caught.value)
    assert any(each.name.startswith("openai") for each in caplog.records)
    seen = caplog.text + "".join(str(each.__dict__) for each in caplog.records) + "".join(capfd.readouterr()) + "".join(told)
    seen += "".join("".join(traceback.format_exception(error)) + repr(error.args) for error in errors)
    seen += repr(vars(endpoint)) + repr(vars(refused)) + path.read_text(encoding="utf-8")
    assert leaks(github, seen) == []


def test_a_token_in_any_spelling_is_taken_out_and_no_other():
    """Escaped, in base64 or cut off a token goes; the part that all tokens of a kind share stays, and so does another one's."""
    secrets, token = Secrets(), jwt("github1")
    secrets.hide(token)
    head = token.partition(".")[0]
    assert secrets.redact(f"({token}) {token[:-1]}, {token[: len(head) + 20]}…") == "(***) ***, ***…"
    assert secrets.redact(f"{quote(token.replace('.', '%2E'), safe='%')} {token.replace('.', chr(92) + 'u002e')}") == "*** ***"
    assert secrets.redact(base64.b64encode(token.encode()).decode()) == "***"
    others = f"{head} eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl {head}.e30.c2lnbmF0dXJl"
    assert secrets.redact(others) == others
    secrets.hide("short")
    assert secrets.redact("short") == "short"


# ---- Key or identity


def test_a_key_that_is_set_goes_first(github, declare, monkeypatch):
    """A person at a desk has a key: nobody is asked for a token. An empty variable, as a secret that is not set leaves it, is none."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ApiServer() as server:
        endpoint = declare(server)
        request(endpoint)
        assert endpoint.key_source == "the environment variable OPENAI_API_KEY"
        assert (bearers(server), github.seen) == ([f"Bearer {KEY}"], [])
        monkeypatch.setenv("OPENAI_API_KEY", " ")
        for options in ({}, {"api_key_env": None}):
            request(declare(server, **options))
            assert bearers(server)[-1] == f"Bearer {github.tokens[-1]}"
    assert github.count("exchange") == 2


@pytest.mark.parametrize("unset", OFFER)
def test_without_key_and_token_both_ways_are_named(github, monkeypatch, unset):
    """Where neither is there, the error names the permission that a job needs and the variable that a person sets."""
    monkeypatch.delenv(unset)
    endpoint = Endpoint("big", identity=IDS)
    assert endpoint.lacks == f"OPENAI_API_KEY or {OFFER[1]}"
    with pytest.raises(ModelError) as caught:
        endpoint.load()
    assert str(caught.value) == (
        "Endpoint 'big' has nothing to ask with: the environment variable OPENAI_API_KEY is not set, and GitHub offers no identity token"
        f" ({' and '.join(OFFER)} are not set). On GitHub Actions, give the job `permissions: id-token: write`; elsewhere, set OPENAI_API_KEY."
    )
    with pytest.raises(ModelError, match=r"has nothing to ask with: no key, .*elsewhere, set a variable and name it with api_key_env=\.$"):
        Endpoint("big", identity=IDS, api_key_env=None).load()


def test_it_is_known_ahead_whether_there_is_something_to_ask_with(github, monkeypatch):
    """A key, an offer of GitHub's or no need of either: without a connection, and without asking anybody."""
    assert Endpoint("big", identity=IDS).lacks == ""
    assert Endpoint("big", identity=IDS, api_key_env=None).lacks == ""
    assert Endpoint("big").lacks == "OPENAI_API_KEY"
    assert Endpoint("big", base_url="http://host/v1", api_key_env=None).lacks == ""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv(OFFER[0])
    assert Endpoint("big").lacks == Endpoint("big", identity=IDS).lacks == ""
    assert Endpoint("big", identity=IDS, api_key_env=None).lacks == OFFER[1]
    assert github.seen == []


@pytest.mark.parametrize(
    "given", [KEY, ("idp",), ("idp", "user", "x"), ("idp", 5), ("", "user"), ("idp", "two words"), ["idp", "user"], {"a": "b"}, 5, ""]
)
def test_an_identity_that_is_none_is_refused_and_not_repeated(given):
    """Two ids and nothing else; what stands in their place may be a secret, and is not shown."""
    with pytest.raises(ModelError) as caught:
        Endpoint("big", identity=given)
    assert str(caught.value) == (
        "Endpoint 'big': identity must be (\"<identity provider id>\", \"<service account id>\"), or None; seen something else."
    )  # fmt: skip


@pytest.mark.parametrize(
    "address", ["http://localhost:8000/v1", "https://api.openai.com.example/v1", "https://mine.openai.azure.com/openai/v1"]
)
def test_github_s_word_goes_to_no_other_server(address):
    """An identity beside another server's address is refused at the declaration, with the way out; OpenAI's own address is fine."""
    with pytest.raises(
        ModelError, match=r"base_url, identity must be left out, one of both.*another takes a key by api_key_env=; seen 'http"
    ):
        Endpoint("big", base_url=address, identity=IDS)
    assert Endpoint("big", base_url="https://api.openai.com/v1", identity=IDS).origin == "https://api.openai.com/v1"


def test_who_asks_does_not_change_the_model():
    """Identity is no part of the digest, nor of what is sent and recorded; a slip in its name is found."""
    plain, federated = Endpoint("big"), Endpoint("big", identity=IDS)
    assert (federated.digest, federated.sent(8), repr(federated)) == (plain.digest, plain.sent(8), repr(plain))
    with pytest.raises(ModelError, match="Did you mean 'identity'"):
        Endpoint("big", id_entity=IDS)
