"""Stability: how often a model answers otherwise when it is asked again, at once or later. Pure: it looks at replies alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from pytest_distill import stats
from pytest_distill.curate import Heard, heard
from pytest_distill.errors import TeacherError
from pytest_distill.models import Endpoint, Model
from pytest_distill.recording import FAILED, Reply
from pytest_distill.task import Example, Task

MOST_LOST = 0.05  # share of prompts that may be left out because replies failed, where something is judged
MOST_PROMPTS = 100_000
MOST_SHOWN, LONGEST_SHOWN = 5, 120
EXACT, GENERAL = "clopper-pearson", "gaffke"


@dataclass(frozen=True)
class Share:
    """A share of prompts (0 to 1), with bounds that hold with 95 % confidence each.

    Attributes:
        rate: the mean over the prompts that were looked at.
        lower, upper: its one-sided bounds.
        n: how many prompts that are, 1 or more.
        method: ``clopper-pearson`` where each prompt counts as 0 or 1, ``gaffke`` where it may count in part.
    """

    rate: float
    lower: float
    upper: float
    n: int
    method: str

    def to_json(self) -> dict[str, Any]:
        """Return it as results.json holds it."""
        return asdict(self)


def share_of(values: Sequence[float], *, whole: bool) -> Share:
    """Return the mean of one value (0 to 1) for each prompt, with its bounds.

    Args:
        values: one or more.
        whole: whether each is 0 or 1 by its nature. Then the bounds are exact (C. J. Clopper and E. S. Pearson, Biometrika 26 (1934)
            404-413); else they are Gaffke's, whose sources `stats.gaffke_p` names. On values of 0 and 1 both are the same.
    """
    n, total = len(values), sum(values)
    if whole:
        count = round(total)
        upper, rest = stats.rate_bound(count, n), stats.rate_bound(n - count, n)
    else:
        upper, rest = stats.gaffke_bound(values, 1.0), stats.gaffke_bound([1 - value for value in values], 1.0)
    return Share(total / n, round(1 - rest, 6), round(upper, 6), n, EXACT if whole else GENERAL)


def enough_prompts(values: Sequence[float], limit: float) -> int | None:
    """Return about how many prompts show a share to be at most `limit`, if more of them are like `values`.

    None where they already reach `limit` on average, so that more would hardly help, or where more than 100,000 are needed.
    """
    ordered, n = sorted(values), len(values)

    def show(prompts: int) -> bool:
        return stats.gaffke_p([ordered[k * n // prompts] for k in range(prompts)], limit, 1.0) <= stats.ALPHA

    if sum(values) >= limit * n:
        return None
    low, high = 0, 1
    while not show(high):
        low, high = high, 2 * high
        if high > MOST_PROMPTS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if show(middle) else (middle, high)
    return high


# One model, asked several times at once


@dataclass(frozen=True)
class Stability(Share):
    """How often a model disagrees with itself: the share of pairs of its replies to one prompt that differ, averaged over the prompts.

    That is the chance that it answers otherwise when it is asked once more.

    Attributes:
        samples: how often each prompt was asked, 2 or more.
        lost: how many prompts are left out, because fewer than two of their replies came back.
        unstable: the first prompts on which it disagrees: the example's id and what it said.
    """

    samples: int
    lost: int
    unstable: tuple[Mapping[str, Any], ...]


def stability_of(task: Task, replies: Sequence[Reply]) -> Stability | None:
    """Return how often a model disagrees with itself; None where no prompt has two replies that came back.

    Two samples of each prompt make each prompt 0 or 1, and the bounds exact; with more of them they are Gaffke's.

    Args:
        task: its answer contract tells which replies say the same. Replies that give no value differ from those that do, and are alike
            where they give none for the same reason.
        replies: for each example its samples one after another.
    """
    return _measured(task, replies)[0]


def _measured(task: Task, replies: Sequence[Reply]) -> tuple[Stability | None, list[float]]:
    """Return the stability, and for each of its prompts the share of pairs of replies that differ."""
    differing: list[float] = []
    unstable: list[Mapping[str, Any]] = []
    samples = lost = 0
    for of_one in _by_example(replies):
        samples = max(samples, len(of_one))
        said = [heard(task, reply) for reply in of_one if reply.outcome != FAILED]
        if len(said) < 2:
            lost += 1
            continue
        pairs = [one != other for one, other in combinations(said, 2)]
        differing.append(sum(pairs) / len(pairs))
        if any(pairs):
            unstable.append({"id": of_one[0].id, "values": [_shown(each) for each in said]})
    if not differing:
        return None, []
    share = share_of(differing, whole=samples == 2)
    return Stability(**asdict(share), samples=samples, lost=lost, unstable=tuple(unstable[:MOST_SHOWN])), differing


def _by_example(replies: Sequence[Reply]) -> Iterator[list[Reply]]:
    found: list[Reply] = []
    for reply in replies:
        if not reply.sample and found:
            yield found
            found = []
        found.append(reply)
    if found:
        yield found


def _shown(said: Heard) -> str:
    if said.reason:
        return f"({said.reason})"
    return said.text if len(said.text) <= LONGEST_SHOWN else said.text[: LONGEST_SHOWN - 1] + "…"


def check_stable(task: Task, teacher: Model, replies: Sequence[Reply]) -> Stability | None:
    """Return how often the teacher disagrees with itself, and refuse one that is not shown to be stable, where the task says how far it must be.

    ``Task(stable=…)`` is a condition on the teacher and no gate: it is held to the bounds in every run. A local teacher answers greedily,
    so the same prompt has the same reply: there is nothing to judge, and None is returned.

    Args:
        task: says in `stable` how large the share may be.
        teacher: who gave the replies.
        replies: to the held-out rows, which are a random sample of the task; for each its samples one after another.

    Raises:
        TeacherError: it is shown to disagree with itself more often, or not shown to do so at most so often; too few replies to tell.
    """
    if not isinstance(teacher, Endpoint):
        return None
    (found, differing), limit = _measured(task, replies), task.stable
    if limit is None:
        return found
    allowed = f"{100 * limit:.4g}%"
    check_samples(task, teacher)
    asked = sum(not reply.sample for reply in replies)
    left = found.n if found else 0
    if found is None or asked - left > MOST_LOST * asked:
        raise TeacherError(
            f"task {task.name!r} is not shown to be stable: {asked - left} of {asked} held-out prompts have fewer than two replies of"
            f" {teacher.name!r}. Ask for those that failed again: pytest --distill --distill-record."
        )
    if found.upper <= limit:
        return found
    seen = f"{teacher.name} disagrees with itself on {found.rate:.1%} of {found.n} held-out prompts (95% bound: at"
    if found.lower > limit:
        first = found.unstable[0]
        said = " and ".join(f"{value!r} ({n})" for value, n in Counter(first["values"]).most_common())
        raise TeacherError(
            f"task {task.name!r} is not stable: {seen} least {found.lower:.1%}), allowed are {allowed}; first: {first['id']} was answered"
            f" {said}. Distil only what is stable: tighten the prompt, merge answers that nobody tells apart, ask a dated model at"
            " temperature=0, or allow more with Task(stable=…)."
        )
    enough = enough_prompts(differing, limit)
    way = f"About {enough} held-out rows would show it" if enough else "More rows would hardly show it"
    raise TeacherError(
        f"task {task.name!r} is not shown to be stable: {seen} most {found.upper:.1%}), allowed are {allowed}. {way}, if the rate stays as"
        " it is; more samples of each narrow the bound too. Or allow more with Task(stable=…)."
    )


def check_samples(task: Task, teacher: Model) -> None:
    """Refuse a teacher that is asked once, where the task says how stable it must be: to be done before anything is trained.

    Raises:
        TeacherError: `task.stable` is stated and the Endpoint has a single sample.
    """
    if task.stable is not None and isinstance(teacher, Endpoint) and teacher.samples < 2:
        raise TeacherError(
            f"task {task.name!r} must be stable (at most {100 * task.stable:.4g}%), and {teacher.name!r} is asked once for each prompt:"
            " whether it agrees with itself is not known. Write Endpoint(…, samples=2) and record what is missing:"
            " pytest --distill --distill-record."
        )


# One model, asked again later


@dataclass(frozen=True)
class Drift:
    """What a model says now, held against what it said when it was recorded.

    Attributes:
        answers: the share of prompts whose answer is another now.
        texts: the share whose text is another, be the answer the same.
        lost: how many prompts are left out, because no reply came back this time.
        itself: how often the recorded samples of these prompts disagree; None where each was recorded once.
        p_beyond: the p value that it changed more than it disagrees with itself; None where that is not known.
        accuracy: the share of right answers as recorded and now, and on how many prompts with a reference; None where there are none.
        answered_by: the models that answered, as the server names them, as recorded and now.
        changed: how many prompts have another answer; first: the first of them, with the example's id and what is said then and now.
    """

    answers: Share
    texts: Share
    lost: int
    itself: Stability | None
    p_beyond: float | None
    accuracy: Mapping[str, Any] | None
    answered_by: Mapping[str, Sequence[str]]
    changed: int
    first: tuple[Mapping[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as results.json holds it; ``beyond`` says whether it is shown to have changed more than it disagrees with itself."""
        return {**asdict(self), "beyond": None if self.p_beyond is None else self.p_beyond <= stats.ALPHA}


