"""What a run does with locks: judges from its own, compares with the base branch's, accepts a new one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill import lock
from pytest_distill.errors import LockError
from pytest_distill.files import digest, text_digest
from pytest_distill.plugin.declare import declared_as
from pytest_distill.plugin.options import Settings
from pytest_distill.results import comparison_entry

if TYPE_CHECKING:
    from pytest_distill.compare import Comparison
    from pytest_distill.models import Model
    from pytest_distill.plugin.flow import Pairing

NEEDS_A_RUN = "It needs a run on a machine that can train it: pytest --distill --distill-accept, then commit distill.lock.json"
ACCEPT_GATES = "pytest --distill --distill-locked --distill-accept takes that over, to be committed"
# Fixtures that a benchmark file may replace by its own: what these return, no lock can tell.
DATA_FLOW = ("teacher_replies", "training_set", "student", "comparison")


def own_fixtures(item: pytest.Item) -> tuple[str, ...]:
    """Return which steps of the data flow the benchmark file of a gate replaces by its own."""
    fixtures = item.session._fixturemanager  # noqa: SLF001  (there is no public way to ask what a fixture's name means for an item)
    return tuple(name for name in DATA_FLOW if len(fixtures.getfixturedefs(name, item) or ()) > 1)


def inputs_of(pairing: Pairing, student: Model | None = None) -> dict[str, Any]:
    """Return by name all that people decide about a comparison, as plain JSON values: what a lock holds for.

    Args:
        pairing: whose.
        student: the model, where a benchmark file brings it by a fixture of its own.

    Raises:
        DistillError: a row or a model cannot be read.
    """
    task, declaration = pairing.task, pairing.declaration
    recordings = {model.name: pairing.committed_path(model) for model in pairing.models}
    found = {
        "task": task.name,
        "prompt": digest(task.prompt),
        "answer": task.answer.describe(),
        "max_tokens": task.max_tokens,
        "stable": task.stable,
        "heldout": {"rows": len(task.heldout_examples), "digest": task.heldout_digest},
        "teacher": {"name": pairing.teacher.name, "digest": pairing.teacher.digest},
        "replies": {name: text_digest(path) for name, path in sorted(recordings.items()) if path.is_file()},
        "serving": declaration.serving and asdict(declaration.serving),
        "prices": [getattr(model, "price", None) for model in (pairing.teacher, pairing.student)],
        "train": text_digest(task.train),
        "curation": asdict(declaration.curation),
        "student": declared_as(pairing.declared) if student is None else {"name": student.name, "digest": student.digest},
    }
    return dict(lock.plain(found))


class Locking:
    """The locks of a run, read before anything else is done.

    Raises:
        pytest.UsageError: one is missing that is needed, or cannot be read.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.settings = settings
        self.root = config.rootpath
        self.path = config.rootpath / lock.NAME
        try:
            self.own = lock.read(self.path)
            self.base = lock.read(settings.base_lock) if settings.base_lock else None
        except LockError as error:
            raise pytest.UsageError(str(error)) from None
        if settings.base_lock and self.base is None:
            raise pytest.UsageError(
                f"--distill-base-lock {settings.base_lock}: there is no such file. Leave the option out where the base has no lock."
            )
        if settings.locked and self.own is None:
            raise pytest.UsageError(
                f"--distill-locked: there is no {lock.NAME} in {config.rootpath}. A run that passes writes it: pytest --distill --distill-accept."
            )
        if settings.accept and any("::" in str(word) for word in config.invocation_params.args):
            raise pytest.UsageError("--distill-accept takes whole benchmark files: a lock that lacks some of their gates would hide them.")

    def accepted(self, pairing: Pairing, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the lock's entry of a pairing.

        Raises:
            LockError: there is none, or it does not hold for these inputs; each field that changed is named.
        """
        assert self.own is not None
        entry = self.own.comparisons.get(pairing.id)
        if pairing.own:
            raise LockError(
                f"{pairing.id}: the benchmark file brings its own {', '.join(pairing.own)}, and no lock tells what that returns. Run it without --distill-locked."
            )
        if entry is None:
            raise LockError(f"{self.own.shown} does not hold {pairing.id}. {NEEDS_A_RUN}.")
        changed = lock.in_words(entry["inputs"], inputs)
        if changed:
            raise LockError(f"{self.own.shown} no longer holds for {pairing.id}: {changed}. {NEEDS_A_RUN}.")
        return entry

    def changes(self, ran: lock.Ran) -> list[dict[str, Any]]:
        """Return what changed since the locks were written, as the result holds it."""
        settings, found = self.settings, dict[str, dict[str, Any]]()
        against_own = self.own is not None and (settings.locked or self.base is None)
        # A lock that is judged from must list the gates as they are, or the next change to them would go unseen.
        must_list = settings.locked and not settings.accept
        since_own = replace(ran, inputs={}) if settings.locked else ran  # gates whose inputs changed have failed, and name them
        parts = [
            (lock.changes(self.own, since_own) if self.own and against_own else [], False, must_list),
            ([*lock.changes(self.base, ran), *lock.of_locks(self.base, self.own)] if self.base else [], True, False),
        ]
        for listed, guards, any_fails in parts:
            for change in listed:
                allowed = change.name in settings.allowed
                fails = not allowed and (any_fails or (guards and change.weakens))
                what = f"{change.what} ({ACCEPT_GATES})" if any_fails and not guards else change.what
                before = found.get(change.name, {"fails": False})
                found[change.name] = {**asdict(change), "what": what, "allowed": allowed, "fails": fails or before["fails"]}
        return sorted(found.values(), key=lambda change: (not change["fails"], not change["weakens"], change["name"]))

    def accept(self, result: Mapping[str, Any], files: Collection[str]) -> str:
        """Write the lock after a run that passed; return what to tell.

        Args:
            result: the run's result.
            files: the benchmark files that were collected: all that is known of them is replaced.

        Raises:
            OSError: it cannot be written; the old one is untouched.
        """
        if result["verdict"] != "pass":
            return f"{lock.NAME} was not written: the verdict is {result['verdict']}"
        old = self.own.comparisons if self.own else {}
        environment = result["environment"]
        new = {"at": result["started"], "commit": environment["git"]["commit"], "machine": environment["cpu"]}
        kept = {
            name: entry for name, entry in old.items() if (file := name.split("::", 1)[0]) not in files and (self.root / file).is_file()
        }
        made, by_hand = {}, []
        for compared in result["comparisons"]:
            if compared["own"]:
                by_hand.append(compared["id"])
            else:
                entry = lock.entry(compared, result["evidence"], new)
                made[compared["id"]] = (
                    {**old[compared["id"]], "gates": entry["gates"], "evidence": entry["evidence"]} if self.settings.locked else entry
                )
        lock.write(self.path, {**kept, **made})
        gone = sorted(old.keys() - kept.keys() - made.keys())
        words = [f"{lock.NAME} holds {', '.join(sorted(made)) or 'nothing new'}; commit it"]
        words += [f"gone from it: {', '.join(gone)}"] if gone else []
        words += [f"not in it, for their files bring fixtures of their own: {', '.join(by_hand)}"] if by_hand else []
        return "; ".join(words)


def judged_again(pairing: Pairing) -> Comparison:
    """Return the comparison that the lock holds of a pairing, and enter it into the run's result.

    Raises:
        DistillError: the lock does not hold it, or not for these inputs.
    """
    inputs = inputs_of(pairing)
    pairing.run.add_inputs(pairing.id, inputs)
    entry = pairing.run.locking.accepted(pairing, inputs)
    prices = (getattr(pairing.teacher, "price", None), getattr(pairing.student, "price", None))
    compared = lock.rebuild(entry, pairing.task, pairing.judging, pairing.declaration.serving, prices)
    numbers = entry["numbers"]
    facts = {name: numbers[name] for name in lock.FACTS} | {
        "inputs": inputs,
        "inputs_digest": digest(inputs),
        "accepted": entry["accepted"],
        "from_store": False,
        "adapter": None,
        "recipe": None,
        "left_out": [],
        "ladder": [],
        "ladder_note": "",
        "stability": None,
        "notes": [],
    }
    pairing.run.add_comparison(comparison_entry(compared, {**pairing.place(), **facts}, numbers["models"]))
    return compared
