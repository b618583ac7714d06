"""Models and benchmark files for tests: they answer by a rule, at a stated speed, without torch."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

from pytest_distill.models import Answer, Timed

ROOT = Path(__file__).parent.parent


class RuleModel:
    """Answers the word after ``want=`` in the prompt, except for the rows (``row=<k>``) that it is told to get wrong.

    `wrong` maps row numbers to the reply given instead; `seconds` is what `time_one` reports.
    """

    revision = None
    parameters = 1
    local = False  # its times are made up, so a busy machine does not disturb them

    def __init__(self, name: str, *, wrong: dict[int, str] | None = None, seconds: float = 0.01) -> None:
        self.name = name
        self.wrong = wrong or {}
        self.seconds = seconds
        self.digest = f"sha256:{name}-{sorted(self.wrong.items())}"

    def load(self, device: str) -> None:
        pass

    def unload(self) -> None:
        pass

    def answer(self, prompts: Sequence[str], max_tokens: int) -> list[Answer]:
        replies = []
        for prompt in prompts:
            row, want = (int(prompt.split("row=")[1].split()[0]), prompt.split("want=")[1].split()[0])
            replies.append(Answer(" " + self.wrong.get(row, want), "answered", len(prompt.split()), 1))
        return replies

    def time_one(self, prompt: str, max_tokens: int) -> Timed:
        return Timed(self.seconds, None, 1)


def rows(n: int, prefix: str, *, first: int = 0, reference: bool = True) -> list[dict[str, object]]:
    """Rows whose right label stands in the text: yes for even numbers, no for odd ones."""
    made = []
    for k in range(first, first + n):
        label = ("yes", "no")[k % 2]
        row: dict[str, object] = {"id": f"{prefix}-{k}", "text": f"{prefix} row={k} want={label}", "tags": ["even"] if k % 2 == 0 else []}
        made.append(row | ({"expected_label": label} if reference else {}))
    return made


def write_jsonl(path: Path, content: Sequence[object]) -> Path:
    """Write rows, one a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


HEAD = """
import pytest
from pathlib import Path
from pytest_distill import Checkpoint, Labels, Recipe, Task
from tests.fakes import RuleModel

HERE = Path(__file__).parent
task = Task(name="parity", prompt="{{ text }}", answer=Labels("yes", "no"), train=HERE / "train.jsonl", heldout=HERE / "heldout.jsonl",
            max_tokens=4)
teacher = RuleModel("big", seconds=0.06)
good = RuleModel("good", wrong={0: "no"}, seconds=0.01)
bad = RuleModel("bad", wrong={k: "maybe" for k in range(0, 400, 4)}, seconds=0.01)
"""

GATES = """
def test_accuracy(comparison):
    assert comparison.accuracy_drop <= 0.05

def test_speed(comparison):
    assert comparison.speed_gain >= 2
"""

MARK = "pytestmark = pytest.mark.distill(task, teacher=teacher, students=[good])\n"


def bench(folder: Path, body: str = MARK + GATES, *, name: str = "bench_parity.py", heldout: int = 200, head: str = HEAD) -> Path:
    """Write a benchmark file and its rows into `folder`."""
    write_jsonl(folder / "train.jsonl", rows(40, "train", first=1000))
    write_jsonl(folder / "heldout.jsonl", rows(heldout, "held"))
    path = folder / name
    path.write_text(head + textwrap.dedent(body), encoding="utf-8")
    return path
