"""The pytest plugin: options, the mark, the fixtures. Without --distill it does nothing and imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_distill.plugin.options import add_options, check_alone, settings_of

if TYPE_CHECKING:
    from pytest_distill.compare import Comparison
    from pytest_distill.curate import TrainingSet
    from pytest_distill.models import Model
    from pytest_distill.plugin.flow import Pairing
    from pytest_distill.recording import Reply

MARK = "distill(task, teacher, students, serving, curation, judge, broad): compare each student with the teacher on the task's held-out examples"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --distill and its companions."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark; under --distill also everything that collects, runs and reports benchmarks."""
    config.addinivalue_line("markers", MARK)
    if config.getoption("distill"):
        if not __debug__:
            raise pytest.UsageError("--distill under python -O: asserts do nothing there, so every gate would pass. Leave out -O.")
        from pytest_distill.plugin.run import Run

        root = str(config.rootpath)
        if root not in sys.path:
            sys.path.insert(0, root)  # a benchmark file imports its task from where pytest runs, as from tasks.routing import routing
        config.addinivalue_line("python_files", "bench_*.py")
        config.pluginmanager.register(Run(config, settings_of(config)), "distill-run")
    else:
        check_alone(config)


@pytest.fixture(scope="module")
def distill_pairing(request: pytest.FixtureRequest) -> Pairing:
    """The task, teacher and student that this gate is about; set for each student that the mark names."""
    if not request.config.getoption("distill"):
        pytest.skip("needs --distill: run pytest --distill")
    if not hasattr(request, "param"):
        pytest.fail("the test asks for a comparison and its file has no pytestmark = pytest.mark.distill(…)", pytrace=False)
    pairing: Pairing = request.param
    return pairing


@pytest.fixture(scope="module")
def teacher_replies(distill_pairing: Pairing) -> list[Reply]:
    """The teacher's replies to the training rows: replayed where recorded, otherwise asked."""
    distill_pairing.refuse_if_locked("teacher_replies")
    with distill_pairing.trouble_fails():
        distill_pairing.check_teacher()
        return distill_pairing.teacher_replies()


@pytest.fixture(scope="module")
def training_set(distill_pairing: Pairing, teacher_replies: list[Reply]) -> TrainingSet:
    """The replies that are fit to train on, with a reason for each that is not."""
    with distill_pairing.trouble_fails():
        return distill_pairing.curate(teacher_replies)


@pytest.fixture(scope="module")
def student(distill_pairing: Pairing, request: pytest.FixtureRequest) -> Model:
    """The student: trained or from the store for a Recipe, otherwise the model that the mark names."""
    distill_pairing.refuse_if_locked("student")
    with distill_pairing.trouble_fails():
        if not distill_pairing.trains:
            return distill_pairing.loaded_student()
    kept: TrainingSet = request.getfixturevalue("training_set")
    with distill_pairing.trouble_fails():
        return distill_pairing.trained_student(kept)


@pytest.fixture(scope="module")
def comparison(distill_pairing: Pairing, request: pytest.FixtureRequest) -> Iterator[Comparison]:
    """The student against its teacher on the held-out examples; hold its measures against limits with plain asserts."""
    if distill_pairing.run.settings.locked:
        from pytest_distill.plugin.locking import judged_again

        with distill_pairing.trouble_fails():
            compared = judged_again(distill_pairing)
        yield compared
        return
    student: Model = request.getfixturevalue("student")  # not by an argument: a locked run has no student
    with distill_pairing.trouble_fails():
        compared = distill_pairing.compare(student)
    yield compared
    distill_pairing.unload(student)
