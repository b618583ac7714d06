"""Can a small student replace the teacher at query rewriting?

The limits, chosen before any student was judged: a rewrite is a little better or worse, so what counts is the mean token F1, and it may
fall by no more than the 5 points that the band "viable" allows. Both models write one token after another with the same cost of a step
around them, which no distillation lowers: half as fast again as the teacher is worth shipping here.

What the tiny student reaches in the minutes that a CPU has is not ready (training/checks/bench_tiny_query_rewriting.py), so a CPU skips this
file. References stand in where the teacher is wrong: it is wrong too often to leave those rows out.
"""

import pytest

from pytest_distill import Curation
from tasks.query_rewriting import query_rewriting
from training import models, recipes

pytestmark = [
    pytest.mark.distill(
        query_rewriting,
        teacher=models.reference_teacher,
        students=[recipes.long_writer],
        curation=Curation(train_on_reference=True),
    ),
    recipes.wants_gpu("recipes.tiny_writer is not ready, and recipes.long_writer trains three times as long"),
]


def test_keeps_the_quality_of_the_rewrites(comparison):
    assert comparison.score_drop <= 0.05


def test_is_half_as_fast_again(comparison):
    assert comparison.speed_gain >= 1.5
