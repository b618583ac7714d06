"""A small broad set: what a general model can do and a student should not forget. It rides along with a mark as ``broad=broad``.

Nothing is distilled for it, so it has no training rows. The data card is tasks/data/broad/README.md.
"""

from __future__ import annotations

from pathlib import Path

from pytest_distill import Task, Text

HERE = Path(__file__).parent / "data" / "broad"

broad = Task(name="broad", prompt="{{ request }}", answer=Text(), train=None, heldout=HERE / "heldout.jsonl", max_tokens=200)
