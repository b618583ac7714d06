"""ToolCall: one call of a declared tool, or none."""

from __future__ import annotations

import json
import sys
from typing import Literal

import pytest
from pydantic import BaseModel

from pytest_distill import ToolCall
from pytest_distill.answers import Malformed
from pytest_distill.errors import TaskError

SEARCH = {
    "name": "search",
    "description": "Search the index.",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["query"],
    },
}


class Remind(BaseModel):
    """Set a reminder."""

    what: str
    unit: Literal["hour", "day"] = "hour"


class Now(BaseModel):
    pass


CONTRACT = ToolCall([SEARCH, Remind, Now])
NONE = {"tool": None}


def call(tool, **arguments):
    """Return a call as it is kept."""
    return {"tool": tool, "arguments": arguments}


def test_tools_are_sent_as_servers_take_them():
    """Schemas and classes become functions of OpenAI's form: name, docstring and fields of a class."""
    assert [each["function"]["name"] for each in CONTRACT.tools] == ["search", "Remind", "Now"]
    assert CONTRACT.tools[0] == {"type": "function", "function": SEARCH}
    remind = CONTRACT.tools[1]["function"]
    assert remind["description"] == "Set a reminder."
    assert (remind["parameters"]["required"], "description" in remind["parameters"]) == (["what"], False)
    same = ToolCall([{"type": "function", "function": SEARCH}]), ToolCall([{"type": "function", **SEARCH}]), ToolCall([SEARCH])
    assert same[0].describe() == same[1].describe() == same[2].describe() == {"kind": "tool_call", "tools": [CONTRACT.tools[0]]}


@pytest.mark.parametrize(
    "reply",
    [
        '{"tool": "search", "arguments": {"query": "x", "limit": 3}}',
        '{"name": "search", "arguments": {"limit": 3, "query": "x"}}',
        '{"name": "search", "arguments": "{\\"query\\": \\"x\\", \\"limit\\": 3}"}',
        '{"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{\\"query\\": \\"x\\", \\"limit\\": 3}"}}',
        ' [{"tool": "search", "arguments": {"query": "x", "limit": 3}}]\n',
    ],
)
def test_a_call_is_read_in_each_form(reply):
    """The forms in which calls are written give one value."""
    value = CONTRACT.parse(reply)
    assert value == call("search", query="x", limit=3)
    assert CONTRACT.key(value) == CONTRACT.key(call("search", limit=3.0, query="x"))


@pytest.mark.parametrize(
    "reply", ['{"tool": null}', '{"tool": null, "arguments": {}}', "Paris.", "[1] says so", "[]", "```json\n{}\n```", '{"name": null}']
)
def test_plain_text_is_no_call(reply):
    """Text and the call of null say that no tool is needed."""
    assert CONTRACT.parse(reply) == NONE


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (" ", "empty reply"),
        ("{", "no JSON"),
        ('{"tool": "search", "arguments": {"query": "x"', "no JSON"),
        ('{"query": "x"}', "does not name its tool"),
        ('{"tool": "search", "name": "search", "arguments": {"query": "x"}}', "does not name its tool"),
        ('{"tool": "find", "arguments": {}}', "no tool is called 'find'; the tools are search, Remind, Now"),
        ('{"tool": null, "arguments": {"query": "x"}}', "no tool is called None"),
        ('{"tool": ["search"], "arguments": {}}', "no tool is called"),
        ('{"tool": "search"}', "'query' is a required property"),
        ('{"tool": "search", "arguments": {"query": 1}}', "query: 1 is not of type 'string'"),
        ('{"tool": "search", "arguments": {"query": "x", "limit": "3"}}', "limit: '3' is not of type 'integer'"),
        ('{"tool": "search", "arguments": {"query": "x", "lang": "en"}}', "'lang' was unexpected"),
        ('{"tool": "search", "arguments": ["x"]}', "the arguments are no JSON object"),
        ('{"tool": "search", "arguments": "x"}', "no JSON"),
        ('{"tool": "search", "arguments": {"query": "x"}, "why": "y"}', "unknown key 'why'"),
        ('{"tool": "Remind", "arguments": {"what": 1}}', "what: Input should be a valid string"),
        ('{"tool": "Remind", "arguments": {"what": "x", "unit": "year"}}', "unit: "),
        ('{"tool": "Now", "arguments": {"x": 1}}', "x: Extra inputs"),
        ('[{"tool": "Now"}, {"tool": "Now"}]', "2 calls"),
        ('[{"tool": "Now"}', "no JSON"),
        ('{"tool": "search", "tool": "Now"}', "stands twice in one object"),
        ('```json\n{"tool": "Now"}\n```', "a call inside other text"),
        ('<tool_call>\n{"name": "search", "arguments": {"query": "x"}}\n</tool_call>', "a call inside other text"),
        ('I look it up: {"tool": "search", "arguments": {"query": "x"}}', "a call inside other text"),
    ],
)
def test_a_call_that_is_not_valid_is_malformed(reply, words):
    """A call that is tried must name one tool and satisfy its schema to the letter; the reason says what is wrong."""
    value = CONTRACT.parse(reply)
    assert isinstance(value, Malformed)
    assert words in value.reason
    assert CONTRACT.grade(value, NONE).parts == {"call": 0.0, "no_call": 0.0}
    assert CONTRACT.grade(value, call("Now")).parts == {"call": 0.0, "tool": 0.0, "arguments": 0.0}


