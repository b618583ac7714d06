"""What an Endpoint is sent of a contract, where it is timed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from pytest_distill import Endpoint, Json, Labels, Task, ToolCall
from pytest_distill.ask.pace import Budget
from pytest_distill.plugin import timing
from tests.api_server import ApiServer


class Found(BaseModel):
    """Which of the things that were asked for were found, and where they lie."""

    ok: bool


CONTRACTS = {"response_format": Json(Found), "tools": ToolCall([Found]), "": Labels("yes", "no")}


def task_of(folder, answer):
    path = folder / "h.jsonl"
    path.write_text('{"id": "a", "text": "x"}')
    return Task("t", "{{ text }}", answer, path, path, 9)


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_timed_endpoint_is_asked_as_it_was_recorded(tmp_path, monkeypatch, name):
    """The schema or the tools of the task go with each prompt that is timed, as with those that are recorded."""
    monkeypatch.setenv("TEACHER_KEY", "secret")
    with ApiServer() as server:
        model = Endpoint("big-1", base_url=server.url, api_key_env="TEACHER_KEY")
        model.load("cpu")
        timing.as_asked(model, task_of(tmp_path, CONTRACTS[name])).time_one("x", 9)
        model.unload()
        (body,) = [json.loads(each["body"]) for each in server.requests if each["path"].endswith("/chat/completions")]
    assert [key for key in ("response_format", "tools") if key in body] == [name] * bool(name)


def test_what_goes_with_a_timed_prompt_is_paid_for(tmp_path):
    """The sum that is set aside for timing covers the schema or the tools that go with each prompt."""
    spent = {}
    for name, answer in CONTRACTS.items():
        model = Endpoint("big-1", base_url="http://127.0.0.1:1", price=(1.0, 1.0, 1.0))
        run = SimpleNamespace(budget=Budget(100.0), settings=SimpleNamespace(pairs=30))
        timing._set_aside(SimpleNamespace(run=run, task=task_of(tmp_path, answer)), {"teacher": model}, ["x"])
        spent[name] = run.budget.spent
    assert 0 < spent[""] < min(spent["response_format"], spent["tools"])
