"""Annotations: one for each thing that is wrong, the worst first, at the line that decides it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_distill.github.check import Checked
from pytest_distill.github.places import source
from pytest_distill.github.text import one_line, unmarked
from pytest_distill.report import can_be_let_through, visible

MOST = 10  # annotations of one kind that a step may show
MOST_UNITS = 4096  # of UTF-16, in which the runner counts a message before it cuts it
GATES = {"error": "A gate ended in an error", "failed": "A gate failed", "inconclusive": "A gate is inconclusive"}


@dataclass(frozen=True)
class Annotation:
    """What is said at a line of a file.

    Attributes:
        title: always words of ours; message: begins with a word of ours, so that nothing in it joins the command before it.
        file: as seen from the workspace, or None; line: from 1, or None.
    """

    title: str
    message: str
    file: str | None = None
    line: int | None = None


def findings(checked: Checked) -> list[Annotation]:
    """Return all that is wrong, an annotation each: changes that fail, then gates, errors before misses.

    Between them the cause, where it is not said with one of these.
    """
    result = checked.result
    found = [] if result is None else [*_changes(result)]
    others = [] if result is None else [*_gates(result), *_instead(result)]
    told = others or (found and checked.verdict != "error")
    if checked.doubted or (checked.verdict != "pass" and not told):
        found.append(_cause(checked))
    return found + others


def within(found: Sequence[Annotation], budget: int) -> tuple[list[Annotation], int]:
    """Return the first `budget` annotations, the last one saying how many more there are, and that number.

    Messages are cut to what GitHub shows. The runner also writes them into the log: there a bar stands before each line but the first.
    """
    more = len(found) - min(len(found), budget)
    note = f"\n{more} more: see the summary of this step." if more else ""
    kept = [replace(each, message=_fitting(each.message, "")) for each in found[:budget]]
    if note and kept:
        kept[-1] = replace(kept[-1], message=_fitting(found[budget - 1].message, note))
    return kept, more


def emit(found: Sequence[Annotation]) -> None:
    """Write annotations to the log, as commands of the runner."""
    import github_action_utils as actions

    for each in found:
        file = None if each.file is None else visible(each.file)
        actions.error(each.message, title=each.title, file=file, line=(each.line or None) if file else None)


def _changes(result: Mapping[str, Any]) -> Iterator[Annotation]:
    for change in result["changes"]:
        if change["fails"]:
            message = f"changed: {change['what']}"
            message += f"\n--distill-allow-change allows it: {change['name']}" if can_be_let_through(change) else ""
            yield Annotation("A change of the gate is not allowed", message, source(result, change["file"]), change["line"])


def _gates(result: Mapping[str, Any]) -> Iterator[Annotation]:
    """Yield the gates that were not met, at the line of the first limit that was missed."""
    missed = _missed(result)
    marks = {entry["file"]: entry["line"] for entry in result["comparisons"]}
    for outcome, title in GATES.items():
        for gate in result["gates"]:
            if gate["outcome"] == outcome:
                file, name = _file_and_name(gate["id"], marks)
                line = missed.get(gate["id"]) or marks.get(file)
                message = f"{outcome}: {one_line(name, 200)}\n{gate['message']}".rstrip()
                yield Annotation(title, message, source(result, file), line)


def _missed(result: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the gates with a limit that is not shown, in their order, each with the line of the first."""
    missed: dict[str, int | None] = {}
    for entry in result["comparisons"]:
        for judgement in entry["judgements"]:
            if not judgement["shown"] and judgement["outcome"] != "no claim":
                missed.setdefault(judgement["gate"], judgement["line"])
    return missed


def _file_and_name(gate: str, files: Iterable[str]) -> tuple[str, str]:
    """Return both parts of a gate's id; a folder may be called ``x::y``, so the file is one of `files` where it can be."""
    known = [file for file in files if gate.startswith(f"{file}::")]
    file = max(known or re.findall(r"\A.*?\.py(?=::)", gate, re.DOTALL) or [gate.partition("::")[0]], key=len)
    return file, gate[len(file) + 2 :]


def _cause(checked: Checked) -> Annotation:
    """Return why there is no pass, at the limit that was passed over where it is one, as by a gate that is expected to fail."""
    if checked.verdict == "error" or checked.result is None:
        return Annotation("No verdict", f"error: {checked.cause}")
    result = checked.result
    gate, line = next(iter(_missed(result).items()), (None, None))
    file = gate and _file_and_name(gate, (entry["file"] for entry in result["comparisons"]))[0]
    return Annotation(f"The verdict is {checked.verdict}", f"{checked.verdict}: {checked.cause}", source(result, file), line)


def _instead(result: Mapping[str, Any]) -> Iterator[Annotation]:
    """Yield what a run without gates found wrong."""
    titles = {"error": "A model could not be asked", "moved": "A model no longer answers as recorded"}
    for outcome, title in titles.items():
        for entry in (*result["drift"], *result["recorded"]):
            if entry["outcome"] == outcome:
                yield Annotation(title, f"{outcome}: {entry['words']}", source(result, entry["file"]), entry["line"])


def _fitting(message: str, note: str) -> str:
    """Return a message of which no character is unseen, no line looks like one of ours and, with the note, nothing is cut by the runner."""
    shown = unmarked(visible(message)).replace("\n", "\n| ")
    units, room = shown.encode("utf-16-le"), 2 * (MOST_UNITS - len(note))
    if len(units) > room:  # half a character at the cut goes too
        shown = units[: room - 2].decode("utf-16-le", "ignore") + "…"
    return shown + note
