"""What a server says: whatever comes over the wire is an answer that a recording can hold, or a trouble with its reason."""

from __future__ import annotations

import email.utils
import json
import math
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.models.model import Answer
from pytest_distill.models.wire import MOST_AFTER, MOST_TEXT, NoReplyError, from_status, join_stream, read_reply, retry_after, shutdown_date
from pytest_distill.recording import OUTCOMES, Recording, Reply
from tests.api_server import completion, events_of, logprobs_of

USAGE = {"prompt_tokens": 12, "completion_tokens": 3}
KEY = "the environment variable K"
ORIGIN = "http://host/v1"


def whole(text="yes", *, chat=True, **said) -> dict:
    return completion({"model": "big-2026", "text": text, "usage": USAGE, **said}, number=0, chat=chat)


def read(data, asked=None) -> Answer:
    return read_reply(json.dumps(data).encode(), asked or {})


def as_events(data, *, chat=True, with_usage=True) -> list[bytes]:
    events = events_of(data, chat=chat, with_usage=with_usage)
    return [(event if isinstance(event, str) else json.dumps(event)).encode() for event in events]


def refused(status, body=b"", headers=None) -> NoReplyError:
    found = from_status(status, headers or {}, body, key=KEY, model="big", origin=ORIGIN)
    assert isinstance(found, NoReplyError)
    return found


# ---- What came back, typed


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize(
    ("said", "outcome", "text", "detail"),
    [
        ({}, "answered", "yes", ""),
        ({"finish_reason": "length"}, "cut", "yes", "the reply reached the token limit"),
        ({"finish_reason": "length", "text": ""}, "cut", "", "the reply reached the token limit"),
        ({"finish_reason": "content_filter"}, "filtered", "yes", "the provider filtered the reply"),
        ({"text": ""}, "empty", "", "the reply is empty"),
        ({"text": None}, "empty", "", "the reply is empty"),
        ({"text": " \n"}, "empty", " \n", "the reply is empty"),
        ({"choices": []}, "empty", "", "the server sent no choices"),
    ],
)
def test_each_end_of_a_reply_is_an_outcome(chat, said, outcome, text, detail):
    """Cut, filtered and empty replies are told from answers, in both forms, whatever text came with them."""
    found = read(whole(chat=chat, **said))
    assert (found.outcome, found.text, found.detail) == (outcome, text, detail)
    assert (found.tokens_in, found.tokens_out, found.counted, found.answered_by) == (12, 3, True, "big-2026")


def test_a_refusal_is_no_answer():
    """A refusal keeps its words, and counts as refused even where text came with it."""
    found = read(whole("Well:", refusal="I cannot help with that."))
    assert (found.outcome, found.text) == ("refused", "I cannot help with that.")


