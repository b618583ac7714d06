"""How long it takes to read and score 10,000 replies by each answer contract, in seconds of one processor: under 2 is wanted.

python benchmarks/speed/scoring.py
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel

from pytest_distill import Json, Labels, Text, ToolCall
from pytest_distill.answers import Answer, AsSet, Near, RougeL, Tokens

ROWS = 10_000
WORDS = [
    "the",
    "a",
    "of",
    "query",
    "search",
    "document",
    "index",
    "model",
    "reply",
    "teacher",
    "student",
    "limit",
    "answer",
    "config.py",
    "file-name",
    "3.5",
    "error",
    "raised",
    "when",
]


class Severity(BaseModel):
    """How bad a fault is."""

    level: Literal["low", "high"]
    score: float


class Summary(BaseModel):
    """A summary of evidence."""

    answerable: bool
    answer: str | None
    long_answer: str
    cited_ids: list[str]
    severity: Severity


SEARCH = {
    "name": "search",
    "description": "Search the index.",
    "parameters": {
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 1},
            "limit": {"type": "integer", "minimum": 1},
            "index": {"enum": ["code", "docs"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["query"],
    },
}


def text(chance: random.Random, words: int) -> str:
    """Return that many words."""
    return " ".join(chance.choices(WORDS, k=words))


def summary(chance: random.Random) -> str:
    """Return a reply of the shape of `Summary`."""
    severity = {"level": "low", "score": chance.random()}
    ids = [f"e{chance.randrange(9)}" for _ in range(4)]
    reply = {"answerable": True, "answer": text(chance, 12), "long_answer": text(chance, 60), "cited_ids": ids, "severity": severity}
    return json.dumps(reply)


def call(chance: random.Random) -> str:
    """Return a reply that calls the tool."""
    arguments = {"query": text(chance, 8), "limit": chance.randrange(1, 9), "index": "code", "tags": [text(chance, 1) for _ in range(3)]}
    return json.dumps({"tool": "search", "arguments": arguments})


def seconds(answer: Answer, replies: list[str], given: list[dict[str, Any]]) -> float:
    """Return how much time of a processor it takes to read replies and references, and to score and key each reply."""
    started = time.process_time()
    for reply, row in zip(replies, given, strict=True):
        value = answer.parse(reply)
        answer.key(value)
        answer.grade(value, answer.reference(row))
    return time.process_time() - started


def main() -> None:
    """Print a line for each contract."""
    chance = random.Random(1)
    labels = [f"label_{number}" for number in range(151)]
    fields = {"answer": Tokens(), "long_answer": RougeL(), "cited_ids": AsSet(), "severity.score": Near(tolerance=0.1)}
    work: list[tuple[str, Answer, Callable[[], str]]] = [
        ("Labels of 151", Labels(*labels), lambda: chance.choice(labels)),
        ("Labels of 151, several", Labels(*labels, several=True), lambda: ", ".join(chance.sample(labels, 4))),
        ("Text, exact", Text(), lambda: text(chance, 20)),
        ("Text, token F1", Text("token_f1", right=0.8), lambda: text(chance, 20)),
        ("Text, ROUGE-L of 100 words", Text("rouge_l", right=0.5), lambda: text(chance, 100)),
        ("Json of 7 fields", Json(Summary, fields=fields), lambda: summary(chance)),
        ("ToolCall", ToolCall([SEARCH]), lambda: call(chance)),
    ]
    for name, answer, make in work:
        replies, given = [make() for _ in range(ROWS)], [{"expected": make()} for _ in range(ROWS)]
        print(f"{name:<28} {seconds(answer, replies, given):6.2f} s")


if __name__ == "__main__":
    main()
