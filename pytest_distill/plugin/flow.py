"""The flow of one student, step by step, as the fixtures call it: replies, curation, training, evaluation, comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill.ask import ask
from pytest_distill.compare import Comparison, ladder, ladder_note
from pytest_distill.curate import TrainingSet, curate
from pytest_distill.errors import AdapterError, DistillError
from pytest_distill.evaluate import Evaluation, Timing, evaluate, time_pairs
from pytest_distill.files import digest, write_json
from pytest_distill.models import Checkpoint, Model
from pytest_distill.models.adapter import WEIGHTS, check_adapter
from pytest_distill.models.baselines import Linear, Majority, Prompted, choose_shots
from pytest_distill.models.device import disturbance, exclusive, pick, workload
from pytest_distill.plugin.declare import Declaration, Student
from pytest_distill.recording import Recording, Reply, reply_key
from pytest_distill.report.label import write_sheet
from pytest_distill.results import comparison_entry, machine
from pytest_distill.student import Recipe
from pytest_distill.student.job import TrainingProgress
from pytest_distill.student.store import Entry, Store, build
from pytest_distill.task import Example, Task, shown_path
from pytest_distill.verdict import Judging

if TYPE_CHECKING:
    from pytest_distill.plugin.run import Run


SHOTS = 4  # examples in the prompt of the ladder's base


@dataclass(eq=False)
class Pairing:
    """One student of one benchmark file: the run's state for it, and the steps that fill it."""

    declaration: Declaration
    declared: Student
    file: Path
    line: int
    run: Run = field(repr=False)
    facts: dict[str, Any] = field(default_factory=dict)
    kept: TrainingSet | None = field(default=None, repr=False)

    @property
    def task(self) -> Task:
        """The task."""
        return self.declaration.task

    @property
    def teacher(self) -> Model:
        """The teacher."""
        return self.declaration.teacher

    @property
    def student(self) -> Recipe | Model:
        """What makes the student, or the student itself."""
        return self.declared.source

    @property
    def judging(self) -> Judging:
        """How its measures are judged: of several declared seeds any may be shipped, so that each has its share of alpha."""
        return replace(self.run.judging, alpha=self.run.judging.alpha / self.declared.seeds)

    @property
    def name(self) -> str:
        """The student's name, which is the parameter's id."""
        return self.student.name

    @property
    def id(self) -> str:
        """The comparison's id in the result."""
        return f"{self.run.relative(self.file)}::{self.name}"

    @property
    def trains(self) -> bool:
        """Whether the student must be trained."""
        return isinstance(self.student, Recipe)

    @property
    def store(self) -> Store:
        """The store of this run."""
        return Store(self.run.settings.store)

    @property
    def device(self) -> str:
        """The device that everything of this pairing runs on."""
        if isinstance(self.student, Recipe) and self.student.device != "auto":
            return pick(self.student.device, f"recipe {self.name!r}")
        return pick(self.run.settings.device, "--distill-device")

    @contextmanager
    def trouble_fails(self) -> Iterator[None]:
        """Turn our own errors into a fixture failure that shows the sentence and no traceback."""
        try:
            yield
        except DistillError as error:
            pytest.fail(str(error), pytrace=False)

    def _ask(
        self, model: Model, examples: Sequence[Example], recording: Recording, what: str, committed: Recording | None = None
    ) -> list[Reply]:
        @contextmanager
        def ready() -> Iterator[None]:
            with exclusive(self.device, self.run.progress.say):
                self.run.progress.say(f"{self.task.name}: {what}: loading {model.name} on {self.device}")
                model.load(self.device)
                yield

        return ask(
            model,
            self.task,
            examples,
            recording,
            committed=committed,
            ready=ready,
            progress=lambda done, of: self.run.progress.step(f"{self.task.name}: {what}", done, of),
        )

    def _replies_of(self, model: Model) -> Recording:
        return Recording(self.store.replies_path(model.digest, self.device))

    def teacher_replies(self) -> list[Reply]:
        """The teacher's replies to the training rows."""
        path = self.file.parent / "recordings" / f"{self.task.name}.{self.teacher.name}.jsonl"
        committed = Recording(path)
        target = committed if self.run.settings.record else self._replies_of(self.teacher)
        return self._ask(self.teacher, self.task.train_examples, target, "teacher answers the training rows", committed)

    def curate(self, replies: Sequence[Reply]) -> TrainingSet:
        """The training set that the replies make."""
        kept = curate(self.task, self.task.train_examples, replies)
        rejected = {reason: len(ids) for reason, ids in kept.rejected.items()}
        self.facts |= {"train_examples": len(kept.rows), "rejected": rejected}
        self.kept = kept
        return kept

    def trained_student(self, kept: TrainingSet) -> Model:
        """The student that the recipe makes of `kept`: from the store where inputs and build are unchanged."""
        recipe = self.student
        assert isinstance(recipe, Recipe)
        decided = [self.task.digest, self.task.train_digest, self.teacher.digest, recipe.decided()]
        device = self.device
        # The rows themselves: a benchmark file may bring its own training_set, and a teacher may answer otherwise elsewhere.
        rows = [[row.prompt, row.completion] for row in kept.rows]
        fingerprint = digest([decided, rows, build(device)])
        entry = self._obtain(recipe, fingerprint, kept, device)
        model = Checkpoint(str(recipe.base), revision=recipe.revision, adapter=entry.adapter, name=recipe.name)
        notes = list(entry.notes)
        if entry.from_store and not self._all_recorded(model):
            # It is about to be loaded. Whoever altered the weights may have altered the digests with them.
            try:
                check_adapter(entry.adapter)
            except AdapterError as error:
                aside = self.store.refuse(entry)
                entry = self._obtain(recipe, fingerprint, kept, device)
                model = Checkpoint(str(recipe.base), revision=recipe.revision, adapter=entry.adapter, name=recipe.name)
                notes.append(f"the stored adapter was refused and trained again: {error} (set aside in {shown_path(aside)})")
        manifest = entry.manifest
        if manifest["too_long"]:
            notes.append(f"{manifest['too_long']} rows were longer than max_length={recipe.max_length} tokens and were left out")
        self.facts |= {
            "inputs_digest": digest([decided, self.task.heldout_digest]),
            "fingerprint": fingerprint,
            "attempt": self._attempt(fingerprint),
            "trained_seconds": manifest["trained_seconds"],
            "from_store": entry.from_store,
            "adapter": {"path": shown_path(entry.adapter), "sha256": manifest["adapter"][WEIGHTS]},
            "recipe": {**recipe.to_json(), "base": shown_path(Path(recipe.base))},
            "notes": notes,
        }
        for note in notes:
            self.run.progress.say(f"{self.task.name}: {note}")
        return model

    def _obtain(self, recipe: Recipe, fingerprint: str, kept: TrainingSet, device: str) -> Entry:
        def show(at: TrainingProgress) -> None:
            left = f"loss {at.loss:.3f}, {at.seconds_left:.0f} s left"
            self.run.progress.step(f"{self.task.name}: training {recipe.name}", at.step, at.steps, left)

        @contextmanager
        def ready() -> Iterator[None]:
            with exclusive(device, self.run.progress.say):
                self.run.progress.say(f"{self.task.name}: training {recipe.name} on {len(kept.rows)} rows ({device})")
                yield

        retrain = self.run.settings.retrain and fingerprint not in self.run.trained
        entry = self.store.obtain(recipe, fingerprint, kept.rows, device, exclusive=ready, progress=show, retrain=retrain)
        self.run.trained.add(fingerprint)
        return entry

    def loaded_student(self, model: Recipe | Model | None = None) -> Model:
        """The student that the mark names as a model, or `model`; nothing is trained."""
        model = self.student if model is None else model
        assert not isinstance(model, Recipe)
        decided = [self.task.digest, self.teacher.digest, model.digest]
        fingerprint = digest([decided, build(self.device)])
        adapter = getattr(model, "adapter", None)
        self.facts |= {
            "train_examples": None,
            "rejected": {},
            "inputs_digest": digest([decided, self.task.heldout_digest]),
            "fingerprint": fingerprint,
            "attempt": self._attempt(fingerprint),
            "trained_seconds": None,
            "from_store": False,
            "adapter": {"path": shown_path(adapter), "sha256": model.digest} if adapter else None,
            "recipe": None,
            "notes": [],
        }
        return model

    def _attempt(self, fingerprint: str) -> int:
        """Count what is judged on these held-out rows; the declared seeds of one recipe are one attempt, for alpha is shared among them."""
        recipe, key = self.declared.recipe, fingerprint
        if recipe is not None and recipe.seeds > 1:
            key = digest([self.task.digest, self.task.train_digest, self.teacher.digest, recipe.decided(), recipe.seeds])
        return self.store.attempt(self.run.relative(self.file), self.task.questions_digest, key)

    def _all_recorded(self, model: Model) -> bool:
        recording = self._replies_of(model)
        return all(
            recording.get(reply_key(model.digest, self.task.render(example), self.task.max_tokens))
            for example in self.task.heldout_examples
        )

    def compare(self, student: Model) -> Comparison:
        """Both models on the held-out examples, timed side by side."""
        examples = self.task.heldout_examples
        if "fingerprint" not in self.facts:  # a benchmark file overrides the fixture `student`
            self.loaded_student(student)
        sides = (("teacher", self.teacher), ("student", student))
        evaluations = {role: self._evaluated(model, f"{role} answers the held-out rows") for role, model in sides}
        compared = Comparison(
            self.task,
            examples,
            evaluations["teacher"],
            evaluations["student"],
            self._timing(student),
            self.judging,
            self.declaration.serving,
            (getattr(self.teacher, "price", None), getattr(student, "price", None)),
        )
        self._label(compared)
        rungs = ladder(compared, self._rungs(student)) if self.run.settings.ladder and not compared.without_reference else []
        recipe = self.declared.recipe
        facts = {
            "id": self.id,
            "file": self.run.relative(self.file),
            "line": self.line,
            "seeds": {"recipe": recipe.name, "declared": recipe.seeds} if recipe and recipe.seeds > 1 else None,
            "ladder": rungs,
            "ladder_note": ladder_note(rungs),
        }
        self.run.add_comparison(comparison_entry(compared, {**facts, **self.facts}, {"teacher": self.teacher, "student": student}))
        return compared

    def _label(self, compared: Comparison) -> None:
        """Write the sheet of the examples that wait for a label, where that is asked for, and say where it lies."""
        if not self.run.settings.label:
            return
        answer, form = self.task.answer, self.run.settings.out / f"label-{self.task.name}.html"
        count = write_sheet(
            self.task.labels_path,
            form,
            self.task.name,
            answer.reference_field,
            answer.describe().get("labels"),
            [(example.id, self.task.render(example)) for example in compared.unlabelled],
            # Rows that wait for the sake of another student of this run stay; those of earlier runs may go.
            keep_waiting=self.run.writes_label_sheet_again(self.task.name),
        )
        note = f"{len(compared.unlabelled)} examples wait for a label ({count} in all) in {shown_path(self.task.labels_path)}; a form for it is {shown_path(form)}"
        self.facts["notes"].append(note if count else "no example waits for a label")

    def _rungs(self, student: Model) -> list[tuple[str, Evaluation | str]]:
        """Cheaper ways on the same examples, from what the student learned: each evaluated, or why it could not be."""
        if self.kept is not None:
            rows = [(row.prompt, row.completion) for row in self.kept.rows]
        else:
            rows = [(self.task.render(example), example.expected) for example in self.task.train_examples if example.expected is not None]
        models: list[Model] = [Majority(rows), Linear(rows)] if rows else []
        adapted = student if isinstance(student, Checkpoint) and student.adapter else None
        if adapted is not None:
            base = Checkpoint(adapted.base, revision=adapted.revision)
            models += [Prompted(base), *([Prompted(base, choose_shots(rows, SHOTS))] if rows else [])]
        found: list[tuple[str, Evaluation | str]] = []
        for model in models:
            try:
                if not self._all_recorded(model):
                    # A base may be large: teacher and student, which have done their part, make room.
                    self.unload(student)
                found.append((model.name, self._evaluated(model, f"ladder: {model.name} answers the held-out rows")))
            except Exception as error:  # a rung informs beside the verdict: whatever goes wrong with it must not decide anything
                words = str(error) if isinstance(error, DistillError) else f"{type(error).__name__}: {error}"
                found.append((model.name, words))
            model.unload()
        return found

    def _evaluated(self, model: Model, what: str) -> Evaluation:
        examples = self.task.heldout_examples
        return evaluate(model.name, self.task, examples, self._ask(model, examples, self._replies_of(model), what))

    def _timing(self, student: Model) -> Timing:
        asked = digest([self.task.digest, self.task.questions_digest, self.run.settings.pairs])
        path = self.store.timing_path(self.teacher.digest, student.digest, asked, self.device)
        with suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads(path.read_text(encoding="ascii"))
            if stored["machine"] == machine() and not self.run.settings.retrain:
                return Timing.from_json(stored)
        prompts = [self.task.render(example) for example in self.task.heldout_examples]
        models = (self.teacher, student)
        here = any(getattr(model, "local", True) for model in models)
        with exclusive(self.device, self.run.progress.say):
            for model in models:
                model.load(self.device)
            timing = time_pairs(
                *models,
                prompts,
                self.task.max_tokens,
                machine(),
                pairs=self.run.settings.pairs,
                workload=workload(self.device) if here else None,
                disturbed=lambda: disturbance(self.device) if here else None,
                progress=lambda done, of: self.run.progress.step(f"{self.task.name}: timing teacher and student in turn", done, of),
                again=lambda reason: self.run.progress.say(f"{self.task.name}: timing again: {reason}"),
            )
        if not timing.noise:  # a noisy one is measured again by the next run
            write_json(path, timing.to_json())
        return timing

    def unload(self, student: Model) -> None:
        """Free both models."""
        student.unload()
        self.teacher.unload()
