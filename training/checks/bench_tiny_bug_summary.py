"""How far is the tiny student from ready at summarising a bug? Under the limits of benchmarks/bench_bug_summary.py, which it misses.

pytest --distill training/checks/bench_tiny_bug_summary.py
"""

import pytest

from pytest_distill import Curation
from tasks.bug_summary import bug_summary
from training import models, recipes

pytestmark = pytest.mark.distill(
    bug_summary,
    teacher=models.reference_teacher,
    students=[recipes.tiny_writer],
    curation=Curation(train_on_reference=True),
)


def test_keeps_the_mean_field_score(comparison):
    assert comparison.score_drop <= 0.05


def test_answers_in_the_schema(comparison):
    assert comparison.valid_rate >= 0.95


def test_is_half_as_fast_again(comparison):
    assert comparison.speed_gain >= 1.5
