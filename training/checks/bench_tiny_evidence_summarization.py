"""How far is the tiny student from ready at summarising evidence? Under the limits of benchmarks/bench_evidence_summarization.py, which it misses.

pytest --distill training/checks/bench_tiny_evidence_summarization.py
"""

import pytest

from benchmarks.bench_evidence_summarization import *  # noqa: F403  (its gates, all of them)
from pytest_distill import Curation
from tasks.evidence_summarization import evidence_summarization
from training import models, recipes

pytestmark = pytest.mark.distill(
    evidence_summarization,
    teacher=models.reference_teacher,
    students=[recipes.tiny_writer],
    curation=Curation(train_on_reference=True),
)
