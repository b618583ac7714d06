"""Evidence summarization: answer a question from a bundle of evidence items, cite the items, or say that none of them answers it.

The reply is one JSON object. The prompt is short because every token costs time on a CPU.
A hosted teacher has to be told the rules: put those of the data card (tasks/data/evidence_summarization/README.md) above the items.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from pytest_distill import Json, Task
from pytest_distill.answers import AsSet, Tokens

HERE = Path(__file__).parent / "data" / "evidence_summarization"

PROMPT = """\
{{ items }}
? {{ question }}
JSON:"""


class EvidenceSummary(BaseModel):
    """The reply: the ids of the items that answer, whether any does, the shortest span that does, and how surely.

    Fields are written in this order: a model that has named the item has it easier to copy from it.
    """

    cited_ids: list[str]
    answerable: bool
    answer: str
    confidence: Literal["high", "medium", "low"]


evidence_summarization = Task(
    name="evidence_summarization",
    prompt=PROMPT,
    answer=Json(EvidenceSummary, fields={"answer": Tokens(right=0.6), "cited_ids": AsSet()}),
    train=HERE / "train.jsonl",
    heldout=HERE / "heldout.jsonl",
    max_tokens=96,
)
