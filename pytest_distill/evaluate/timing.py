"""How long models take: two in turn on the same prompts, or one beside recorded times of the other."""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import fmean, median
from typing import Any

from pytest_distill.errors import ModelError
from pytest_distill.models import Model, Timed

PAIRS = 100
BLOCK = 10
WARM_UP = 5
MOST_WARM_UP = 40
STEADY = 0.10  # how far block medians, halves and the reference workload may differ
MOST_AUTOCORRELATION = 0.5
SURPRISE = 2.58  # standard errors; chance alone goes beyond in 1 % of cases
ATTEMPTS = 4
FEWEST_FOR_DRIFT = 10  # with fewer timings nothing can be said of a drift


@dataclass(frozen=True)
class Series:
    """One model's times, a value for each timed prompt, in the order of timing.

    Attributes:
        seconds: from text in to text out, one prompt alone.
        first_token: seconds until the first token; empty where the model cannot say.
        tokens_out: how many tokens were generated; empty where nobody counted.
    """

    seconds: tuple[float, ...]
    first_token: tuple[float, ...] = ()
    tokens_out: tuple[int, ...] = ()

    @property
    def per_token(self) -> list[float]:
        """Seconds for each token after the first, (seconds - first_token) / (tokens_out - 1), for replies of more than one token."""
        known = zip(self.seconds, self.first_token, self.tokens_out, strict=False)
        return [(whole - first) / (tokens - 1) for whole, first, tokens in known if tokens > 1]

    @property
    def tokens_per_second(self) -> list[float]:
        """Tokens generated over seconds, for each prompt; empty where nobody counted."""
        return [tokens / whole for whole, tokens in zip(self.seconds, self.tokens_out, strict=False)]

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Series:
        """Return the series that was written as JSON; errors as `Timing.from_json`."""
        seconds, first, tokens = (tuple(values[name]) for name in ("seconds", "first_token", "tokens_out"))
        _check_seconds(seconds)
        _check_seconds(first)
        if len(first) not in {0, len(seconds)} or len(tokens) not in {0, len(seconds)}:
            raise ValueError("the parts of a series of times do not pair")
        if any(early > whole for early, whole in zip(first, seconds, strict=False)):
            raise ValueError("a first token came after the last")
        if not all(type(count) is int and count >= 0 for count in tokens):
            raise ValueError("a count of tokens is no count")
        return cls(seconds, first, tokens)


def _check_seconds(values: Sequence[Any]) -> None:
    if not all(type(value) in {int, float} and 0 < value < math.inf for value in values):
        raise ValueError("a time is not a finite number above 0")


