"""How much does a student depend on its seed? Three students, told apart by the seed alone, each judged at a third of alpha.

pytest --distill training/checks/bench_three_seeds.py
"""

from dataclasses import replace

import pytest

from tasks.retrieval_routing import retrieval_routing
from training import models, recipes

pytestmark = pytest.mark.distill(retrieval_routing, teacher=models.reference_teacher, students=[replace(recipes.tiny, seeds=3)])


def test_keeps_the_teachers_accuracy(comparison):
    assert comparison.accuracy_drop <= 0.05
