"""The timing of one pair: in turn where both may be asked, beside recorded times where one is replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_distill.ask import check_priced
from pytest_distill.ask.collect import Asking
from pytest_distill.errors import ModelError
from pytest_distill.evaluate import Series, Timing, time_beside, time_pairs, timing_sample
from pytest_distill.evaluate.timing import ATTEMPTS, MOST_WARM_UP, unpaired
from pytest_distill.files import digest, write_json
from pytest_distill.models import Endpoint, Model
from pytest_distill.models.device import disturbance, exclusive, workload
from pytest_distill.models.endpoint import TIMING_TRIES
from pytest_distill.recording import Reply
from pytest_distill.results import machine
from pytest_distill.task import Task

TIMED_OUTCOMES = ("answered", "cut", "malformed")

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_distill.plugin.flow import Pairing


def timing_of(pairing: Pairing, student: Model, replies: Mapping[str, Sequence[Reply]]) -> Timing:
    """Return how long teacher and student take: from the store where this pair was timed on this machine, otherwise timed now.

    An Endpoint is asked for its times under ``--distill-live`` alone; else they come from its recording.

    Args:
        pairing: whose.
        student: the student to time.
        replies: what ``teacher`` and ``student`` said to the held-out rows.
    """
    models = {"teacher": pairing.teacher, "student": student}
    hosted = [role for role, model in models.items() if isinstance(model, Endpoint)]
    settings = pairing.run.settings
    live = live_path(pairing, student, replies)
    if not settings.retrain and not (settings.live and hosted) and (stored := stored_timing(live)):
        return stored
    if not hosted or settings.live:
        return _kept(live, _timed_in_turn(pairing, models))
    prompts = dict(zip((example.id for example in pairing.task.heldout_examples), _prompts(pairing), strict=True))
    recorded = {role: alone_times(replies[role], prompts, settings.pairs, models[role]) for role in hosted}
    path = recorded_path(pairing, student, recorded)
    if not settings.retrain and (stored := stored_timing(path)):
        return stored
    at = min(reply.at for role in hosted for reply in replies[role] if reply.alone or not recorded[role])
    if len(hosted) == len(models):
        return _both_recorded(recorded, at)
    return _kept(path, _timed_beside(pairing, models, hosted[0], recorded[hosted[0]], at))


def _prompts(pairing: Pairing) -> list[str]:
    return [pairing.task.render(example) for example in pairing.task.heldout_examples]


def live_path(pairing: Pairing, student: Model, replies: Mapping[str, Sequence[Reply]]) -> Path:
    """Return where the timing in turn of this pair is kept; `replies` are needed of Endpoints alone."""
    # Endpoints answer from a place, and their recording is an input: a timing of another one is another timing.
    sides = (("teacher", pairing.teacher), ("student", student))
    return _path(pairing, student, [[model.origin, said(replies[role])] for role, model in sides if isinstance(model, Endpoint)])


def recorded_path(pairing: Pairing, student: Model, recorded: Mapping[str, Mapping[str, float]]) -> Path:
    """Return where the timing of one model beside the `recorded` times of the other is kept."""
    return _path(pairing, student, [recorded])


def _path(pairing: Pairing, student: Model, more: list[Any]) -> Path:
    asked = [pairing.task.digest, pairing.task.questions_digest, pairing.run.settings.pairs, *more]
    return pairing.store.timing_path(pairing.teacher.digest, student.digest, digest(asked), pairing.device)


def stored_timing(path: Path) -> Timing | None:
    """Return the timing kept at `path`, or None where there is none that was made on this machine."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(path.read_text(encoding="ascii"))
        if stored["machine"] == machine():
            return Timing.from_json(stored)
    return None


def _kept(path: Path, timing: Timing) -> Timing:
    if not timing.noise:  # a noisy one is measured again by the next run
        write_json(path, timing.to_json())
    return timing


def alone_times(replies: Sequence[Reply], prompts: Mapping[str, str], pairs: int, model: Model) -> dict[str, float]:
    """Return the recorded seconds of prompts that were asked alone, by prompt: a sample of at most `pairs` of them.

    What was recorded at another address than the model's, or brought no answer, tells nothing of its speed.
    """
    origin = model.origin if isinstance(model, Endpoint) else ""
    times = {
        prompts[reply.id]: reply.seconds
        for reply in replies
        if reply.alone and reply.seconds and not reply.sample and reply.origin == origin and reply.outcome in TIMED_OUTCOMES
    }
    return {prompt: times[prompt] for prompt in timing_sample(list(times), pairs)}


