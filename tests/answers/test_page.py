"""docs/answers.md: its code runs, and its figures are what the contracts give."""

from __future__ import annotations

import re

from pytest_distill import Labels
from tests.fakes import ROOT

PAGE = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs():
    """Each block of code runs after those before it, and what it asserts is so."""
    names: dict[str, object] = {"__name__": "answers_page"}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "docs/answers.md", "exec", dont_inherit=True), names)


def test_the_score_that_the_page_names_is_the_one():
    """The example of several labels scores what the page says."""
    contract = Labels("code", "docs", "tests", several=True)
    grade = contract.grade(contract.parse("code, docs, tests"), contract.reference({"expected": "code, docs"}))
    assert (grade.score, grade.right) == (0.8, False)
    assert "`code, docs, tests` to the reference `code, docs` scores 0.8" in PAGE


def test_every_reference_field_is_on_the_page():
    """The page names each field of a row that may hold a reference."""
    from pytest_distill import Json, Text, ToolCall

    for contract in (Labels, Text, Json, ToolCall):
        for field in contract.reference_fields:
            assert f"`{field}`" in PAGE
