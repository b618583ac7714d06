"""Can a small student replace the teacher at summarising evidence?

The limits, chosen before any student was judged: an answer has four fields, and their mean score may fall by no more than the 5 points
that the band "viable" allows. Whoever reads the answer parses it: 19 of 20 must be valid, the rest can be asked again of the teacher.
Both models write one token after another with the same cost of a step around them: half as fast again is worth shipping here.

What the tiny student reaches in the minutes that a CPU has is not ready (training/checks/bench_tiny_evidence_summarization.py), so a CPU skips this
file. References stand in where the teacher is wrong: it is wrong too often to leave those rows out.
"""

import pytest

from pytest_distill import Curation
from tasks.evidence_summarization import evidence_summarization
from training import models, recipes

pytestmark = [
    pytest.mark.distill(
        evidence_summarization,
        teacher=models.reference_teacher,
        students=[recipes.long_writer],
        curation=Curation(train_on_reference=True),
    ),
    recipes.wants_gpu("recipes.tiny_writer is not ready, and recipes.long_writer trains three times as long"),
]


def test_keeps_the_mean_field_score(comparison):
    assert comparison.score_drop <= 0.05


def test_answers_in_the_schema(comparison):
    assert comparison.valid_rate >= 0.95


def test_is_half_as_fast_again(comparison):
    assert comparison.speed_gain >= 1.5
