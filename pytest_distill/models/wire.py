"""What an OpenAI-compatible server says, understood: bodies to answers, refusals and faults to `NoReplyError`. Pure, no I/O."""

from __future__ import annotations

import email.utils
import json
import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pytest_distill.models.model import Answer

MOST_TEXT = 100_000  # characters of a reply that are kept; no bounded task has longer answers
MOST_WORDS = 300  # characters of a server's message that are repeated
MOST_COUNT = 10**12  # tokens; what is beyond is no count
MOST_AFTER = 1e9  # seconds; what is beyond has no date
_NO_COMPLETION = (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError, RecursionError)
CUT, FILTERED = "length", "content_filter"
_BROKEN_OFF = ("error", "abort")  # how some servers end a reply that they could not go on with


class NoReplyError(Exception):
    """A request that brought no reply.

    Attributes:
        words: what happened, for people; holds no key.
        hopeless: no request to this server will fare better: the key, the model or the account is refused.
        again: whether the same request may succeed later.
        garbled: whether something came back that is no reply; trying once more is enough then.
        after: seconds that the server asked to wait, or None.
        billed: whether the provider may charge for it all the same.
    """

    def __init__(
        self,
        words: str,
        *,
        hopeless: bool = False,
        again: bool = False,
        garbled: bool = False,
        after: float | None = None,
        billed: bool = False,
    ) -> None:
        super().__init__(words)
        self.words, self.hopeless, self.again, self.garbled, self.after, self.billed = words, hopeless, again, garbled, after, billed


def garbled(words: str) -> NoReplyError:
    """Return the trouble of a reply that arrived damaged: the server has done its work, and charges for it."""
    return NoReplyError(words, again=True, garbled=True, billed=True)


def from_status(status: int, headers: Mapping[str, str], body: bytes, *, key: str, model: str, origin: str) -> Answer | NoReplyError:
    """Return what an HTTP error means: a filtered prompt is an answer of its kind, everything else a trouble.

    Args:
        status: 400 to 599 (others are troubles too).
        headers: with lower-case names.
        body: as it came.
        key: where the key was taken from, in words; never the key.
        model: the model that was asked.
        origin: the server's address.
    """
    error = _error(body)
    given = error.get("message")
    message = (given if isinstance(given, str) else body[: 4 * MOST_WORDS].decode("utf-8", "replace")).strip() or "no message"
    said = f"HTTP {status}: {_brief(' '.join(message.split()), MOST_WORDS)}"
    code = error.get("code") or error.get("type")
    if status in (401, 403):
        return NoReplyError(f"{origin} refuses the key ({said}). It is taken from {key}: set another one there", hopeless=True)
    if status == 404:
        return NoReplyError(
            f"{origin} knows no model {model!r}, or the address is wrong ({said}). It ends in /v1 with most servers, and {origin}/models lists what"
            " there is",
            hopeless=True,
        )
    if status == 400 and code in ("content_filter", "content_policy_violation"):
        return Answer("", "filtered", 0, 0, counted=False, detail=f"the provider filtered the prompt ({said})")
    if code in ("insufficient_quota", "billing_hard_limit_reached"):
        return NoReplyError(f"the account at {origin} has no money left ({said}). Top it up", hopeless=True)
    if status in (408, 409, 425, 429) or status >= 500:
        return NoReplyError(said, again=True, after=retry_after(headers))
    return NoReplyError(said)


def _error(body: bytes) -> Mapping[str, Any]:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return {}
    return error if isinstance(error, dict) else {"message": error}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a server asks to wait: ``retry-after-ms``, or ``retry-after`` as seconds or as an HTTP date."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        return min(seconds, MOST_AFTER) if 0 <= seconds < math.inf else None
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None


