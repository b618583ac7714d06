"""Rows as teams have them: the reference fields of each contract, read from files."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel

from pytest_distill import Json, Labels, Task, Text, ToolCall
from pytest_distill.errors import TaskError
from pytest_distill.report.label import write_sheet


class Reply(BaseModel):
    ok: bool
    ids: list[str]


CALLS = ToolCall([{"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}])
CONTRACTS = {
    "labels": Labels("yes", "no"),
    "several": Labels("yes", "no", several=True),
    "text": Text(),
    "json": Json(Reply),
    "calls": CALLS,
}


def examples(folder, answer, *rows, name="rows.jsonl", prompt="{{ prompt }}"):
    """The examples of these rows."""
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), "utf-8")
    return Task("t", prompt, answer, path, path, 10).heldout_examples


@pytest.mark.parametrize(
    ("contract", "given", "expected"),
    [
        ("labels", {"expected_label": "yes"}, "yes"),
        ("labels", {"expected": "yes"}, "yes"),
        ("labels", {"expected": "yes", "expected_label": "yes"}, "yes"),
        ("several", {"expected": ["no", "yes"]}, ["yes", "no"]),
        ("text", {"expected": "a"}, ["a"]),
        ("text", {"expected_any": ["a", "b"]}, ["a", "b"]),
        ("text", {"expected_substr": "a"}, {"substr": ["a"]}),
        ("text", {"expected_refusal": False}, {"refusal": False}),
        ("text", {"expected": None, "expected_any": None, "expected_substr": "a", "expected_refusal": None}, {"substr": ["a"]}),
        ("json", {"expected": {"ids": [], "ok": True}}, {"ok": True, "ids": []}),
        ("json", {"expected": '{"ok": true, "ids": []}'}, {"ok": True, "ids": []}),
        ("calls", {"expected_tool": "find", "expected_args": {"q": "x"}}, {"tool": "find", "arguments": {"q": "x"}}),
        ("calls", {"expected_tool": None}, {"tool": None}),
        ("calls", {"expected_tool": "find"}, {"tool": "find"}),
        ("text", {}, None),
        ("calls", {}, None),
    ],
)
def test_each_kind_of_reference_is_read_from_a_flat_row(tmp_path, contract, given, expected):
    """A flat row gives its reference in a field of the contract, or has none; tags stand beside it."""
    (example,) = examples(tmp_path, CONTRACTS[contract], {"id": "a", "prompt": "p", "tags": ["hard"], **given})
    assert (example.expected, example.tags, example.fields) == (expected, ("hard",), {"prompt": "p"})


@pytest.mark.parametrize(
    ("contract", "header", "cells", "expected"),
    [
        ("labels", "expected", "yes", "yes"),
        ("several", "expected_label", '"no, yes"', ["yes", "no"]),
        ("text", "expected_substr", "a", {"substr": ["a"]}),
        ("text", "expected_substr", '"[""a"", ""b""]"', {"substr": ["a", "b"]}),
        ("text", "expected_substr", "[1] a", {"substr": ["[1] a"]}),
        ("text", "expected_any", '"[""a"", ""b""]"', ["a", "b"]),
        ("text", "expected_refusal", "true", {"refusal": True}),
        ("json", "expected", '"{""ok"": true, ""ids"": []}"', {"ok": True, "ids": []}),
        ("calls", "expected_tool,expected_args", 'find,"{""q"": ""x""}"', {"tool": "find", "arguments": {"q": "x"}}),
        ("calls", "expected", '"{""tool"": null}"', {"tool": None}),
        ("calls", "expected_tool,expected_args", ",", None),
    ],
)
def test_tables_hold_references_as_text(tmp_path, contract, header, cells, expected):
    """In a CSV file lists, objects and calls are written as text; an empty cell is no reference."""
    (example,) = examples(tmp_path, CONTRACTS[contract], f"id,prompt,{header}", f"a,p,{cells}", name="rows.csv")
    assert example.expected == expected


def test_a_table_may_hold_what_is_no_json(tmp_path, monkeypatch):
    """A date in a reference, as Parquet files may hold, is an error with file and row."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    day = date(2024, 5, 1)
    for contract, given in (
        ("json", {"expected": {"ok": True, "day": day}}),
        ("calls", {"expected_tool": "find", "expected_args": {"q": day}}),
    ):
        parquet.write_table(pyarrow.Table.from_pylist([{"id": "a", "prompt": "p", **given}]), "rows.parquet")
        with pytest.raises(TaskError, match=r"^rows.parquet:1: expected\w* must be text or another JSON value; seen .*2024-05-01"):
            _ = Task("t", "{{ prompt }}", CONTRACTS[contract], Path("rows.parquet"), Path("rows.parquet"), 10).heldout_examples


