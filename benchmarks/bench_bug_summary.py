"""Can a small student replace the teacher at summarising a bug?

The limits, chosen before any student was judged: an answer has five fields, and their mean score may fall by no more than the 5 points
that the band "viable" allows. The ticket system parses the answer: 19 of 20 must be valid, the rest can be asked again of the teacher.
Both models write one token after another with the same cost of a step around them: half as fast again is worth shipping here.

What the tiny student reaches in the minutes that a CPU has is not ready (training/checks/bench_tiny_bug_summary.py), so a CPU skips this
file. Three times as long is better and not ready either: it takes a larger base, and none is here. References stand in where the teacher is
wrong: it is wrong too often to leave those rows out.
"""

import pytest

from pytest_distill import Curation
from tasks.bug_summary import bug_summary
from training import models, recipes

pytestmark = [
    pytest.mark.distill(
        bug_summary,
        teacher=models.reference_teacher,
        students=[recipes.long_writer],
        curation=Curation(train_on_reference=True),
    ),
    recipes.wants_gpu("neither recipes.tiny_writer nor recipes.long_writer is ready, it takes a larger base"),
]


def test_keeps_the_mean_field_score(comparison):
    assert comparison.score_drop <= 0.05


def test_answers_in_the_schema(comparison):
    assert comparison.valid_rate >= 0.95


def test_is_half_as_fast_again(comparison):
    assert comparison.speed_gain >= 1.5
