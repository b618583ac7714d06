"""Does the gate see a student that learned nothing? Its training labels are shuffled, so it must fail as not ready.

pytest --distill training/checks/bench_shuffled_labels.py
"""

import random
from dataclasses import replace

import pytest

from pytest_distill.curate import TrainingSet
from tasks.retrieval_routing import retrieval_routing
from training import models, recipes

pytestmark = pytest.mark.distill(
    retrieval_routing, teacher=models.reference_teacher, students=[replace(recipes.tiny, name="tiny-shuffled", epochs=0.3)]
)


@pytest.fixture(scope="module")
def training_set(training_set):
    completions = [row.completion for row in training_set.rows]
    random.Random(0).shuffle(completions)
    rows = [replace(row, completion=text) for row, text in zip(training_set.rows, completions, strict=True)]
    return TrainingSet(tuple(rows), training_set.rejected)


def test_keeps_the_teachers_accuracy(comparison):
    assert comparison.accuracy_drop <= 0.05