@pytest.mark.parametrize(
    ("contract", "said", "expected"),
    [
        ("several", "No; yes", ["yes", "no"]),
        ("text", " a b ", ["a b"]),
        ("json", '{"ids": [], "ok": true}', {"ok": True, "ids": []}),
        ("calls", '{"name": "find", "arguments": "{}"}', {"tool": "find", "arguments": {}}),
        ("calls", "Paris.", {"tool": None}),
    ],
)
def test_the_answer_of_a_conversation_is_read_as_a_reply(tmp_path, contract, said, expected):
    """Of chat rows the assistant's answer is the reference."""
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": said}]
    (example,) = examples(tmp_path, CONTRACTS[contract], {"messages": turns})
    assert (example.expected, example.fields) == (expected, {"prompt": "p"})


@pytest.mark.parametrize(
    ("contract", "given", "words"),
    [
        ("labels", {"expected": "no", "expected_label": "yes"}, "expected_label and expected say different things, 'yes' and 'no'"),
        ("labels", {"expected": "maybe"}, "expected 'maybe' is none of yes, no"),
        ("text", {"expected": "a", "expected_substr": "a"}, "expected and expected_substr stand in one row"),
        ("json", {"expected": {"ok": 1, "ids": []}}, "expected is no JSON object of Reply: ok: Input should be a valid boolean"),
        ("calls", {"expected_tool": "look"}, "expected_tool is no valid call: no tool is called 'look'; the tools are find"),
        ("calls", {"expected_args": {}}, "expected_args stands without 'expected_tool'"),
        ("json", {"expected_any": ["a"]}, "unknown field 'expected_any'. Known are expected, id, prompt, tags. Did you mean 'expected'?"),
        (
            "text",
            {"label": "a"},
            "unknown field 'label'. Known are expected, expected_any, expected_refusal, expected_substr, id, prompt, tags. If it is",
        ),
        ("calls", {"output": "a"}, "If it is the reference, call it 'expected'."),
    ],
)
def test_a_bad_reference_is_named_by_file_and_line(tmp_path, monkeypatch, contract, given, words):
    """What is wrong with a reference is said with the file, the line and the field."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError) as caught:
        examples(tmp_path, CONTRACTS[contract], {"id": "a", "prompt": "p", **given})
    assert str(caught.value).startswith("rows.jsonl:1: ")
    assert words in str(caught.value)


def test_the_prompt_may_not_show_a_reference(tmp_path):
    """No field that may hold the reference can be used in the prompt."""
    for answer in CONTRACTS.values():
        for name in answer.reference_fields:
            with pytest.raises(TaskError, match=f"may not use '{name}'"):
                examples(tmp_path, answer, "", prompt=f"{{{{ {name} }}}}")


def test_a_label_of_a_person_is_read_like_a_row(tmp_path):
    """The labels file beside the held-out rows gives references of any contract by its first field."""
    (tmp_path / "rows.labels.jsonl").write_text('{"id": "a", "expected": {"ok": false, "ids": ["x"]}}')
    (example,) = examples(tmp_path, CONTRACTS["json"], {"id": "a", "prompt": "p"})
    assert example.expected == {"ok": False, "ids": ["x"]}
    assert write_sheet(tmp_path / "rows.labels.jsonl", tmp_path / "out" / "form.html", "t", "expected", None, [("b", "p")]) == 1
    assert (tmp_path / "rows.labels.jsonl").read_text().startswith('{"id": "a", "expected": {"ok": false, "ids": ["x"]}}\n')
    assert "{&#34;ids&#34;:[&#34;x&#34;],&#34;ok&#34;:false}</textarea>" in (tmp_path / "out" / "form.html").read_text()
