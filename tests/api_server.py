"""An OpenAI-compatible HTTP server on loopback that counts what it is asked and misbehaves on request, for tests and benchmarks.

In a test, in a thread of its own: ``with ApiServer(faults=first(status(500), HANG)) as server:``, then ``server.url`` and its counters.
In a process of its own, until its standard input ends: ``python -m tests.api_server --delay 0.05``. The first line it prints is the URL;
``GET /stats`` tells the counters. A client that sends its next request before it has the response to the last (pipelining) is not served.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import unquote

Json = dict[str, Any]
Content = Json | bytes | list[Json | str]  # of a response: a JSON object, bytes, or the events of a stream
CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"


# ---- What can go wrong. A test reads: faults=first(limited(after=1), RESET, None, cut()).


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one response: what is said, what is sent in its place, how the bytes travel.

    `reply` is laid over what the rule says; `content` takes the place of it all; `seconds` pass before the response (of a drip: between its parts).
    """

    reply: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    content: Content | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    wire: Literal["whole", "reset", "closed", "hang", "cut", "short", "drip"] = "whole"
    gzip: bool = False
    seconds: float = 0.0


def first(*faults: Fault | None) -> Callable[..., Fault | None]:
    """The first requests get these faults, in turn; later ones none."""
    return lambda number, *_: faults[number] if number < len(faults) else None


def status(number: int, code: str | None = None, message: str = "", headers: Mapping[str, str] | None = None, **more: Any) -> Fault:
    """An error in the API's own form, such as ``status(404, "model_not_found")``, with `more` keys."""
    error = {"message": message or HTTPStatus(number).phrase, "type": "error", "param": None, "code": code, **more}
    return Fault(status=number, content={"error": error}, headers=headers or {})


def limited(after: float | str | None = None, *, milliseconds: float | None = None) -> Fault:
    """A 429 whose Retry-After is seconds or an HTTP date, and whose retry-after-ms is `milliseconds`."""
    headers = {"retry-after": after, "retry-after-ms": milliseconds}
    return status(429, "rate_limit_exceeded", headers={name: str(value) for name, value in headers.items() if value is not None})


def slow(seconds: float) -> Fault:
    """A whole response, this much later."""
    return Fault(seconds=seconds)


def drip(seconds: float) -> Fault:
    """A whole response, byte by byte (a stream: event by event) with a pause between."""
    return Fault(wire="drip", seconds=seconds)


def cut(*, seen: bool = True, gzip: bool = False) -> Fault:
    """Half of a body (of a gzip body, of a stream's events), then the end; unless it is to be `seen`, the framing claims that all is there."""
    return Fault(wire="cut" if seen else "short", gzip=gzip)


def other_model(name: str) -> Fault:
    """Another model answers than the one asked."""
    return Fault(reply={"model": name})


def huge(megabytes: int) -> Fault:
    """A text of so many megabytes."""
    return Fault(reply={"text": "x" * (megabytes * 2**20)})


RESET = Fault(wire="reset")  # the connection ends with RST
CLOSED = Fault(wire="closed")  # the connection ends without a response
HANG = Fault(wire="hang")  # no response until the client leaves or the server is closed
HTML = Fault(content=b"<!doctype html><title>Sign in</title>", headers={"content-type": "text/html"})  # as of a proxy, with status 200
GARBAGE = Fault(content=b'{"choices": [{"mess')  # claims to be JSON, with status 200
NO_CHOICES = Fault(reply={"choices": []})
REFUSAL = Fault(reply={"text": None, "refusal": "I cannot help with that."})
AT_LIMIT = Fault(reply={"finish_reason": "length"})
FILTERED = Fault(reply={"text": "", "finish_reason": "content_filter"})
AZURE_FILTERED = status(400, "content_filter", "The prompt was filtered.", innererror={"code": "ResponsibleAIPolicyViolation"})
NULL_CONTENT = Fault(reply={"text": None})
LONE_SURROGATE = Fault(reply={"text": "cut \ud83d"})  # a text that ends within an emoji: the JSON escape alone
NO_FAULT = Fault()
NEVER = first()


# ---- What is said: a prompt to a completion, whole or as the events of a stream.


def wanted(prompt: str, request: Json) -> str:
    """Answer the word after ``want=``, and ok where there is none."""
    return prompt.split("want=")[1].split(maxsplit=1)[0] if "want=" in prompt else "ok"


