"""The step's summary, in GitHub's Markdown: every string that is not ours stands in a code span or a fence."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pytest_distill.github.check import Checked
from pytest_distill.github.places import from_workspace, source
from pytest_distill.github.text import cell, fence, span
from pytest_distill.report import can_be_let_through, change_outcome
from pytest_distill.report.terminal import amount, confidence

# Bytes of UTF-8 that each part may take: together, and with what stands around them, less than the 1 MiB that GitHub shows.
ROOM = {
    "comparisons": 250_000,
    "accepted": 30_000,
    "drift": 100_000,
    "recorded": 100_000,
    "gates": 150_000,
    "changes": 150_000,
    "examples": 200_000,
}
MOST_CAUSE = 1500
MOST_EXAMPLES = 10  # of a comparison
KINDS = {"introduced": "lost", "unlabelled": "without a label"}

Item = TypeVar("Item")


def headline(checked: Checked) -> str:
    """Return the verdict and its cause, which open the summary."""
    return f"**Verdict: {checked.verdict}**, because: {span(checked.cause, MOST_CAUSE)}"


def markdown(checked: Checked, path: Path, annotated: int, more: int) -> str:
    """Return the summary, always under 1 MiB of UTF-8.

    Args:
        checked: the result and its verdict.
        path: of results.json, beside which the page lies.
        annotated: how many annotations there are; `more`: how many found no room.
    """
    result = checked.result
    blocks = [headline(checked)]
    if more:
        blocks.append(f"{annotated} of {annotated + more} findings are annotated; {more} more stand only here and in the report.")
    if result is not None:
        if result["evidence"] == "point":
            blocks.append("Evidence: point. Plain estimates, not a statistical claim.")
        for part in (_comparisons, _accepted, _drift, _recorded, _missed, _changes, _examples, _cost):
            blocks += part(result)
    blocks += _report(path)
    return "\n\n".join(blocks)


def _comparisons(result: Mapping[str, Any]) -> Iterator[str]:
    head = ("task", "teacher", "student", "accuracy drop", "speed gain", "limit", "judgement")
    yield from _table("comparisons", head, [row for entry in result["comparisons"] for row in _judged(entry)], lambda row: row)


def _judged(entry: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Yield a row for each judgement of a comparison; what they share stands in the first."""
    shared = [cell(entry[name], 100) for name in ("task", "teacher", "student")]
    shared += [_measured(name, entry["measures"][name]) for name in ("accuracy_drop", "speed_gain")]
    for judgement in entry["judgements"] or [None]:
        yield [*shared, *(("none", "not judged") if judgement is None else _judgement(judgement))]
        shared = [""] * len(shared)


def _judgement(judgement: Mapping[str, Any]) -> tuple[str, str]:
    limit = "none" if judgement["limit"] is None else cell(f"{judgement['measure']} {judgement['operator']} {judgement['limit']:.10g}", 100)
    outcome = judgement["outcome"]
    if outcome == "point":
        outcome = "point: holds" if judgement["shown"] else "point: does not hold"
    return limit, outcome if judgement["shown"] or outcome == "no claim" else f"**{outcome}**"


def _measured(name: str, measure: Mapping[str, Any]) -> str:
    if measure["value"] is None:
        return f"not measured: {cell((measure['why'] or 'no reason given').split(chr(10), 1)[0], 100)}"
    bound = "none" if measure["bound"] is None else amount(name, measure["bound"])
    return f"{amount(name, measure['value'])} ({confidence(measure)} bound {bound})"


def _accepted(result: Mapping[str, Any]) -> Iterator[str]:
    def write(entry: Mapping[str, Any]) -> str:
        was = entry["accepted"]
        commit = f" at commit {span(was['commit'], 60)}" if was["commit"] else ""
        return f"- {span(entry['task'], 100)}, {span(entry['student'], 100)}: accepted {span(was['at'], 60)}{commit} on {span(was['machine'], 100)}"

    if result["locked"]:
        yield "Judged again from the lock: nothing was asked, trained or loaded."
    yield from _list("accepted", [entry for entry in result["comparisons"] if entry["accepted"]], write)


def _drift(result: Mapping[str, Any]) -> Iterator[str]:
    def write(entry: Mapping[str, Any]) -> Sequence[str]:
        return [*_asked(entry), _outcome(entry["outcome"], ("moved", "error")), _dollars(entry["cost_usd"]), cell(entry["words"], 500)]

    yield from _table("drift", ("task", "role", "model", "outcome", "cost", "in words"), result["drift"], write)


