"""How far is the tiny student from ready at query rewriting? Under the limits of benchmarks/bench_query_rewriting.py, which it misses.

pytest --distill training/checks/bench_tiny_query_rewriting.py
"""

import pytest

from pytest_distill import Curation
from tasks.query_rewriting import query_rewriting
from training import models, recipes

pytestmark = pytest.mark.distill(
    query_rewriting,
    teacher=models.reference_teacher,
    students=[recipes.tiny_writer],
    curation=Curation(train_on_reference=True),
)


def test_keeps_the_quality_of_the_rewrites(comparison):
    assert comparison.score_drop <= 0.05


def test_is_half_as_fast_again(comparison):
    assert comparison.speed_gain >= 1.5