def prompt_of(request: Json) -> str:
    """The text asked: a plain prompt, or what the user's messages say."""
    if "prompt" in request:
        return str(request["prompt"])
    contents = [message["content"] for message in request["messages"] if message["role"] == "user"]
    return "\n".join(text if isinstance(text, str) else "".join(part["text"] for part in text) for text in contents)


def tokens_of(text: str) -> list[str]:
    """The words of a text, each with the space before it."""
    return re.findall(r"\s*\S+|\s+$", text)


def in_form(text: str, asked: Json) -> str:
    """A text in the response format asked for: as the value of every property, unless it is an object already."""
    if asked["type"] == "text" or text.startswith("{"):
        return text
    return json.dumps(dict.fromkeys(asked.get("json_schema", {}).get("schema", {}).get("properties", ["answer"]), text))


def logprobs_of(text: str, most: int) -> Json:
    """Made-up log-probabilities in chat form: of each token, and of the `most` likely ones in its place, itself the first."""

    def entry(token: str, rank: int = 0) -> Json:
        return {"token": token, "logprob": -0.1 - 2.0 * rank, "bytes": list(token.encode("utf-8", "surrogatepass"))}

    def top(token: str) -> list[Json]:
        return [entry(f" other{rank}" if rank else token, rank) for rank in range(most)]

    return {"content": [entry(token) | {"top_logprobs": top(token)} for token in tokens_of(text)], "refusal": None}


def completion(said: Json, *, number: int, chat: bool) -> Json:
    """The completion that says this. Keys of `said`: model, text, usage; where needed finish_reason, refusal, tool_calls, logprobs, choices."""
    text, calls = said["text"], said.get("tool_calls")
    message = {"role": "assistant", "content": text, "refusal": said.get("refusal")} | ({"tool_calls": calls} if calls else {})
    finish = said.get("finish_reason") or ("tool_calls" if calls else "stop")
    choice = {"index": 0, **({"message": message} if chat else {"text": text}), "logprobs": said.get("logprobs"), "finish_reason": finish}
    about = {"id": f"cmpl-{number}", "object": "chat.completion" if chat else "text_completion", "created": int(time.time())}
    return about | {"model": said["model"], "choices": said.get("choices", [choice]), "usage": said["usage"]}


def events_of(whole: Json, *, chat: bool, with_usage: bool) -> Iterator[Json | str]:
    """The same completion as the events of a stream."""
    base = whole | {"object": "chat.completion.chunk" if chat else "text_completion", "usage": None}

    def chunk(delta: Json, finish: str | None = None, logprobs: Json | None = None) -> Json:
        part = {"delta": delta} if chat else {"text": delta.get("content", "")}
        return base | {"choices": [{"index": 0, **part, "logprobs": logprobs, "finish_reason": finish}]}

    for choice in whole["choices"]:
        message = choice["message"] if chat else {"content": choice["text"]}
        if chat:
            yield chunk({"role": "assistant", "content": ""})
        for k, token in enumerate(tokens_of(message["content"] or "")):
            yield chunk({"content": token}, logprobs=None if k else choice["logprobs"])
        if message.get("refusal"):
            yield chunk({"refusal": message["refusal"]})
        if message.get("tool_calls"):
            yield chunk({"tool_calls": [{"index": k, **call} for k, call in enumerate(message["tool_calls"])]})
        yield chunk({}, finish=choice["finish_reason"])
    if with_usage:
        yield base | {"choices": [], "usage": whole["usage"]}
    yield "[DONE]"


# ---- Batches: lines in a file, answered later, in another order.


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """How one batch goes: at the look number `polls` it `ends`; expired or cancelled, the first half of its lines were answered.

    The last `lost` lines of its output are missing; a file of more than `most_lines` fails. A line goes to the error file where the server's `faults`
    give it another status than 200.
    """

    polls: int = 2
    ends: Literal["completed", "failed", "expired"] = "completed"
    lost: int = 0
    most_lines: int = 50_000


