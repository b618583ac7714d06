"""Two models under each contract: a comparison has its measures, and the lock rebuilds it."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from pytest_distill import Json, Labels, Task, Text, ToolCall, lock
from pytest_distill.answers import AsSet
from pytest_distill.compare import Comparison
from pytest_distill.evaluate import Series, Timing, evaluate
from pytest_distill.recording import Reply
from pytest_distill.verdict import Judging
from tests.test_lock import entry_of, locked

STORED = Timing(Series((0.06,) * 30), Series((0.02,) * 30), "stored", "2026-11-22T10:00:00Z", "here")


class Found(BaseModel):
    ok: bool
    ids: list[str]


FIND = {"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
# Contract; rows of reference, teacher's and student's reply; the parts that the comparison has.
CASES = {
    "several": (
        Labels("a", "b", "c", several=True),
        [({"expected": ["a"]}, "a", "a, b"), ({"expected": []}, "none", "c"), ({"expected": ["c", "b"]}, "b;c", "?"), ({}, "a", "a")],
        {},
    ),
    "text": (
        Text("token_f1", right=0.8),
        [
            ({"expected": "red fox"}, "Red fox.", "fox"),
            ({"expected_substr": "x"}, "x", ""),
            ({"expected_refusal": True}, "I can't help.", "4"),
        ],
        {},
    ),
    "json": (
        Json(Found, fields={"ids": AsSet()}),
        [({"expected": {"ok": True, "ids": ["a", "b"]}}, '{"ok": true, "ids": ["b", "a"]}', '{"ok": true, "ids": ["b"]}')] * 2
        + [({"expected": {"ok": False, "ids": []}}, '{"ok": 0}', '{"ok": true, "ids": []}')],
        {"ok": {"n": 3, "teacher": 2 / 3, "student": 2 / 3}, "ids": {"n": 3, "teacher": 2 / 3, "student": pytest.approx(7 / 9, abs=1e-6)}},
    ),
    "calls": (
        ToolCall([FIND]),
        [
            ({"expected_tool": "find", "expected_args": {"q": "x"}}, '{"tool": "find", "arguments": {"q": "x"}}', "{"),
            ({"expected_tool": None}, "Paris.", '{"tool": "find", "arguments": {}}'),
        ],
        {
            "call": {"n": 2, "teacher": 1, "student": 0.5},
            "tool": {"n": 1, "teacher": 1, "student": 0},
            "arguments": {"n": 1, "teacher": 1, "student": 0},
            "no_call": {"n": 1, "teacher": 1, "student": 0},
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_comparison_is_made_and_rebuilt(tmp_path, name):
    """Kinds, parts and measures come of any contract, and are the same once the lock has been written and read."""
    answer, rows, parts = CASES[name]
    path = tmp_path / "h.jsonl"
    path.write_text("\n".join(json.dumps({"id": f"h{k}", "text": "t", **row}) for k, (row, _, _) in enumerate(rows)))
    task = Task("t", "{{ text }}", answer, path, path, 9)
    replies = [
        [Reply(f"k{k}", f"h{k}", "m", row[at], "answered", 9, 9, "2026-11-22T10:00:00Z") for k, row in enumerate(rows)] for at in (1, 2)
    ]
    big, small = (evaluate(model, task, task.heldout_examples, said) for model, said in zip(("big", "small"), replies, strict=True))
    compared = Comparison(task, task.heldout_examples, big, small, STORED, Judging())
    (entry,) = locked(tmp_path / "lock.json", entry_of(compared)).comparisons.values()
    again = lock.rebuild(entry, task, ("big", "small"), Judging(), None, (None, None))
    assert compared.parts == parts
    for of in (compared, again):
        assert of.counts["introduced"] == len(rows) - (name in {"several", "json"})
        assert (of.score_drop <= 0.5).words
        assert (of.valid_rate >= 0.5).words
    assert (again.kinds, again.parts, again.classes, again.slices) == (compared.kinds, compared.parts, compared.classes, compared.slices)
    assert {key: each.to_json() for key, each in again.measures.items()} == {key: each.to_json() for key, each in compared.measures.items()}


@pytest.mark.parametrize("name", CASES)
def test_macro_f1_says_why_it_is_not_to_be_had(tmp_path, name):
    """Where an answer is no single label, macro-F1 fails with the reason, and no table of confusion is made."""
    answer, rows, _ = CASES[name]
    path = tmp_path / "h.jsonl"
    path.write_text("\n".join(json.dumps({"id": f"h{k}", "text": "t", **row}) for k, (row, _, _) in enumerate(rows) if row))
    task = Task("t", "{{ text }}", answer, path, path, 9)
    said = [Reply(f"k{k}", f"h{k}", "m", row[1], "answered", 9, 9, "2026-11-22T10:00:00Z") for k, row in enumerate(rows) if row[0]]
    side = evaluate("big", task, task.heldout_examples, said)
    compared = Comparison(task, task.heldout_examples, side, side, STORED, Judging())
    assert compared.confusion(side) == []
    with pytest.raises(AssertionError, match="label"):
        assert compared.macro_f1_drop <= 0.5
