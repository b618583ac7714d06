"""What a result must look like before anything of it is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Takes a value and where it stands; returns what is wrong with it, or nothing.
Check = Callable[[Any, str], str]

MOST_NUMBER = 1e15  # beyond it no measure, count or cost of a result makes sense
_MISSING = object()


def _is(what: str, test: Callable[[Any], bool]) -> Check:
    return lambda value, where: "" if test(value) else _fault(what, value, where)


def _fault(what: str, value: Any, where: str) -> str:
    return f"{where}: {what} is expected, and {_seen(value)} is there"


def _seen(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    # The length first: the digits of a huge integer are not to be written out.
    return "a number" if isinstance(value, int) and value.bit_length() > 99 else repr(value)[:60]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MOST_NUMBER  # NaN is not


def _count(value: Any) -> bool:
    return _number(value) and isinstance(value, int) and value >= 0


def one_of(*words: str) -> Check:
    """Return a check that a value is one of these words."""
    return _is(" or ".join(words), lambda value: isinstance(value, str) and value in words)


def or_null(check: Check) -> Check:
    """Return a check that a value is null, or as `check` wants it."""
    return lambda value, where: "" if value is None else check(value, where)


def each(check: Check) -> Check:
    """Return a check that a value is a list whose items are as `check` wants them."""

    def of_list(value: Any, where: str) -> str:
        if not isinstance(value, list):
            return _fault("a list", value, where)
        return next((fault for at, item in enumerate(value) if (fault := check(item, f"{where}[{at}]"))), "")

    return of_list


def holding(**checks: Check) -> Check:
    """Return a check that a value is an object in which these keys are as wanted; others are of no concern."""

    def of_object(value: Any, where: str) -> str:
        if not isinstance(value, dict):
            return _fault("an object", value, where)
        found = (check(value.get(key, _MISSING), f"{where}.{key}" if where else key) for key, check in checks.items())
        return next(filter(None, found), "")

    return of_object


TEXT = _is("text", lambda value: isinstance(value, str))
FLAG = _is("true or false", lambda value: isinstance(value, bool))
NUMBER = _is("a number", _number)
COUNT = _is("a count", _count)
LINE = or_null(COUNT)

OUTCOMES = ("passed", "failed", "inconclusive", "error", "skipped")
_MEASURE = holding(value=or_null(NUMBER), bound=or_null(NUMBER), confidence=NUMBER, why=or_null(TEXT))
_JUDGEMENT = holding(
    gate=TEXT,
    line=LINE,
    measure=TEXT,
    operator=or_null(TEXT),
    limit=or_null(NUMBER),
    outcome=one_of("shown", "refuted", "inconclusive", "no claim", "point"),
    shown=FLAG,
    words=TEXT,
)
_COMPARISON = holding(
    file=TEXT,
    line=LINE,
    task=TEXT,
    teacher=TEXT,
    student=TEXT,
    accepted=or_null(holding(at=TEXT, commit=or_null(TEXT), machine=TEXT)),
    measures=holding(accuracy_drop=_MEASURE, speed_gain=_MEASURE),
    judgements=each(_JUDGEMENT),
    errors=each(holding(id=TEXT, kind=TEXT, input=TEXT, expected=TEXT, teacher=TEXT, student=TEXT)),
)
_CHANGE = holding(
    name=TEXT, what=TEXT, was=or_null(TEXT), now=or_null(TEXT), file=or_null(TEXT), line=LINE, weakens=FLAG, allowed=FLAG, fails=FLAG
)
_ASKED = {"file": TEXT, "line": LINE, "task": TEXT, "role": TEXT, "model": TEXT, "words": TEXT, "cost_usd": or_null(NUMBER)}

RESULT = holding(
    complete=FLAG,
    verdict=one_of("pass", "fail", "inconclusive", "error"),
    cause=TEXT,
    evidence=one_of("strict", "point"),
    root=TEXT,
    locked=FLAG,
    gates=each(holding(id=TEXT, outcome=one_of(*OUTCOMES), message=TEXT)),
    collected=COUNT,
    reported=COUNT,
    summary=holding(
        passed=COUNT,
        failed=COUNT,
        inconclusive=COUNT,
        worst_accuracy_drop=or_null(NUMBER),
        worst_accuracy_drop_bound=or_null(NUMBER),
        smallest_speed_gain=or_null(NUMBER),
        cost_usd=or_null(NUMBER),
    ),
    comparisons=each(_COMPARISON),
    changes=each(_CHANGE),
    drift=each(holding(**_ASKED, outcome=one_of("moved", "not moved", "reported", "inconclusive", "error"))),
    recorded=each(holding(**_ASKED, held=COUNT, asked=COUNT, failed=COUNT, outcome=one_of("recorded", "error"))),
)
