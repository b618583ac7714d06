"""What a run does with locks: judges from its own, compares with the base branch's, accepts a new one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill import lock
from pytest_distill.errors import LockError
from pytest_distill.files import digest, text_digest
from pytest_distill.plugin.declare import declared_as, judge_declared, model_declared
from pytest_distill.plugin.forgetting import broad_declared
from pytest_distill.plugin.judged import sheet_path
from pytest_distill.plugin.options import Settings
from pytest_distill.results import comparison_entry, tracked
from pytest_distill.task import shown_path

if TYPE_CHECKING:
    from pytest_distill.compare import Comparison
    from pytest_distill.judge import Judge
    from pytest_distill.models import Model
    from pytest_distill.plugin.flow import Pairing

NEEDS_A_RUN = "It needs a run on a machine that can train it: pytest --distill --distill-accept, then commit distill.lock.json"
ACCEPT_GATES = "pytest --distill --distill-locked --distill-accept takes that over, to be committed"


def inputs_of(pairing: Pairing, student: Model | None = None) -> dict[str, Any]:
    """Return by name all that people decide about a comparison, as plain JSON values: what a lock holds for.

    Args:
        pairing: whose.
        student: the model, where a benchmark file brings it by a fixture of its own.

    Raises:
        DistillError: a file, a row or a model cannot be read.
    """
    try:
        return dict(lock.plain(_inputs(pairing, student)))
    except OSError as error:
        raise LockError(f"task {pairing.task.name!r}: cannot read {shown_path(Path(error.filename))}: {error.strerror}.") from None


def _inputs(pairing: Pairing, student: Model | None) -> dict[str, Any]:
    task, declaration = pairing.task, pairing.declaration
    assert task.train is not None  # a mark names no other
    judge = declaration.judge
    recorded: list[Model | Judge] = [*pairing.models, *([judge] if judge else [])]
    recordings = {model.name: pairing.committed_path(model) for model in recorded}
    return {
        "task": task.name,
        "prompt": digest(task.prompt),
        "answer": task.answer.describe(),
        "max_tokens": task.max_tokens,
        "stable": task.stable,
        "heldout": {"rows": len(task.heldout_examples), "digest": task.heldout_digest},
        "teacher": model_declared(pairing.teacher),
        "replies": {name: text_digest(path) for name, path in sorted(recordings.items()) if path.is_file()},
        "serving": declaration.serving and asdict(declaration.serving),
        "prices": pairing.prices,
        "train": text_digest(task.train),
        "curation": asdict(declaration.curation),
        "student": declared_as(pairing.declared) if student is None else model_declared(student),
        "fixtures": sorted(pairing.own_fixtures),
        **({"judge": judge_declared(judge) | {"labels": _digest_of(sheet_path(task))}} if judge else {}),
        **({"broad": broad_declared(declaration.broad)} if declaration.broad else {}),
    }


def _digest_of(path: Path) -> str | None:
    return text_digest(path) if path.is_file() else None


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
        if settings.base_lock:
            _refuse_committed_store(config, settings)
        if settings.base_lock and self.base is None:
            raise pytest.UsageError(
                f"--distill-base-lock {settings.base_lock}: there is no such file. Leave the option out where the base has no lock."
            )
        if settings.locked and self.own is None:
            raise pytest.UsageError(
                f"--distill-locked: there is no {lock.NAME} in {config.rootpath}. A run that passes writes it: pytest --distill --distill-accept."
            )
        if settings.accept and any("::" in str(word) for word in config.args):
            raise pytest.UsageError("--distill-accept takes whole benchmark files: a lock that lacks some of their gates would hide them.")

    def accepted(self, pairing: Pairing, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the lock's entry of a pairing.

        Raises:
            LockError: there is none, or it does not hold for these inputs; each field that changed is named.
        """
        assert self.own is not None
        entry = self.own.comparisons.get(pairing.id)
        if pairing.own_fixtures:
            raise LockError(
                f"{pairing.id}: the benchmark file brings its own {', '.join(sorted(pairing.own_fixtures))}, and no lock tells what that returns. Run it without --distill-locked."
            )
        if entry is None:
            raise LockError(f"{self.own.shown} does not hold {pairing.id}. {NEEDS_A_RUN}.")
        changed = lock.in_words(entry["inputs"], inputs)
        if changed:
            raise LockError(f"{self.own.shown} no longer holds for {pairing.id}: {changed}. {NEEDS_A_RUN}.")
        return entry

    def changes(self, ran: lock.Ran) -> list[dict[str, Any]]:
        """Return what changed since the locks were written, as the result holds it."""
        settings = self.settings
        found: dict[str, dict[str, Any]] = {}

        def enter(change: lock.Change, hint: str, *, fails: bool) -> None:
            allowed = change.name in settings.allowed
            # Both locks may differ from the run in one way: what was found first stands nearer to where it is to be mended.
            entry = found.setdefault(change.name, {**asdict(change), "what": change.what + hint, "allowed": allowed, "fails": False})
            entry["fails"] = entry["fails"] or (fails and not allowed)

        if self.own and settings.locked:
            # A lock that is judged from must list the gates as they are, or the next change to them would go unseen. Where inputs changed
            # gates have failed, and name them.
            same = {name: entry["inputs"] for name, entry in self.own.comparisons.items()}
            for change in lock.changes(self._listed(ran), replace(ran, inputs=same)):
                enter(change, f" ({ACCEPT_GATES})", fails=not settings.accept or self.base is not None)
        elif self.own and not self.base:
            for change in lock.changes(self.own, ran):
                enter(change, "", fails=False)
        if self.base:
            for change in (*lock.changes(self.base, ran), *lock.between_locks(self.base, self.own)):
                enter(change, "", fails=change.weakens)
        return sorted(found.values(), key=lambda change: (not change["fails"], not change["weakens"], change["name"]))

    def _listed(self, ran: lock.Ran) -> lock.Lock:
        """Return the own lock without the gates that this run was not asked for: a part of them may be judged by itself."""
        assert self.own is not None
        files = {lock.file_of(gate) for gate in ran.outcomes}

        def asked_for(gate: str) -> bool:
            file = lock.file_of(gate)
            return gate in ran.outcomes or not (self.root / file).is_file() or (file in files and not ran.partial)

        entries = self.own.comparisons.items()
        return replace(
            self.own, comparisons={n: {**e, "gates": [gate for gate in e["gates"] if asked_for(gate["gate"])]} for n, e in entries}
        )

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
        kept = {name: entry for name, entry in old.items() if (file := lock.file_of(name)) not in files and (self.root / file).is_file()}
        made = {}
        for compared in result["comparisons"]:
            name, entry = compared["id"], lock.entry(compared, result["evidence"], new)
            before = old.get(name, {})
            if self.settings.locked or all(before.get(part) == entry[part] for part in ("inputs", "numbers")):
                entry = {**before, "gates": entry["gates"], "evidence": entry["evidence"]}  # what it rests on is as it was
            made[name] = entry
        lock.write(self.path, {**kept, **made})
        gone = sorted(old.keys() - kept.keys() - made.keys())
        fewer = sorted(
            {gate["gate"] for name in made for gate in old.get(name, {}).get("gates", ())}
            - {g["gate"] for e in made.values() for g in e["gates"]}
        )
        by_hand = sorted(name for name, entry in made.items() if not entry["numbers"])
        words = [f"{lock.NAME} holds {', '.join(sorted(made)) or 'nothing new'}; commit it"]
        words += [f"gone from it: {', '.join([*gone, *fewer])}"] if gone or fewer else []
        words += [f"without numbers to judge from, for their files bring fixtures of their own: {', '.join(by_hand)}"] if by_hand else []
        return "; ".join(words)


