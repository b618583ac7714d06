"""An entry of the lock: the sufficient numbers of one comparison, made from its result, and the Comparison made from them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_distill.answers import Grade, Malformed
from pytest_distill.compare import Comparison
from pytest_distill.errors import LockError
from pytest_distill.evaluate import Evaluation, Timing, as_expected, graded
from pytest_distill.files import canonical_json
from pytest_distill.judge import Judge, Judged
from pytest_distill.measures import Price, Serving
from pytest_distill.task import Example, Task
from pytest_distill.verdict import Judging

SIDES = ("teacher", "student")
BASE = "base"  # how results call the student's base, without its adapter
NO_ANSWER = Malformed("no answer, by the lock")
# Of the result's facts: what tells where the numbers come from. Texts and tables can be had from the run that made them.
FACTS = ("fingerprint", "attempt", "trained_seconds", "train_examples", "rejected", "replaced")
OF_MODEL = (
    "revision",
    "digest",
    "parameters",
    "tokens_in",
    "tokens_cached",
    "tokens_out",
    "tokens_counted",
    "origin",
    "answered_by",
    "outcomes",
    "retires",
    "terms",
)
OF_TIMING = ("timed", "at", "machine", "noise", "unpaired", "recorded", "student_recorded")
DIGITS = 9  # of seconds: what the clock tells


def plain(value: Any) -> Any:
    """Return plain JSON values as they come back from a file: tuples as lists, names as strings."""
    return json.loads(canonical_json(value))


def entry(compared: Mapping[str, Any], evidence: str, accepted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the lock holds of a comparison.

    Args:
        compared: the comparison as the result holds it, with its judgements.
        evidence: ``strict`` or ``point``.
        accepted: when, at which commit, on which machine.
    """
    judged = [j for j in compared["judgements"] if j["operator"]]
    gates = [{name: judgement[name] for name in ("gate", "measure", "operator", "limit")} for judgement in judged]
    timing = compared["timing"]
    return {
        "task": compared["task"],
        "teacher": compared["teacher"],
        "student": compared["student"],
        "accepted": dict(accepted),
        "evidence": evidence,
        "gates": sorted(gates, key=lambda gate: [str(gate[name]) for name in ("gate", "measure", "operator", "limit")]),
        "inputs": compared["inputs"],
        # What a benchmark file's own fixtures return, no lock can tell: there is nothing to judge from, and the gates are listed all the same.
        "numbers": {}
        if compared["own_fixtures"]
        else {
            "n": compared["n"],
            **{name: compared[name] for name in FACTS},
            # For people: which adapter the numbers are about.
            "adapter": compared["adapter"] and compared["adapter"]["sha256"],
            "models": {side: {name: compared["models"][side][name] for name in OF_MODEL} for side in SIDES},
            "timing": {
                **{name: timing[name] for name in OF_TIMING},
                "timed": "stored" if timing["timed"] == "live" else timing["timed"],  # as any later run would find it
                **{side: [round(seconds, DIGITS) for seconds in timing[side]["seconds"]] for side in SIDES},
            },
            "answers": compared["answers"],
            **({"opinions": compared["judge"]["opinions"]} if compared["judge"] else {}),
            **({"broad": {name: compared["broad"][name] for name in ("n", "answers")}} if compared["broad"] else {}),
        },
    }


