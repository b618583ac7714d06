"""A gate whose teacher is asked over an API: whether that teacher agrees with itself is said, and judged where the task states a limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_distill import Endpoint
from pytest_distill.recording import Recording, Reply, reply_key
from tests.fakes import HEAD, bench, rows

HELD_OUT = 200


@pytest.fixture
def a_bench(pytester: pytest.Pytester) -> Callable[..., None]:
    """Write a benchmark whose teacher is an Endpoint, and a recording in which it answers otherwise on the first `unstable` rows."""

    def write(*, unstable: int = 0, samples: int = 2, stable: float | None = None) -> None:
        head = HEAD.replace("import Checkpoint,", "import Checkpoint, Endpoint,").replace("max_tokens=4", f"max_tokens=4, stable={stable}")
        head = head.replace('teacher = RuleModel("big", seconds=0.06)', f'teacher = Endpoint("gpt", samples={samples})')
        body = """
        pytestmark = pytest.mark.distill(task, teacher=teacher, students=[good])

        def test_accuracy(comparison):
            assert comparison.accuracy_drop <= 0.05
        """
        bench(pytester.path, body, head=head, heldout=HELD_OUT)
        record(pytester.path, unstable, samples)

    return write


def record(folder: Path, unstable: int, samples: int) -> None:
    """Write what a teacher said: right, but for the last sample of the first `unstable` rows."""
    digest = Endpoint("gpt").digest
    recording = Recording(folder / "recordings" / "parity.gpt.jsonl")
    with recording.writing():
        for k, row in enumerate(rows(HELD_OUT, "held")):
            for sample in range(samples):
                text = str(row["expected_label"]) if sample < samples - 1 or k >= unstable else "maybe"
                key = reply_key(digest, str(row["text"]), 4, sample=sample)
                recording.write(Reply(key, str(row["id"]), "gpt", text, "answered", 5, 1, "2026-11-22T10:00:00Z", sample=sample))


def test_a_stable_teacher_is_said_to_be_so(a_bench, run, result):
    """Where the limit is shown to be kept the gate goes on; the rate stands in the terminal and in the result."""
    a_bench(unstable=2, stable=0.05)
    outcome = run()
    assert outcome.ret == 0
    outcome.stdout.fnmatch_lines(
        ["  stability  the teacher disagrees with itself on 1.0% of prompts (95% bounds 0.2% to 3.1%; 2 samples of 200)"]
    )
    (entry,) = result()["comparisons"]
    assert entry["stability"] | {"lower": 0, "upper": 0} == {
        "rate": 0.01,
        "lower": 0,
        "upper": 0,
        "n": 200,
        "method": "clopper-pearson",
        "samples": 2,
        "lost": 0,
        "unstable": [{"id": "held-0", "values": ["yes", "(unparsable)"]}, {"id": "held-1", "values": ["no", "(unparsable)"]}],
    }


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"unstable": 30}, "*task 'parity' is not stable: gpt disagrees with itself on 15.0% of 200 held-out prompts*Distil only what is*"),
        ({"unstable": 8}, "*task 'parity' is not shown to be stable: gpt disagrees with itself on 4.0%*held-out rows would show it*"),
        ({"samples": 1}, "*task 'parity' must be stable (at most 5%), and 'gpt' is asked once for each prompt*"),
    ],
)
def test_a_teacher_not_shown_to_be_stable_is_no_teacher(a_bench, run, result, declared, words):
    """A stated limit that is not shown to be kept fails the gate before anything is judged, with the way out and no traceback."""
    a_bench(stable=0.05, **declared)
    outcome = run()
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines([words])
    assert "Traceback" not in outcome.stdout.str()
    assert (result()["verdict"], result()["comparisons"]) == ("error", [])


def test_without_a_limit_an_unstable_teacher_is_reported_alone(a_bench, run, result):
    """Where the task states no limit nothing is judged, of however many samples."""
    a_bench(unstable=30, samples=3)
    assert run().ret == 0
    (entry,) = result()["comparisons"]
    assert (round(entry["stability"]["rate"], 6), entry["stability"]["method"]) == (0.1, "gaffke")


def test_a_teacher_asked_once_says_nothing_of_its_stability(a_bench, run, result):
    """With one sample there is no line, and null in the result."""
    a_bench(samples=1)
    outcome = run()
    assert outcome.ret == 0
    outcome.stdout.no_fnmatch_line("  stability  *")
    assert result()["comparisons"][0]["stability"] is None