def test_a_tool_call_in_place_of_text_is_empty():
    """A model that calls a tool where text was wanted has given an empty reply, and the detail says so."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    found = read(whole(None, tool_calls=[call]))
    assert (found.outcome, found.detail) == ("empty", "the reply is empty: the model called a tool instead")


CALLS = [
    ([("find", '{"q": "é", "q": 1}')], '{"tool": "find", "arguments": {"q": "é", "q": 1}}'),
    ([("find", "")], '{"tool": "find", "arguments": {}}'),
    ([("find", '{"q": ')], '{"tool": "find", "arguments": "{\\"q\\": "}'),
    ([("find", "{}"), ("go", "{}")], '[{"tool": "find", "arguments": {}}, {"tool": "go", "arguments": {}}]'),
]


@pytest.mark.parametrize("text", [None, "Let me look."])
@pytest.mark.parametrize(("calls", "reply"), CALLS)
def test_a_call_of_a_tool_that_was_offered_is_the_reply(calls, reply, text):
    """Where tools were offered, calls become a text that holds each to the letter, streamed or not, whatever was said beside them."""
    given = [{"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}} for name, arguments in calls]
    data, asked = whole(text, tool_calls=given), {"tools": [{}]}
    for found in (read(data, asked), join_stream(as_events(data), asked)):
        assert (found.text, found.outcome, found.detail) == (reply, "answered", "")


def test_the_parts_of_a_streamed_call_are_joined():
    """A call comes in parts, each with the place of its call: name first, arguments piece by piece."""
    parts = [(0, "find", ""), (0, None, '{"q"'), (1, "go", "{"), (1, None, "}"), (0, None, ": 1}")]
    deltas = [{"tool_calls": [{"index": at, "function": {"name": name, "arguments": piece}}]} for at, name, piece in parts]
    events = [json.dumps({"choices": [{"delta": delta}]}).encode() for delta in deltas]
    found = join_stream([*events, b'{"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}', b"[DONE]"], {"tools": [{}]})
    assert found.text == '[{"tool": "find", "arguments": {"q": 1}}, {"tool": "go", "arguments": {}}]'


def test_arguments_may_come_as_an_object():
    """A server that sends the object in place of its text is understood."""
    call = {"function": {"name": "find", "arguments": {"q": 1}}}
    assert read(whole(None, tool_calls=[call]), {"tools": [{}]}).text == '{"tool": "find", "arguments": {"q": 1}}'


@pytest.mark.parametrize("calls", [5, "x", [5], [{}], [{"function": {}}], {"function": {"name": "x"}}])
def test_calls_of_no_form_are_garbled(calls):
    """What is no list of calls is no completion."""
    with pytest.raises(NoReplyError, match="no completion"):
        read(whole(None, tool_calls=calls), {"tools": [{}]})


def test_content_in_parts_is_joined():
    """Text that a server sends in parts is one text."""
    found = read({"choices": [{"message": {"content": [{"type": "text", "text": "ye"}, {"type": "image"}, {"text": "s"}]}}]})
    assert (found.text, found.outcome) == ("yes", "answered")


@pytest.mark.parametrize("asked", [{"response_format": {"type": "json_schema"}}, {"response_format": {"type": "json_object"}}])
@pytest.mark.parametrize(
    ("text", "outcome", "words"),
    [
        ('{"label": "yes"}', "answered", ""),
        ('```json\n{"label": "yes"}\n```', "malformed", "stands in a code fence"),
        ("yes, I would say", "malformed", "is no JSON"),
        ('{"label": ', "malformed", "is no JSON"),
        ("[" * 100_000, "malformed", "is no JSON"),
    ],
)
def test_the_effect_of_a_response_format_is_checked(asked, text, outcome, words):
    """A server that ignores the response format with HTTP 200 is found out by what came back."""
    found = read(whole(text), asked)
    assert found.outcome == outcome
    assert words in found.detail
    assert read(whole(text)).outcome == "answered"


def test_no_more_than_a_bounded_text_is_kept():
    """20 MB of text are cut to what a bounded task could need, with the count said, and without its log probabilities."""
    long = whole("x" * 20_000_000, logprobs=logprobs_of("x", 1))
    found = read(long)
    assert (len(found.text), found.outcome, found.logprobs) == (MOST_TEXT, "malformed", None)
    assert found.detail == "the reply has 20000000 characters; the first 100000 are kept"
    assert read(whole("x" * MOST_TEXT)).outcome == "answered"


def test_a_lone_surrogate_stays_as_it_came():
    """Half of a surrogate pair in a reply is passed on, and an ordinary pair is one character."""
    body = json.dumps(whole("cut \ud83d")).encode()
    assert rb"\ud83d" in body
    assert read_reply(body, {}).text == "cut \ud83d"
    assert read(whole("\U0001f600")).text == "\U0001f600"


# ---- Tokens and log probabilities


def test_cached_tokens_are_counted():
    """What the server had cached of the prompt is known, and is never more than the prompt."""
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 8}}
    assert read(whole(usage=usage)).tokens_cached == 8
    usage["prompt_tokens_details"] = {"cached_tokens": 1000}
    assert read(whole(usage=usage)).tokens_cached == 12


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": 12}, {"prompt_tokens": True, "completion_tokens": 3}, {"prompt_tokens": -1, "completion_tokens": 3},
     {"prompt_tokens": 10**400, "completion_tokens": 3}, {"prompt_tokens": 12.5, "completion_tokens": 3},
     {"prompt_tokens": "12", "completion_tokens": 3}],
)  # fmt: skip
def test_tokens_that_nobody_counted_are_not_made_up(usage):
    """Missing usage, and what cannot be a count, leaves the answer whole and its tokens uncounted."""
    found = read(whole(usage=usage))
    assert (found.text, found.outcome) == ("yes", "answered")
    assert (found.tokens_in, found.tokens_out, found.tokens_cached, found.counted) == (0, 0, 0, False)


FORM = [["yes", -0.1, [["yes", -0.1], [" other1", -2.1]]]]


def test_both_forms_of_logprobs_become_one():
    """Log probabilities of chat and of plain completions come out in the same form."""
    plain = {"tokens": ["yes"], "token_logprobs": [-0.1], "top_logprobs": [{"yes": -0.1, " other1": -2.1}]}
    assert read(whole(logprobs=logprobs_of("yes", 2))).logprobs == FORM
    assert read(whole(chat=False, logprobs=plain)).logprobs == FORM
    assert read(whole(chat=False, logprobs={**plain, "top_logprobs": None})).logprobs == [["yes", -0.1, []]]
    assert read(whole(chat=False, logprobs={**plain, "token_logprobs": [None]})).logprobs == [["yes", None, FORM[0][2]]]


@pytest.mark.parametrize(
    "logprobs",
    [None, {}, [], "x", 5, {"content": 5}, {"content": []}, {"content": [{}]}, {"content": [{"token": 1, "logprob": -1}]},
     {"content": [{"token": "a", "logprob": 10**400}]}, {"tokens": ["a"], "token_logprobs": [-1, -2]},
     {"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": [[1]]}, {"content": None, "refusal": None}],
)  # fmt: skip
def test_logprobs_of_another_form_cost_no_reply(logprobs):
    """A reply is paid for: where its log probabilities are missing or of no known form, it is kept without them."""
    found = read(whole(logprobs=logprobs))
    assert (found.text, found.outcome, found.logprobs) == ("yes", "answered", None)


def test_infinite_logprobs_are_left_out():
    """An infinite or missing log probability is None: JSON has no word for it."""
    content = [{"token": "a", "logprob": -math.inf, "top_logprobs": [{"token": "b", "logprob": math.nan}]}]
    assert read(whole(logprobs={"content": content})).logprobs == [["a", None, [["b", None]]]]


# ---- What is no completion


@pytest.mark.parametrize(
    "body",
    [b"", b"<!doctype html><title>Sign in</title>", b'{"choices": [{"mess', b"\x1f\x8b\x08", b"null", b"[]", b"5", b'"x"', b"{}",
     b'{"choices": null}', b'{"choices": ""}', b'{"choices": {}}', b'{"choices": false}', b'{"choices": [{}]}', b'{"choices": [null]}', b'{"choices": {"a": 1}}',
     b'{"choices": [{"message": {"content": 5}}]}', b'{"choices": [{"message": "yes"}]}', b'{"choices": [{"message": null}]}',
     b'{"usage": [1], "choices": []}', b"[" * 100_000, b'{"choices": ' + b"1" * 5000 + b"}"],
)  # fmt: skip
def test_a_body_that_is_no_completion_is_garbled(body):
    """HTML, half a JSON text and other JSON are troubles that one more try may mend, and that may have been charged; the start is shown."""
    with pytest.raises(NoReplyError) as caught:
        read_reply(body, {})
    assert (caught.value.garbled, caught.value.again, caught.value.billed, caught.value.hopeless) == (True, True, True, False)
    assert caught.value.words.startswith("HTTP 200 with ")
    assert body[:20].decode("utf-8", "replace").strip() in caught.value.words.replace("\\x1f", "\x1f").replace("\\x08", "\x08")
    assert len(caught.value.words) < 400


def test_an_error_with_status_200_is_said():
    """A server that reports an error where a completion belongs is quoted, whatever came beside; a null in its place is no error."""
    for beside in ({}, {"choices": []}, whole()):
        with pytest.raises(NoReplyError, match=r"the server reported an error: .*overloaded") as caught:
            read({**beside, "error": {"message": "overloaded", "code": 502}})
        assert (caught.value.garbled, caught.value.billed) == (True, True)
    with pytest.raises(NoReplyError) as caught:
        read({"error": "x" * 10**6})
    assert len(caught.value.words) < 400
    assert read({**whole(), "error": None}).text == "yes"


@pytest.mark.parametrize("end", ["error", "abort"])
def test_a_reply_that_the_server_could_not_finish_is_garbled(end):
    """Where the server gave up within a reply, whole or streamed, what had come of it is not the model's answer."""
    broken = whole("ye", finish_reason=end)
    for understand in (lambda: read(broken), lambda: join_stream(as_events(broken), {})):
        with pytest.raises(NoReplyError, match=f"the server ended the reply with '{end}'") as caught:
            understand()
        assert (caught.value.garbled, caught.value.again) == (True, True)