def _recorded(result: Mapping[str, Any]) -> Iterator[str]:
    def write(entry: Mapping[str, Any]) -> Sequence[str]:
        counts = [f"{entry[name]:,}" for name in ("held", "asked", "failed")]
        words = [_outcome(entry["outcome"], ("error",)), _dollars(entry["cost_usd"]), cell(entry["words"], 500)]
        return [*_asked(entry), *counts, *words]

    head = ("task", "role", "model", "held before", "asked", "not had", "outcome", "cost", "in words")
    yield from _table("recorded", head, result["recorded"], write)


def _asked(entry: Mapping[str, Any]) -> list[str]:
    return [cell(entry[name], 100) for name in ("task", "role", "model")]


def _outcome(outcome: str, bad: Sequence[str]) -> str:
    return f"**{outcome}**" if outcome in bad else outcome


def _missed(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the gates that did not pass, the worst first, with what they said."""
    missed = [gate for outcome in ("error", "failed", "inconclusive", "skipped") for gate in result["gates"] if gate["outcome"] == outcome]
    if missed:
        yield "#### Gates that did not pass"
        yield from _list("gates", missed, lambda gate: f"**{gate['outcome']}** {span(gate['id'])}\n\n{fence(gate['message'])}\n")


def _changes(result: Mapping[str, Any]) -> Iterator[str]:
    def write(change: Mapping[str, Any]) -> str:
        where = source(result, change["file"])
        at = "" if where is None else f" in {span(where + ('' if change['line'] is None else ':' + str(change['line'])))}"
        was, now = (span(change[name]) if change[name] else "nothing" for name in ("was", "now"))
        text = f"- {_outcome(change_outcome(change), ('fails',))}: {span(change['what'])}{at}: was {was}, is {now}"
        # Written for a shell; the action's input allow-changes takes the name alone.
        allow = f"--distill-allow-change {shlex.quote(change['name'])}"
        return f"{text}. To allow it: {span(allow, 2000)}" if can_be_let_through(change) else text

    if result["changes"]:
        yield "#### What changed in the gate"
        yield from _list("changes", result["changes"], write)


def _examples(result: Mapping[str, Any]) -> Iterator[str]:
    blocks = [
        block
        for entry in result["comparisons"]
        for kind, words in KINDS.items()
        if (block := _rows(entry, [row for row in entry["errors"] if row["kind"] == kind], words))
    ]
    yield from _list("examples", blocks, lambda block: block)


def _rows(entry: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], words: str) -> str:
    """Return a closed block of a few examples, or nothing where there are none."""
    if not rows:
        return ""
    few = rows[:MOST_EXAMPLES]
    cells = [
        [cell(row["id"], 100), *(cell(row[name], 200) for name in ("expected", "teacher", "student")), cell(row["input"])] for row in few
    ]
    left = f"\n\n{len(rows) - len(few)} more are in the report." if len(rows) > len(few) else ""
    table = "\n".join(map(_line, [("example", "expected", "teacher", "student", "input"), ["---"] * 5, *cells]))
    of = f"Student {span(entry['student'], 100)} of task {span(entry['task'], 100)}:"
    return f"<details>\n<summary>Examples {words}: {len(few)} of {len(rows)}</summary>\n\n{of}\n\n{table}{left}\n\n</details>\n"


def _cost(result: Mapping[str, Any]) -> Iterator[str]:
    if result["gates"]:
        cost = result["summary"]["cost_usd"]
        yield "Cost of all held-out prompts: " + ("not known." if cost is None else f"{_dollars(cost)}.")


def _dollars(cost: float | None) -> str:
    return "not known" if cost is None else f"`${cost:.4f}`"  # two bare dollar signs in a line could be read as a formula


def _report(path: Path) -> Iterator[str]:
    page = path.parent / "report.html"
    if page.is_file():
        yield f"The report: {span(from_workspace(page), 500)}"
    if path.is_file():
        yield f"The result: {span(from_workspace(path), 500)}"


def _table(name: str, head: Sequence[str], items: Sequence[Item], write: Callable[[Item], Sequence[str]]) -> Iterator[str]:
    if items:
        rows, left = _that_fit(name, items, lambda item: _line(write(item)))
        yield "\n".join([_line(head), _line(["---"] * len(head)), *rows])
        yield from _left(left)


def _list(name: str, items: Sequence[Item], write: Callable[[Item], str]) -> Iterator[str]:
    rows, left = _that_fit(name, items, write)
    if rows:
        yield "\n".join(rows)
    yield from _left(left)


def _that_fit(name: str, items: Sequence[Item], write: Callable[[Item], str]) -> tuple[list[str], int]:
    """Return the items, written, that fit into the room of a part, and how many do not."""
    room, rows = ROOM[name], list[str]()
    for item in items:
        row = write(item)
        room -= len(row.encode()) + 1
        if room < 0:
            break
        rows.append(row)
    return rows, len(items) - len(rows)


def _left(left: int) -> Iterator[str]:
    if left:
        yield f"{left} more did not fit here: see the report."


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