def rebuild(
    accepted: Mapping[str, Any],
    task: Task,
    names: tuple[str, str],
    judging: Judging,
    serving: Serving | None,
    prices: tuple[Price | None, Price | None],
    broad: Task | None = None,
    judge: Judge | None = None,
) -> Comparison:
    """Return the comparison that was accepted, to be judged again: with the same inputs each measure has the same numbers.

    Args:
        accepted: the lock's entry, whose inputs are those of `task`.
        task: the task, whose held-out rows are read.
        names: of teacher and student.
        judging: how its measures are judged; `serving`, `prices`: as in `Comparison`.
        broad, judge: the broad task and the judge, where the mark names them.

    Raises:
        LockError: the numbers do not fit the held-out rows.
    """
    try:
        teacher, student = _evaluations(accepted, task, names)
        timing = _timing(accepted["numbers"]["timing"])
        able = _broad(accepted, broad, names[1], timing, judging) if broad else None
        judged = None if judge is None else Judged.from_json(judge, task.heldout_examples, accepted["numbers"]["opinions"])
        _check_facts(accepted["numbers"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise LockError(f"the lock's numbers for task {task.name!r} do not fit it ({error}): accept anew.") from None
    return Comparison(task, task.heldout_examples, teacher, student, timing, judging, serving, prices, broad=able, judged=judged)


def _evaluations(accepted: Mapping[str, Any], task: Task, names: tuple[str, str]) -> list[Evaluation]:
    evaluations = []
    for side, found in zip(SIDES, _answered(accepted["numbers"], task, names, accepted["accepted"]["at"]), strict=True):
        model = accepted["numbers"]["models"][side]
        evaluation = replace(
            found,
            tokens_in=model["tokens_in"],
            tokens_out=model["tokens_out"],
            tokens_cached=model["tokens_cached"],
            counted=model["tokens_counted"],
        )
        if not all(type(count) is int and count >= 0 for count in (evaluation.tokens_in, evaluation.tokens_out, evaluation.tokens_cached)):
            raise ValueError("a count of tokens is no count")
        evaluations.append(evaluation)
    return evaluations


def _broad(accepted: Mapping[str, Any], task: Task, student: str, timing: Timing, judging: Judging) -> Comparison:
    before, after = _answered(accepted["numbers"]["broad"], task, (BASE, student), accepted["accepted"]["at"])
    return Comparison(task, task.heldout_examples, before, after, timing, judging)


def _answered(numbers: Mapping[str, Any], task: Task, names: tuple[str, str], at: str) -> list[Evaluation]:
    """Return what two models answered, without a count of tokens."""
    answers, examples = numbers["answers"], task.heldout_examples
    strangers = answers.keys() - {example.id for example in examples}
    if numbers["n"] != len(examples) or strangers:
        raise ValueError(f"{numbers['n']} rows, {len(examples)} held-out" if not strangers else f"no held-out row {min(strangers)!r}")
    evaluations = []
    for side, name in enumerate(names):
        if task.answer.classes:
            given = [answers[example.id][side] if example.id in answers else example.expected for example in examples]
            values = tuple(NO_ANSWER if value is None else _checked(task, value) for value in given)
            keys = tuple(None if isinstance(value, Malformed) else task.answer.key(value) for value in values)
            grades = graded(task, examples, values)
        else:
            told = [
                _told(task, example, answers[example.id][side]) if example.id in answers else _expected(task, example)
                for example in examples
            ]
            values, keys, grades = (tuple(each) for each in zip(*told, strict=True))
        evaluations.append(Evaluation(name, values, keys, grades, tuple(key or "" for key in keys), 0, 0, at))
    return evaluations


def _timing(numbers: Mapping[str, Any]) -> Timing:
    times = {side: {"seconds": numbers[side], "first_token": [], "tokens_out": []} for side in SIDES}
    return Timing.from_json({**{name: numbers[name] for name in OF_TIMING}, **times, "reference": []})


def _check_facts(numbers: Mapping[str, Any]) -> None:
    """Raise ValueError where what readers are told is not what they can show."""
    counts = [numbers["rejected"], numbers["replaced"], *(numbers["models"][side]["outcomes"] for side in SIDES)]
    texts = [
        numbers["models"][side][name] for side in SIDES for name in ("revision", "digest", "origin", "answered_by", "retires", "terms")
    ]
    amounts = [numbers[name] for name in ("attempt", "trained_seconds", "train_examples")]
    amounts += [numbers["models"][side]["parameters"] for side in SIDES]
    if not all(isinstance(each, dict) and all(type(count) is int for count in each.values()) for each in counts):
        raise ValueError("a count is no count")
    if not all(isinstance(text, str | None) for text in texts) or not all(type(amount) in (int, float, type(None)) for amount in amounts):
        raise ValueError("a fact is not as it was written")


def _checked(task: Task, value: Any) -> Any:
    if task.answer.parse(task.answer.written(value)) != value:
        raise ValueError(f"{value!r} is {task.answer.misfit}")
    return value


def _expected(task: Task, example: Example) -> tuple[str, str, Grade]:
    found = as_expected(task, example)
    if found is None:
        raise ValueError(f"the answers to {example.id!r} are missing")
    key, grade = found
    return key, key, grade


def _told(task: Task, example: Example, told: Any) -> tuple[Any, str | None, Grade | None]:
    """Return value, key and grade of an answer that the lock tells by its grade; the key stands for the value."""
    if told is None:
        return NO_ANSWER, None, graded(task, [example], [NO_ANSWER])[0]
    key, *grade = told
    if not isinstance(key, str) or bool(grade) is (example.expected is None):
        raise ValueError(f"the answer to {example.id!r} is not as it was written")
    if not grade:
        return key, key, None
    score, right, scores = grade
    parts = {part: each for part, each in zip(task.answer.parts, scores, strict=True) if each is not None}
    if type(right) is not bool or not all(type(each) in (int, float) and 0 <= each <= 1 for each in (score, *parts.values())):
        raise ValueError(f"the grade of {example.id!r} is no grade")
    return key, key, Grade(score, right, parts)
