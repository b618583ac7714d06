"""Failure clusters: introduced errors grouped by what they share, each with what would mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from pytest_distill.answers import Malformed
from pytest_distill.compare.classes import NO_LABEL, members
from pytest_distill.evaluate import Evaluation
from pytest_distill.task import Example

if TYPE_CHECKING:
    from pytest_distill.compare.comparison import Comparison

FEWEST, LEAST_SHARE = 2, 0.02  # errors that share something, and of all introduced ones
LEAST_LIFT = 1.5  # of a tag or a label: one that most rows have says nothing about errors
MANY = 0.5  # of a cluster's errors: as many other rows of a kind, or more, tell what is behind them
MOST_IDS = 5
LONGEST = 80
CUT = "cut at max_tokens"

# What errors share: ``pair``, ``expected``, ``given``, ``tag``, ``part`` or ``reason``, and its names (a pair has two).
Shared = tuple[str, tuple[str, ...]]


def clusters(comparison: Comparison, train: Sequence[Example] = ()) -> list[dict[str, Any]]:
    """Return what two or more introduced errors share, the largest group first, as results.json holds it. An error may be in several.

    Args:
        comparison: its introduced errors are grouped by class pair (expected, given), by one of its classes where no single pair has most
            of them, by tag, by the part of the answer that is wrong, and by the reason for which a reply keeps no contract.
        train: the training rows; empty where they are not known.
    """
    kinds = ("introduced", "inherited")
    shared = {at: list(_shared(comparison, at)) for at, kind in enumerate(comparison.kinds) if kind in kinds}
    counts = {kind: Counter(each for at, of in shared.items() if comparison.kinds[at] == kind for each in of) for kind in kinds}
    of_all, largest = _of_all(comparison), _largest(counts["introduced"])
    like = _kinds_of(train, labels=bool(comparison.task.answer.classes))
    taken = {name: _taken(comparison, side) for name, side in comparison.sides.items()}
    introduced, n = comparison.counts["introduced"], len(comparison.examples)
    found = []
    for group, count in counts["introduced"].items():
        by, names = group
        lift = (count / introduced) / (of_all[group] / n) if group in of_all else None
        if count < max(FEWEST, LEAST_SHARE * introduced) or (lift is not None and lift < LEAST_LIFT) or largest[group] > MANY * count:
            continue
        inherited = counts["inherited"][group]
        errors = [comparison.examples[at].id for at, of in shared.items() if group in of and comparison.kinds[at] == "introduced"]
        entry = {
            "by": by,
            "name": " -> ".join(names),
            "count": count,
            "share": count / introduced,
            "lift": lift,
            "inherited": inherited,
            "training": like[by][names[0]] if like.get(by) and names[0] != NO_LABEL else None,
            "ids": errors[:MOST_IDS],
            "mend": _mend(by, names, count, inherited, taken),
        }
        way = _way(entry, names, len(train), comparison.task.max_tokens)
        entry["words"] = f"{count} of {introduced} introduced errors {_what(by, names, lift)}: {way}"
        found.append(entry)
    return sorted(found, key=lambda entry: (-entry["count"], -(entry["lift"] or 0.0), entry["by"], entry["name"]))


def _shared(comparison: Comparison, at: int) -> Iterator[Shared]:
    """Yield what a row that the student gets wrong may share with others."""
    example, value, grade = comparison.examples[at], comparison.student.values[at], comparison.student.grades[at]
    for tag in sorted(set(example.tags)):
        yield "tag", (tag,)
    if isinstance(value, Malformed):
        yield "reason", (_brief(_kind(value.reason)),)
        return
    pairs = _pairs(comparison, example, value)
    for pair in pairs:
        yield "pair", pair
    for by, labels in zip(("expected", "given"), map(set, zip(*pairs, strict=True)), strict=False):
        for label in sorted(labels - {NO_LABEL}):
            yield by, (label,)
    before = comparison.teacher.grades[at]
    for part, score in grade.parts.items() if grade else ():
        if score < (before.parts.get(part, 1.0) if before and before.right else 1.0):
            yield "part", (part,)


def _of_all(comparison: Comparison) -> Counter[Shared]:
    """Return how many rows carry each tag, and, where answers are labels, expect each and are given each by the student."""
    found: Counter[Shared] = Counter(("tag", (tag,)) for example in comparison.examples for tag in set(example.tags))
    if comparison.task.answer.classes:
        expected = [example.expected for example in comparison.examples if example.expected is not None]
        for by, answers in (("expected", expected), ("given", comparison.student.values)):
            found.update((by, (label,)) for answer in answers for label in members(answer))
    return found


def _largest(counts: Mapping[Shared, int]) -> Counter[Shared]:
    """Return the count of the largest pair that each label is in."""
    found: Counter[Shared] = Counter()
    for (by, names), count in counts.items():
        if by == "pair":
            for side, label in zip(("expected", "given"), names, strict=True):
                found[side, (label,)] = max(found[side, (label,)], count)
    return found


def _kind(reason: str) -> str:
    """Return a reason without what only one reply has: the place of a fault in its text, or what it is in place of the answer."""
    kind = reason.split(":", 1)[0]
    return kind if " " in kind else reason  # one word is the name of a field, and what follows says what is wrong with it


def _pairs(comparison: Comparison, example: Example, value: Any) -> list[tuple[str, str]]:
    """Return what was taken for what; of several labels one that is left out, or too many, is taken for none, or none for it."""
    if not comparison.task.answer.classes or example.expected is None or isinstance(value, Malformed):
        return []
    right, said = members(example.expected), members(value)
    if right == said:
        return []
    return sorted(product(right - said or {NO_LABEL}, said - right or {NO_LABEL}))


def _taken(comparison: Comparison, side: Evaluation) -> Counter[tuple[str, str]]:
    return Counter(
        pair for example, value in zip(comparison.examples, side.values, strict=True) for pair in _pairs(comparison, example, value)
    )


def _kinds_of(train: Sequence[Example], *, labels: bool) -> dict[str, Counter[str]]:
    """Return how many training rows carry each tag and expect each label; nothing where none of them has any."""
    expected = [example.expected for example in train if labels and example.expected is not None]
    of_label = Counter(label for each in expected for label in members(each))
    return {"tag": Counter(tag for example in train for tag in set(example.tags)), "pair": of_label, "expected": of_label}


def _mend(by: str, names: Sequence[str], count: int, inherited: int, taken: Mapping[str, Counter[tuple[str, str]]]) -> str:
    """Return what would mend a cluster: the first rule that fits, as docs/results.md has them."""
    if by == "reason":
        return "max_tokens" if names[0] == CUT else "format"
    if by == "pair":
        expected, given = names
        back, by_teacher = taken["student"][given, expected], taken["teacher"][expected, given] + taken["teacher"][given, expected]
        if min(back, by_teacher) >= MANY * count:
            return "rule"
    return "teacher" if inherited >= MANY * count else "rows"


def _what(by: str, names: Sequence[str], lift: float | None) -> str:
    if by == "pair":
        expected, given = names
        if given == NO_LABEL:
            return f"leave out {_brief(expected)!r}"
        return f"take {_brief(expected)!r} for {_brief(given)!r}" if expected != NO_LABEL else f"add {_brief(given)!r}"
    if by in ("tag", "expected", "given"):
        how = {
            "tag": "carry the tag {!r} ({:.1f} times its share of all rows)",
            "expected": "miss {!r} ({:.1f} times its share of all rows)",
        }
        return how.get(by, "wrongly say {!r} ({:.1f} times its share of all answers)").format(_brief(names[0]), lift)
    return f"have {_brief(names[0])!r} wrong" if by == "part" else f"are no answer ({names[0]})"


def _way(entry: Mapping[str, Any], names: Sequence[str], train: int, max_tokens: int) -> str:
    so = "carry it" if entry["by"] == "tag" else f"expect {_brief(names[0])!r}"
    like = "" if entry["training"] is None else f" ({entry['training']:,} of {train:,} training rows {so})"
    ways = {
        "max_tokens": f"raise max_tokens, which is {max_tokens}",
        "format": "constrain decoding to the answer contract, or train for more epochs",
        "rule": "both models take each for the other, so the rule that parts them is ambiguous: make it plain and label such rows again",
        "teacher": f"the teacher is wrong on {entry['inherited']} such rows too: mend its prompt or its training replies",
        "rows": f"train on more rows like these{like}",
    }
    return ways[str(entry["mend"])]


def _brief(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