@pytest.mark.parametrize("depth", [50, 200, 400, 600, 800, 950, 990])
@pytest.mark.parametrize(
    "place", ['{"choices": [{"message": {"refusal": %s}}]}', '{"choices": [{"message": {"content": "x"}, "logprobs": {"content": %s}}]}']
)
def test_deep_json_is_no_crash(place, depth):
    """JSON nested as deep as can be read is an answer or a trouble, in one piece and streamed."""
    body = (place % ("[" * depth + "]" * depth)).encode()
    for understand in (lambda: read_reply(body, {}), lambda: join_stream([body.replace(b"message", b"delta"), b"[DONE]"], {})):
        try:
            assert understand().outcome in OUTCOMES
        except NoReplyError as trouble:
            assert trouble.garbled
    assert refused(500, b'{"error": {"message": ' + b"[" * depth + b"]" * depth + b"}}").again


# ---- Streams


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("said", [{}, {"text": "one two  three\n"}, {"finish_reason": "length"}, {"text": ""}, {"text": "\ud83d"}])
def test_a_stream_says_what_the_whole_says(chat, said):
    """The events of a stream make the same answer as the reply in one piece."""
    data = whole(chat=chat, **said)
    assert join_stream(as_events(data, chat=chat), {}) == read(data)


def test_a_streamed_refusal_and_logprobs_are_joined():
    """A refusal and log probabilities come back from a stream as well."""
    assert join_stream(as_events(whole(None, refusal="No.")), {}).outcome == "refused"
    assert join_stream(as_events(whole("yes", logprobs=logprobs_of("yes", 2))), {}).logprobs == FORM


