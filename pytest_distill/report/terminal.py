"""The verdict table that closes a run in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_distill.report import visible
from pytest_distill.verdict import percent


def lines(result: Mapping[str, Any]) -> list[str]:
    """Return the verdict table, a line each: per comparison its measures and judgements, then where things lie."""
    found: list[str] = []
    for entry in result["comparisons"]:
        drop, gain = entry["measures"]["accuracy_drop"], entry["measures"]["speed_gain"]
        teacher, student = entry["models"]["teacher"], entry["models"]["student"]
        counts = entry["counts"]
        bound = "none" if gain["bound"] is None else f"{gain['bound']:.2f}"
        timed = "" if gain["timed"] == "live" else f", timed {gain['at']}"
        trained = entry["trained_seconds"]
        source = "loaded" if trained is None else "from the store" if entry["from_store"] else f"trained in {trained:.0f} s"
        found += [
            f"{entry['task']}: student {entry['student']} against teacher {entry['teacher']}: {entry['band']}{', ' + entry['band_note'] if entry['band_note'] else ''}",
            f"  accuracy   teacher {percent(teacher['accuracy'])}   student {percent(student['accuracy'])}   drop {percent(drop['value'])}"
            f" (95% bound {percent(drop['bound'])})   {counts['introduced']} lost, {counts['corrected']} gained of {entry['n']}",
            f"  latency    teacher {teacher['latency_ms']['p50']:.1f} ms   student {student['latency_ms']['p50']:.1f} ms"
            f"   gain {gain['value']:.2f} times (95% bound {bound}){timed}",
            *(f"  {judgement['outcome']:<10} {_first(judgement['words'])}" for judgement in entry["judgements"]),
            f"  student    {source}, attempt {entry['attempt']} at these held-out rows"
            + (f", adapter {entry['adapter']['path']}" if entry["adapter"] else ""),
            *(f"  note       {note}" for note in entry["notes"]),
            "",
        ]
    if result["evidence"] == "point":
        found.append("evidence: point. Plain estimates, not a statistical claim.")
    found.append(f"verdict: {result['verdict'].upper()}: {result['cause']}")
    # Names, notes and messages may hold what a model or a file said: no control sequence of theirs reaches the terminal.
    return [visible(line) for line in found]


def _first(words: str) -> str:
    return words.split("\n", 1)[0]
