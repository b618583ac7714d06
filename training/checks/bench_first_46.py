"""Would 46 held-out examples do? The same student, judged on the first 46 alone; run it after the main job, whose student it loads.

pytest --distill training/checks/bench_first_46.py
"""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.retrieval_routing import retrieval_routing
from training import models, recipes

FIRST = Path("build") / "heldout-first-46.jsonl"
FIRST.parent.mkdir(exist_ok=True)
FIRST.write_text("".join(retrieval_routing.heldout.read_text(encoding="utf-8").splitlines(keepends=True)[:46]), encoding="utf-8")

pytestmark = pytest.mark.distill(replace(retrieval_routing, heldout=FIRST), teacher=models.reference_teacher, students=[recipes.tiny])


def test_keeps_the_teachers_accuracy(comparison):
    assert comparison.accuracy_drop <= 0.05
