"""The flow of one student, step by step, as the fixtures call it: replies, curation, training, evaluation, comparison."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill.ask import ask, keys_of
from pytest_distill.compare import Comparison, ladder, ladder_note
from pytest_distill.curate import Leak, TrainingSet, curate
from pytest_distill.errors import AdapterError, DistillError
from pytest_distill.evaluate import Stability, check_samples, check_stable, evaluate, timing_sample
from pytest_distill.files import digest
from pytest_distill.judge import Judge
from pytest_distill.measures import Price
from pytest_distill.models import Checkpoint, Endpoint, Model
from pytest_distill.models.adapter import WEIGHTS, check_adapter
from pytest_distill.models.device import exclusive, lock_path, pick
from pytest_distill.plugin.beside import label, rungs
from pytest_distill.plugin.declare import Declaration, Student
from pytest_distill.plugin.forgetting import broad_of
from pytest_distill.plugin.judged import judged
from pytest_distill.plugin.locking import inputs_of
from pytest_distill.plugin.timing import timing_of
from pytest_distill.recording import Recording, Reply
from pytest_distill.results import comparison_entry, curation_facts, left_out, model_facts, reply_notes
from pytest_distill.student import Recipe
from pytest_distill.student.job import TrainingProgress
from pytest_distill.student.store import Entry, Store, build
from pytest_distill.task import Example, Task, shown_path
from pytest_distill.verdict import Judging

if TYPE_CHECKING:
    from pytest_distill.plugin.run import Run


# Fixtures that a benchmark file may replace by its own: what these return, no lock can tell.
DATA_FLOW = ("distill_pairing", "teacher_replies", "training_set", "student", "comparison")


@dataclass(eq=False)
class Pairing:
    """One student of one benchmark file: the run's state for it, and the steps that fill it."""

    declaration: Declaration
    declared: Student
    file: Path
    line: int
    run: Run = field(repr=False)
    leaks: Sequence[Leak] = field(default=(), repr=False)
    note: str = ""  # what a reader should know of the search for leaks
    facts: dict[str, Any] = field(default_factory=dict)
    kept: TrainingSet | None = field(default=None, repr=False)
    own_fixtures: set[str] = field(default_factory=set)  # steps of the data flow that its file brings itself
    checked: tuple[list[Reply], Stability | None] | None = field(
        default=None, repr=False
    )  # what `check_teacher` found, until it is compared

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
    def models(self) -> list[Model]:
        """Teacher, student and judge, as far as they are models already."""
        judge = self.declaration.judge
        return [model for model in (self.teacher, self.student, judge and judge.model) if model and not isinstance(model, Recipe)]

    @property
    def prices(self) -> tuple[Price | None, Price | None]:
        """What teacher and student cost, as declared; a recipe has no price."""
        return getattr(self.teacher, "price", None), getattr(self.student, "price", None)

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
            raise pytest.fail.Exception(str(error), pytrace=False) from None  # the sentence once, without what led to it

    def refuse_if_locked(self, fixture: str) -> None:
        """Fail where nothing is asked or trained, and a benchmark file asks for more than the comparison."""
        if self.run.settings.locked:
            pytest.fail(
                f"the lock holds no {fixture}, which {self.run.relative(self.file)} asks for. Run it without --distill-locked.",
                pytrace=False,
            )

    def ask(
        self,
        model: Model,
        examples: Sequence[Example],
        what: str,
        *,
        recording: Recording | None = None,
        committed: Recording | None = None,
        alone: Collection[str] = (),
        task: Task | None = None,
    ) -> list[Reply]:
        """What `model` says to `examples`: replayed where recorded, otherwise asked; `task` is what it is asked, where it is not the pairing's."""
        hosted = isinstance(model, Endpoint)

        @contextmanager
        def ready() -> Iterator[None]:
            place = model.server if isinstance(model, Endpoint) else self.device  # what asks a server needs no device of its own
            with exclusive(place, self.run.progress.say):
                how = f"asking {model.name}" if hosted else f"loading {model.name} on {place}"
                self.run.progress.say(f"{self.task.name}: {what}: {how}")
                model.load(place)
                try:
                    yield
                finally:
                    if hosted:
                        model.unload()  # a connection is cheap to open again, and none may outlive an error

        return ask(
            model,
            task or self.task,
            examples,
            self.recording_of(model) if recording is None else recording,
            committed=committed,
            may_ask=self.run.settings.record or not hosted,
            alone=alone,
            budget=self.run.budget,
            ready=ready,
            progress=lambda done, of: self.run.progress.step(f"{self.task.name}: {what}", done, of),
            say=self.run.progress.say,
        )

    def committed_path(self, model: Model | Judge) -> Path:
        """Where replies of `model` lie that are kept beside the benchmark, to be committed and replayed."""
        return self.file.parent / "recordings" / f"{self.task.name}.{model.name}.jsonl"

    def recording_of(self, model: Model) -> Recording:
        """Where the replies of `model` are found: beside the benchmark what an Endpoint said, in the store what any other model said."""
        if isinstance(model, Endpoint):
            return self.committed(model)
        return Recording(self.store.replies_path(model.digest, self.device))

    def committed(self, model: Model | Judge) -> Recording:
        """The recording beside the benchmark; its lock lies elsewhere, out of the way of what is committed."""
        path = self.committed_path(model)
        return Recording(path, lock=lock_path(f"recording-{digest(str(path.resolve()))[7:23]}"))

    def check_teacher(self) -> None:
        """Have a hosted teacher answer the held-out rows first: whether it will do is known before anything is trained."""
        if isinstance(self.teacher, Endpoint):
            self.checked = self._teacher_held_out()

    def teacher_replies(self) -> list[Reply]:
        """The teacher's replies to the training rows."""
        what, examples = "teacher answers the training rows", self.task.train_examples
        if isinstance(self.teacher, Endpoint):
            return self.ask(self.teacher, examples, what)
        committed = self.committed(self.teacher)
        target = committed if self.run.settings.record else self.recording_of(self.teacher)
        return self.ask(self.teacher, examples, what, recording=target, committed=committed)

    def curate(self, replies: Sequence[Reply]) -> TrainingSet:
        """The training set that the replies make."""
        kept = curate(self.task, self.task.train_examples, replies, self.declaration.curation, self.leaks)
        self.facts |= {"train_examples": len(kept.rows), **curation_facts(kept)}
        self.kept = kept
        return kept

    def decided(self, recipe: Recipe) -> list[Any]:
        """What a person decides about the student that `recipe` makes."""
        curation = asdict(self.declaration.curation)
        return [self.task.digest, self.task.train_digest, self.teacher.digest, recipe.decided(), curation]

    def fingerprint(self, decided: list[Any], kept: TrainingSet) -> str:
        """What names in the store the student that was `decided` on and learns from `kept`."""
        # The rows themselves: a benchmark file may bring its own training_set, and a teacher may answer otherwise elsewhere.
        rows = [[row.prompt, row.completion] for row in kept.rows]
        return digest([decided, rows, build(self.device)])

    def trained_student(self, kept: TrainingSet) -> Model:
        """The student that the recipe makes of `kept`: from the store where inputs and build are unchanged."""
        recipe = self.student
        assert isinstance(recipe, Recipe)
        device = self.device
        decided = self.decided(recipe)
        fingerprint = self.fingerprint(decided, kept)
        entry = self._obtain(recipe, fingerprint, kept, device)
        model = Checkpoint(str(recipe.base), revision=recipe.revision, adapter=entry.adapter, name=recipe.name)
        notes = list(entry.notes)
        if entry.from_store and not (self.all_recorded(model) and self.all_recorded(model, self.declaration.broad)):
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
            count, said = manifest["too_long"], f"longer than max_length={recipe.max_length} tokens"
            notes.append(f"{count} rows were {said} and were left out")
            self.facts["rejected"]["too long"] = count
            self.facts["left_out"] += [left_out("too long", count, name, said, None) for name in manifest.get("too_long_ids", ())]
        self.facts |= {
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
        entry = self.store.obtain(
            recipe,
            fingerprint,
            kept.rows,
            device,
            exclusive=ready,
            progress=show,
            waiting=lambda: self.run.progress.say(f"{self.task.name}: waiting for {recipe.name}: another run on this store has it in hand"),
            retrain=retrain,
            withheld=self.run.key_variables,
        )
        self.run.trained.add(fingerprint)
        return entry

    def loaded_student(self, model: Recipe | Model | None = None) -> Model:
        """The student that the mark names as a model, or `model`; nothing is trained."""
        model = self.student if model is None else model
        assert not isinstance(model, Recipe)
        fingerprint = digest([[self.task.digest, self.teacher.digest, model.digest], build(self.device)])
        adapter = getattr(model, "adapter", None)
        self.facts = {"train_examples": None, "rejected": {}, "replaced": {}, "left_out": []} | self.facts
        self.facts |= {
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

    def all_recorded(self, model: Model, task: Task | None = None) -> bool:
        """Whether all that `model` says to the held-out rows of its task, or of `task`, is on hand, so that it need not be loaded."""
        task = task or self.task
        recording, prompts = self.recording_of(model), [task.render(example) for example in task.heldout_examples]
        return all(recording.holds(key) for of_one in keys_of(model, task, prompts) for key in of_one)

    def compare(self, student: Model) -> Comparison:
        """Both models on the held-out examples, timed side by side."""
        examples = self.task.heldout_examples
        if "fingerprint" not in self.facts:  # a benchmark file overrides the fixture `student`
            self.loaded_student(student)
        models = {"teacher": self.teacher, "student": student}
        teacher, stable = self.checked or self._teacher_held_out()
        self.checked = None
        replies = {"teacher": teacher, "student": self.held_out(student, "student answers the held-out rows")}
        evaluations = {role: evaluate(model.name, self.task, examples, replies[role]) for role, model in models.items()}
        hosted = [role for role, model in models.items() if isinstance(model, Endpoint)]
        inputs = inputs_of(self, student if "student" in self.own_fixtures else None)
        self.facts |= {"inputs": inputs, "inputs_digest": digest(inputs)}
        self.run.add_inputs(self.id, inputs)
        self.facts["notes"] += [self.note] if self.note else []
        for role in hosted:
            self.facts["notes"] += reply_notes(models[role].name, replies[role])
        timing = timing_of(self, student, replies)
        compared = Comparison(
            self.task,
            examples,
            evaluations["teacher"],
            evaluations["student"],
            timing,
            self.judging,
            self.declaration.serving,
            (getattr(self.teacher, "price", None), getattr(student, "price", None)),
            broad=broad_of(self, student, timing),
            judged=judged(self, student, evaluations["teacher"], evaluations["student"]),
        )
        if self.run.settings.label and compared.judged is None:
            self.facts["notes"].append(label(self, compared))
        told = ladder(compared, rungs(self, student)) if self.run.settings.ladder and not compared.without_reference else []
        facts = {"ladder": told, "ladder_note": ladder_note(told), "stability": stable and stable.to_json(), "accepted": None}
        known = {role: model_facts(model, evaluations[role], replies[role]) for role, model in models.items()}
        self.run.add_comparison(comparison_entry(compared, {**self.place(), **facts, **self.facts}, known, self.task.train_examples))
        return compared

    def place(self) -> dict[str, Any]:
        """Where it is declared, as the result holds it."""
        recipe = self.declared.recipe
        seeds = {"recipe": recipe.name, "declared": recipe.seeds} if recipe and recipe.seeds > 1 else None
        return {
            "id": self.id,
            "file": self.run.relative(self.file),
            "line": self.line,
            "seeds": seeds,
            "own_fixtures": sorted(self.own_fixtures),
        }

    def _teacher_held_out(self) -> tuple[list[Reply], Stability | None]:
        """What the teacher says to the held-out rows, and how stable it is; refuses one that the task does not find stable."""
        check_samples(self.task, self.teacher)
        replies = self.held_out(self.teacher, "teacher answers the held-out rows")
        return replies, check_stable(self.task, self.teacher, replies)

    def held_out(self, model: Model, what: str) -> list[Reply]:
        """What a model says to the held-out rows; an Endpoint is asked alone for those that are timed."""
        examples = self.task.heldout_examples
        alone = set(timing_sample([self.task.render(example) for example in examples], self.run.settings.pairs))
        return self.ask(model, examples, what, alone=alone)

    def unload(self, student: Model) -> None:
        """Free both models."""
        student.unload()
        self.teacher.unload()


def pairing_of(item: pytest.Item) -> Pairing | None:
    """Return the pairing that a collected gate is about; None for an item that is about none."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("distill_pairing") if callspec else None


def own_fixtures(item: pytest.Item) -> tuple[str, ...]:
    """Return which steps of the data flow the benchmark file of a gate replaces by its own."""
    fixtures = item.session._fixturemanager  # noqa: SLF001  (there is no public way to ask what a fixture's name means for an item)
    return tuple(name for name in DATA_FLOW if len(fixtures.getfixturedefs(name, item) or ()) > 1)
