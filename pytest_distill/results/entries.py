"""A comparison as results.json holds it, and what is known beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

from pytest_distill.answers import Grade, Malformed
from pytest_distill.compare import Comparison, clusters, confusion, latency
from pytest_distill.curate import TrainingSet
from pytest_distill.evaluate import Evaluation, as_expected
from pytest_distill.files import digest
from pytest_distill.measures import Price, per_request
from pytest_distill.models import Model
from pytest_distill.recording import Reply
from pytest_distill.task import Example

WARNED_DAYS = 60  # how long before a hosted model is shut down the result begins to say so
TAG = 12  # hex digits that tell one answer from another
MOST_LEFT_OUT = 3  # rows named for each reason


def comparison_entry(
    comparison: Comparison, facts: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]], train: Sequence[Example] = ()
) -> dict[str, Any]:
    """Return a comparison as results.json holds it, judgements aside.

    Args:
        comparison: the comparison.
        facts: what only the run knows: id, file, line, inputs, digests, adapter, training.
        models: what is known of the ``teacher`` and the ``student`` that were judged, as `model_facts` returns it.
        train: the training rows, as far as they are known.
    """
    timing, (teacher_price, student_price) = comparison.timing, comparison.prices
    sides = {
        "teacher": (comparison.teacher, timing.teacher, teacher_price),
        "student": (comparison.student, timing.student, student_price),
    }
    return {
        **facts,
        "task": comparison.task.name,
        "teacher": comparison.teacher.model,
        "student": comparison.student.model,
        "n": len(comparison.examples),
        "counts": comparison.counts,
        "measures": {key: measure.to_json() for key, measure in comparison.measures.items()},
        "models": {
            side: {
                "name": evaluation.model,
                "accuracy": comparison.accuracy(side),
                "why": comparison.without_reference or None,
                "score": comparison.score(side),
                "macro_f1": comparison.macro_f1(side),
                "weighted_f1": comparison.weighted_f1(side),
                "latency_ms": latency(series.seconds) if series.seconds else None,
                "first_token_ms": latency(series.first_token) if series.first_token else None,
                "per_token_ms": round(median(series.per_token) * 1e3, 3) if series.per_token else None,
                "tokens_per_second": round(median(series.tokens_per_second), 3) if series.tokens_out else None,
                "tokens_out_p50": median(series.tokens_out) if series.tokens_out else None,
                "cost_usd": None if price is None or not evaluation.counted else _cost(price, evaluation),
                **models[side],
            }
            for side, (evaluation, series, price) in sides.items()
        },
        "classes": comparison.classes,
        "confusion": confusion(comparison),
        "parts": comparison.parts,
        "slices": comparison.slices,
        "clusters": clusters(comparison, train),
        "broad": None if comparison.broad is None else _broad(comparison.broad),
        "band": comparison.band,
        "band_note": comparison.band_note,
        "timing": comparison.timing.to_json(),
        "answers": _answers(comparison),
        "judge": comparison.judged and comparison.judged.to_json(),
        "errors": comparison.errors(),
    }


def _broad(of: Comparison) -> dict[str, Any]:
    """Return what became of the base's ability: `of` holds the base as the teacher, on the broad task."""
    names = {"both_right": "both_right", "introduced": "forgotten", "corrected": "gained", "inherited": "both_wrong"}
    forgotten = [error for error in of.errors() if error["kind"] == "introduced"]
    return {
        "task": of.task.name,
        "n": len(of.examples),
        "counts": {name: of.counts[kind] for kind, name in names.items()},
        "base": of.accuracy("teacher"),
        "student": of.accuracy("student"),
        "slices": {tag: {"n": row["n"], "base": row["teacher"], "student": row["student"]} for tag, row in of.slices.items()},
        "forgotten": [
            {"base": error["teacher"], **{name: error[name] for name in ("id", "input", "expected", "student", "tags")}}
            for error in forgotten
        ],
        "answers": _answers(of),
    }


def _answers(comparison: Comparison) -> dict[str, list[Any]]:
    """Return by row what both models' measures can be made from again; None is no answer.

    Rows where both gave the reference are left out. Labels are told themselves, other answers by how right they are (score, whether they
    count as right, the score of each part) and by a tag that is equal where two answers say the same.
    """
    if comparison.task.answer.classes:
        both = zip(comparison.examples, comparison.teacher.values, comparison.student.values, strict=True)
        return {
            example.id: [None if isinstance(value, Malformed) else value for value in given]
            for example, *given in both
            if any(value != example.expected for value in given)
        }
    parts = comparison.task.answer.parts
    sides = [list(zip(side.keys, side.grades, strict=True)) for side in (comparison.teacher, comparison.student)]
    return {
        example.id: [_graded(key, grade, parts) for key, grade in given]
        for example, *given in zip(comparison.examples, *sides, strict=True)
        if [as_expected(comparison.task, example)] * 2 != given
    }


