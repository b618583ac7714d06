"""``--distill-record-only``: ask for what no recording holds, and stop. In place of running gates; nothing is trained, judged or timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_distill import results
from pytest_distill.ask import keys_of
from pytest_distill.errors import DistillError
from pytest_distill.evaluate import evaluate
from pytest_distill.judge import Judge, Pair
from pytest_distill.models import Endpoint, Model
from pytest_distill.plugin.judged import ask_judge, keys_for, pairs_of
from pytest_distill.plugin.plan import flows_of
from pytest_distill.recording import FAILED, Reply
from pytest_distill.student import Recipe
from pytest_distill.task import shown_path

if TYPE_CHECKING:
    import pytest

    from pytest_distill.plugin.flow import Pairing
    from pytest_distill.plugin.run import Run

RECORDED, ERROR = "recorded", "error"


@dataclass(frozen=True)
class Sought:
    """A recording that a run replays: a pairing that it is for, its model and the role there, whether a student learns from it, whose judge it is."""

    pairing: Pairing
    role: str
    model: Model
    learns: bool
    judge: Judge | None = None

    @property
    def subject(self) -> str:
        """Whose replies they are, in words."""
        return f"{self.role} {self.model.name!r} of task {self.pairing.task.name!r}"

    def keys(self) -> set[str]:
        """Return the keys of all replies that a run needs.

        Raises:
            ModelError: a local model's files cannot be told by their digest.
            RecordingError: what a judge is to be asked about is not recorded.
        """
        task = self.pairing.task
        if self.judge:
            return keys_for(self.pairing, self.judge, self._pairs())
        examples = [*(task.heldout_examples if isinstance(self.model, Endpoint) else ()), *(task.train_examples if self.learns else ())]
        prompts = [task.render(example) for example in examples]
        return {key for of_one in keys_of(self.model, task, prompts) for key in of_one}

    def held(self, keys: set[str]) -> int:
        """Return how many of these replies the recording holds.

        Raises:
            RecordingError: it is damaged or cannot be read.
        """
        return sum(map(self.pairing.committed(self.judge or self.model).holds, keys))

    def _pairs(self) -> list[Pair]:
        pairing, student = self.pairing, self.pairing.student
        assert not isinstance(student, Recipe)
        said = {"teacher": pairing.teacher, "student": student}
        examples = pairing.task.heldout_examples
        sides = [
            evaluate(model.name, pairing.task, examples, pairing.held_out(model, f"{role} answers the held-out rows"))
            for role, model in said.items()
        ]
        return pairs_of(pairing, *sides)

    def ask(self) -> list[Reply]:
        """Ask for what is missing, by the steps of any run, and return all replies.

        Raises:
            DistillError: not all could be asked, or the task does not find its teacher stable; finished replies are kept.
        """
        pairing, replies = self.pairing, list[Reply]()
        if self.judge:
            return ask_judge(pairing, self.judge, self._pairs())
        if self.role == "student":
            return pairing.held_out(self.model, "student answers the held-out rows")
        pairing.check_teacher()
        if pairing.checked:
            replies += pairing.checked[0]
        try:
            return replies + (pairing.teacher_replies() if self.learns else [])
        finally:
            self.model.unload()


def record(run: Run, items: Sequence[pytest.Item]) -> list[dict[str, Any]]:
    """Ask each model of the collected gates for what its recording lacks; return for each what results.json holds of it.

    An Endpoint is asked for the held-out rows, and a teacher, local ones too, for the training rows where a student learns from them. A
    judge is asked about the replies of a student that is not trained first.
    Trouble with one does not stop the others: what the budget still has is theirs. A mark that skips a gate on this machine does not count: it may
    well be another one that trains.

    Args:
        run: its budget says what asking may cost; its settings allow to record.
        items: the collected gates.
    """
    return [_entry(run, each) for each in _sought(items)]


def _sought(items: Sequence[pytest.Item]) -> list[Sought]:
    """Return each recording that is to be filled once, in the order of the run."""
    found: dict[object, Sought] = {}
    for flow in flows_of(items):
        pairing, student = flow.pairing, flow.pairing.student
        roles: list[tuple[str, Model, bool]] = [("teacher", pairing.teacher, flow.learns)]
        roles += [("student", student, False)] if isinstance(student, Endpoint) else []
        for role, model, learns in roles:
            hosted = isinstance(model, Endpoint)
            # A local model's digest reads its files, which may be missing; one object is one model all the same.
            key = (role, pairing.committed_path(model), (model.digest, model.samples) if isinstance(model, Endpoint) else id(model))
            if (hosted or learns) and (key not in found or (learns and not found[key].learns)):
                found[key] = Sought(pairing, role, model, learns)
        judge = pairing.declaration.judge
        if judge and isinstance(judge.model, Endpoint) and not (isinstance(student, Recipe) or "student" in flow.own):
            found["judge", pairing.id] = Sought(pairing, "judge", judge.model, False, judge)
    return list(found.values())


def _entry(run: Run, sought: Sought) -> dict[str, Any]:
    pairing, priced, spent = sought.pairing, getattr(sought.model, "price", None) is not None, run.budget.spent
    entry: dict[str, Any] = {
        "file": run.relative(pairing.file),
        "line": pairing.line,
        "task": pairing.task.name,
        "role": sought.role,
        "model": sought.model.name,
        "held": 0,
        "asked": 0,
        "failed": 0,
        "cost_usd": None,
    }
    lost: list[Reply] = []
    trouble = ""
    try:
        keys = sought.keys()
        entry["failed"] = len(keys)
        held = sought.held(keys)
        entry |= {"held": held, "failed": len(keys) - held}
        try:
            lost = [reply for reply in sought.ask() if reply.outcome == FAILED]
        finally:
            now = sought.held(keys)
            entry |= {"asked": now - held, "failed": len(keys) - now}
    except DistillError as error:
        trouble = str(error)
    cost = round(run.budget.spent - spent, 10) if priced else None
    entry["cost_usd"] = cost
    if lost and not trouble:
        trouble = (
            f"{sought.subject}: {entry['failed']} of {len(keys)} replies could not be had; first: {lost[0].id}: {lost[0].detail}."
            " The same command asks for them again."
        )
    if trouble:
        return entry | {"outcome": ERROR, "words": trouble}
    new = f"{entry['asked']} of them new{f', ${cost:.4f}' if cost else ''}" if entry["asked"] else "none of them new"
    where = shown_path(pairing.committed_path(sought.judge or sought.model))
    return entry | {"outcome": RECORDED, "words": f"{sought.subject}: {len(keys)} replies are in {where}, {new}"}


def conclusion(entries: Sequence[Mapping[str, Any]], trouble: str) -> dict[str, Any]:
    """Return what a result says in place of gates: ``pass`` where every reply that a run needs is recorded now, else ``error``.

    Args:
        entries: what `record` returned.
        trouble: what else went wrong in the run, or nothing.
    """
    failed = next((entry["words"] for entry in entries if entry["outcome"] == ERROR), "")
    verdict, cause = "error", trouble or failed
    if not entries and not trouble:
        cause = "nothing was recorded: no Endpoint is among what was collected, and no student that learns from a local teacher's replies"
    elif not cause:
        verdict, cause = "pass", results.all_words(entries)
    return results.in_place_of_gates("recorded", entries, verdict, cause)
