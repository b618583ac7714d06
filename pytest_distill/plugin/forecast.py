"""What asking an Endpoint takes, by what its recording holds, and what a training takes, by what the store holds. Only reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Any

from pytest_distill.ask.collect import BYTES_PER_TOKEN, OVERHEAD_TOKENS, Asking, Wanted
from pytest_distill.errors import DistillError
from pytest_distill.evaluate.timing import ATTEMPTS, MOST_WARM_UP, WARM_UP
from pytest_distill.files import digest, folder_digests
from pytest_distill.models import Endpoint
from pytest_distill.recording import FAILED, Recording
from pytest_distill.student import Recipe
from pytest_distill.student.store import Store

BATCH_SECONDS = 24 * 3600.0  # within which a Batch API brings its replies
# What decides, beside rows and epochs, how long a training takes on one device.
PACE = ("base", "revision", "rank", "targets", "train_whole", "batch", "max_length")


@dataclass(frozen=True)
class Forecast:
    """What it takes to ask an Endpoint for some replies.

    Attributes:
        replies: how many.
        tokens_in, tokens_out: expected, all together.
        by: how many replies on hand the tokens are reckoned by; with 0 it is the prompts' length, and half of the longest reply; None
            for a sum.
        expected, most: US dollars, where nothing has to be asked twice; None where the Endpoint has no price.
        seconds: expected, and in a batch the longest; None where no reply on hand tells.
        least: seconds that limits of requests and tokens a minute make of it; 0 without such limits.
        batch: whether a Batch API is asked.
    """

    replies: int
    tokens_in: float
    tokens_out: float
    by: int | None
    expected: float | None
    most: float | None
    seconds: float | None
    least: float
    batch: bool


@dataclass(frozen=True)
class Needed:
    """The replies of one model that a run needs.

    Attributes:
        model: the model's name.
        hosted: whether it is an Endpoint, which is asked only under ``--distill-record``.
        training, heldout: rows with all their replies on hand, and all rows; `training` is None where no student learns from them.
        missing: replies that are not on hand.
        failed: how many of them were asked for before and not had.
        elsewhere: how many of them a benchmark before this one asks for already.
        under_way: how many of them a batch that runs will bring.
        asked: what asking for the rest takes; None where nothing is asked.
        timed: what timing an Endpoint in this run takes; None where it is not.
        key: the environment variable of its key where that is needed and not set, or nothing.
        retires: the ISO date of its shutdown as its recording tells it, or nothing.
    """

    model: str
    hosted: bool
    training: tuple[int, int] | None
    heldout: tuple[int, int]
    missing: int
    failed: int = 0
    elsewhere: int = 0
    under_way: int = 0
    asked: Forecast | None = None
    timed: Forecast | None = None
    key: str = ""
    retires: str = ""


@dataclass(frozen=True)
class Training:
    """What becomes of a recipe.

    Attributes:
        rows: how many it learns from; at most so many where `exact` is false, for which the teacher's replies are needed first.
        device: ``cpu`` or ``cuda``.
        fingerprint: names the student in the store; nothing where `exact` is false.
        trained: when the student in the store was, in ISO 8601; nothing where none is there, or `exact` is false.
        again: why it would be trained all the same, in words, or nothing.
        above: whether a benchmark before this one trains it.
        seconds: expected, by a training in the store that took `like` (rows, seconds); both None where there is none of its kind.
    """

    rows: int
    exact: bool
    device: str
    fingerprint: str = ""
    trained: str = ""
    again: str = ""
    above: bool = False
    seconds: float | None = None
    like: tuple[int, float] | None = None

    @property
    def to_do(self) -> bool:
        """Whether it would be trained, as far as can be told."""
        return not self.above and (not self.trained or bool(self.again))


@dataclass(frozen=True)
class StudentPlan:
    """One student: how it comes to be, the replies that are needed of it (None where it is to be trained first), and how it is timed.

    `timing` is ``stored``, ``in turn``, ``beside teacher``, ``beside student`` (whose times are recorded), ``recorded`` or ``unpaired`` (a
    recording without times), of so many `pairs`; `own` names the benchmark file's own fixtures, because of which nothing can be told;
    `recipe` says whether a recipe makes it. `judge` are the replies of a judge, and `unjudged` names one whose questions are not known yet.
    `broad` are the replies of base and student to the broad task, the latter's where it is not to be trained first.
    """

    name: str
    training: Training | None
    needed: Needed | None
    timing: str
    pairs: int
    own: tuple[str, ...] = ()
    recipe: bool = False
    judge: Needed | None = None
    unjudged: str = ""
    broad: tuple[Needed, ...] = ()


@dataclass(frozen=True)
class BenchmarkPlan:
    """One benchmark file. Its teacher stands in `teachers` once for each device; `trouble` says what cannot be planned, and why."""

    task: str
    file: str
    teachers: tuple[Needed, ...]
    students: tuple[StudentPlan, ...]
    trouble: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The plan of a run: its benchmarks, the store with its numbers of students, recordings and bytes, the budget in US dollars, and skipped gates."""

    benchmarks: tuple[BenchmarkPlan, ...]
    store: str
    stored: tuple[int, int, int]
    budget: float | None
    skipped: tuple[tuple[str, str], ...] = ()
    """The gates that a run on this machine would skip, by their ids, each with its reason; what they would take is no part of the plan."""

    @property
    def needed(self) -> list[Needed]:
        """What is needed of every model."""
        students = [student for of in self.benchmarks for student in of.students]
        found = [
            *(each for of in self.benchmarks for each in of.teachers),
            *(each for of in students for each in (of.needed, of.judge, *of.broad)),
        ]
        return [each for each in found if each is not None]

    @property
    def store_key(self) -> str | None:
        """What names all students together that a run trains or takes from the store; None where there is none, or one is not known yet.

        64 hex digits: the SHA-256 of the students' fingerprints, each once and sorted, as a JSON list without blanks. A cache of the store
        that was kept under this key, and under no other, holds what a run needs: the fingerprints cover all that could change a student.
        """
        found = [student.training for of in self.benchmarks for student in of.students if student.recipe]
        names = {"" if training is None else training.fingerprint for training in found}
        if not names or "" in names or any(of.trouble for of in self.benchmarks):
            return None
        return digest(sorted(names)).removeprefix("sha256:")

    @property
    def trainings(self) -> list[Training]:
        """What is to be trained."""
        found = [student.training for of in self.benchmarks for student in of.students]
        return [each for each in found if each is not None and each.to_do]


