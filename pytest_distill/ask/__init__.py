"""Ask a model for replies through its recordings: what is recorded is replayed, the rest is asked and recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pytest_distill.ask import collect
from pytest_distill.ask.batch import BatchCollection
from pytest_distill.ask.pace import Budget as Budget
from pytest_distill.errors import ModelError, RecordingError
from pytest_distill.files import digest
from pytest_distill.models import Endpoint, Model
from pytest_distill.recording import Recording, Reply, prompt_digest, reply_key
from pytest_distill.task import Example, Task, shown_path

CHUNK = 256


def keys_of(model: Model, task: Task, prompts: Sequence[str]) -> list[list[str]]:
    """Return for each prompt the keys of its replies, one for each sample that the model is asked for."""
    form = task.answer.json_schema or list(task.answer.tools)
    schema = digest(form) if isinstance(model, Endpoint) and form else ""
    samples = model.samples if isinstance(model, Endpoint) else 1
    return [[reply_key(model.digest, prompt, task.max_tokens, sample=k, schema=schema) for k in range(samples)] for prompt in prompts]


def ask(
    model: Model,
    task: Task,
    examples: Sequence[Example],
    recording: Recording,
    *,
    committed: Recording | None = None,
    may_ask: bool = True,
    alone: Collection[str] = (),
    budget: Budget | None = None,
    ready: Callable[[], AbstractContextManager[None]],
    progress: Callable[[int, int], None] = lambda done, of: None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Reply]:
    """Return the model's replies for each example, in order; where it is asked for several samples, those of an example follow one another.

    Args:
        model: the model to ask; it is loaded only if a reply is missing.
        task: gives the prompt and the longest reply.
        examples: what to ask.
        recording: where new replies go, and where earlier ones are found.
        committed: a recording that is only read, looked at first.
        may_ask: whether an `Endpoint` may be asked; any other model always may.
        alone: the prompts that an Endpoint is asked one at a time, so that their times can be compared.
        budget: what an Endpoint may cost.
        ready: a context in which the model is loaded and may use its device.
        progress: told (asked so far, to ask) as replies are safely recorded.
        say: told in words what takes long or went wrong on the way.

    Raises:
        RecordingError: an Endpoint's reply is missing and may not be asked for, what is recorded stems from two models, or a reply cannot
            be written.
        ModelError: the model cannot be loaded or asked, or the budget is used up; finished replies are kept.
    """
    prompts = [task.render(example) for example in examples]
    keys = keys_of(model, task, prompts)

    def lacks(key: str) -> bool:
        # A reply that failed is had again wherever asking is allowed.
        known = Recording.holds if may_ask else Recording.has
        return not ((committed is not None and known(committed, key)) or known(recording, key))

    if any(lacks(key) for of_one in keys for key in of_one):
        if not may_ask and isinstance(model, Endpoint):
            raise _missing(model, task, examples, prompts, keys, recording)
        with recording.writing():
            # One reply for each key: examples may share a prompt.
            missing = {key: (at, k) for at, of_one in enumerate(keys) for k, key in enumerate(of_one) if lacks(key)}
            if missing:
                with ready():
                    if isinstance(model, Endpoint):
                        wanted = [
                            collect.Wanted(key, examples[at].id, prompts[at], k, alone=not k and prompts[at] in alone)
                            for key, (at, k) in missing.items()
                        ]
                        _collect(model, task, wanted, recording, budget or Budget(), progress, say)
                    else:
                        of_prompts = {key: at for key, (at, _) in missing.items()}
                        _ask_in_chunks(model, task, examples, prompts, of_prompts, recording, progress)
    found = _found(keys, recording, committed)
    if isinstance(model, Endpoint):
        _check_one_model(model, found, recording)
    # Two examples may share a prompt, and so a reply; each answer carries the id of the example that it is for.
    ids = (example.id for example, of_one in zip(examples, keys, strict=True) for _ in of_one)
    return [reply if reply.id == name else replace(reply, id=name) for reply, name in zip(found, ids, strict=True)]


def _found(keys: Sequence[Sequence[str]], recording: Recording, committed: Recording | None) -> list[Reply]:
    flat = [key for of_one in keys for key in of_one]
    sources = [recording] if committed is None or committed is recording else [committed, recording]
    rows = zip(flat, *(source.replies(flat) for source in sources), strict=True)
    found = [next((reply for reply in replies if reply is not None), None) for _, *replies in rows]
    assert None not in found, "what was missing has been asked"
    return [reply for reply in found if reply is not None]


def _ask_in_chunks(
    model: Model,
    task: Task,
    examples: Sequence[Example],
    prompts: Sequence[str],
    missing: dict[str, int],
    recording: Recording,
    progress: Callable[[int, int], None],
) -> None:
    # Prompts of like length share a batch, so that little is spent on padding.
    order = sorted(missing.items(), key=lambda item: len(prompts[item[1]]))
    for start in range(0, len(order), CHUNK):
        chunk = order[start : start + CHUNK]
        answers = model.answer([prompts[at] for _, at in chunk], task.max_tokens)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        recording.append(
            Reply(key, examples[at].id, model.name, answer.text, answer.outcome, answer.tokens_in, answer.tokens_out, now)
            for (key, at), answer in zip(chunk, answers, strict=True)
        )
        progress(start + len(chunk), len(order))


def _collect(
    model: Endpoint,
    task: Task,
    wanted: Sequence[collect.Wanted],
    recording: Recording,
    budget: Budget,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> None:
    """Ask an Endpoint for what is wanted.

    Raises:
        ModelError: not all could be asked; the text says what is kept and how to go on.
    """
    check_priced(model, budget)
    # What was recorded for this task before must stem from the same model.
    before = next((reply.answered_by for reply in recording.every() if reply.answered_by and reply.model == model.model), "")
    with budget.open():

        async def work() -> collect.Keeper:
            asking = collect.Asking(model, task.max_tokens, task.answer.json_schema, budget, await model.retires(), task.answer.tools)
            keeper = collect.Keeper(asking, recording, before)

            def report(done: int) -> None:
                progress(done, len(wanted))

            def tell(text: str) -> None:
                say(redact(text))

            redact = model.connection.redact  # a batch's states and errors are words of the server as well
            collection = BatchCollection(keeper, report, say=tell) if model.batch else collect.Collection(keeper, report, tell)
            try:
                await collection.run(wanted)
            except ModelError as error:
                had = keeper.done - keeper.failed
                recorded = f"{had} of {len(wanted)} replies were recorded in {shown_path(recording.path)} and are kept; the same command asks for the rest"
                raise ModelError(
                    f"task {task.name!r}: Endpoint {model.name!r}: {redact(str(error)).rstrip('.')}."
                    f" {recorded if had else 'No reply was had; the same command asks again'}."
                ) from None
            return keeper

        before_it = budget.spent
        keeper = model.connection.run(work())
    cost = f", ${budget.spent - before_it:.4f}" if model.price else ""
    say(f"{task.name}: {keeper.done - keeper.failed} replies of {model.name} recorded in {shown_path(recording.path)}{cost}")


def check_priced(model: Endpoint, budget: Budget) -> None:
    """Refuse an Endpoint without a price where a budget must be kept.

    Raises:
        ModelError: naming it.
    """
    if budget.limit is not None and model.price is None:
        raise ModelError(f"Endpoint {model.name!r} has no price, so a budget cannot be kept. Give it price=(input, cached, output).")


def _check_one_model(model: Endpoint, replies: Sequence[Reply], recording: Recording) -> None:
    given: dict[str, str] = {}
    for reply in replies:
        if reply.answered_by:
            given.setdefault(reply.answered_by, reply.id)
    if len(given) > 1:
        (one, first), (other, second) = list(given.items())[:2]
        raise RecordingError(
            f"{shown_path(recording.path)}: {model.model!r} answered as {one!r} (for {first}) and as {other!r} (for {second}): these are two"
            " models. Delete the lines of one of them, or the file, and record again under a dated name."
        )


def _missing(
    model: Endpoint, task: Task, examples: Sequence[Example], prompts: Sequence[str], keys: Sequence[Sequence[str]], recording: Recording
) -> RecordingError:
    """Return what is missing, the field that changed since it was recorded, and the command that records it."""
    lacking = [(at, k) for at, of_one in enumerate(keys) for k, key in enumerate(of_one) if not recording.has(key)]
    at, sample = lacking[0]
    name, what = examples[at].id, f"sample {sample} of " if sample else ""
    old = [reply for reply in recording.every() if reply.id == name and reply.sample == sample]
    why = _changed(old[-1], model, task, prompts[at]) if old else "nothing is recorded for it"
    total = sum(map(len, keys))
    return RecordingError(
        f"task {task.name!r}: {len(lacking)} of {total} replies of {model.name!r} are not in {shown_path(recording.path)}; first: {what}{name}:"
        f" {why}. Record them: pytest --distill --distill-record (pytest --distill --distill-plan says what that costs)."
    )


def _changed(old: Reply, model: Endpoint, task: Task, prompt: str) -> str:
    now = model.sent(task.max_tokens, task.answer.json_schema, task.answer.tools)
    names = sorted(now.keys() | old.parameters.keys())
    changes = [f"the model is {model.model!r}, was {old.model!r}"] if old.model != model.model else []
    changes += ["the prompt has changed"] if old.prompt != prompt_digest(prompt) else []
    changes += [
        f"{name} is {_shown(now, name)}, was {_shown(old.parameters, name)}" for name in names if now.get(name) != old.parameters.get(name)
    ]
    return f"recorded {old.at[:10]}, and since then {'; '.join(changes)}" if changes else "it was recorded in another way"


def _shown(parameters: Mapping[str, Any], name: str) -> str:
    return f"{parameters[name]!r:.60}" if name in parameters else "not given"