@dataclass(frozen=True)
class Timing:
    """Seconds for each timed prompt, teacher and student.

    Attributes:
        teacher, student: their times, in the same order of prompts.
        timed: ``live`` (interleaved, in this run), ``stored`` (interleaved, in an earlier run) or ``recorded`` (one side's times, or
            both, were recorded apart from the other's).
        at: UTC time of the run; machine: where.
        reference: seconds of the reference workload before, between and after the blocks.
        noise: why these times show nothing, in words, or nothing where the machine was steady.
        unpaired: why the two cannot be set against each other, or nothing: one of them has no times.
        recorded: UTC time of the recorded side, or nothing.
        student_recorded: whether the student's times are recorded ones.
    """

    teacher: Series
    student: Series
    timed: str
    at: str
    machine: str
    reference: tuple[float, ...] = ()
    noise: str = ""
    unpaired: str = ""
    recorded: str = ""
    student_recorded: bool = False

    @property
    def ratios(self) -> list[float]:
        """Teacher time over student time for each prompt; empty where they are unpaired."""
        if self.unpaired:
            return []
        return [t / s for t, s in zip(self.teacher.seconds, self.student.seconds, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Timing:
        """Return the timing that `to_json` wrote; what was ``live`` then is ``stored`` now.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.
        """
        teacher, student, reference = Series.from_json(values["teacher"]), Series.from_json(values["student"]), tuple(values["reference"])
        _check_seconds(reference)
        timed, words = values["timed"], [values[name] for name in ("at", "machine", "noise", "unpaired", "recorded")]
        at, machine, noisy, unpaired, recorded = words
        if not unpaired and not len(teacher.seconds) == len(student.seconds) > 0:
            raise ValueError("the two series do not pair, or are empty")
        if timed not in {"live", "stored", "recorded"} or not all(isinstance(word, str) for word in words):
            raise ValueError("how, when or where was timed is not said")
        if not unpaired and not all(0 < t / s < math.inf for t, s in zip(teacher.seconds, student.seconds, strict=True)):
            raise ValueError("a ratio of times is not a finite number above 0")
        return cls(
            teacher,
            student,
            "stored" if timed == "live" else timed,
            at,
            machine,
            reference,
            noisy,
            unpaired,
            recorded,
            bool(values["student_recorded"]),
        )


def noise(student: Series, reference: Sequence[float]) -> str:
    """Return why the machine was too unsteady for a timing, in words, or nothing.

    Args:
        student: the student's times in the order of timing, prompts shuffled.
        reference: seconds of the same reference workload before, between and after the blocks; empty where there is none.
    """
    if reference and max(reference) > (1 + STEADY) * min(reference):
        times = max(reference) / min(reference)
        return f"the reference workload took up to {times:.1f} times as long: another process keeps the device busy"
    if len(student.seconds) < FEWEST_FOR_DRIFT:
        return ""
    half = len(student.seconds) // 2
    early, late = student.seconds[:half], student.seconds[half:]
    low, high = sorted((median(early), median(late)))
    if high > (1 + STEADY) * low and _differ(early, late):
        return f"one half of the student's times is {high / low - 1:.0%} above the other: the machine changed its speed"
    follows = _autocorrelation(student.seconds)
    if follows > MOST_AUTOCORRELATION:
        return f"the student's times follow one another (autocorrelation {follows:.2f}): the machine's speed drifts"
    return ""


def _differ(one: Sequence[float], other: Sequence[float]) -> bool:
    # Prompts differ in length, so two halves of a steady series differ in median as well: by chance, which the rank-sum test
    # (Mann and Whitney 1947, normal approximation) keeps from counting as noise.
    above = sum((x > y) + (x == y) / 2 for x in one for y in other)
    n, m = len(one), len(other)
    return abs(above - n * m / 2) > SURPRISE * math.sqrt(n * m * (n + m + 1) / 12)


def _autocorrelation(values: Sequence[float]) -> float:
    if max(values) == min(values):
        return 0.0
    mean = fmean(values)
    return sum((x - mean) * (y - mean) for x, y in pairwise(values)) / sum((x - mean) ** 2 for x in values)


def timing_sample(prompts: Sequence[str], pairs: int) -> list[str]:
    """Return the prompts that are timed: a seeded sample of `pairs` different ones, all of them where they are fewer.

    Each is timed once: a second time of a prompt tells little that is new.
    """
    different = list(dict.fromkeys(prompts))
    return random.Random(0).sample(different, min(pairs, len(different)))


def time_pairs(
    teacher: Model,
    student: Model,
    prompts: Sequence[str],
    max_tokens: int,
    machine: str,
    *,
    pairs: int = PAIRS,
    workload: Callable[[], float] | None,
    disturbed: Callable[[], str | None] = lambda: None,
    progress: Callable[[int, int], None] = lambda done, of: None,
    again: Callable[[str], None] = lambda reason: None,
) -> Timing:
    """Time both models on the same prompts, one at a time, interleaved, in random order within each pair.

    The prompts are those of `timing_sample`. Both models are warmed up before. A measurement on an unsteady machine is made again,
    four times in all; where none was steady, the last comes back with `noise` set.

    Args:
        teacher, student: loaded, on the same device.
        prompts: at least one.
        max_tokens: the longest reply.
        machine: where this is.
        pairs: how many prompts to sample, at least 1.
        workload: returns the seconds of a fixed piece of work on the same device; None where neither model runs on this machine.
        disturbed: returns why the device cannot be timed on now, or None.
        progress: told the pairs done and wanted.
        again: told why, before the measurement is made again.
    """
    sample = timing_sample(prompts, pairs)
    guards = _Guards(workload, disturbed, progress, again)
    (slow, fast), reference, trouble, _ = _steadily((teacher, student), sample, max_tokens, guards)
    return Timing(slow, fast, "live", _now(), machine, reference, trouble)


def time_beside(
    model: Model,
    recorded: Mapping[str, float],
    of: str,
    at: str,
    prompts: Sequence[str],
    max_tokens: int,
    machine: str,
    *,
    pairs: int = PAIRS,
    workload: Callable[[], float] | None,
    disturbed: Callable[[], str | None] = lambda: None,
    progress: Callable[[int, int], None] = lambda done, of: None,
    again: Callable[[str], None] = lambda reason: None,
) -> Timing:
    """Time one model on the prompts of which the other's times are recorded; arguments and guards as in `time_pairs`.

    Args:
        model: the one to time, loaded.
        recorded: the other's seconds by prompt, each asked alone; where it is empty, `model` is timed by itself.
        of: whose they are, ``teacher`` or ``student``.
        at: the UTC time of the recording.
        prompts: what to time where nothing is recorded.
        max_tokens, machine, pairs, workload, disturbed, progress, again: as in `time_pairs`.
    """
    sample = timing_sample(list(recorded) or prompts, pairs)
    guards = _Guards(workload, disturbed, progress, again)
    (live,), reference, trouble, order = _steadily((model,), sample, max_tokens, guards)
    other = Series(tuple(recorded[prompt] for prompt in order) if recorded else ())
    sides = (other, live) if of == "teacher" else (live, other)
    why = "" if recorded else unpaired(of)
    return Timing(*sides, "recorded", _now(), machine, reference, trouble, why, at, of == "student")


def unpaired(of: str) -> str:
    """Return why a recording without times of one side allows no gain."""
    return (
        f"the {of}'s recording holds no time of an answer to a prompt that was asked alone (a refusal or an empty reply is none). Record its"
        " held-out replies anew without batch=True, or time both models in one run: --distill-live"
    )


@dataclass(frozen=True)
class _Guards:
    workload: Callable[[], float] | None
    disturbed: Callable[[], str | None]
    progress: Callable[[int, int], None]
    again: Callable[[str], None]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _steadily(
    models: Sequence[Model], sample: list[str], max_tokens: int, guards: _Guards
) -> tuple[list[Series], tuple[float, ...], str, list[str]]:
    """Time the models until the machine was steady; return their series, the reference workload's seconds, the trouble and the order."""
    chance = random.Random(0)
    _warm_up(models, sample, max_tokens)
    # What decides whether to measure again looks at the machine and at one series, never at the ratio: no outcome is favoured.
    for attempt in range(1, ATTEMPTS + 1):
        chance.shuffle(sample)
        trouble = guards.disturbed() or ""
        timed, reference = _interleave(models, sample, max_tokens, chance, guards.workload, guards.progress)
        series = [_series(model, side) for model, side in zip(models, timed, strict=True)]
        trouble = trouble or noise(series[-1], reference) or guards.disturbed() or ""
        if not trouble:
            break
        if attempt < ATTEMPTS:
            guards.again(trouble)
    return series, reference, trouble, sample


def _warm_up(models: Sequence[Model], prompts: Sequence[str], max_tokens: int) -> None:
    # The same prompts each time: their medians then differ by the machine alone. Both models in turn, as they are timed.
    block = [prompts[at % len(prompts)] for at in range(WARM_UP)]
    before = [0.0] * len(models)
    for _ in range(MOST_WARM_UP // WARM_UP):
        now = [median(model.time_one(prompt, max_tokens).seconds for prompt in block) for model in models]
        if all(abs(new - old) <= STEADY * old for new, old in zip(now, before, strict=True)):
            return
        before = now


def _interleave(
    models: Sequence[Model],
    sample: Sequence[str],
    max_tokens: int,
    chance: random.Random,
    workload: Callable[[], float] | None,
    progress: Callable[[int, int], None],
) -> tuple[list[list[Timed]], tuple[float, ...]]:
    timed: list[list[Timed]] = [[] for _ in models]
    reference = []
    collects = gc.isenabled()
    gc.disable()  # a collection would land inside one side of some pair
    try:
        for start in range(0, len(sample), BLOCK):
            gc.collect(0)  # what the last block left; the whole heap takes longer than a block
            if workload:
                reference.append(workload())
            for prompt in sample[start : start + BLOCK]:
                for side in chance.sample(range(len(models)), len(models)):
                    timed[side].append(models[side].time_one(prompt, max_tokens))
                progress(len(timed[0]), len(sample))
        if workload:
            reference.append(workload())
    finally:
        if collects:
            gc.enable()
    return timed, tuple(reference)


def _series(model: Model, timed: Sequence[Timed]) -> Series:
    for one in timed:
        if not (1e-9 <= one.seconds < 1e9 and (one.first_token is None or 0 < one.first_token <= one.seconds)):
            raise ModelError(f"model {model.name!r} timed one prompt at {one}: seconds above 0 are needed. Mend its time_one.")
    first = [one.first_token for one in timed if one.first_token is not None]
    tokens = [one.tokens_out for one in timed if one.tokens_out is not None]
    return Series(
        tuple(one.seconds for one in timed),
        tuple(first) if len(first) == len(timed) else (),
        tuple(tokens) if len(tokens) == len(timed) else (),
    )