def test_arguments_that_a_class_leaves_open_are_filled_in():
    """Of a class, an argument left out is its default, so that saying it or not is the same."""
    assert CONTRACT.parse('{"tool": "Remind", "arguments": {"what": "x"}}') == call("Remind", what="x", unit="hour")
    assert CONTRACT.parse('{"tool": "Now"}') == call("Now")


@pytest.mark.parametrize(
    ("value", "expected", "parts", "score"),
    [
        (call("search", query="x"), call("search", query="x"), {"tool": 1, "arguments": 1}, 1),
        (call("search", query="x", limit=1), call("search", query="x"), {"tool": 1, "arguments": 2 / 3}, 5 / 6),
        (call("search", query="y"), call("search", query="x"), {"tool": 1, "arguments": 0}, 0.5),
        (call("Now"), call("search", query="x"), {"tool": 0, "arguments": 0}, 0),
        (call("Now"), call("Now"), {"tool": 1, "arguments": 1}, 1),
        (call("search", query="y"), {"tool": "search"}, {"tool": 1}, 1),
        (NONE, call("search", query="x"), {"tool": 0, "arguments": 0}, 0),
        (NONE, NONE, {"no_call": 1}, 1),
        (call("Now"), NONE, {"no_call": 0}, 0),
    ],
)
def test_tool_and_arguments_are_scored(value, expected, parts, score):
    """The score is the mean of tool and arguments, or whether no call is made where none is right; only what is whole is right."""
    grade = CONTRACT.grade(value, expected)
    assert grade.parts == pytest.approx({"call": 1.0, **parts}, abs=1e-6)
    assert {*grade.parts} <= {*CONTRACT.parts}
    assert (grade.score, grade.right) == (pytest.approx(score, abs=1e-6), score == 1)


