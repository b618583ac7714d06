"""Endpoints on a real engine: the reference teacher behind `transformers serve`, which hears more than it does."""

from __future__ import annotations

import json
import shutil
import socket
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pytest_distill.errors import ModelError
from pytest_distill.models import Checkpoint, Endpoint
from tasks.retrieval_routing import retrieval_routing
from tests import engine
from tests.engine import serving

pytest.importorskip("torch")
pytest.importorskip("transformers")

TEACHER = Path(__file__).parents[1] / "training" / "checkpoints" / "reference-teacher"
# The reference teacher knows no turns: a chat is the bare text of its messages.
CHAT_TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
SCHEMA = {"type": "object", "properties": {"route": {"type": "string"}}, "required": ["route"], "additionalProperties": False}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The reference teacher with a chat template, served: the base URL and the model's name, which is its folder."""
    folder = tmp_path_factory.mktemp("engine") / "teacher"
    shutil.copytree(TEACHER, folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    with serving(folder) as base_url:
        yield base_url, str(folder)


@pytest.fixture(scope="module")
def prompts():
    """The first held-out prompts."""
    return [retrieval_routing.render(example) for example in retrieval_routing.heldout_examples[:20]]


@pytest.fixture(scope="module")
def here(served, prompts):
    """What the same weights answer in this process."""
    teacher = Checkpoint(TEACHER)
    teacher.load("cpu")
    return teacher.answer(prompts, retrieval_routing.max_tokens)


@contextmanager
def opened(base_url, model, **options):
    """An Endpoint that is open inside the block."""
    endpoint = Endpoint(model, base_url=base_url, api_key_env=None, name="engine", **options)
    endpoint.load("cpu")
    try:
        yield endpoint
    finally:
        endpoint.unload()


@pytest.mark.parametrize("plain", [False, True], ids=["chat", "plain"])
@pytest.mark.parametrize("stream", [False, True], ids=["at once", "streamed"])
def test_an_endpoint_answers_as_the_checkpoint_behind_it_does(served, prompts, here, plain, stream):
    """Over the wire every held-out prompt gets the reply, outcome and token counts of the same weights in this process."""
    with opened(*served, plain=plain, stream=stream, concurrency=4) as endpoint:
        there = endpoint.answer(prompts, retrieval_routing.max_tokens)
    assert [(answer.text, answer.outcome, answer.tokens_in) for answer in there] == [
        (answer.text, answer.outcome, answer.tokens_in) for answer in here
    ]
    # The server counts the token that ends a reply.
    assert [answer.tokens_out for answer in there] == [answer.tokens_out + 1 for answer in here]
    assert {answer.answered_by for answer in there} == {f"{served[1]}@main"}
    assert len({answer.text for answer in there}) > 1


def test_a_reply_that_reaches_the_limit_is_cut(served, prompts):
    """What ends for want of tokens is no answer."""
    with opened(*served) as endpoint:
        (answer,) = endpoint.answer(prompts[:1], 1)
    assert (answer.outcome, answer.tokens_out) == ("cut", 1)


@pytest.mark.parametrize("stream", [False, True], ids=["at once", "streamed"])
def test_a_response_format_that_the_server_ignores_is_noticed(served, prompts, stream):
    """The server answers HTTP 200 with free text all the same: the reply is malformed, and its detail says who did not keep to what."""
    with opened(*served, stream=stream) as endpoint:
        (free,) = endpoint.answer(prompts[:1], 10)
        answer = endpoint.connection.run(endpoint.request(prompts[0], 10, SCHEMA))
    assert free.outcome == "answered"
    assert (answer.outcome, answer.text) == ("malformed", free.text)
    assert "the server does not keep to it" in answer.detail


@pytest.mark.parametrize("plain", [False, True], ids=["chat", "plain"])
@pytest.mark.parametrize("stream", [False, True], ids=["at once", "streamed"])
def test_log_probabilities_that_the_server_ignores_are_none(served, prompts, plain, stream):
    """Asked for the likeliest tokens, the server sends none and no error; the answer holds None, not an empty list."""
    with opened(*served, plain=plain, stream=stream, top_logprobs=5) as endpoint:
        (answer,) = endpoint.answer(prompts[:1], 10)
    assert (answer.outcome, answer.logprobs) == ("answered", None)


def test_only_a_stream_tells_when_the_first_token_came(served, prompts):
    """Streamed, the first token is there before the whole reply; at once, nobody knows."""
    with opened(*served, stream=True) as endpoint:
        (streamed,) = endpoint.answer(prompts[:1], 10)
    with opened(*served) as endpoint:
        (whole,) = endpoint.answer(prompts[:1], 10)
    assert 0 < streamed.first_token <= streamed.seconds
    assert whole.first_token is None
    assert whole.seconds > 0


def test_one_prompt_is_timed_alone(served, prompts, here):
    """A timing has seconds, the first token's where streamed, and counts the token that ends the reply."""
    with opened(*served) as endpoint:
        whole = endpoint.time_one(prompts[0], 10)
    with opened(*served, stream=True) as endpoint:
        streamed = endpoint.time_one(prompts[0], 10)
    assert whole.seconds > 0
    assert whole.first_token is None
    assert 0 < streamed.first_token <= streamed.seconds
    assert whole.tokens_out == streamed.tokens_out == here[0].tokens_out + 1


def test_a_temperature_alone_does_not_make_this_server_sample(served):
    """Several samples of a prompt are equal at any temperature, until the server's own generation_config asks for sampling."""
    sampling = json.dumps({"do_sample": True, "eos_token_id": 0, "pad_token_id": 1})
    with opened(*served, temperature=1.5) as endpoint:
        greedy = endpoint.answer(["The"] * 6, 12)
    with opened(*served, temperature=1.5, generation_config=sampling) as endpoint:
        sampled = endpoint.answer(["The"] * 6, 12)
    assert len({answer.text for answer in greedy}) == 1
    assert len({answer.text for answer in sampled}) > 1


def test_what_the_server_refuses_is_said_in_its_words(served, prompts):
    """A model that is not served and a parameter that it does not know are errors that repeat what the server said."""
    base_url, model = served
    with opened(base_url, "another") as endpoint, pytest.raises(ModelError, match=r"HTTP 400.*Server is pinned to"):
        endpoint.answer(prompts[:1], 10)
    with opened(base_url, model, beams=4) as endpoint, pytest.raises(ModelError, match=r"HTTP 422.*Unexpected fields.*beams"):
        endpoint.answer(prompts[:1], 10)


def test_a_server_that_lists_no_models_tells_no_shutdown(served):
    """This server's models endpoint knows nothing of a folder: no date, and no error."""
    with opened(*served) as endpoint:
        assert endpoint.connection.run(endpoint.retires()) == ""


def test_a_model_without_chat_template_is_asked_with_plain_prompts(prompts, here):
    """A chat fails on the server, the plain prompt is answered; and once the block is left, nothing listens there."""
    with serving(TEACHER) as base_url:
        with opened(base_url, str(TEACHER)) as chat, pytest.raises(ModelError, match="HTTP 500"):
            chat.answer(prompts[:1], 10)
        with opened(base_url, str(TEACHER), plain=True) as endpoint:
            assert endpoint.answer(prompts[:1], 10)[0].text == here[0].text
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", urlsplit(base_url).port)) != 0


def test_without_the_extra_the_tests_are_skipped_with_the_way_out(monkeypatch):
    """Where a part of the engine is missing, the skip names it and what to install."""
    monkeypatch.setattr(engine, "find_spec", lambda part: None if part == "uvicorn" else part)
    with pytest.raises(pytest.skip.Exception, match=r"uvicorn missing: pip install .*transformers\[serving\]"), serving(TEACHER):
        pass
