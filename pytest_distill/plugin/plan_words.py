"""A plan in words, a line each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime

from pytest_distill.plugin.forecast import Forecast, Needed, Plan, StudentPlan, Training, added
from pytest_distill.report import visible
from pytest_distill.report.terminal import skipped
from pytest_distill.results import WARNED_DAYS


def lines(plan: Plan) -> list[str]:
    """Return the plan in words, a line each: what each benchmark takes, what all of them take, what is in the store.

    The last line is ``store key:`` with `Plan.store_key`, or with ``none``: the key of a cache that carries the store from run to run.
    """
    found = ["plan: nothing is asked, trained or written"]
    for benchmark in plan.benchmarks:
        found += ["", f"{benchmark.task} ({benchmark.file})"]
        for teacher in benchmark.teachers:
            found += [_line("teacher", f"{teacher.model}: {_on_hand(teacher)}"), *_takings(teacher)]
        for student in benchmark.students:
            found += _student(student)
        found += [_line("error", f"this cannot be planned: {words}") for words in benchmark.trouble]
    left_out = [*skipped(plan.skipped)]
    return [visible(line.replace("\n", " ")) for line in [*found, *([""] if left_out else []), *left_out, "", *_closing(plan)]]


def _line(label: str, words: str) -> str:
    return f"  {label:<10} {words}"


def _student(student: StudentPlan) -> Iterator[str]:
    if student.own:
        yield _line("student", f"{student.name}: not known: the benchmark's own fixture {student.own[0]} decides")
        return
    words = [_training(student.training)] if student.training else []
    words += [_on_hand(student.needed)] if student.needed else []
    yield _line("student", f"{student.name}{' (recipe)' if student.training else ''}: {'; '.join(words)}")
    yield from _takings(student.needed) if student.needed else ()
    pairs = f"{student.pairs:,} prompts"
    way = {
        "stored": "stored",
        "in turn": f"{pairs} on both models in turn, time unknown",
        "recorded": "both sides' times come from their recordings",
        "unpaired": "no gain can be told: a recording holds no time of a prompt that was asked alone",
    }
    beside = f"{pairs} beside the {student.timing.removeprefix('beside ')}'s recorded times, time unknown"
    yield _line("timing", way.get(student.timing, beside))
    for needed in student.broad:
        on_hand, of_all = needed.heldout
        yield _line("broad", f"{needed.model}: {on_hand:,} of {of_all:,} rows of the broad task on hand")
        yield from _takings(needed)
    if student.judge:
        on_hand, of_all = student.judge.heldout
        yield _line("judge", f"{student.judge.model}: {on_hand:,} of {of_all:,} pairs of differing replies judged")
        yield from _takings(student.judge)
    if student.unjudged:
        yield _line(
            "judge", f"{student.unjudged}: asked twice wherever the replies differ; how often they do, the replies of both models will tell"
        )


def _on_hand(needed: Needed) -> str:
    """Write how many rows have their replies."""
    rows = (("training", needed.training), ("held-out", needed.heldout))
    return ", ".join(f"{what} rows {counts[0]:,} of {counts[1]:,} on hand" for what, counts in rows if counts)


def _takings(needed: Needed) -> Iterator[str]:
    """Write what it takes to have the replies that are missing."""
    if needed.missing:
        aside = (
            (needed.failed, "asked for before and not had"),
            (needed.elsewhere, "asked for by a benchmark above"),
            (needed.under_way, "in a batch that runs"),
        )
        of_these = ", ".join(f"{count:,} {words}" for count, words in aside if count)
        takes = f": {_takes(needed.asked)}" if needed.asked else "" if needed.hosted else " on this machine, time unknown"
        yield _line("to ask", f"{_replies(needed.missing)}{f' ({of_these})' if of_these else ''}{takes}")
    if needed.timed:
        yield _line("to time", f"{_replies(needed.timed.replies)}: {_takes(needed.timed)}")
    if needed.key:
        yield _line("note", f"{needed.key} is not set: {needed.model} cannot be asked without it")
    if needed.retires:
        left = (date.fromisoformat(needed.retires) - datetime.now(UTC).date()).days
        when = f"in {left} days" if left > 0 else "it is no longer there to be asked"
        warning = ": record what you still need of it" if 0 < left <= WARNED_DAYS else ""
        yield _line("note", f"{needed.model} is shut down on {needed.retires} ({when}){warning}")


def _training(training: Training) -> str:
    """Write what becomes of a recipe."""
    time = "time unknown: the store holds no training like it"
    if training.seconds is not None and training.like is not None:
        time = f"about {_duration(training.seconds)} (as {training.like[0]:,} rows took {_duration(training.like[1])})"
    words = f"would train on {'' if training.exact else 'at most '}{training.rows:,} rows ({training.device}), {time}"
    if training.above:
        words = "trained once, with the one above"
    if not training.exact:
        return f"{words}; whether it is in the store, the teacher's replies will tell"
    stored = f"in the store, trained {training.trained[:10] or 'at an unknown time'}"
    if training.again:
        return f"{stored}; {training.again}: {words}"
    return stored if training.trained else words


def _closing(plan: Plan) -> Iterator[str]:
    if not plan.benchmarks:
        yield "nothing would run here: every gate is skipped" if plan.skipped else "no benchmark was collected"
    asked = [each for needed in plan.needed for each in (needed.asked, needed.timed) if each]
    here = sum(needed.missing for needed in plan.needed if not needed.hosted)
    words = []
    if asked:
        total = added(asked)
        words.append(f"{_replies(total.replies)} to ask: {_takes(total)}")
    if here:
        words.append(f"{_replies(here)} to ask on this machine, time unknown")
    if plan.trainings:
        times = [training.seconds for training in plan.trainings]
        time = "time unknown" if None in times else f"about {_duration(sum(time or 0.0 for time in times))}"
        words.append(f"{_count(len(times), 'training')}, {time}")
    yield f"total: {'; '.join(words) or 'nothing to ask or train'}"
    unpriced = sorted({needed.model for needed in plan.needed for each in (needed.asked, needed.timed) if each and each.most is None})
    if unpriced:
        yield f"  without the cost of {', '.join(unpriced)}, which has no price"
    if any(each.most for each in asked):
        yield "  at most: each byte of a prompt a token, each reply as long as it may be; what has to be asked twice comes on top"
    if plan.budget is not None and unpriced:
        yield f"  the budget of ${plan.budget:g} cannot be kept without a price: give the Endpoint price=(input, cached, output)"
    elif plan.budget is not None and asked and (added(asked).most or 0.0) > plan.budget:
        yield f"  the budget of ${plan.budget:g} may not be enough for all of it"
    if any(needed.asked for needed in plan.needed):
        yield "  to record: pytest --distill --distill-record"
    students, recordings, size = plan.stored
    yield f"store: {plan.store}: {_count(students, 'student')}, {_count(recordings, 'recording')} of replies, {size / 1e6:.1f} MB"
    yield f"store key: {plan.store_key or 'none'}"


def _takes(takes: Forecast) -> str:
    """Write the tokens, costs and time of asking."""
    by = (
        ""
        if takes.by is None
        else f" (by {_replies(takes.by)} on hand)"
        if takes.by
        else " (by 4 bytes a token, half of the longest reply)"
    )
    tokens = f"about {_round(takes.tokens_in)} tokens in and {_round(takes.tokens_out)} out{by}"
    costs = "no price given"
    if takes.expected is not None and takes.most is not None:
        costs = f"expected {_dollars(takes.expected)}, at most {_dollars(takes.most, up=True)}"
    if takes.seconds is None:
        time = "time unknown" + (f", at least {_duration(takes.least)} by the limits a minute" if takes.least else "")
    else:
        time = f"{'within' if takes.batch else 'about'} {_duration(takes.seconds)}"
    return f"{tokens}, {costs}, {time}"


def _replies(count: int) -> str:
    return f"{count:,} {'reply' if count == 1 else 'replies'}"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _round(value: float) -> str:
    """Write an estimate with two digits that say something."""
    step = 10 ** max(0, math.floor(math.log10(value)) - 1) if value >= 1 else 1
    return f"{round(value / step) * step:,}"


def _dollars(value: float, *, up: bool = False) -> str:
    """Write US dollars in cents, small sums with two digits that say something; rounded up where that is asked for."""
    digits = 2 if value >= 1 or not value else max(2, 1 - math.floor(math.log10(value)))
    return f"${math.ceil(value * 10**digits) / 10**digits if up else value:,.{digits}f}"


def _duration(seconds: float) -> str:
    """Write a duration in its two largest units, at least a second."""
    whole = max(1, round(seconds))
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next(at for at, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count:,} {unit}" for count, unit in parts[first : first + 2] if count)