def added(parts: Sequence[Forecast]) -> Forecast:
    """Return what all of it takes, one after another; its costs are without those that have no price."""
    times = [part.seconds for part in parts]
    return Forecast(
        replies=sum(part.replies for part in parts),
        tokens_in=sum(part.tokens_in for part in parts),
        tokens_out=sum(part.tokens_out for part in parts),
        by=None,
        expected=_sum([part.expected for part in parts]),
        most=_sum([part.most for part in parts]),
        seconds=None if None in times else _sum(times) or 0.0,
        least=sum(part.least for part in parts),
        batch=any(part.batch for part in parts),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


@dataclass
class Seen:
    """What the replies in an Endpoint's recording tell of those to come; `retires` is the ISO date of its shutdown, or nothing."""

    size: int = 0  # bytes of the prompts whose tokens were counted
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    retires: str = ""


def seen(recording: Recording, model: Endpoint, sizes: Mapping[str, int]) -> Seen:
    """Return what the recording tells of `model`; `sizes` are the bytes of today's prompts, by the keys of their replies."""
    found = Seen()
    for reply in recording.every():
        if reply.model != model.model:
            continue
        found.retires = max(found.retires, reply.retires)
        if reply.outcome == FAILED:
            continue
        found.seconds += [reply.seconds] if reply.seconds else []
        if reply.tokens_in and reply.key in sizes:
            found.size += sizes[reply.key]
            found.tokens_in += reply.tokens_in
            found.tokens_cached += reply.tokens_cached
            found.tokens_out.append(reply.tokens_out)
    return found


def bytes_of(prompt: str) -> int:
    """Return how many bytes a prompt is on the wire."""
    return len(prompt.encode("utf-8", "surrogatepass"))


def forecast(asking: Asking, wanted: Sequence[Wanted], known: Seen, *, batch: bool) -> Forecast:
    """Return what asking for `wanted` takes, by what is known of such replies."""
    endpoint, count = asking.endpoint, len(wanted)
    longest = [asking.most_tokens(each.prompt) for each in wanted]
    if known.size:
        tokens_in = sum(bytes_of(each.prompt) for each in wanted) * known.tokens_in / known.size
        tokens_out, cached = count * fmean(known.tokens_out), known.tokens_cached / known.tokens_in
    else:
        around = OVERHEAD_TOKENS + bytes_of(endpoint.system or "")
        tokens_in = sum(bytes_of(each.prompt) + around for each in wanted) / BYTES_PER_TOKEN
        tokens_out, cached = sum(most for _, most in longest) / 2, 0.0
    expected = most = None
    if (price := endpoint.price) is not None:
        expected = (tokens_in * ((1 - cached) * price[0] + cached * price[1]) + tokens_out * price[2]) / 1e6
        most = sum(asking.most_cost(each.prompt) for each in wanted)
    limits = (endpoint.requests_per_minute, count), (endpoint.tokens_per_minute, tokens_in + tokens_out)
    least = 0.0 if batch else max(60 * units / per_minute if per_minute else 0.0 for per_minute, units in limits)
    seconds = BATCH_SECONDS if batch else None
    if known.seconds and not batch:
        alone = sum(each.alone for each in wanted)
        seconds = max(least, median(known.seconds) * (alone + math.ceil((count - alone) / endpoint.concurrency)))
    return Forecast(count, tokens_in, tokens_out, len(known.tokens_out), expected, most, seconds, least, batch)


def forecast_of_timing(asking: Asking, prompts: Sequence[str], known: Seen, times: int) -> Forecast:
    """Return what timing an Endpoint `times` times takes: a steady machine is expected, and an unsteady one is what it may cost at most."""
    once = [Wanted("", "", prompt, 0, alone=True) for prompt in [*prompts, *prompts[:WARM_UP], *prompts[:WARM_UP]]]
    found = forecast(asking, once * times, known, batch=False)
    costs = [asking.most_cost(prompt) for prompt in prompts]
    most = times * (ATTEMPTS * sum(costs) + MOST_WARM_UP * max(costs))
    return replace(found, most=None if found.most is None else most)


@dataclass(frozen=True)
class Trained:
    """A training in the store: its recipe, the device, how many rows it took and how many seconds."""

    recipe: Recipe
    device: str
    rows: int
    seconds: float

    def seconds_of(self, recipe: Recipe, device: str, rows: int) -> float | None:
        """Return how long the training of `recipe` on so many rows takes by this one; None where it is of another kind."""
        if device != self.device or any(getattr(recipe, name) != getattr(self.recipe, name) for name in PACE):
            return None
        return self.seconds * rows * recipe.epochs / (self.rows * self.recipe.epochs)


def trainings(store: Store) -> list[Trained]:
    """Return the trainings in the store, the latest first; what cannot be read is left out."""
    found = []
    for folder in store.root.glob("students/*"):
        with suppress(OSError, ValueError, KeyError, TypeError, DistillError):
            manifest, job = _read(folder / "manifest.json"), _read(folder / "job.json")
            made = Trained(Recipe.from_json(job["recipe"]), str(job["device"]), int(manifest["rows"]), float(manifest["trained_seconds"]))
            found += [(str(manifest["trained"]), made)] if made.rows > 0 else []
    return [made for _, made in sorted(found, key=lambda pair: pair[0], reverse=True)]


def looked_up(store: Store, fingerprint: str) -> tuple[str, str] | None:
    """Return when the student of `fingerprint` was trained (ISO 8601) and what is damaged of it, or nothing; None where none is stored."""
    folder = store.folder(fingerprint)
    if not folder.exists():
        return None
    try:
        manifest = _read(folder / "manifest.json")
        whole = manifest["fingerprint"] == fingerprint and manifest["adapter"] == folder_digests(folder / "adapter")
        return str(manifest["trained"]), "" if whole else "its files do not match their digests"
    except (OSError, ValueError, KeyError, TypeError):
        return "", "its manifest or adapter cannot be read"


def contents(store: Store) -> tuple[int, int, int]:
    """Return how many students and recordings of replies the store holds, and its bytes."""
    size = 0
    for path in store.root.rglob("*"):
        with suppress(OSError):  # another run may be at work in it
            size += path.stat().st_size if path.is_file() else 0
    students, recordings = (len(list(store.root.glob(what))) for what in ("students/*/manifest.json", "replies/*.jsonl"))
    return students, recordings, size


def _read(path: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
