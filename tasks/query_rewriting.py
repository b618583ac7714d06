"""Query rewriting: the search query that the last message of a conversation stands for, once the turns before it are read.

The prompt is short because every token costs time on a CPU. A hosted teacher
has to be told the rules: put those of the data card (tasks/data/query_rewriting/README.md) above the conversation.
"""

from __future__ import annotations

from pathlib import Path

from pytest_distill import Task, Text

HERE = Path(__file__).parent / "data" / "query_rewriting"

PROMPT = """\
{% if conversation %}{{ conversation }}
{% endif %}> {{ question }}
Query:"""

query_rewriting = Task(
    name="query_rewriting",
    prompt=PROMPT,
    answer=Text(metric="token_f1", right=0.8),
    train=HERE / "train.jsonl",
    heldout=HERE / "heldout.jsonl",
    max_tokens=32,
)