def test_log_probabilities_of_a_plain_stream_are_joined():
    """What a stream of plain completions brings token by token makes the same form as the whole would."""
    parts = [{"tokens": [t], "token_logprobs": [-0.5], "top_logprobs": [{t: -0.5, "x": -2}]} for t in ("a", "b")]
    events = [json.dumps({"choices": [{"text": t, "logprobs": part}]}).encode() for t, part in zip("ab", parts, strict=True)]
    answer = join_stream([*events, b'{"choices": [{"text": "", "finish_reason": "stop", "logprobs": 3}]}', b"[DONE]"], {})
    assert answer.text == "ab"
    assert answer.logprobs == [[t, -0.5, [[t, -0.5], ["x", -2.0]]] for t in "ab"]


def test_a_stream_without_usage_is_uncounted():
    """A server that sends no usage with a stream leaves its tokens uncounted."""
    assert not join_stream(as_events(whole(), with_usage=False), {}).counted


@pytest.mark.parametrize("keep", range(3))
def test_a_stream_cut_midway_is_garbled(keep):
    """A stream that ends before it said that it ends is no reply, however much text came."""
    events = as_events(whole("one two three"))[:keep]
    with pytest.raises(NoReplyError, match=f"the stream broke off after {keep} events") as caught:
        join_stream(events, {})
    assert caught.value.garbled


