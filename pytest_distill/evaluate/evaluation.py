"""One model over the held-out examples: what it said, and how right that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_distill.answers import Grade, Malformed
from pytest_distill.curate import is_read
from pytest_distill.errors import RecordingError
from pytest_distill.recording import FAILED, Reply
from pytest_distill.task import Example, Task


@dataclass(frozen=True)
class Evaluation:
    """A model's replies to the held-out examples, scored.

    Attributes:
        model: the model's name.
        keys: of the value of each reply, equal where two say the same; None where a reply breaks the contract.
        values: the parsed value of each reply, or why there is none; where the lock keeps grades alone, the key.
        grades: how right each is; None where there is no reference to tell. (A reply that breaks the contract is wrong anyway.)
        texts: the replies as they came.
        tokens_in, tokens_out: totals over all examples.
        recorded: the UTC time of the oldest reply.
        tokens_cached: how many of tokens_in a server had cached.
        counted: whether the tokens of all replies were counted; where not, the totals are too low to reckon with.
    """

    model: str
    values: tuple[Any, ...]
    keys: tuple[str | None, ...]
    grades: tuple[Grade | None, ...]
    texts: tuple[str, ...]
    tokens_in: int
    tokens_out: int
    recorded: str
    tokens_cached: int = 0
    counted: bool = True

    @property
    def right(self) -> int:
        """How many replies are known to be wholly right."""
        return sum(grade is not None and grade.right for grade in self.grades)

    @property
    def scores(self) -> tuple[float | None, ...]:
        """How right each reply is, 0 to 1; None where there is no reference to tell."""
        return tuple(None if grade is None else grade.score for grade in self.grades)

    def only(self, at: Sequence[int]) -> Evaluation:
        """Return the evaluation of the examples at these places alone; the totals of tokens stay those of all."""
        return replace(
            self,
            values=tuple(self.values[k] for k in at),
            keys=tuple(self.keys[k] for k in at),
            grades=tuple(self.grades[k] for k in at),
            texts=tuple(self.texts[k] for k in at),
        )


def evaluate(model: str, task: Task, examples: Sequence[Example], replies: Sequence[Reply]) -> Evaluation:
    """Score one model's replies against the references: where there are several samples of a reply, the first of each.

    Raises:
        RecordingError: replies could not be had, which is nobody's wrong answer.
        ValueError: the replies do not pair with the examples.
    """
    replies = [reply for reply in replies if not reply.sample]
    if [reply.id for reply in replies] != [example.id for example in examples]:
        raise ValueError("the replies do not pair with the examples")
    lost = [reply for reply in replies if reply.outcome == FAILED]
    if lost:
        raise RecordingError(
            f"task {task.name!r}: {len(lost)} of {len(replies)} held-out replies of {model!r} could not be had; first: {lost[0].id}:"
            f" {lost[0].detail}. Ask for them again: pytest --distill --distill-record."
        )
    values = tuple(_value(task, reply) for reply in replies)
    return Evaluation(
        model,
        values,
        tuple(None if isinstance(value, Malformed) else task.answer.key(value) for value in values),
        graded(task, examples, values),
        tuple(reply.text for reply in replies),
        sum(reply.tokens_in for reply in replies),
        sum(reply.tokens_out for reply in replies),
        min(reply.at for reply in replies),
        sum(reply.tokens_cached for reply in replies),
        all(reply.counted for reply in replies),
    )


def graded(task: Task, examples: Sequence[Example], values: Sequence[Any]) -> tuple[Grade | None, ...]:
    """Return how right each value is: what breaks the contract is wrong, and without a reference nothing else can be told (None)."""
    return tuple(
        task.answer.grade(value, example.expected)
        if example.expected is not None
        else Grade(0.0, right=False)
        if isinstance(value, Malformed)
        else None
        for value, example in zip(values, examples, strict=True)
    )


def as_expected(task: Task, example: Example) -> tuple[str, Grade] | None:
    """Return key and grade of a reply that gives the reference as it stands; None where no reply does, as for a condition."""
    text = None if example.expected is None else task.answer.completion(example.expected)
    value = None if text is None else task.answer.parse(text)
    if value is None or isinstance(value, Malformed):
        return None
    return task.answer.key(value), task.answer.grade(value, example.expected)


def _value(task: Task, reply: Reply) -> Any:
    if is_read(task, reply):
        return task.answer.parse(reply.text)
    return Malformed("cut at max_tokens" if reply.outcome == "cut" else reply.detail or reply.outcome)
