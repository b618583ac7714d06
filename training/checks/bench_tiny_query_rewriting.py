"""How far is the tiny student from ready at query rewriting? Under the limits of benchmarks/bench_query_rewriting.py, which it misses.

pytest --distill training/checks/bench_tiny_query_rewriting.py
"""

import pytest

from benchmarks.bench_query_rewriting import *  # noqa: F403  (its gates, all of them)
from pytest_distill import Curation
from tasks.query_rewriting import query_rewriting
from training import models, recipes

pytestmark = pytest.mark.distill(
    query_rewriting,
    teacher=models.reference_teacher,
    students=[recipes.tiny_writer],
    curation=Curation(train_on_reference=True),
)