def read_reply(body: bytes, asked: Mapping[str, Any]) -> Answer:
    """Return the answer in the body of a 200.

    Args:
        body: as it came, decompressed.
        asked: the body of the request.

    Raises:
        NoReplyError: it is no completion, for example a page of HTML.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        start = body[:80].decode("utf-8", "replace").strip()
        raise garbled(f"HTTP 200 with something that is no JSON: {start!r}") from None
    return _understood(data, asked, body)


def _understood(data: Any, asked: Mapping[str, Any], body: bytes) -> Answer:
    try:
        return _read(data, asked)
    except _NO_COMPLETION as error:
        start = body[:80].decode("utf-8", "replace").strip()
        raise garbled(f"HTTP 200 with JSON that is no completion ({type(error).__name__}: {error}): {start!r}") from None


def _read(data: Mapping[str, Any], asked: Mapping[str, Any]) -> Answer:
    if data.get("error"):
        raise _reported(data["error"])
    usage = data.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    counted = tokens_in is not None and tokens_out is not None
    facts: dict[str, Any] = {
        "tokens_in": tokens_in if counted else 0,
        "tokens_out": tokens_out if counted else 0,
        "tokens_cached": min(_count(details.get("cached_tokens")) or 0, tokens_in or 0) if counted else 0,
        "counted": counted,
        "answered_by": data["model"] if isinstance(data.get("model"), str) else "",
    }
    if not isinstance(data["choices"], list):
        raise TypeError("the choices are no list")
    if not data["choices"]:
        return Answer("", "empty", detail="the server sent no choices", **facts)
    choice = data["choices"][0]
    message = choice["message"] if "message" in choice else {"content": choice["text"]}
    text, outcome, detail = _content(message), "answered", ""
    if message.get("tool_calls") and "tools" in asked:
        text = _called(message["tool_calls"])
    finish = choice.get("finish_reason")
    if finish in _BROKEN_OFF:
        raise garbled(f"the server ended the reply with {finish!r}")
    if message.get("refusal"):
        text, outcome, detail = str(message["refusal"]), "refused", "the model refused"
    elif finish == FILTERED:
        outcome, detail = "filtered", "the provider filtered the reply"
    elif finish == CUT:
        outcome, detail = "cut", "the reply reached the token limit"
    elif not text.strip():
        outcome, detail = "empty", "the reply is empty" + (": the model called a tool instead" if message.get("tool_calls") else "")
    elif "response_format" in asked:
        detail = no_json(text)
        outcome = "malformed" if detail else outcome
    if len(text) > MOST_TEXT:
        outcome, detail = "malformed", f"the reply has {len(text)} characters; the first {MOST_TEXT} are kept"
        text = text[:MOST_TEXT]
    else:
        facts["logprobs"] = _logprobs(choice.get("logprobs"))
    return Answer(text, outcome, detail=detail, **facts)


def _called(calls: Sequence[Mapping[str, Any]]) -> str:
    """Return calls of tools as the text of a reply, in the form that `ToolCall` writes; arguments that are no JSON stay a text."""
    texts = []
    for call in calls:
        name, arguments = json.dumps(call["function"]["name"], ensure_ascii=False), call["function"].get("arguments") or "{}"
        is_json = isinstance(arguments, str) and not no_json(arguments)
        whole = arguments if is_json else json.dumps(arguments, ensure_ascii=False)  # some servers send an object
        texts.append(f'{{"tool": {name}, "arguments": {whole}}}')
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _reported(error: Any) -> NoReplyError:
    return garbled(f"the server reported an error: {_brief(str(error), MOST_WORDS)}")


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, list):  # some servers send parts
        content = "".join(part.get("text") or "" for part in content)
    if not isinstance(content, str):
        raise TypeError("the content is no text")
    return content


def no_json(text: str) -> str:
    """Return why a reply for which a response format was asked does not keep to it, or nothing.

    A server may ignore the format and answer HTTP 200 all the same: what counts is what came back.
    """
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        how = "stands in a code fence" if text.strip().startswith("```") else "is no JSON"
        return f"a response format was asked for and the reply {how}: the server does not keep to it"
    return ""


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_COUNT else None


def _logprobs(given: Any) -> Sequence[Any] | None:
    """Return log probabilities in one form, from that of chat or that of plain completions; None where there are none, or no such form."""
    try:
        return _in_one_form(given) if isinstance(given, dict) else None
    except _NO_COMPLETION:
        return None  # the reply is paid for, and as good without


def _in_one_form(given: Mapping[str, Any]) -> Sequence[Any] | None:
    if given.get("content"):
        found = [
            [token["token"], token["logprob"], [[top["token"], top["logprob"]] for top in token.get("top_logprobs") or ()]]
            for token in given["content"]
        ]
    elif given.get("tokens") and given.get("token_logprobs"):
        tops = given.get("top_logprobs") or [{}] * len(given["tokens"])
        rows = zip(given["tokens"], given["token_logprobs"], tops, strict=True)
        found = [[token, logprob, [[*pair] for pair in (top or {}).items()]] for token, logprob, top in rows]
    else:
        return None
    if not all(isinstance(name, str) for token, _, top in found for name in (token, *(other for other, _ in top))):
        raise TypeError("a token is no text")
    return [[token, _rounded(own), [[other, _rounded(value)] for other, value in top]] for token, own, top in found]


def _rounded(value: Any) -> float | None:
    number = float(value) if isinstance(value, (int, float)) else math.nan
    return round(number, 4) if math.isfinite(number) else None


def join_stream(events: Sequence[bytes], asked: Mapping[str, Any]) -> Answer:
    """Return the answer that the data of a stream's events make together.

    Raises:
        NoReplyError: the stream broke off, reported an error, or is no stream of a completion.
    """
    text, refusal, finish, usage, model = "", "", None, None, ""
    logprobs: dict[str, list[Any]] = {}
    calls: dict[int, dict[str, str]] = {}
    ended = False
    for event in events:
        if event == b"[DONE]":
            ended = True
            break
        try:
            data = json.loads(event)
            if data.get("error"):
                raise _reported(data["error"])
            model, usage = data.get("model") or model, data.get("usage") or usage
            for choice in data["choices"][:1]:
                delta = choice.get("delta") or {}
                text += delta.get("content") or choice.get("text") or ""
                refusal += delta.get("refusal") or ""
                for part in delta.get("tool_calls") or ():
                    call = calls.setdefault(part.get("index") or 0, {"name": "", "arguments": ""})
                    for name in call:
                        call[name] += (part.get("function") or {}).get(name) or ""
                finish = choice.get("finish_reason") or finish
                found = choice.get("logprobs")
                for name, values in found.items() if isinstance(found, dict) else ():
                    logprobs.setdefault(name, []).extend(values if isinstance(values, list) else ())
        except _NO_COMPLETION:
            raise garbled(f"an event of the stream is no part of a completion: {event[:80]!r}") from None
    if not ended and finish is None:
        raise garbled(f"the stream broke off after {len(events)} events")
    if events[0] == b"[DONE]":
        raise garbled("the stream ended without an event")
    message = {"content": text, "refusal": refusal, "tool_calls": [{"function": call} for call in calls.values()]}
    choice = {"message": message, "finish_reason": finish, "logprobs": logprobs}
    return _understood({"model": model, "usage": usage, "choices": [choice]}, asked, events[0])


def shutdown_date(body: bytes) -> str:
    """Return the ISO date on which a model is shut down, from what the models endpoint says of it; nothing where it does not tell."""
    try:
        said = json.loads(body).get("shutdown_date")
        if isinstance(said, (int, float)):
            return datetime.fromtimestamp(said, UTC).date().isoformat()
        return datetime.fromisoformat(said).date().isoformat()
    except (ValueError, TypeError, AttributeError, OverflowError, OSError, RecursionError):
        return ""


def _brief(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