def said(replies: Sequence[Reply]) -> str:
    """Return the digest of all that replies bring into a result."""
    return digest(
        [
            [reply.key, reply.outcome, reply.text, reply.tokens_in, reply.tokens_cached, reply.tokens_out]
            + ([reply.seconds, reply.origin] if reply.alone else [])
            for reply in replies
        ]
    )


def _timed_in_turn(pairing: Pairing, models: Mapping[str, Model]) -> Timing:
    prompts, task = _prompts(pairing), pairing.task
    guards = _guards(pairing, models.values(), "timing teacher and student in turn")
    _set_aside(pairing, models, prompts)
    servers = sorted({model.server for model in models.values() if isinstance(model, Endpoint)})
    with ExitStack() as held:
        for place in (pairing.device, *servers):  # another process that asks the same server would slow it down
            held.enter_context(exclusive(place, pairing.run.progress.say))
        try:
            for model in models.values():
                model.load(pairing.device)
            return time_pairs(
                as_asked(models["teacher"], task),
                as_asked(models["student"], task),
                prompts,
                task.max_tokens,
                machine(),
                pairs=pairing.run.settings.pairs,
                **guards,
            )
        finally:
            for model in models.values():
                if isinstance(model, Endpoint):
                    model.unload()


def as_asked(model: Model, task: Task) -> Model:
    """Return the model as its replies were asked for: an Endpoint that is timed is sent the schema and the tools of the task as well."""
    if not isinstance(model, Endpoint) or not (task.answer.json_schema or task.answer.tools):
        return model
    asked = copy(model)
    asked.time_one = partial(model.time_one, schema=task.answer.json_schema, tools=task.answer.tools)  # type: ignore[method-assign]
    return asked


def _set_aside(pairing: Pairing, models: Mapping[str, Model], prompts: Sequence[str]) -> None:
    """Count what asking Endpoints for their times may cost at most, all repeats included.

    Raises:
        ModelError: that is more than is left of the budget, or an Endpoint has no price to tell.
    """
    budget, task = pairing.run.budget, pairing.task
    sample = timing_sample(prompts, pairing.run.settings.pairs)
    most = 0.0
    for model in models.values():
        if isinstance(model, Endpoint):
            check_priced(model, budget)
            asking = Asking(model, task.max_tokens, task.answer.json_schema, budget, tools=task.answer.tools)
            each = [asking.most_cost(prompt) for prompt in sample]
            most += TIMING_TRIES * (ATTEMPTS * sum(each) + MOST_WARM_UP * max(each))
    if budget.limit is None:
        return
    with budget.open():
        if budget.spent + most > budget.limit:
            raise ModelError(
                f"task {task.name!r}: timing with --distill-live may cost up to ${most:.4f}, and ${budget.spent:.4f} of the budget of"
                f" ${budget.limit:g} are spent. Raise --distill-budget, or leave --distill-live out to use recorded times."
            )
        budget.spent += most


def _timed_beside(pairing: Pairing, models: Mapping[str, Model], of: str, recorded: Mapping[str, float], at: str) -> Timing:
    model = next(model for role, model in models.items() if role != of)
    task, pairs = pairing.task, pairing.run.settings.pairs
    guards = _guards(pairing, [model], f"timing {model.name} beside recorded times")
    with exclusive(pairing.device, pairing.run.progress.say):
        model.load(pairing.device)
        return time_beside(
            as_asked(model, pairing.task), recorded, of, at, _prompts(pairing), task.max_tokens, machine(), pairs=pairs, **guards
        )


def _both_recorded(recorded: Mapping[str, Mapping[str, float]], at: str) -> Timing:
    common = [prompt for prompt in recorded["teacher"] if prompt in recorded["student"]]
    sides = [Series(tuple(recorded[role][prompt] for prompt in common)) for role in ("teacher", "student")]
    lacks = next((role for role in ("teacher", "student") if not recorded[role]), "")
    apart = "the two recordings hold no times of the same prompts. Record both anew, or time both models in one run: --distill-live"
    why = "" if common else unpaired(lacks) if lacks else apart
    return Timing(sides[0], sides[1], "recorded", at, machine(), unpaired=why, recorded=at, student_recorded=True)


def _guards(pairing: Pairing, models: Any, what: str) -> dict[str, Any]:
    """Return what keeps a timing honest, and what is told of it."""
    here = any(getattr(model, "local", True) for model in models)
    name, progress, device = pairing.task.name, pairing.run.progress, pairing.device
    return {
        "workload": workload(device) if here else None,
        "disturbed": lambda: disturbance(device) if here else None,
        "progress": lambda done, of: progress.step(f"{name}: {what}", done, of),
        "again": lambda reason: progress.say(f"{name}: timing again: {reason}"),
    }