@pytest.mark.parametrize(
    ("row", "expected", "completion"),
    [
        (
            {"expected_tool": "search", "expected_args": {"query": "x"}},
            call("search", query="x"),
            '{"tool": "search", "arguments": {"query": "x"}}',
        ),
        ({"expected_tool": "search", "expected_args": '{"query": "x"}'}, call("search", query="x"), ...),
        ({"expected_tool": "search"}, {"tool": "search"}, None),
        ({"expected_tool": "search", "expected_args": None}, {"tool": "search"}, None),
        ({"expected_tool": "Now", "expected_args": {}}, call("Now"), '{"tool": "Now", "arguments": {}}'),
        ({"expected_tool": None}, NONE, '{"tool": null}'),
        ({"expected_tool": "", "expected_args": {}}, NONE, '{"tool": null}'),
        ({"expected": '{"tool": null}'}, NONE, '{"tool": null}'),
        ({"expected": {"name": "Now", "arguments": "{}"}}, call("Now"), '{"tool": "Now", "arguments": {}}'),
    ],
)
def test_rows_name_the_call(row, expected, completion):
    """A row gives tool and arguments, the tool alone, none, or the call as a reply gives it."""
    found = CONTRACT.reference(row)
    assert found == expected
    if completion is not ...:
        assert CONTRACT.completion(found) == completion
    assert CONTRACT.shown(found) == json.dumps(expected)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"expected_tool": "find"}, "no tool is called 'find'"),
        ({"expected_tool": 5}, "no tool is called 5"),
        ({"expected_tool": "search", "expected_args": {}}, "'query' is a required property"),
        ({"expected_tool": "search", "expected_args": "x"}, "no JSON"),
        ({"expected_tool": "", "expected_args": {"query": "x"}}, "no tool"),
        ({"expected_args": {"query": "x"}}, "name the tool"),
        ({"expected": '{"tool": null}', "expected_tool": ""}, "not both"),
        ({"expected": "search"}, "no JSON"),
        ({"expected": None}, "does not name its tool"),
        ({"expected": 5}, "does not name its tool"),
    ],
)
def test_bad_references_are_named(row, words):
    """A reference that no reply could satisfy, or that contradicts itself, is named."""
    with pytest.raises(ValueError, match=r".") as caught:
        CONTRACT.reference(row)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([], "a list of tools"),
        (SEARCH, "a list of tools"),
        ("search", "a list of tools"),
        ([5], "seen 5"),
        ([dict], "takes a pydantic class"),
        ([{"parameters": {}}], "with a name"),
        ([{"name": "a b"}], "with a name"),
        ([SEARCH, {"name": "search"}], "two tools are called 'search'"),
        ([{"name": "a", "parameters": {"type": "string"}}], '"type": "object"'),
        ([{"name": "a", "parameters": 5}], '"type": "object"'),
        ([{"name": "a", "parameters": {"type": "object", "properties": {"x": {"type": "text"}}}}], "no JSON schema"),
        (
            [{"name": "a", "parameters": {"type": "object", "properties": {"x": {"$ref": "#/$defs/X"}}}}],
            "the reference #/$defs/X leads nowhere",
        ),
        ([{"name": "a", "parameters": {"type": "object", "properties": {"x": {"$ref": "http://x/y"}}}}], "leads nowhere"),
        (
            [{"name": "a", "parameters": {"type": "object", "properties": {"x": {"type": "string", "pattern": "("}}}}],
            "no JSON schema",
        ),
    ],
)
def test_wrong_tools_are_refused(tools, words):
    """No tools, two of a name, and what has no complete schema are errors of the declaration."""
    with pytest.raises(TaskError, match=r"^ToolCall") as caught:
        ToolCall(tools)
    assert words in str(caught.value)


def test_a_schema_may_refer_to_itself_and_be_open():
    """References inside a schema are followed, and further arguments are taken where it says so."""
    point = {"type": "object", "properties": {"x": {"type": "number"}}}
    schema = {"type": "object", "additionalProperties": True, "properties": {"at": {"$ref": "#/$defs/P"}}, "$defs": {"P": point}}
    contract = ToolCall([{"name": "go", "parameters": schema}])
    assert contract.parse('{"tool": "go", "arguments": {"at": {"x": 1}, "y": 2}}') == call("go", at={"x": 1}, y=2)
    assert isinstance(contract.parse('{"tool": "go", "arguments": {"at": {"x": "1"}}}'), Malformed)


def test_without_jsonschema_the_way_out_is_said(monkeypatch):
    """Where jsonschema is missing, a tool given by its schema names the extra to install; a class needs it not."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(TaskError, match=r"pip install 'pytest-distill\[json\]'"):
        ToolCall([SEARCH])
    assert ToolCall([Remind]).parse('{"tool": "Remind", "arguments": {"what": "x", "unit": "day"}}')["arguments"]["unit"] == "day"
