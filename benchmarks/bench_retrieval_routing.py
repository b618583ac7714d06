"""Can a small student replace the teacher at retrieval routing?"""

import pytest

from tasks.retrieval_routing import retrieval_routing
from training import models, recipes

pytestmark = pytest.mark.distill(retrieval_routing, teacher=models.reference_teacher, students=[recipes.tiny])


def test_keeps_the_teachers_accuracy(comparison):
    assert comparison.accuracy_drop <= 0.05


def test_is_at_least_twice_as_fast(comparison):
    assert comparison.speed_gain >= 2
