"""Retrieval routing: which index an assistant inside a software project should search before it answers.

The prompt is short because the reference family was trained on this form and every token costs time on a CPU. A hosted teacher
has to be told the rules: put those of the data card (tasks/data/retrieval_routing/README.md) above the message.
"""

from __future__ import annotations

from pathlib import Path

from pytest_distill import Labels, Task

HERE = Path(__file__).parent / "data" / "retrieval_routing"

PROMPT = """\
{% if conversation_context %}{{ conversation_context }}
{% endif %}> {{ question }}
Route:"""

retrieval_routing = Task(
    name="retrieval_routing",
    prompt=PROMPT,
    answer=Labels("code", "docs", "hybrid", "skip"),
    train=HERE / "train.jsonl",
    heldout=HERE / "heldout.jsonl",
    max_tokens=10,
)
