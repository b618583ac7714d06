"""Ask a model for replies through its recordings: what is recorded is replayed, the rest is asked and recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime

from pytest_distill.models import Model
from pytest_distill.recording import Recording, Reply, reply_key
from pytest_distill.task import Example, Task

CHUNK = 256


def ask(
    model: Model,
    task: Task,
    examples: Sequence[Example],
    recording: Recording,
    *,
    committed: Recording | None = None,
    ready: Callable[[], AbstractContextManager[None]],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Reply]:
    """Return the model's reply for each example, in order.

    Args:
        model: the model to ask; it is loaded only if a reply is missing.
        task: gives the prompt and the longest reply.
        examples: what to ask.
        recording: where new replies go, and where earlier ones are found.
        committed: a recording that is only read, looked at first.
        ready: a context in which the model is loaded and may use its device.
        progress: told (asked so far, to ask) after each chunk.

    Raises:
        ModelError: the model cannot be loaded or asked; finished replies are kept.
    """
    prompts = [task.render(example) for example in examples]
    keys = [reply_key(model.digest, prompt, task.max_tokens) for prompt in prompts]

    def find(key: str) -> Reply | None:
        return (committed.get(key) if committed else None) or recording.get(key)

    if any(find(key) is None for key in keys):
        with recording.writing():
            missing = {key: at for at, key in enumerate(keys) if find(key) is None}
            # Prompts of like length share a batch, so that little is spent on padding.
            order = sorted(missing.values(), key=lambda at: len(prompts[at]))
            if order:
                with ready():
                    for start in range(0, len(order), CHUNK):
                        chunk = order[start : start + CHUNK]
                        answers = model.answer([prompts[at] for at in chunk], task.max_tokens)
                        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                        recording.append(
                            Reply(
                                keys[at],
                                examples[at].id,
                                model.name,
                                answer.text,
                                answer.outcome,
                                answer.tokens_in,
                                answer.tokens_out,
                                now,
                            )
                            for at, answer in zip(chunk, answers, strict=True)
                        )
                        progress(start + len(chunk), len(order))
    found = [(example, find(key)) for example, key in zip(examples, keys, strict=True)]
    # Two examples may share a prompt, and so a reply; each answer carries the id of the example that it is for.
    return [replace(reply, id=example.id) for example, reply in found if reply is not None]
