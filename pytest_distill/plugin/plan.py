"""The plan of a run: what it would ask, train and spend, told from what is on hand. It only reads: nothing is loaded, asked or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from pytest_distill.ask import Budget, keys_of
from pytest_distill.ask.batch.notes import Notes
from pytest_distill.ask.collect import Asking, Wanted
from pytest_distill.curate import TrainingSet
from pytest_distill.errors import DistillError
from pytest_distill.evaluate import evaluate, timing_sample
from pytest_distill.files import digest
from pytest_distill.models import Checkpoint, Endpoint, Model
from pytest_distill.plugin import gates
from pytest_distill.plugin.flow import Pairing, own_fixtures, pairing_of
from pytest_distill.plugin.forecast import (
    BenchmarkPlan,
    Needed,
    Plan,
    StudentPlan,
    Training,
    bytes_of,
    contents,
    forecast,
    forecast_of_timing,
    looked_up,
    seen,
    trainings,
)
from pytest_distill.plugin.forgetting import base_of
from pytest_distill.plugin.judged import pairs_of, recording_of
from pytest_distill.plugin.options import Settings
from pytest_distill.plugin.plan_words import lines
from pytest_distill.plugin.timing import alone_times, live_path, recorded_path, stored_timing
from pytest_distill.recording import Recording
from pytest_distill.results import gpu
from pytest_distill.student import Recipe
from pytest_distill.student.store import Store
from pytest_distill.task import Task, shown_path


@dataclass(frozen=True)
class Flow:
    """A pairing whose gates were collected, the fixtures that its benchmark file brings itself, and whether the teacher's training replies are needed."""

    pairing: Pairing
    own: tuple[str, ...] = ()
    learns: bool = False


class _Unloaded(Pairing):
    """A pairing that is only looked at."""

    @property
    def device(self) -> str:
        """The device of a run, told without torch: the GPU that is here is taken for one that torch can use."""
        asked = self.student.device if isinstance(self.student, Recipe) else "auto"
        asked = self.run.settings.device if asked == "auto" else asked
        return ("cuda" if _gpu() else "cpu") if asked == "auto" else asked

    def sample(self) -> list[str]:
        """The prompts that are timed."""
        return timing_sample([self.task.render(example) for example in self.task.heldout_examples], self.run.settings.pairs)


_gpu = cache(gpu)


def plan_of(flows: Sequence[Flow], store: Store, budget: float | None) -> Plan:
    """Return the plan, from files alone.

    Args:
        flows: what was collected, in the order of the run.
        store: the store.
        budget: US dollars, or None.
    """
    planner, files = _Planner(store), dict[Path, list[Flow]]()
    for each in flows:
        files.setdefault(each.pairing.file, []).append(each)
    return Plan(tuple(map(planner.benchmark, files.values())), shown_path(store.root), contents(store), budget)