def test_a_stream_that_lost_only_its_end_mark_is_whole():
    """Where the reason to finish arrived, the mark after it may be missing; nothing behind the mark counts."""
    events = as_events(whole("one two"))
    assert join_stream(events[:-1], {}).text == "one two"
    assert join_stream([*events, b"<html>"], {}).text == "one two"


@pytest.mark.parametrize(
    "event",
    [
        b'{"choices": null}',
        b"",
        b"{",
        b"null",
        b"[]",
        b'"error"',
        b"{}",
        b'{"choices": [{"delta": [1]}]}',
        b'{"choices": [[]]}',
        b"[" * 9999,
    ],
)
def test_a_damaged_event_is_garbled(event):
    """One event that is no part of a completion spoils the stream, and is shown."""
    events = as_events(whole())
    with pytest.raises(NoReplyError, match="an event of the stream is no part of a completion") as caught:
        join_stream([events[0], event, *events[1:]], {})
    assert caught.value.garbled


def test_an_error_within_a_stream_is_said():
    """A server that reports an error in mid-stream is quoted; a null in its place is no error."""
    events = as_events(whole())
    with pytest.raises(NoReplyError, match=r"the server reported an error: .*overloaded"):
        join_stream([events[0], b'{"error": {"message": "overloaded"}}'], {})
    with pytest.raises(NoReplyError, match="the stream ended without an event"):
        join_stream([b"[DONE]"], {})
    assert join_stream([b'{"error": null, "choices": []}', *events], {}).text == "yes"


# ---- HTTP errors


def error(message="Nope", code=None, kind="error") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "code": code}}).encode()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_where_it_was_taken_from(status):
    """401 and 403 are hopeless for every prompt; the source of the key is named."""
    found = refused(status, error("Incorrect API key"))
    assert (found.hopeless, found.again) == (True, False)
    assert found.words == f"{ORIGIN} refuses the key (HTTP {status}: Incorrect API key). It is taken from {KEY}: set another one there"


def test_an_unknown_model_is_hopeless():
    """404 names the model, and that the address may be wrong."""
    found = refused(404, error("no such model", "model_not_found"))
    assert (found.hopeless, found.again) == (True, False)
    assert found.words == (
        f"{ORIGIN} knows no model 'big', or the address is wrong (HTTP 404: no such model). It ends in /v1 with most servers, and"
        f" {ORIGIN}/models lists what there is"
    )


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_an_empty_account_is_no_rate_limit(code):
    """A 429 for want of money is hopeless: waiting does not mend it."""
    for body in (error(code=code), error(kind=code)):
        found = refused(429, body, {"retry-after": "1"})
        assert (found.hopeless, found.again) == (True, False)
        assert "no money left" in found.words


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation"])
def test_a_filtered_prompt_is_an_answer_of_its_kind(code):
    """A 400 by the provider's filter says something of the prompt and is recorded; nothing was counted."""
    found = from_status(400, {}, error("was filtered", code), key=KEY, model="big", origin=ORIGIN)
    assert isinstance(found, Answer)
    assert (found.outcome, found.counted, found.text) == ("filtered", False, "")
    assert "was filtered" in found.detail


