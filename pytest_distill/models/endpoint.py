"""A model behind an OpenAI-compatible API: hosted, or a server of one's own."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from pytest_distill.errors import ModelError
from pytest_distill.files import digest
from pytest_distill.models.checkpoint import checked_price
from pytest_distill.models.connection import OPENAI, Connection
from pytest_distill.models.identity import credentials, is_identity, key_in, lacking
from pytest_distill.models.model import Answer, Timed
from pytest_distill.models.wire import NoReplyError, read_reply, shutdown_date

MOST_SAMPLES, MOST_CONCURRENCY = 100, 1000  # the SDK opens no more connections
MOST_TOKENS = 10_000_000
TIMING_TRIES = 3
TIMING_PAUSE = 0.2  # seconds before the second try of a timing, and twice as many before each that follows
Schema = Mapping[str, Any] | None
Tools = Sequence[Mapping[str, Any]]
TIMED = ("answered", "cut", "malformed")  # the outcomes of which the time says how long a reply takes
# What the package decides itself, or what would carry a secret past it.
_RESERVED = frozenset(
    {"messages", "prompt", "stream", "stream_options", "n", "extra_headers", "extra_query", "extra_body", "headers", "api_key"}
)


# Arguments of an Endpoint and the commonest parameters: what comes near one of these is taken for a slip, not for a parameter.
_KNOWN = (
    *("base_url", "api_key_env", "name", "price", "samples", "concurrency", "requests_per_minute", "tokens_per_minute", "timeout"),
    *("attempts", "patience", "plain", "system", "stream", "batch", "terms", "temperature", "top_p", "top_k", "min_p", "seed", "stop"),
    *("max_tokens", "max_completion_tokens", "top_logprobs", "logprobs", "logit_bias", "presence_penalty", "frequency_penalty"),
    *("repetition_penalty", "reasoning_effort", "response_format", "service_tier", "verbosity", "user", "metadata", "store", "tools"),
    *("identity", "tool_choice", "extra_body", "chat_template_kwargs", "generation_config"),
)


class Endpoint:
    """A model that answers over an OpenAI-compatible API, as teacher or as student.

    Its replies are recorded once, beside the benchmark, and replayed from then on: it is asked only under ``--distill-record``.

    Args:
        model: the model's name at the server, for example ``gpt-4.1-2025-04-14``. A dated name is best: an alias changes its model.
        base_url: the server's address up to ``/v1``; None for OpenAI itself.
        api_key_env: the environment variable that holds the key; None for a server that takes none.
        identity: the ids of an identity provider and a service account at OpenAI, which are no secrets: where the key is not set, a job
            on GitHub Actions with ``id-token: write`` asks OpenAI with an access token that it gets for its own identity token.
        name: what reports and the recording's file are called; by default the last part of the model's name.
        price: US dollars a million input, cached input and output tokens, each 0 or more.
        samples: how often each prompt is asked, 1 to 100: more than once tells whether the model agrees with itself.
        concurrency: how many requests are in flight at most, 1 to 1,000.
        requests_per_minute, tokens_per_minute: the account's limits, above 0; None for none.
        timeout: the wall limit of one request in seconds, above 0.
        attempts: how often one prompt is tried at most, 1 or more.
        patience: how many seconds one reply may take in all, waiting and trying again included, above 0.
        plain: send the bare prompt to ``/completions``, not a chat message to ``/chat/completions``.
        system: a system message before the prompt.
        stream: have replies streamed, so that the time to the first token is known.
        batch: record through the provider's Batch API: within a day, without times, and cheaper: `price` is then that of batches.
        terms: a note on what the model's licence or terms say of training on its replies; each recorded reply carries it.
        parameters: sent as they are, for example ``seed=7``, ``top_logprobs=5``, ``reasoning_effort="low"``. ``temperature`` is 0 where
            it is not given, and left out where it is None. ``max_tokens`` or ``max_completion_tokens`` stands in place of the task's.

    Raises:
        ModelError: a value outside its range, or an identity for another server than OpenAI's; `load` raises it where the key or the extra
            `api` is missing.
    """

    local = False
    revision = None
    parameters = None

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key_env: str | None = "OPENAI_API_KEY",
        identity: tuple[str, str] | None = None,
        name: str | None = None,
        price: tuple[float, float, float] | None = None,
        samples: int = 1,
        concurrency: int = 32,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timeout: float = 60.0,
        attempts: int = 5,
        patience: float = 120.0,
        plain: bool = False,
        system: str | None = None,
        stream: bool = False,
        batch: bool = False,
        terms: str = "",
        **parameters: Any,
    ) -> None:
        self.model, self.base_url, self.api_key_env, self.identity = model, base_url, api_key_env, identity
        self.name = name or re.sub(r"[^\w.-]+", "-", str(model).rstrip("/").rpartition("/")[2]).strip("-.")
        self.price = checked_price(price)
        self.samples, self.concurrency = samples, concurrency
        self.requests_per_minute, self.tokens_per_minute = requests_per_minute, tokens_per_minute
        self.timeout, self.attempts, self.patience = timeout, attempts, patience
        self.plain, self.system, self.stream, self.batch, self.terms = plain, system, stream, batch, terms
        self.options: dict[str, Any] = {"temperature": 0, **parameters}
        self._check(parameters)
        self._connection: Connection | None = None

    def _check(self, parameters: Mapping[str, Any]) -> None:
        rules: Mapping[str, tuple[bool, str]] = {
            "model": (isinstance(self.model, str) and bool(self.model.strip()) and self.model.isprintable(), "the name of a model"),
            "name": (bool(re.fullmatch(r"[\w-][\w.-]{0,99}", str(self.name))), "1 to 100 letters, digits, '.', '_', '-': it names a file"),
            "base_url": (
                self.base_url is None or _is_address(self.base_url),
                "an http(s) address without user, password or query, such as http://localhost:8000/v1",
            ),
            "api_key_env": (
                # Capitals alone: most keys would pass for a name otherwise, and a name is shown.
                self.api_key_env is None
                or (isinstance(self.api_key_env, str) and bool(re.fullmatch("[A-Z_][A-Z0-9_]*", self.api_key_env))),
                "the name of an environment variable in capitals (never the key), or None",
            ),
            "identity": (is_identity(self.identity), '("<identity provider id>", "<service account id>"), or None'),
            "base_url, identity": (
                self.identity is None or self.origin == OPENAI,
                "left out, one of both: GitHub's identity token is for OpenAI's own server alone, another takes a key by api_key_env=",
            ),
            "samples": (_whole(self.samples, MOST_SAMPLES), f"a whole number from 1 to {MOST_SAMPLES}"),
            "concurrency": (_whole(self.concurrency, MOST_CONCURRENCY), f"a whole number from 1 to {MOST_CONCURRENCY}"),
            "attempts": (_whole(self.attempts, 100), "a whole number from 1 to 100"),
            **{name: (_above_zero(getattr(self, name)), "a number of seconds above 0") for name in ("timeout", "patience")},
            **{
                name: (getattr(self, name) is None or _above_zero(getattr(self, name)), "a number above 0, or None")
                for name in ("requests_per_minute", "tokens_per_minute")
            },
            "plain, stream, batch": (
                all(isinstance(switch, bool) for switch in (self.plain, self.stream, self.batch)) and not (self.stream and self.batch),
                "True or False, and not both stream and batch",
            ),
            "terms": (isinstance(self.terms, str) and len(self.terms) <= 500, "a note of at most 500 characters"),
            "system": (self.system is None or isinstance(self.system, str), "a string"),
        }
        for name, (fine, allowed) in rules.items():
            if not fine:
                # What stands in the place of a variable's name may be the key itself.
                hidden = name in ("api_key_env", "identity") or (name == "base_url" and any(mark in str(self.base_url) for mark in "@?#"))
                values = [getattr(self, each) for each in name.split(", ")]
                seen = "something else" if hidden else ", ".join(f"{value!r:.60}" for value in values)
                raise ModelError(f"Endpoint {self.model!r:.60}: {name} must be {allowed}; seen {seen}.")
        for name in parameters:
            near = get_close_matches(name, _KNOWN, n=1, cutoff=0.8)
            if near and name not in _KNOWN:
                raise ModelError(
                    f"Endpoint {self.model!r}: it takes no {name!r}, and would send it to the server. Did you mean {near[0]!r}?"
                )
        for name in sorted(_RESERVED & parameters.keys()):
            raise ModelError(
                f"Endpoint {self.model!r}: {name!r} is no parameter of a reply. Prompts come from the task, the key from the"
                " environment variable api_key_env; streaming is stream=True, several replies samples=k."
            )
        for name in ("max_tokens", "max_completion_tokens"):
            if not (self.options.get(name) is None or _whole(self.options[name], MOST_TOKENS)):
                raise ModelError(
                    f"Endpoint {self.model!r}: {name} must be a whole number from 1 to {MOST_TOKENS:,}; seen {self.options[name]!r:.60}."
                )
        try:
            json.dumps(self.options, allow_nan=False)
        except (TypeError, ValueError):
            raise ModelError(f"Endpoint {self.model!r}: its parameters must be plain JSON values; seen {self.options!r:.80}.") from None

    def __repr__(self) -> str:
        return f"Endpoint({self.model!r}, name={self.name!r})"

    @cached_property
    def digest(self) -> str:
        """What identifies its replies: the model's name and what is sent beside the prompt; not the address, which may change."""
        return digest(["endpoint", self.model, self.plain, self.system, self._given])

    @property
    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in self.options.items() if value is not None}

    @property
    def origin(self) -> str:
        """The server's address."""
        return self.base_url or OPENAI

    @property
    def server(self) -> str:
        """The server's name, fit for a file: one process at a time asks it, so that concurrency is what was declared."""
        return "api-" + re.sub(r"[^\w.-]+", "-", urlsplit(self.origin).netloc)

    @property
    def key_source(self) -> str:
        """Where the key is taken from, in words."""
        if self.identity is not None and not key_in(self.api_key_env):
            return f"GitHub's identity token, exchanged for the service account {self.identity[1]!r}, whose permissions decide"
        return f"the environment variable {self.api_key_env}" if self.api_key_env else "nowhere: api_key_env is None"

    @property
    def lacks(self) -> str:
        """The environment variables of which one must be set before it can be asked; nothing where it can."""
        return lacking(self.api_key_env, self.identity)

    def sent(self, max_tokens: int, schema: Schema = None, tools: Tools = ()) -> dict[str, Any]:
        """Return what is sent beside model and prompt; recorded with each reply.

        Args:
            max_tokens: the longest reply.
            schema: a JSON schema that the reply should keep to.
            tools: what the model may call.
        """
        values = self._given
        if not {"max_tokens", "max_completion_tokens"} & values.keys():
            # OpenAI's own servers refuse the older name for some models; other servers know no other.
            host = urlsplit(self.origin).hostname or ""
            theirs = host.endswith((".openai.com", ".openai.azure.com"))
            values["max_completion_tokens" if theirs and not self.plain else "max_tokens"] = max_tokens
        if schema is not None and not self.plain and "response_format" not in values:
            values["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": dict(schema), "strict": True}}
        if tools and not self.plain:
            values.setdefault("tools", [dict(tool) for tool in tools])
        if "top_logprobs" in values:
            if self.plain:
                values["logprobs"] = values.pop("top_logprobs")
            else:
                values["logprobs"] = True
        if self.system is not None:
            values["system"] = self.system
        return values

    def body(self, prompt: str, max_tokens: int, schema: Schema = None, tools: Tools = ()) -> dict[str, Any]:
        """Return the JSON body of a request."""
        values = self.sent(max_tokens, schema, tools)
        system = values.pop("system", None)
        if self.plain:
            return {"model": self.model, "prompt": prompt if system is None else f"{system}\n{prompt}", **values}
        messages = [] if system is None else [{"role": "system", "content": system}]
        return {"model": self.model, "messages": [*messages, {"role": "user", "content": prompt}], **values}

    @property
    def path(self) -> str:
        """Where requests go, below the server's address."""
        return "/completions" if self.plain else "/chat/completions"

    # The connection

    def load(self, device: str = "cpu") -> None:
        """Open the connection; does nothing where that is done. `device` does not matter.

        Raises:
            ModelError: there is no key and no identity token to ask with, or the extra `api` is not installed.
        """
        if self._connection is not None:
            return
        key = credentials(self.name, self.api_key_env, self.identity)
        self._connection = Connection(self.origin, key, self.key_source, self.model, max(self.timeout, self.patience))

    def unload(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def connection(self) -> Connection:
        """The open connection; `load` comes first."""
        assert self._connection is not None, "load comes first"
        return self._connection

    async def request(
        self, prompt: str, max_tokens: int, schema: Schema = None, tools: Tools = (), *, limit: float | None = None
    ) -> Answer:
        """Ask once, with one HTTP request, within the wall limit.

        Args:
            prompt: what is asked.
            max_tokens: the longest reply.
            schema, tools: as in `sent`.
            limit: a wall limit in seconds in place of the endpoint's, where that is longer.

        Raises:
            NoReplyError: no reply came back; it says whether asking again may help.
        """
        body = self.body(prompt, max_tokens, schema, tools)
        limit = min(self.timeout, self.timeout if limit is None else limit)
        await self.connection.authorize()
        started = time.perf_counter()
        try:
            async with asyncio.timeout(limit):
                with self.connection.redacting():
                    answer, first = await (self.connection.stream(self.path, body) if self.stream else self._at_once(body))
        except TimeoutError:
            raise NoReplyError(f"no reply within {limit:.3g} s", again=True, billed=True) from None
        except UnicodeEncodeError:
            raise NoReplyError("what is to be sent holds half of a surrogate pair, which is no text") from None
        seconds = time.perf_counter() - started
        return replace(self.redacted(answer), seconds=seconds, first_token=first)

    def redacted(self, answer: Answer) -> Answer:
        """Return the answer without the key, should the server have repeated it; `load` comes first."""
        return self.connection.redacted(answer)

    async def _at_once(self, body: Mapping[str, Any]) -> tuple[Answer, None]:
        response = await self.connection.send("POST", self.path, body)
        if isinstance(response, Answer):
            return response, None
        return read_reply(response, body), None

    async def retires(self) -> str:
        """Return the ISO date on which the server says that the model is shut down; nothing where it does not tell."""
        try:
            async with asyncio.timeout(self.timeout):
                found = await self.connection.send("GET", f"/models/{quote(self.model, safe='/:')}")
        except (NoReplyError, TimeoutError):
            return ""
        return shutdown_date(found) if isinstance(found, bytes) else ""

    # What every model does

    def answer(self, prompts: Sequence[str], max_tokens: int) -> list[Answer]:
        """Answer the prompts, one request each, without trying again; `load` comes first.

        Raises:
            ModelError: a request brought no reply.
        """

        async def all_of_them() -> list[Answer]:
            places = asyncio.Semaphore(self.concurrency)

            async def one(prompt: str) -> Answer:
                async with places:
                    return await self.request(prompt, max_tokens)

            return list(await asyncio.gather(*map(one, prompts)))

        try:
            return self.connection.run(all_of_them())
        except NoReplyError as trouble:
            raise ModelError(f"Endpoint {self.name!r}: {trouble.words}") from None

    def time_one(self, prompt: str, max_tokens: int, schema: Schema = None, tools: Tools = ()) -> Timed:
        """Answer one prompt alone and say how long it took over the wire; `load` comes first. `schema` and `tools` as in `sent`.

        Raises:
            ModelError: three tries brought no reply, the server asks to wait for longer than `patience`, or what came is no reply of
                which the time is worth having.
        """
        for tried in range(1, TIMING_TRIES + 1):
            try:
                answer = self.connection.run(self.request(prompt, max_tokens, schema, tools))
            except NoReplyError as trouble:
                wait = min(TIMING_PAUSE * 2 ** (tried - 1), self.patience) if trouble.after is None else trouble.after
                words = trouble.words
                if wait > self.patience:
                    words += f". The server asks to wait {wait:.0f} s, patience is {self.patience:.3g} s"
                if tried == TIMING_TRIES or not trouble.again or wait > self.patience:
                    raise ModelError(f"Endpoint {self.name!r} could not be timed: {words}") from None
                time.sleep(wait)
            else:
                break
        if answer.outcome not in TIMED:
            raise ModelError(
                f"Endpoint {self.name!r} could not be timed: it answered {answer.text!r:.60} with outcome {answer.outcome} ({answer.detail})"
            )
        assert answer.seconds is not None
        return Timed(answer.seconds, answer.first_token, answer.tokens_out if answer.counted else None)


def _is_address(value: object) -> bool:
    try:
        parts = urlsplit(value) if isinstance(value, str) and re.fullmatch("[!-~]+", value) else None
        return (
            parts is not None
            and parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not (parts.username or parts.password or parts.query or parts.fragment)
        )
    except ValueError:  # of the port, too
        return False


def _whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _above_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9