def _refuse_committed_store(config: pytest.Config, settings: Settings) -> None:
    """Refuse replies, timings and students of a store that is under version control: whoever proposes a change could write them into it.

    Raises:
        pytest.UsageError: git has files of the store, or it cannot be told: behind a link, or where git does not answer.
    """
    store, root = settings.store, config.rootpath
    if store.is_relative_to(root) and store.resolve() != root.resolve() / store.relative_to(root):
        raise pytest.UsageError(
            f"--distill-base-lock: the store {shown_path(store)} lies behind a link, which a change may have brought. Remove it."
        )
    found = tracked(root, store)
    if found is None:
        raise pytest.UsageError(
            f"--distill-base-lock: git does not tell whether {shown_path(store)} is under version control. Try: git ls-files {shown_path(store)}"
        )
    if found:
        raise pytest.UsageError(
            f"--distill-base-lock: {found[0]} of the store is under version control, so a change could bring its own evidence."
            f" Take it out: git rm -r --cached {shown_path(store)}"
        )


def judged_again(pairing: Pairing) -> Comparison:
    """Return the comparison that the lock holds of a pairing, and enter it into the run's result.

    Raises:
        DistillError: the lock does not hold it, or not for these inputs.
    """
    inputs = inputs_of(pairing)
    pairing.run.add_inputs(pairing.id, inputs)
    entry = pairing.run.locking.accepted(pairing, inputs)
    names = (pairing.teacher.name, pairing.name)
    declared = pairing.declaration
    of_mark = (declared.serving, pairing.prices, declared.broad, declared.judge)
    compared = lock.rebuild(entry, pairing.task, names, pairing.judging, *of_mark)
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