class Batches:
    """Files and batches by id. `ask(path, request)` answers one line with a status and a body."""

    def __init__(self, plans: Sequence[BatchPlan], ask: Callable[[str, Json], tuple[int, object]]) -> None:
        self.plans, self.ask, self.order = plans, ask, random.Random(0)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Json] = {}
        self.going: dict[str, tuple[BatchPlan, int, str]] = {}  # the plan, the looks left, how it will end

    def upload(self, content: bytes, purpose: str) -> Json:
        made = f"file-{len(self.files)}"
        self.files[made] = content
        about = {"created_at": int(time.time()), "filename": f"{made}.jsonl", "purpose": purpose, "status": "processed"}
        return {"id": made, "object": "file", "bytes": len(content), **about}

    def create(self, request: Json) -> Json:
        made, plan = f"batch_{len(self.batches)}", self.plans[min(len(self.batches), len(self.plans) - 1)]
        counts = {"total": 0, "completed": 0, "failed": 0}
        later = {"output_file_id": None, "error_file_id": None, "errors": None, "request_counts": counts}
        batch = {
            "id": made,
            "object": "batch",
            "status": "validating",
            "created_at": int(time.time()),
            "metadata": None,
            **request,
            **later,
        }
        self.batches[made], self.going[made] = batch, (plan, plan.polls, plan.ends)
        return batch

    def look(self, made: str) -> Json:
        batch = self.batches[made]
        if made in self.going:
            plan, looks, end = self.going.pop(made)
            if looks > 1:
                self.going[made] = plan, looks - 1, end
                batch["status"] = "in_progress"
            else:
                self._end(batch, plan, end)
        return batch

    def cancel(self, made: str) -> Json:
        if made in self.going:
            self.going[made] = self.going[made][0], 1, "cancelled"
            self.batches[made]["status"] = "cancelling"
        return self.batches[made]

    def _end(self, batch: Json, plan: BatchPlan, end: str) -> None:
        lines = self.files[batch["input_file_id"]].splitlines()
        wrong = [(None, "token_limit_exceeded")] if end == "failed" else list(mistakes(lines, batch["endpoint"], plan.most_lines))
        if wrong:
            data = [{"code": code, "line": line, "message": code.replace("_", " "), "param": None} for line, code in wrong]
            batch |= {"status": "failed", "errors": {"object": "list", "data": data}}
            return
        done = len(lines) if end == "completed" else len(lines) // 2
        answers: tuple[list[Json], list[Json]] = ([], [])  # of the output file, of the error file
        for k, line in enumerate(map(json.loads, lines)):
            response, error = None, {"code": f"batch_{end}", "message": "This request could not be executed before the batch ended."}
            if k < done:
                number, body = self.ask(line["url"], line["body"])
                response = {"status_code": number, "request_id": f"req_{k}", "body": body}
            answer = {"id": f"batch_req_{k}", "custom_id": line["custom_id"], "response": response, "error": None if response else error}
            answers[not response or response["status_code"] != 200].append(answer)
        self.order.shuffle(answers[0])
        counts = {"total": len(lines), "completed": len(answers[0]), "failed": done - len(answers[0])}
        del answers[0][len(answers[0]) - plan.lost :]
        texts = ["".join(json.dumps(answer) + "\n" for answer in found).encode() for found in answers]
        output, errors = (self.upload(text, "batch_output")["id"] if text else None for text in texts)
        batch |= {"status": end, "request_counts": counts, "output_file_id": output, "error_file_id": errors}


def mistakes(lines: Sequence[bytes], endpoint: str, most: int) -> Iterator[tuple[int | None, str]]:
    """What the API's own check finds in a batch's file: the line, and the code."""
    if not 1 <= len(lines) <= most:
        yield None, "too_many_tasks" if lines else "empty_file"
    ids: set[str] = set()
    models: set[str] = set()
    for number, line in enumerate(lines, 1):
        try:
            asked = json.loads(line)
            made, url, model = asked["custom_id"], asked["url"], asked["body"]["model"]
        except (ValueError, KeyError):
            yield number, "invalid_json_line"
            continue
        wrong = {"duplicate_custom_id": made in ids, "url_mismatch": url != endpoint, "model_mismatch": bool(models - {model})}
        yield from ((number, code) for code, is_so in wrong.items() if is_so)
        ids.add(made)
        models.add(model)


# ---- HTTP, and the server.