@pytest.mark.parametrize(
    ("status", "again"), [(400, False), (405, False), (413, False), (422, False), (304, False), (408, True), (409, True), (425, True),
                          (429, True), (500, True), (502, True), (503, True), (529, True), (599, True)]
)  # fmt: skip
def test_only_passing_troubles_are_tried_again(status, again):
    """Timeouts, conflicts, rate limits and the server's own faults may pass; what was not understood will not be."""
    found = refused(status, error(), {"retry-after": "7"})
    assert (found.again, found.hopeless, found.garbled, found.billed) == (again, False, False, False)
    assert (found.words, found.after) == (f"HTTP {status}: Nope", 7.0 if again else None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "HTTP 500: no message"),
        (b"<html>Bad\n\tgateway</html>", "HTTP 500: <html>Bad gateway</html>"),
        (b'{"error": "flat"}', "HTTP 500: flat"),
        (b'{"error": {"message": ""}}', "HTTP 500: no message"),
        (b'{"error": null}', 'HTTP 500: {"error": null}'),
        (b'{"error": {"message": ["x"]}}', 'HTTP 500: {"error": {"message": ["x"]}}'),
        (b"\xff\xfe", "HTTP 500: \ufffd\ufffd"),
    ],
)
def test_a_server_s_message_is_found_in_any_form(body, words):
    """The message of an error is quoted on one line; where there is none, what stands in its place."""
    assert refused(500, body).words == words


def test_a_long_message_is_cut():
    """A page of text as an error message is quoted in part."""
    assert len(refused(500, b"x" * 10**6).words) < 350
    assert len(refused(500, error("x" * 10**6)).words) < 350


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e300"}, MOST_AFTER),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": f"Thu, 01 Jan {10**20} 00:00:00 GMT"}, None),
    ],
)
def test_what_a_server_asks_to_wait(headers, seconds):
    """Milliseconds, seconds and a date that is past are read; what is no time is no wish, and what no calendar holds is bounded."""
    assert retry_after(headers) == seconds


def test_a_date_to_wait_for_is_read():
    """A date to come is as many seconds away as it is."""
    found = retry_after({"retry-after": email.utils.formatdate(time.time() + 1000, usegmt=True)})
    assert 900 < found <= 1000


@pytest.mark.parametrize(
    ("body", "date"),
    [
        (b'{"shutdown_date": "2027-01-14"}', "2027-01-14"),
        (b'{"shutdown_date": "2027-01-14T09:30:00Z"}', "2027-01-14"),
        (b'{"shutdown_date": 1799884800}', "2027-01-14"),
        (b'{"shutdown_date": null}', ""),
        (b'{"id": "big"}', ""),
        (b'{"shutdown_date": 1e300}', ""),
        (b'{"shutdown_date": "soon"}', ""),
        (b'{"shutdown_date": []}', ""),
        (b"[]", ""),
        (b"<html>", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_the_date_of_a_shutdown_is_read(body, date):
    """A date or a time stamp becomes an ISO date; anything else says nothing."""
    assert shutdown_date(body) == date


# ---- Whatever comes

LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["\ud83d", 10**400, "length", "stop"])
)
ANYTHING = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6
)


def usually(right):
    """What a field should hold, now and then anything else."""
    return st.one_of(right, right, right, ANYTHING)


def some_of(**fields):
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional={name: usually(value) for name, value in fields.items()})


TEXT = st.text(max_size=8)
NUMBER = st.integers() | st.floats()
TOP = some_of(token=TEXT, logprob=NUMBER)
CHAT_LOGPROBS = some_of(content=st.lists(some_of(token=TEXT, logprob=NUMBER, top_logprobs=st.lists(TOP, max_size=2)), max_size=2))
PLAIN_LOGPROBS = some_of(
    tokens=st.lists(TEXT, max_size=2),
    token_logprobs=st.lists(NUMBER, max_size=2),
    top_logprobs=st.lists(st.dictionaries(TEXT, NUMBER, max_size=2), max_size=2),
)
MESSAGE = some_of(content=TEXT | st.lists(some_of(text=TEXT), max_size=2), refusal=st.none() | TEXT, tool_calls=ANYTHING)
CHOICE = some_of(
    message=MESSAGE, delta=MESSAGE, text=TEXT, finish_reason=st.sampled_from(["stop", "length", "content_filter"]),
    logprobs=CHAT_LOGPROBS | PLAIN_LOGPROBS,
)  # fmt: skip
COMPLETION = some_of(
    model=TEXT, choices=st.lists(usually(CHOICE), max_size=2), error=some_of(message=TEXT, code=TEXT, type=TEXT),
    usage=some_of(prompt_tokens=NUMBER, completion_tokens=NUMBER, prompt_tokens_details=some_of(cached_tokens=NUMBER)),
)  # fmt: skip
BODY = st.binary(max_size=30) | (ANYTHING | COMPLETION).map(lambda value: json.dumps(value).encode())
ASKED = st.sampled_from([{}, {"response_format": {"type": "json_object"}}])