def drift_of(task: Task, examples: Sequence[Example], then: Sequence[Sequence[Reply]], now: Sequence[Reply]) -> Drift | None:
    """Return how far a model has moved since it was recorded; None where no reply came back.

    Whether that is more than it disagrees with itself is an exact sign test: had nothing changed, the new reply and the second recorded
    sample could change places, so that among the prompts where exactly one of them differs from the first sample it would be either
    with a chance of a half (the method of Q. McNemar, Psychometrika 12 (1947) 153-157, with binomial chances).

    Args:
        task: its answer contract tells which replies say the same, and what is right.
        examples: what was asked again: a random sample of what is recorded.
        then: for each example its recorded samples, the first of which came back.
        now: for each example the reply of today.
    """
    back = [k for k, reply in enumerate(now) if reply.outcome != FAILED]
    if not back:
        return None
    examples, then, now, lost = [examples[k] for k in back], [then[k] for k in back], [now[k] for k in back], len(now) - len(back)
    old, new = [heard(task, of_one[0]) for of_one in then], [heard(task, reply) for reply in now]
    moved = [was != is_now for was, is_now in zip(old, new, strict=True)]
    changed = [
        {"id": example.id, "then": _shown(was), "now": _shown(is_now)}
        for example, was, is_now in zip(examples, old, new, strict=True)
        if was != is_now
    ]
    return Drift(
        share_of([float(each) for each in moved], whole=True),
        share_of([float(of_one[0].text != reply.text) for of_one, reply in zip(then, now, strict=True)], whole=True),
        lost,
        stability_of(task, [reply for of_one in then for reply in of_one]),
        _p_beyond(task, then, new),
        _accuracy(task, examples, old, new),
        {"then": _names(of_one[0] for of_one in then), "now": _names(now)},
        len(changed),
        tuple(changed[:MOST_SHOWN]),
    )


