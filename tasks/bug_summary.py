"""Bug summary: from a diff and the error output that followed it, where the bug is, what kind it is, and how bad.

The prompt is short because every token costs time on a CPU. A hosted teacher
has to be told the rules: put those of the data card (tasks/data/bug_summary/README.md) above the diff.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from pytest_distill import Json, Task
from pytest_distill.answers import Tokens

HERE = Path(__file__).parent / "data" / "bug_summary"

PROMPT = """\
{{ diff }}
---
{{ error }}
JSON:"""


class BugSummary(BaseModel):
    """What a reviewer wants to read first."""

    file: str
    symbol: str
    error_type: str
    summary: str
    severity: Literal["high", "medium", "low"]


bug_summary = Task(
    name="bug_summary",
    prompt=PROMPT,
    answer=Json(BugSummary, fields={"summary": Tokens(right=0.6)}),
    train=HERE / "train.jsonl",
    heldout=HERE / "heldout.jsonl",
    max_tokens=120,
)