class _Planner:
    def __init__(self, store: Store) -> None:
        self._store, self._times = store, trainings(store)
        self._asked: set[tuple[Path, str]] = set()  # by the benchmarks so far
        self._trained: set[str] = set()
        self._kept: dict[tuple[Path, str], TrainingSet] = {}

    def benchmark(self, flows: Sequence[Flow]) -> BenchmarkPlan:
        learns, first = any(flow.learns for flow in flows), flows[0].pairing
        teachers: dict[str, Needed] = {}  # by device: a local teacher may answer otherwise on another
        students: list[StudentPlan] = []
        trouble: list[str] = []
        for flow in flows:
            of = flow.pairing
            pairing = _Unloaded(of.declaration, of.declared, of.file, of.line, of.run, of.leaks, of.note)
            try:
                device = "" if isinstance(pairing.teacher, Endpoint) else pairing.device
                if device not in teachers:
                    teachers[device] = self._needed(pairing, pairing.teacher, training=learns, timings=len(flows))
                students.append(self._student(pairing, flow.own, teachers[device]))
            except (DistillError, OSError) as error:
                trouble.append(f"student {pairing.name}: {error}")
        return BenchmarkPlan(first.task.name, first.run.relative(first.file), tuple(teachers.values()), tuple(students), tuple(trouble))

    def _needed(self, pairing: _Unloaded, model: Model, *, training: bool = False, timings: int = 1) -> Needed:
        task, settings, hosted = pairing.task, pairing.run.settings, isinstance(model, Endpoint)
        recording = pairing.recording_of(model)
        # Where a local teacher's committed replies are added to, those in the store do not count.
        committed = recording if hosted else pairing.committed(model)
        sources = {"training": [committed] if settings.record else [committed, recording], "held-out": [recording]}
        rows: dict[str, tuple[int, int]] = {}
        missing: dict[str, Wanted] = {}
        sizes: dict[str, int] = {}
        for what, examples in (("training", task.train_examples if training else []), ("held-out", task.heldout_examples)):
            alone = set(pairing.sample() if what == "held-out" else ())
            prompts, on_hand = [task.render(example) for example in examples], 0
            for prompt, keys in zip(prompts, keys_of(model, task, prompts), strict=True):
                lacking = {key: k for k, key in enumerate(keys) if not any(source.holds(key) for source in sources[what])}
                on_hand += not lacking
                sizes |= dict.fromkeys(keys, bytes_of(prompt))
                for key, k in lacking.items():
                    missing.setdefault(key, Wanted(key, "", prompt, k, alone=not k and prompt in alone))
            rows[what] = (on_hand, len(examples))
        needed = Needed(model.name, hosted, rows["training"] if training else None, rows["held-out"], len(missing))
        return self._hosted(needed, model, pairing, recording, missing, sizes, timings, task) if isinstance(model, Endpoint) else needed

    def _hosted(
        self,
        needed: Needed,
        model: Endpoint,
        pairing: _Unloaded,
        recording: Recording,
        missing: Mapping[str, Wanted],
        sizes: Mapping[str, int],
        timings: int,
        task: Task,
    ) -> Needed:
        asking, known = (
            Asking(model, task.max_tokens, task.answer.json_schema, Budget(), tools=task.answer.tools),
            seen(recording, model, sizes),
        )
        elsewhere = {key for key in missing if (recording.path, key) in self._asked}
        self._asked |= {(recording.path, key) for key in missing}
        batches = Notes(recording.path).batches if model.batch else []
        under_way = {key for batch in batches for key in batch.keys if key in missing} - elsewhere
        wanted = [each for key, each in missing.items() if key not in elsewhere | under_way]
        live = pairing.run.settings.live and timings > 0
        return replace(
            needed,
            failed=sum(map(recording.has, missing)),
            elsewhere=len(elsewhere),
            under_way=len(under_way),
            asked=forecast(asking, wanted, known, batch=model.batch) if wanted else None,
            timed=forecast_of_timing(asking, pairing.sample(), known, timings) if live else None,
            key=model.lacks if missing or live else "",
            retires=known.retires,
        )

    def _student(self, pairing: _Unloaded, own: tuple[str, ...], teacher: Needed) -> StudentPlan:
        if "student" in own or (own and pairing.trains):
            return StudentPlan(pairing.name, None, None, "", 0, own, recipe=pairing.trains)
        source, training = pairing.student, None
        model: Model | None
        if isinstance(source, Recipe):
            training, model = self._training(pairing, source, teacher)
        else:
            model = source
        needed = None if model is None else self._needed(pairing, model)
        timing, pairs = _timing(pairing, model, {"teacher": teacher, "student": needed})
        judge, questions = pairing.declaration.judge, self._judge(pairing, model)
        unjudged = judge.model.name if judge and questions is None else ""
        return StudentPlan(
            pairing.name,
            training,
            needed,
            timing,
            pairs,
            recipe=pairing.trains,
            judge=questions,
            unjudged=unjudged,
            broad=_broad(pairing, model),
        )

    def _judge(self, pairing: _Unloaded, student: Model | None) -> Needed | None:
        """Return what is needed of the judge; None where there is none, or where it is not known yet what it would be asked."""
        judge, task = pairing.declaration.judge, pairing.task
        if judge is None or student is None or not all(map(pairing.all_recorded, (pairing.teacher, student))):
            return None
        said = [evaluate(model.name, task, task.heldout_examples, pairing.held_out(model, "")) for model in (pairing.teacher, student)]
        pairs, asked, recording = pairs_of(pairing, *said), judge.task(task), recording_of(pairing, judge)
        missing: dict[str, Wanted] = {}
        sizes: dict[str, int] = {}
        for k, prompt in enumerate(map(asked.render, judge.questions(pairs))):
            for sample, key in enumerate(keys_of(judge.model, asked, [prompt])[0]):
                sizes[key] = bytes_of(prompt)
                if not recording.holds(key):
                    missing.setdefault(key, Wanted(key, str(k // 2), prompt, sample, alone=False))
        on_hand = len(pairs) - len({each.id for each in missing.values()})
        needed = Needed(judge.model.name, isinstance(judge.model, Endpoint), None, (on_hand, len(pairs)), len(missing))
        if not isinstance(judge.model, Endpoint):
            return needed
        return self._hosted(needed, judge.model, pairing, recording, missing, sizes, 0, asked)

    def _training(self, pairing: _Unloaded, recipe: Recipe, teacher: Needed) -> tuple[Training, Model | None]:
        """Return what becomes of the recipe, and the student that the store holds and a run would take."""
        decided, device = pairing.decided(recipe), pairing.device
        name, plan, model = digest([decided, device]), Training(len(pairing.task.train_examples), exact=False, device=device), None
        if teacher.training is not None and teacher.training[0] == teacher.training[1]:
            place = (pairing.file, device)
            if place not in self._kept:
                self._kept[place] = pairing.curate(pairing.teacher_replies())
            name = pairing.fingerprint(decided, self._kept[place])
            plan = replace(plan, rows=len(self._kept[place].rows), exact=True, fingerprint=name)
            if found := looked_up(self._store, name):
                plan = replace(plan, trained=found[0], again=found[1] or ("--distill-retrain" if pairing.run.settings.retrain else ""))
                adapter = self._store.folder(name) / "adapter"
                model = None if plan.again else Checkpoint(str(recipe.base), revision=recipe.revision, adapter=adapter, name=recipe.name)
        for earlier in self._times:
            if (seconds := earlier.seconds_of(recipe, device, plan.rows)) is not None:
                plan = replace(plan, seconds=seconds, like=(earlier.rows, earlier.seconds))
                break
        plan = replace(plan, above=name in self._trained)
        self._trained.add(name)
        return plan, model


def _broad(pairing: _Unloaded, student: Model | None) -> tuple[Needed, ...]:
    """Return what is needed of the student's base and, where it is there, of the student for the broad task."""
    task, found = pairing.declaration.broad, list[Needed]()
    for model in (base_of(pairing.student), student) if task else ():
        if task and model:
            keys = {key for of_one in keys_of(model, task, [task.render(example) for example in task.heldout_examples]) for key in of_one}
            missing = sum(not pairing.recording_of(model).holds(key) for key in keys)
            found.append(Needed(model.name, False, None, (len(keys) - missing, len(keys)), missing))
    return tuple(found)


def _timing(pairing: _Unloaded, student: Model | None, needed: Mapping[str, Needed | None]) -> tuple[str, int]:
    """Return how a student would be timed, as `plugin.timing` does it, and on how many prompts; None is a student to be trained first."""
    settings, task = pairing.run.settings, pairing.task
    models = {"teacher": pairing.teacher, "student": student}
    hosted = {role: model for role, model in models.items() if isinstance(model, Endpoint)}
    pairs = len(pairing.sample())
    on_hand = {role: each.heldout for role, each in needed.items() if each is not None}
    known = student is not None and all(on_hand[role][0] == on_hand[role][1] for role in hosted)
    replies = {role: pairing.held_out(model, "") for role, model in hosted.items()} if known else {}
    looked_for = student is not None and known and not settings.retrain and not (settings.live and hosted)
    if student is not None and looked_for and stored_timing(live_path(pairing, student, replies)):
        return "stored", pairs
    if not hosted or settings.live:
        return "in turn", pairs
    if student is not None and known:
        prompts = {example.id: task.render(example) for example in task.heldout_examples}
        recorded = {role: alone_times(replies[role], prompts, settings.pairs, model) for role, model in hosted.items()}
        if not settings.retrain and stored_timing(recorded_path(pairing, student, recorded)):
            return "stored", pairs
        pairs = min(map(len, recorded.values()))
    elif any(model.batch and on_hand[role][0] == 0 for role, model in hosted.items()):
        pairs = 0  # a batch tells no times
    if not pairs:
        return "unpaired", pairs
    return ("recorded" if len(hosted) == len(models) else f"beside {min(hosted)}"), pairs


def flows_of(items: Sequence[pytest.Item]) -> list[Flow]:
    """Return the pairings that collected gates are about, each once, in the order of the run."""
    flows: dict[str, Flow] = {}
    for item in items:
        pairing = pairing_of(item)
        if pairing is None or not isinstance(item, pytest.Function):
            continue
        own = tuple(name for name in own_fixtures(item) if name not in ("distill_pairing", "comparison"))
        # The comparison asks for its student only as it runs, and a student for its training set.
        wanted = (*item.fixturenames, *(["student"] if "comparison" in item.fixturenames else []))
        names, _ = item.session._fixturemanager.getfixtureclosure(item, wanted, ignore_args=frozenset())  # noqa: SLF001  (nothing public tells it)
        learns = "teacher_replies" not in own and ("teacher_replies" in names or (pairing.trains and "student" not in own))
        before = flows.get(pairing.id)
        flows[pairing.id] = Flow(pairing, own, learns=learns or (before is not None and before.learns))
    return list(flows.values())


def show(session: pytest.Session, settings: Settings) -> None:
    """Write the plan for the benchmarks that were collected.

    Raises:
        pytest.Session.Failed: part of it cannot be planned; the lines say which, and why.
    """
    reasons = [(item, gates.skipped(item)) for item in session.items]
    plan = plan_of(flows_of([item for item, reason in reasons if reason is None]), Store(settings.store), settings.budget)
    plan = replace(plan, skipped=tuple((item.nodeid, reason) for item, reason in reasons if reason is not None))
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    write = reporter.write_line if reporter else print
    for line in lines(plan):
        write(line)
    if any(benchmark.trouble for benchmark in plan.benchmarks):
        raise session.Failed("not all could be planned")
