"""The connection to an OpenAI-compatible server, through the openai SDK, on an event loop of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from pytest_distill.errors import ModelError
from pytest_distill.models.identity import Identity, Secrets
from pytest_distill.models.model import Answer
from pytest_distill.models.wire import NoReplyError, from_status, garbled, join_stream, read_reply

T = TypeVar("T")
OPENAI = "https://api.openai.com/v1"


class Connection:
    """An open connection.

    Args:
        origin: the server's address up to ``/v1``.
        key: the key, which is kept nowhere but here and in the SDK's client; or the identity that gets one when it is needed.
        key_source: where it was taken from, in words.
        model: the model that is asked, for messages.
        timeout: the longest wait for a part of a reply, in seconds; requests have wall limits of their own.

    Raises:
        ModelError: the extra `api` is not installed, or the client cannot be made: of a proxy or a certificate that is wrong, say.
    """

    def __init__(self, origin: str, key: str | Identity, key_source: str, model: str, timeout: float) -> None:
        try:
            from openai import AsyncOpenAI
        except ModuleNotFoundError:
            raise ModelError("openai is not installed, and an Endpoint is to be asked. Run: pip install 'pytest-distill[api]'") from None
        self._origin, self._key_source, self._model = origin, key_source, model
        self._identity = key if isinstance(key, Identity) else None
        self._secrets = key.secrets if isinstance(key, Identity) else Secrets()
        if isinstance(key, str):
            self._secrets.hide(key)
        try:
            self.client = AsyncOpenAI(
                api_key=key.token if isinstance(key, Identity) else key, base_url=origin, max_retries=0, timeout=timeout
            )
        except Exception as error:  # whatever the SDK and its transport make of proxies and certificates in the environment
            words = self.redact(f"{type(error).__name__}: {error}")[:300].rstrip(".")
            del key  # the traceback of `error` would hold the key, and pytest shows the arguments of this frame
            raise ModelError(
                f"no connection to {origin} can be made: {words}. Look at the proxy and certificate variables of the environment, such as"
                " HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE."
            ) from None
        if not origin.startswith(OPENAI):
            self.client.organization = self.client.project = None  # an OpenAI account's, from the environment: no other server's business
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop that this connection belongs to."""
        return self._runner.run(work)

    def close(self) -> None:
        """Close it and its loop."""
        with self._runner:
            self._runner.run(self.client.close())

    async def authorize(self) -> None:
        """Have what requests are sent with, so that getting it is no part of the time that one takes.

        Raises:
            NoReplyError: it is not to be had.
        """
        if self._identity is not None:
            await self._identity.token()

    async def send(self, method: str, path: str, body: Any = None, **options: Any) -> bytes | Answer:
        """Send one request and return the body of its reply as it came, the key in it if the server repeats it: `redact` what is kept.

        A filtered prompt is an `Answer`.

        Raises:
            NoReplyError: the server refused or cannot be reached.
        """
        with self.redacting():
            return await self._sent(method, path, body, **options)

    async def _sent(self, method: str, path: str, body: Any, **options: Any) -> bytes | Answer:
        import httpx2  # the SDK's own transport, which is there where openai is
        import openai

        try:
            if method == "POST":
                response: Any = await self.client.post(path, body=body, cast_to=httpx2.Response, **options)
            else:
                response = await self.client.get(path, cast_to=httpx2.Response, **options)
            return bytes(response.content)
        except openai.APIStatusError as error:
            return self._refused(error.response.status_code, error.response.headers, error.response.content)
        except (openai.APIConnectionError, httpx2.RequestError) as error:
            raise self._lost(error) from None

    def _refused(self, status: int, headers: Mapping[str, str], content: bytes) -> Answer:
        found = from_status(status, headers, content, key=self._key_source, model=self._model, origin=self._origin)
        if isinstance(found, NoReplyError):
            raise found
        return self.redacted(found)

    def _lost(self, error: Exception) -> NoReplyError:
        import httpx2

        cause = error.__cause__ or error
        words = f"{type(cause).__name__}: {cause}".replace("\n", " ").strip(": ")[:200]
        if isinstance(cause, httpx2.DecodingError):
            return garbled(f"the reply cannot be decompressed ({words})")
        if "complete message body" in words:  # the transport has one error for an end before the reply and within it
            return garbled(f"the reply broke off ({words})")
        # Where the connection could not even be made, nothing was asked that could cost anything.
        unasked = isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol))
        where = "cannot be reached" if unasked else "broke the connection"
        return NoReplyError(f"{self._origin} {where} ({words})", again=True, billed=not unasked)

    async def stream(self, path: str, body: Mapping[str, Any]) -> tuple[Answer, float | None]:
        """Ask for a completion as a stream; return the answer and the seconds until its first token, None where it was not streamed.

        Raises:
            NoReplyError: the server refused, cannot be reached, or the stream broke off.
        """
        import httpx2
        import openai

        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        events: list[bytes] = []
        started, first = time.perf_counter(), None
        try:
            response: Any = await self.client.post(
                path, body=asked, cast_to=httpx2.Response, stream=True, stream_cls=openai.AsyncStream[Any]
            )
            try:
                if "event-stream" not in response.headers.get("content-type", ""):
                    return read_reply(await response.aread(), body), None
                async for line in _lines(response.aiter_bytes()):
                    if line.startswith(b"data:"):
                        events.append(line[5:].strip())
                        if first is None and _brings_text(events[-1]):
                            first = time.perf_counter() - started
            finally:
                await response.aclose()
        except openai.APIStatusError as error:
            return self._refused(error.response.status_code, error.response.headers, error.response.content), None
        except openai.APIConnectionError as error:
            raise self._lost(error) from None
        except httpx2.RequestError:  # the SDK wraps those before the first byte
            raise garbled(f"the stream broke off after {len(events)} events") from None
        return join_stream(events, body), first

    # A server may repeat the key, spelt in its own way. It is taken out of what was understood, never out of bytes: those may escape it
    # or cut it in two.

    def redact(self, text: str) -> str:
        """Return the text with ``***`` in place of the key and of tokens, in whatever spelling; see `Secrets`."""
        return self._secrets.redact(text)

    def redacted(self, answer: Answer) -> Answer:
        """Return the answer without the key in its text, detail, model and log probabilities.

        Where the tokens of the log probabilities spell the key together, there are none in what is returned.
        """
        logprobs = answer.logprobs
        if logprobs is not None:
            logprobs = [[self.redact(token), own, [[self.redact(other), value] for other, value in top]] for token, own, top in logprobs]
            together = "".join(token for token, _, _ in logprobs)
            logprobs = logprobs if self.redact(together) == together else None
        text, detail, answered_by = map(self.redact, (answer.text, answer.detail, answer.answered_by))
        return replace(answer, text=text, detail=detail, answered_by=answered_by, logprobs=logprobs)

    @contextmanager
    def redacting(self) -> Iterator[None]:
        """Take the key out of the words of a `NoReplyError` that passes."""
        try:
            yield
        except NoReplyError as trouble:
            trouble.words = self.redact(trouble.words)
            trouble.args = (trouble.words,)
            raise


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Split at line feeds alone: a text may hold what else Unicode calls the end of a line."""
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line
    yield rest


def _brings_text(event: bytes) -> bool:
    try:
        choice = json.loads(event)["choices"][0]
        return bool((choice.get("delta") or {}).get("content") or choice.get("text"))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return False
