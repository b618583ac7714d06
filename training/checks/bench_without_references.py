"""How many labels does an evaluation take? The same student on held-out rows without references; run it after the main job.

pytest --distill training/checks/bench_without_references.py
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.retrieval_routing import retrieval_routing
from training import models, recipes

BARE = Path("build") / "heldout-without-references.jsonl"
BARE.parent.mkdir(exist_ok=True)
rows = [json.loads(line) for line in retrieval_routing.heldout.read_text(encoding="utf-8").splitlines()]
BARE.write_text("".join(json.dumps({key: row[key] for key in row if key != "expected_label"}) + "\n" for row in rows), encoding="utf-8")

pytestmark = pytest.mark.distill(replace(retrieval_routing, heldout=BARE), teacher=models.reference_teacher, students=[recipes.tiny])


def test_keeps_the_teachers_accuracy(comparison):
    assert comparison.accuracy_drop <= 0.05