def _graded(key: str | None, grade: Grade | None, parts: Sequence[str]) -> list[Any] | None:
    if key is None:
        return None
    tag = digest(key)[len("sha256:") :][:TAG]
    return [tag] if grade is None else [tag, grade.score, grade.right, [grade.parts.get(part) for part in parts]]


def model_facts(model: Model, evaluation: Evaluation, replies: Sequence[Reply]) -> dict[str, Any]:
    """Return what a result tells of a model itself: which one it was, what it was asked and read, where its replies are from.

    Args:
        model: the model.
        evaluation: of it; `replies`: what it said to the held-out rows.
    """
    hosted = next((reply for reply in replies if reply.origin), None)
    places = sorted({reply.origin for reply in replies if reply.origin})
    at = evaluation.recorded
    return {
        "revision": model.revision,
        "digest": model.digest,
        "parameters": model.parameters,
        "tokens_in": evaluation.tokens_in,
        "tokens_cached": evaluation.tokens_cached,
        "tokens_out": evaluation.tokens_out,
        "tokens_counted": evaluation.counted,
        "origin": f"recorded {at[:10]} from {' and '.join(places)}" if hosted else f"answered {at}",
        "answered_by": next((reply.answered_by for reply in replies if reply.answered_by), None),
        "outcomes": dict(sorted(Counter(reply.outcome for reply in replies if not reply.sample).items())),
        "retires": max((reply.retires for reply in replies), default="") or None,
        "terms": hosted.terms or None if hosted else None,
    }


def curation_facts(kept: TrainingSet) -> dict[str, Any]:
    """Return what a result says of the curation: how many rows were left out or got their reference, by reason, with the first of each."""
    return {
        "rejected": {reason: len(rows) for reason, rows in kept.rejected.items()},
        "replaced": {reason: len(rows) for reason, rows in kept.replaced.items()},
        "left_out": [
            left_out(reason, len(rows), row.id, row.said, row.expected, replaced=where is kept.replaced)
            for where in (kept.rejected, kept.replaced)
            for reason, rows in where.items()
            for row in rows[:MOST_LEFT_OUT]
        ],
    }


def left_out(reason: str, rows: int, name: str, said: str, expected: str | None, *, replaced: bool = False) -> dict[str, Any]:
    """Return what a result says of one row that is not trained on, or with its reference in place of the reply.

    Args:
        reason: why; `rows`: how many have this reason.
        name: the row's id; `said`: what the teacher said; `expected`: the reference, or None.
        replaced: whether it is trained on with its reference.
    """
    return {"reason": reason, "rows": rows, "replaced": replaced, "id": name, "said": said, "expected": expected}


def _cost(price: Price, side: Evaluation) -> float:
    return per_request(price, side.tokens_in - side.tokens_cached, side.tokens_cached, side.tokens_out)


def _today() -> date:
    return datetime.now(UTC).date()


def reply_notes(name: str, replies: Sequence[Reply]) -> list[str]:
    """Return what a reader should know of an Endpoint's replies: a model about to be shut down, and what its server passed over."""
    notes = []
    retires = max((reply.retires for reply in replies), default="")
    if retires and date.fromisoformat(retires) <= _today() + timedelta(days=WARNED_DAYS):
        left = (date.fromisoformat(retires) - _today()).days
        when = f"in {left} days" if left > 0 else "it is no longer there to be asked"
        notes.append(f"{name} is shut down on {retires} ({when}): record what you still need of it")
    places = {reply.origin for reply in replies}
    if len(places) > 1:
        notes.append(f"{name} was recorded from {len(places)} addresses; only times of the one that it has now are compared")
    uncounted = sum(not reply.counted for reply in replies)
    if uncounted:
        notes.append(f"the server of {name} counted no tokens of {uncounted} of {len(replies)} replies: its cost is not known")
    asked = [reply for reply in replies if reply.parameters.get("logprobs")]
    if asked and all(reply.logprobs is None for reply in asked):
        notes.append(f"{name} was asked for log probabilities and its server sent none")
    unformed = sum(reply.outcome == "malformed" and "response_format" in reply.parameters for reply in replies)
    if unformed:
        notes.append(
            f"{name} was given a response format, and {unformed} of {len(replies)} replies do not keep to it: its server does not enforce it"
        )
    return notes