class Request(NamedTuple):
    """One HTTP request; its headers by their names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


async def receive(reader: asyncio.StreamReader) -> Request:
    """Read the next request; IncompleteReadError where the client left."""
    start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    method, target, _ = start.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, unquote(target.partition("?")[0]), headers, body)


def form_of(request: Request) -> dict[str, bytes]:
    """The fields of a multipart form."""
    edge = b"--" + request.headers["content-type"].partition("boundary=")[2].strip('"').encode()
    parts = [part.partition(b"\r\n\r\n") for part in request.body.split(edge)[1:-1]]
    return {head.partition(b'; name="')[2].partition(b'"')[0].decode(): content[:-2] for head, _, content in parts}


async def stay(reader: asyncio.StreamReader, seconds: float | None) -> None:
    """Wait so long (None: without end), but no longer than the client does: it sends nothing while it waits, so any news is its leaving."""
    try:
        async with asyncio.timeout(seconds):
            await reader.read(1)
    except TimeoutError:
        return
    raise ConnectionAbortedError


async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault, number: int, content: Content) -> None:
    """Send a response, or what the fault makes of it; ConnectionAbortedError ends the connection."""
    if fault.wire == "hang":
        await stay(reader, None)
    if fault.wire == "reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if fault.wire in {"reset", "closed"}:
        raise ConnectionAbortedError
    if streamed := isinstance(content, list):
        parts = [b"data: %b\n\n" % (event if isinstance(event, str) else json.dumps(event)).encode() for event in content]
    else:
        parts = [content if isinstance(content, bytes) else json.dumps(content).encode()]
    if fault.gzip:
        parts = [gzip.compress(b"".join(parts))]
    length = sum(map(len, parts))
    if fault.wire in {"cut", "short"}:
        parts = parts[: len(parts) // 2] if len(parts) > 1 else [parts[0][: length // 2]]
    elif fault.wire == "drip" and not streamed:
        parts = [bytes([byte]) for byte in parts[0]]
    headers = {"content-type": "text/event-stream" if streamed else "application/json"}
    if fault.gzip:
        headers["content-encoding"] = "gzip"
    if streamed:
        headers["transfer-encoding"] = "chunked"
        parts = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts] + ([] if fault.wire == "cut" else [b"0\r\n\r\n"])
    else:
        headers["content-length"] = str(length if fault.wire == "cut" else sum(map(len, parts)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers | dict(fault.headers)).items())
    parts = [f"HTTP/1.1 {number} {HTTPStatus(number).phrase}\r\n{lines}\r\n".encode(), *parts]
    for k, part in enumerate(parts if fault.wire == "drip" else [b"".join(parts)]):
        if k:
            await stay(reader, fault.seconds)
        writer.write(part)
        await writer.drain()
    if fault.wire == "cut":
        raise ConnectionAbortedError


@dataclass(kw_only=True)
class ApiServer:
    """The server, running while its ``with`` block does. What breaks in a rule is raised at the end of the block.

    `reply(prompt, request)` gives a text, or a dict of what `completion` takes; `faults(number, prompt, request)` a Fault or None for the completion
    of this number, asked alone or as a line of a batch (where connections do not fail); `other_faults(number, "GET /v1/models")` the same for any
    other request, numbered by path. `models` are the ids that the server knows, with more keys of their description (None: it knows every id). `delay`
    is in seconds; `batches` are the plans of the batches in turn, the last for all that follow.
    """

    reply: Callable[[str, Json], str | Json] = wanted
    faults: Callable[[int, str, Json], Fault | None] = NEVER
    other_faults: Callable[[int, str], Fault | None] = NEVER
    delay: float = 0.0
    model: str | None = None
    models: Mapping[str, Json] | None = None
    cached: int = 0
    ignores: Collection[Literal["logprobs", "response_format"]] = ()
    batches: Sequence[BatchPlan] = (BatchPlan(),)
    keep: bool = True
    port: int = 0

    def __post_init__(self) -> None:
        self.requests: list[Json] = []  # method, path, headers, body, started (time.monotonic()), if `keep`
        self.count: Counter[str] = Counter()  # requests by path
        self.prompts: Counter[str] = Counter()  # how often each was asked
        self.asked = 0  # completions, those of batches too
        self.peak = 0  # the most completions in flight at one time
        self._flying = 0
        self._store = Batches(self.batches, self._line)
        self._open: dict[asyncio.StreamWriter, asyncio.Future[None]] = {}
        self._broken: list[Exception] = []
        self._started = threading.Event()

    @property
    def url(self) -> str:
        """The base URL, for a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="api-server")
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._broken and kind is None:
            raise self._broken[0]

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, sock=self._socket, backlog=1024)
        self._started.set()
        await self._stop.wait()
        self._loop.remove_reader(self._socket)  # before close(), which would lose the connections that are just being made
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for writer in self._open:  # a handler ends by itself when its connection does
                writer.transport.abort()
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        server.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)  # so that drain waits until all is sent
        self._open[writer] = asyncio.ensure_future(self._converse(reader, writer))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await receive(reader)
                await self._answer(request, reader, writer)
                if request.headers.get("connection") == "close":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # one side left, the server perhaps on purpose
        except Exception as error:  # of a rule, or of a request that no client should send: for the test to see
            self._broken.append(error)
        finally:
            writer.transport.abort()
            del self._open[writer]

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        route = f"{request.method} {request.path}"
        if route == "GET /stats":
            counters = {"count": self.count, "peak": self.peak, "asked": self.asked, "repeated": self.asked - len(self.prompts)}
            await send(reader, writer, NO_FAULT, 200, counters)
            return
        self.count[request.path] += 1
        if self.keep:
            self.requests.append(request._asdict() | {"started": time.monotonic()})
        if request.path not in {CHAT, PLAIN}:
            fault = self.other_faults(self.count[request.path] - 1, route) or NO_FAULT
            number, content = (fault.status, fault.content) if fault.content is not None else self._look_up(request)
            await send(reader, writer, fault, number, content)
            return
        self._flying += 1
        self.peak = max(self.peak, self._flying)
        try:
            fault, content = self._complete(request.path, json.loads(request.body))
            if pause := self.delay + (0.0 if fault.wire == "drip" else fault.seconds):
                await stay(reader, pause)
            await send(reader, writer, fault, fault.status, content)
        finally:
            self._flying -= 1

    def _complete(self, path: str, request: Json) -> tuple[Fault, Content]:
        prompt, chat, number = prompt_of(request), path == CHAT, self.asked
        self.prompts[prompt] += 1
        self.asked += 1
        fault = self.faults(number, prompt, request) or NO_FAULT
        if fault.content is not None:
            return fault, fault.content
        found = self.reply(prompt, request)
        said: Json = {"model": self.model or request["model"], "text": None} | (found if isinstance(found, dict) else {"text": found})
        if said["text"] and request.get("response_format") and "response_format" not in self.ignores:
            said["text"] = in_form(said["text"], request["response_format"])
        said |= fault.reply
        text = said["text"] or ""
        if chat and request.get("logprobs") and "logprobs" not in self.ignores:
            said.setdefault("logprobs", logprobs_of(text, request.get("top_logprobs") or 0))
        words = len(prompt.split()), len(text.split())
        usage = {"prompt_tokens": words[0], "completion_tokens": words[1], "total_tokens": sum(words)}
        said.setdefault("usage", usage | {"prompt_tokens_details": {"cached_tokens": self.cached}})
        whole = completion(said, number=number, chat=chat)
        if not request.get("stream"):
            return fault, whole
        return fault, list(events_of(whole, chat=chat, with_usage=bool((request.get("stream_options") or {}).get("include_usage"))))

    def _line(self, path: str, request: Json) -> tuple[int, object]:
        fault, content = self._complete(path, request)
        return fault.status, content.decode() if isinstance(content, bytes) else content

    def _look_up(self, request: Request) -> tuple[int, Content]:
        store, models = self._store, self.models or {}
        about = {"object": "model", "created": 0, "owned_by": "tests"}
        match request.method, request.path.removeprefix("/v1/").split("/"):
            case "GET", ["models"]:
                return 200, {"object": "list", "data": [{"id": name, **about, **more} for name, more in models.items()]}
            case "GET", ["models", *parts] if self.models is None or "/".join(parts) in models:
                return 200, {"id": "/".join(parts), **about, **models.get("/".join(parts), {})}
            case "POST", ["files"]:
                return 200, store.upload(form_of(request)["file"], "batch")
            case "GET", ["files", made, "content"] if made in store.files:
                return 200, store.files[made]
            case "POST", ["batches"]:
                return 200, store.create(json.loads(request.body))
            case "GET", ["batches"]:
                return 200, {"object": "list", "data": list(store.batches.values()), "has_more": False}
            case "GET", ["batches", made] if made in store.batches:
                return 200, store.look(made)
            case "POST", ["batches", made, "cancel"] if made in store.batches:
                return 200, store.cancel(made)
        return 404, {"error": {"message": f"no {request.path} here", "type": "invalid_request_error", "param": None, "code": "not_found"}}


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.api_server", description="Serve the OpenAI API on loopback until the standard input ends."
    )
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each completion")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    given = parser.parse_args()
    with ApiServer(delay=given.delay, port=given.port, keep=False) as server:
        print(server.url, flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