def check_answer(tmp_path_factory, found: Answer) -> None:
    """An answer keeps to its own description, and a recording gives back what it was given."""
    assert found.outcome in OUTCOMES
    assert found.outcome != "failed"
    assert 0 <= found.tokens_cached <= found.tokens_in
    assert found.tokens_out >= 0
    assert bool(found.detail) == (found.outcome != "answered")
    reply = Reply(
        "k", "row", "big", found.text, found.outcome, found.tokens_in, found.tokens_out, "2026-11-22T10:00:00Z", detail=found.detail,
        answered_by=found.answered_by, tokens_cached=found.tokens_cached, logprobs=found.logprobs,
    )  # fmt: skip
    recording = Recording(tmp_path_factory.mktemp("wire") / "r.jsonl")
    with recording.writing():
        recording.write(reply)
    kept = Recording(recording.path).get("k")
    joined = found.text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert (kept.text, kept.outcome, kept.tokens_in, kept.logprobs is None) == (
        joined,
        found.outcome,
        found.tokens_in,
        found.logprobs is None,
    )


@given(BODY, ASKED)
@settings(max_examples=300, deadline=None)
def test_any_body_is_an_answer_or_no_reply(tmp_path_factory, body, asked):
    """Whatever a server sends with a 200 is an answer that a recording can hold, or NoReplyError, and nothing else."""
    try:
        found = read_reply(body, asked)
    except NoReplyError as trouble:
        assert trouble.garbled
    else:
        check_answer(tmp_path_factory, found)


@given(st.lists(BODY | st.just(b"[DONE]"), max_size=5), ASKED)
@settings(max_examples=200, deadline=None)
def test_any_stream_is_an_answer_or_no_reply(tmp_path_factory, events, asked):
    """Whatever the events of a stream hold, they make an answer that a recording can hold, or NoReplyError, and nothing else."""
    try:
        found = join_stream(events, asked)
    except NoReplyError as trouble:
        assert trouble.garbled
    else:
        check_answer(tmp_path_factory, found)


HEADER = st.text(string.printable, max_size=30) | st.floats().map(str) | st.datetimes().map(email.utils.format_datetime)


@given(
    st.integers(300, 599),
    BODY,
    st.fixed_dictionaries({}, optional={"retry-after": HEADER, "retry-after-ms": HEADER}),
)
@settings(max_examples=200, deadline=None)
def test_any_error_is_a_trouble_or_a_filtered_prompt(status, body, headers):
    """Whatever stands in an error and its headers, it is understood, and a wait is bounded."""
    found = from_status(status, headers, body, key=KEY, model="big", origin=ORIGIN)
    if isinstance(found, NoReplyError):
        assert found.words
        assert len(found.words) < 500
        assert found.after is None or 0 <= found.after <= MOST_AFTER * 300
    else:
        assert found.outcome == "filtered"


@given(BODY)
@settings(max_examples=60, deadline=None)
def test_any_description_of_a_model_gives_a_date_or_nothing(body):
    """Whatever the models endpoint says, the date of a shutdown is an ISO date or nothing."""
    found = shutdown_date(body)
    assert found == "" or time.strptime(found, "%Y-%m-%d")
