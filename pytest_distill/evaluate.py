"""One model over the held-out examples: what it said, how right that is, and the interleaved timing of two models."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from pytest_distill.answers import Malformed
from pytest_distill.models import Model
from pytest_distill.recording import Reply
from pytest_distill.task import Example, Task

WARM_UP = 5
MOST_WARM_UP = 40
PAIRS = 100


@dataclass(frozen=True)
class Evaluation:
    """A model's replies to the held-out examples, scored.

    Attributes:
        model: the model's name.
        values: the parsed value of each reply, or why there is none.
        scores: how right each is, 0 to 1.
        texts: the replies as they came.
        tokens_in, tokens_out: totals over all examples.
        recorded: the UTC time of the oldest reply.
    """

    model: str
    values: tuple[str | Malformed, ...]
    scores: tuple[float, ...]
    texts: tuple[str, ...]
    tokens_in: int
    tokens_out: int
    recorded: str

    @property
    def right(self) -> int:
        """How many replies are wholly right."""
        return sum(score >= 1 for score in self.scores)


def evaluate(model: str, task: Task, examples: Sequence[Example], replies: Sequence[Reply]) -> Evaluation:
    """Score one model's replies against the references.

    Raises:
        ValueError: the replies do not pair with the examples.
    """
    if [reply.id for reply in replies] != [example.id for example in examples]:
        raise ValueError("the replies do not pair with the examples")
    values = tuple(Malformed("cut at max_tokens") if reply.outcome == "cut" else task.answer.parse(reply.text) for reply in replies)
    scores = tuple(task.answer.score(value, str(example.expected)) for value, example in zip(values, examples, strict=True))
    return Evaluation(
        model,
        values,
        scores,
        tuple(reply.text for reply in replies),
        sum(reply.tokens_in for reply in replies),
        sum(reply.tokens_out for reply in replies),
        min(reply.at for reply in replies),
    )


@dataclass(frozen=True)
class Timing:
    """Seconds for each timed prompt, teacher and student in turn in one run.

    Attributes:
        teacher, student: seconds from text in to text out, one prompt alone, in the same order of prompts.
        timed: ``live`` (in this run) or ``stored`` (in an earlier one, both sides together).
        at: UTC time of the run; machine: where.
    """

    teacher: tuple[float, ...]
    student: tuple[float, ...]
    timed: str
    at: str
    machine: str

    @property
    def ratios(self) -> list[float]:
        """Teacher time over student time for each prompt."""
        return [t / s for t, s in zip(self.teacher, self.student, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Timing:
        """Return the stored timing that `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.
        """
        series = [tuple(float(x) for x in values[side]) for side in ("teacher", "student")]
        if len(series[0]) != len(series[1]) or not series[0] or not all(0 < x < math.inf for side in series for x in side):
            raise ValueError("the two series do not pair")
        return cls(series[0], series[1], "stored", str(values["at"]), str(values["machine"]))


def time_pairs(
    teacher: Model,
    student: Model,
    prompts: Sequence[str],
    max_tokens: int,
    machine: str,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Timing:
    """Time both models on the same prompts, one at a time, interleaved, in random order within each pair.

    A seeded sample of at most 100 prompts is timed after a warm-up of at least five prompts, which goes on until two successive
    medians of five agree within 10 % for both. Both models must be loaded on the same device.
    """
    chance = random.Random(0)
    sample = chance.sample(list(prompts), min(PAIRS, len(prompts)))
    for model in (teacher, student):
        before = None
        for start in range(0, MOST_WARM_UP, WARM_UP):
            block = [sample[at % len(sample)] for at in range(start, start + WARM_UP)]
            now = median(model.time_one(prompt, max_tokens) for prompt in block)
            if before is not None and abs(now - before) <= 0.1 * before:
                break
            before = now
    times: dict[int, list[float]] = {0: [], 1: []}
    for done, prompt in enumerate(sample, 1):
        for side in chance.sample((0, 1), 2):
            times[side].append((teacher, student)[side].time_one(prompt, max_tokens))
        progress(done, len(sample))
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Timing(tuple(times[0]), tuple(times[1]), "live", at, machine)