def _p_beyond(task: Task, then: Sequence[Sequence[Reply]], new: Sequence[Heard]) -> float | None:
    """Return the p value of the sign test that `drift_of` describes."""
    rows = [
        (heard(task, of_one[0]), heard(task, others[0]), said)
        for of_one, said in zip(then, new, strict=True)
        if (others := [reply for reply in of_one[1:] if reply.outcome != FAILED])
    ]
    if not rows:
        return None
    moved = sum(second == first != said for first, second, said in rows)
    wavered = sum(said == first != second for first, second, said in rows)
    return stats.sign_p(moved, moved + wavered) if moved + wavered else 1.0


def _accuracy(task: Task, examples: Sequence[Example], old: Sequence[Heard], new: Sequence[Heard]) -> dict[str, Any] | None:
    references = [example.expected for example in examples]
    n = sum(expected is not None for expected in references)

    def right(said: Sequence[Heard]) -> float:
        known = [(each, expected) for each, expected in zip(said, references, strict=True) if expected is not None]
        return sum(not each.reason and task.answer.grade(each.value, expected).right for each, expected in known) / n

    return {"then": right(old), "now": right(new), "n": n} if n else None


def _names(replies: Iterable[Reply]) -> list[str]:
    return sorted({reply.answered_by for reply in replies if reply.answered_by})
