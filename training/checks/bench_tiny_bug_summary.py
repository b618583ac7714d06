"""How far is the tiny student from ready at summarising a bug? Under the limits of benchmarks/bench_bug_summary.py, which it misses.

pytest --distill training/checks/bench_tiny_bug_summary.py
"""

import pytest

from benchmarks.bench_bug_summary import *  # noqa: F403  (its gates, all of them)
from pytest_distill import Curation
from tasks.bug_summary import bug_summary
from training import models, recipes

pytestmark = pytest.mark.distill(
    bug_summary,
    teacher=models.reference_teacher,
    students=[recipes.tiny_writer],
    curation=Curation(train_on_reference=True),
)
