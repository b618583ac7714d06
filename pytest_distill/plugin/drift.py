"""``--distill-drift``: whether Endpoints still answer as recorded. In place of running gates, recorded prompts are asked again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_distill import results
from pytest_distill.ask import check_priced, collect, keys_of
from pytest_distill.errors import DistillError, ModelError, RecordingError
from pytest_distill.evaluate import Drift, drift_of, enough_prompts
from pytest_distill.evaluate.stability import MOST_LOST
from pytest_distill.models import Answer, Endpoint
from pytest_distill.models.device import exclusive
from pytest_distill.plugin.flow import Pairing, pairing_of
from pytest_distill.recording import FAILED, Recording, Reply
from pytest_distill.task import Example, Task, shown_path
from pytest_distill.verdict import INCONCLUSIVE, percent

if TYPE_CHECKING:
    import pytest

    from pytest_distill.plugin.run import Run

MOVED, NOT_MOVED, REPORTED, ERROR = "moved", "not moved", "reported", "error"


@dataclass(frozen=True)
class Recorded:
    """A prompt of a recording: whose it is, its text, and the keys of its samples."""

    example: Example
    prompt: str
    keys: Sequence[str]


class _Heard(collect.Keeper):
    """Keeps what comes back to itself: the recording stays as it is, and another model than the recorded one may answer."""

    def __init__(self, asking: collect.Asking, recording: Recording) -> None:
        super().__init__(asking, recording, "")
        self.replies: dict[str, Reply] = {}

    def keep(self, wanted: collect.Wanted, answer: Answer) -> None:
        self.replies[wanted.key] = self.asking.reply(wanted, answer)
        self.done += 1


def ask_again(run: Run, items: Sequence[pytest.Item]) -> list[dict[str, Any]]:
    """Ask each Endpoint of the collected gates again; return for each what results.json holds of it.

    Args:
        run: its settings say how many prompts, its budget what they may cost.
        items: the collected gates.
    """
    # Another sample each day, so that a scheduled check sees all prompts in time; the same all day long, so that it can be repeated.
    day = datetime.now(UTC).date().isoformat()
    return [_entry(run, pairing, role, model, day) for pairing, role, model in _endpoints(items)]


def _endpoints(items: Sequence[pytest.Item]) -> Iterator[tuple[Pairing, str, Endpoint]]:
    """Yield each Endpoint once for each of its recordings, with a pairing that it is in and its role there."""
    seen = set()
    for item in items:
        pairing = pairing_of(item)
        if pairing is None:
            continue
        for role, model in (("teacher", pairing.teacher), ("student", pairing.student)):
            if isinstance(model, Endpoint) and (key := (pairing.committed_path(model), model.digest)) not in seen:
                seen.add(key)
                yield pairing, role, model


def _entry(run: Run, pairing: Pairing, role: str, model: Endpoint, day: str) -> dict[str, Any]:
    task, path = pairing.task, pairing.committed_path(model)
    entry: dict[str, Any] = {
        "task": task.name,
        "file": run.relative(pairing.file),
        "line": pairing.line,
        "role": role,
        "model": model.name,
        "recording": shown_path(path),
        "sample": day,
        "limit": task.stable,
        **dict.fromkeys(("recorded", "recorded_at", "asked", "cost_usd", "beyond", *(each.name for each in fields(Drift)))),
    }
    try:
        recording = pairing.recording_of(model)
        known = _recorded(task, model, recording)
        asked = random.Random(day).sample(known, min(run.settings.drift, len(known)))
        then = [[reply for reply in recording.replies(each.keys) if reply is not None] for each in asked]
        entry |= {"recorded": len(known), "recorded_at": min(of_one[0].at for of_one in then), "asked": len(asked)}
        now = _asked(run, task, model, asked, recording)
        entry["cost_usd"] = None if model.price is None else sum(reply.cost or 0.0 for reply in now)
        found = _found(task, model, asked, then, now)
    except DistillError as error:
        return entry | {"outcome": ERROR, "words": str(error)}
    outcome, words = _judged(f"{role} {model.name!r} of task {task.name!r}", found, task.stable, len(known))
    return entry | found.to_json() | {"outcome": outcome, "words": words}


def _recorded(task: Task, model: Endpoint, recording: Recording) -> list[Recorded]:
    """Return the prompts, of held-out and training rows alike, whose reply is recorded; each once.

    Raises:
        RecordingError: there are none.
    """
    examples = [*task.heldout_examples, *task.train_examples]
    prompts = [task.render(example) for example in examples]
    found: dict[str, Recorded] = {}
    for example, prompt, keys in zip(examples, prompts, keys_of(model, task, prompts), strict=True):
        if recording.holds(keys[0]):
            found.setdefault(keys[0], Recorded(example, prompt, keys))
    if not found:
        what = "holds no reply to a prompt as it is asked now" if recording.path.exists() else "is not there"
        raise RecordingError(
            f"task {task.name!r}: the recording of {model.name!r}, {shown_path(recording.path)}, {what}. Record first:"
            " pytest --distill --distill-record."
        )
    return list(found.values())


def _asked(run: Run, task: Task, model: Endpoint, asked: Sequence[Recorded], recording: Recording) -> list[Reply]:
    """Ask each prompt once more and return the replies, also those that failed.

    Raises:
        ModelError: not all could be asked.
    """
    check_priced(model, run.budget)
    keeper = _Heard(collect.Asking(model, task.max_tokens, task.answer.json_schema, run.budget, tools=task.answer.tools), recording)
    wanted = [collect.Wanted(each.keys[0], each.example.id, each.prompt, 0) for each in asked]
    what = f"{task.name}: asking {model.name} again"
    with exclusive(model.server, run.progress.say), run.budget.open():
        model.load()
        try:
            work = collect.Collection(keeper, lambda done: run.progress.step(what, done, len(wanted)))
            model.connection.run(work.run(wanted))
        except ModelError as error:
            raise _unknown(task, model, f"{str(error).rstrip('.')}. {keeper.done} of {len(wanted)} prompts were asked again") from None
        finally:
            model.unload()
    return [keeper.replies[each.key] for each in wanted]


def _found(task: Task, model: Endpoint, asked: Sequence[Recorded], then: Sequence[Sequence[Reply]], now: Sequence[Reply]) -> Drift:
    """Return what asking again found.

    Raises:
        ModelError: too few replies came back to tell.
    """
    lost = [reply for reply in now if reply.outcome == FAILED]
    found = drift_of(task, [each.example for each in asked], then, now)
    if found is None or len(lost) > MOST_LOST * len(now):
        raise _unknown(task, model, f"{len(lost)} of {len(now)} prompts had no reply; first: {lost[0].id}: {lost[0].detail}")
    return found


def _unknown(task: Task, model: Endpoint, why: str) -> ModelError:
    return ModelError(f"task {task.name!r}: whether {model.name!r} has moved is not known: {why}. Run again when that is mended.")


def _judged(subject: str, found: Drift, limit: float | None, recorded: int) -> tuple[str, str]:
    """Return whether an Endpoint has moved, and the words for it: a sentence, with the way out where one is needed."""
    answers = found.answers
    seen = f"{percent(answers.rate)} of {answers.n} prompts"
    between = f"{seen} (95% bounds {percent(answers.lower)} to {percent(answers.upper)})"
    if limit is None:
        return REPORTED, f"{subject} answers otherwise than recorded on {between}; the task states no limit, Task(stable=…)"
    allowed = f"allowed are {percent(limit, -1)}"
    if answers.lower > limit:
        words = (
            f"{subject} has moved: it answers otherwise than recorded on {seen} (95% bound: at least {percent(answers.lower)}), {allowed}"
        )
        return MOVED, f"{words}. Delete the recording, record anew and judge the students again, or ask for a dated model."
    if answers.upper <= limit:
        return NOT_MOVED, f"{subject} answers as recorded: otherwise on {seen} (95% bound: at most {percent(answers.upper)}), {allowed}"
    words = f"{subject} is shown neither to have moved nor to answer as recorded: otherwise on {between}, {allowed}"
    enough = enough_prompts([1.0] * found.changed + [0.0] * (answers.n - found.changed), limit)
    if enough is None:
        return INCONCLUSIVE, words
    way = f"--distill-drift {enough}" if enough <= recorded else f"about {enough} prompts, of which {recorded} are recorded,"
    return INCONCLUSIVE, f"{words}; {way} would show that it has not moved, if the share stays as it is"


def conclusion(entries: Sequence[Mapping[str, Any]], trouble: str) -> dict[str, Any]:
    """Return what a result says in place of gates: ``fail`` where an Endpoint is shown to have moved, ``error`` where that is not known.

    What is inconclusive, or has no limit to hold it against, passes and is said: a check of few prompts must not cry wolf.

    Args:
        entries: what `ask_again` returned.
        trouble: what else went wrong in the run, or nothing.
    """
    first = {entry["outcome"]: entry["words"] for entry in reversed(entries)}
    if trouble:
        verdict, cause = "error", trouble
    elif not entries:
        verdict, cause = "error", "nothing was asked again: no Endpoint is among what was collected"
    elif ERROR in first:
        verdict, cause = "error", first[ERROR]
    elif MOVED in first:
        verdict, cause = "fail", first[MOVED]
    else:
        verdict, cause = "pass", results.all_words(entries)
    return results.in_place_of_gates("drift", entries, verdict, cause)
