"""What has changed since a lock was written, each change by a name that says what it became, so that it can be allowed and no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_distill.files import digest
from pytest_distill.lock.file import Lock, file_of

MOST_TEXT = 60  # characters of a value in a sentence
TAG = 12  # hex digits that tell one content from another
Weakens = Callable[[Any, Any], bool]  # takes what an input was and is; returns whether the gate may demand less for it


def _always(*_: Any) -> bool:
    return True


def _never(*_: Any) -> bool:
    return False  # what a change is for: it is measured anew


def _less_stable(was: Any, now: Any) -> bool:
    return was is not None and (now is None or now > was)


def _another(was: Any, *_: Any) -> bool:
    return was is not None  # one that is new, where there was none, can only demand more


def _fewer_seeds(was: Any, now: Any) -> bool:
    return bool(was.get("seeds", 1) > now.get("seeds", 1))  # the risk of a wrong pass is shared among those that are declared


def _fewer_leaks(was: Any, now: Any) -> bool:
    return bool(was["near"] < now["near"])  # what is as near to a held-out row as before may count as a leak no longer


# What a person decides: how it is called, what it belongs to, and whether another one changes what the gate demands.
FIELDS: Mapping[str, tuple[str, str, Weakens]] = {
    "task": ("the task", "comparison", _always),
    "prompt": ("the prompt", "task", _always),
    "answer": ("the answer contract", "task", _always),
    "max_tokens": ("the longest reply", "task", _always),
    "stable": ("the demanded stability of the teacher", "task", _less_stable),
    "heldout": ("the held-out rows", "task", _always),
    "teacher": ("the teacher", "teacher", _always),
    "replies": ("the recorded replies", "teacher", _always),
    "serving": ("what running the student takes", "comparison", _always),
    "prices": ("the prices", "comparison", _always),
    "broad": ("the broad task", "comparison", _another),
    "fixtures": ("the fixtures that the benchmark file brings itself", "comparison", _always),
    "judge": ("the judge, or what people said of its opinions,", "comparison", _another),
    "train": ("the training rows", "task", _never),
    "curation": ("the curation", "comparison", _fewer_leaks),
    "student": ("the student", "comparison", _fewer_seeds),
}


@dataclass(frozen=True)
class Change:
    """One change since a lock was written.

    Attributes:
        name: what ``--distill-allow-change`` takes.
        what: a sentence.
        was, now: both values in a few words; None where there is none.
        file, line: where it stands, seen from the root folder; None where that is not known.
        weakens: whether it may make the gate easier to pass.
    """

    name: str
    what: str
    was: str | None
    now: str | None
    file: str | None
    line: int | None
    weakens: bool


@dataclass(frozen=True)
class Ran:
    """What a run judged.

    Attributes:
        inputs: the named inputs of each comparison, by its id.
        outcomes: the outcome of each gate that was collected, by its id; an empty string where it was not reported.
        judgements: all judgements, as the result holds them.
        evidence: ``strict`` or ``point``.
        partial: whether gates were left out on the command line.
    """

    inputs: Mapping[str, Mapping[str, Any]]
    outcomes: Mapping[str, str]
    judgements: Sequence[Mapping[str, Any]]
    evidence: str
    partial: bool = False


def differences(was: Any, now: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield each field in which two plain JSON values differ: its dotted name, what it was and what it is; None where it is absent."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for name in [*was, *(name for name in now if name not in was)]:
            yield from differences(was.get(name), now.get(name), f"{at}.{name}" if at else name)
    elif was != now:
        yield at, was, now


def in_words(was: Any, now: Any, at: str = "") -> str:
    """Return the differences as words: ``heldout.rows was 998 and is 997``."""
    return "; ".join(f"{field} {_moved(before, after)}" for field, before, after in differences(was, now, at))


def _moved(was: Any, now: Any) -> str:
    """Return in words what became of a value: of a list of names what it lost and gained, of anything else what it was and is."""
    if isinstance(was, list) and isinstance(now, list) and all(isinstance(part, str) for part in (*was, *now)) and set(was) != set(now):
        parts = (("lost", [part for part in was if part not in now]), ("gained", [part for part in now if part not in was]))
        return " and ".join(f"{verb} {_brief(names)}" for verb, names in parts if names)
    return f"was {_brief(was)} and is {_brief(now)}"


def _brief(value: Any) -> str:
    if isinstance(value, str) and value.startswith("sha256:"):
        return value[: len("sha256:") + TAG]
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


def _tag(value: Any) -> str:
    return digest(value)[len("sha256:") :][:TAG]


def changes(base: Lock, ran: Ran) -> list[Change]:
    """Return what of `base` a run did otherwise: inputs, limits, gates that are gone or new, the kind of evidence."""
    found = [change for name, accepted in base.comparisons.items() for change in _inputs(name, accepted, ran)]
    was = _tightest(gate for accepted in base.comparisons.values() for gate in accepted["gates"])
    now = _tightest(ran.judgements)
    found += [change for key, gate in was.items() if (change := _gate(gate, now.get(key), ran.outcomes))]
    found += [_new(gate) for key, gate in now.items() if key not in was]
    strict = any(accepted["evidence"] == "strict" for accepted in base.comparisons.values())
    if strict and ran.evidence != "strict":
        found.append(
            Change(
                f"evidence:{ran.evidence}",
                "limits are held against plain estimates, which is no statistical claim",
                "strict",
                ran.evidence,
                None,
                None,
                weakens=True,
            )
        )
    return list({change.name: change for change in found}.values())


def _inputs(name: str, accepted: Mapping[str, Any], ran: Ran) -> Iterator[Change]:
    was, now = accepted["inputs"], ran.inputs.get(name)
    if now is None:
        if any(ran.outcomes.get(gate["gate"]) == "passed" for gate in accepted["gates"]):
            what = f"what the gates of {name} judged is not known: they passed without its comparison"
            yield Change(f"inputs:{name}=unknown", what, None, None, file_of(name), None, weakens=True)
        return  # else its gates are gone, or failed for a reason of their own, which is said there
    where = {"comparison": name, "task": accepted["task"], "teacher": f"{accepted['task']}:{accepted['teacher']}"}
    for field in [*FIELDS, *(now.keys() - FIELDS.keys())]:
        if was.get(field) != now.get(field):
            words, of, weakening = FIELDS.get(field, (field, "comparison", _always))
            weakens = weakening(was.get(field), now.get(field))
            how = in_words(was.get(field), now.get(field), field)
            what = f"{words} of {where[of]} changed: {how}"
            change = f"{field}:{where[of]}={_tag(now.get(field))}"
            yield Change(change, what, _brief(was.get(field)), _brief(now.get(field)), file_of(name), None, weakens)


Key = tuple[str, str, bool]


def _upper(gate: Mapping[str, Any]) -> bool:
    return str(gate["operator"]).startswith("<")


def _tightest(gates: Iterable[Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
    """Return for each gate, measure and direction the limit that demands most."""
    found: dict[Key, Mapping[str, Any]] = {}
    for gate in gates:
        if gate["operator"]:
            key = (gate["gate"], gate["measure"], _upper(gate))
            found[key] = min(found.get(key, gate), gate, key=_looseness)
    return found


def _looseness(gate: Mapping[str, Any]) -> tuple[float, bool]:
    """Return what sorts limits of one direction from the one that demands most; a limit that may be met exactly demands less."""
    return (gate["limit"] if _upper(gate) else -gate["limit"]), gate["operator"] in ("<=", ">=")


def _limit(gate: Mapping[str, Any]) -> str:
    return f"{gate['operator']}{gate['limit']!r}".removesuffix(".0")


def _gate(was: Mapping[str, Any], now: Mapping[str, Any] | None, outcomes: Mapping[str, str]) -> Change | None:
    gate, measure, file = was["gate"], was["measure"], file_of(was["gate"])
    if now is not None:
        if _looseness(was) == _looseness(now):
            return None
        looser = _looseness(now) > _looseness(was)
        what = f"the limit of {measure} in {gate} was {'loosened' if looser else 'tightened'} from {_limit(was)} to {_limit(now)}"
        return Change(f"limit:{gate}:{measure}{_limit(now)}", what, _limit(was), _limit(now), file, now.get("line"), looser)
    outcome = outcomes.get(gate)
    if outcome is not None and outcome not in ("passed", "skipped"):
        return None  # it failed before it came to this limit, and says why
    how = {None: "was removed, or left out of this run", "skipped": "is skipped"}.get(outcome, f"holds {measure} against no limit any more")
    return Change(f"gate:{gate}:{measure}=removed", f"the gate {gate} {how}", f"{measure} {_limit(was)}", None, file, None, weakens=True)


def _new(gate: Mapping[str, Any]) -> Change:
    name, limit = gate["gate"], f"{gate['measure']} {_limit(gate)}"
    what = f"the gate {name} is new: {limit}"
    return Change(f"gate:{name}:{gate['measure']}=new", what, None, limit, file_of(name), gate.get("line"), weakens=False)


def between_locks(base: Lock, own: Lock | None) -> list[Change]:
    """Return what a lock of one's `own` holds otherwise than `base`.

    Other numbers would be accepted by the very change that brings them, and looser limits be what the next change is compared with.
    """
    found: list[Change] = []
    entries, file = own.comparisons if own else {}, (own or base).path.name
    for name in [*base.comparisons, *(name for name in entries if name not in base.comparisons)]:
        was, now = base.comparisons.get(name), entries.get(name)
        dates = [None if entry is None else str(entry["accepted"]["at"]) for entry in (was, now)]
        if now is None:
            what = f"the lock no longer holds {name}"
            found.append(Change(f"lock:{name}=removed", what, dates[0], None, file, None, weakens=True))
            continue
        if _numbers(was) != _numbers(now):
            new = f"other numbers than the base lock ({_fields(was, now)})" if was else "numbers that the base lock does not hold"
            what = f"the lock holds {new} for {name}"
            found.append(Change(f"lock:{name}={_tag(_numbers(now))}", what, dates[0], dates[1], file, None, weakens=True))
        listed = _tightest(now["gates"])
        for key, gate in _tightest(was["gates"] if was else ()).items():
            if change := _gate(gate, listed.get(key), {}):
                found.append(replace(change, what=f"in {file} {change.what}", file=file, line=None))
    return found


def _numbers(accepted: Mapping[str, Any] | None) -> dict[str, Any]:
    return {part: value for part, value in (accepted or {}).items() if part not in ("gates", "digest")}


def _fields(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    fields = [field for field, _, _ in differences(_numbers(was), _numbers(now))]
    return ", ".join(fields[:3]) + (f" and {len(fields) - 3} more" if len(fields) > 3 else "")
