"""The verdict table that closes a run in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_distill.report import visible
from pytest_distill.verdict import percent


def lines(result: Mapping[str, Any]) -> list[str]:
    """Return the verdict table, a line each: per comparison its measures and judgements, then where things lie."""
    found: list[str] = []
    for entry in result["comparisons"]:
        found += [*_comparison(entry), ""]
    if result["seeds"]:
        options = {"of_many": len(result["seeds"]) > 1, "strict": result["evidence"] == "strict"}
        found += [*(_seeds(family, **options) for family in result["seeds"]), ""]
    if result["evidence"] == "point":
        found.append("evidence: point. Plain estimates, not a statistical claim.")
    found.append(f"verdict: {result['verdict'].upper()}: {result['cause']}")
    # Names, notes and messages may hold what a model or a file said: no control sequence of theirs reaches the terminal, and no line end
    # of theirs makes a line that looks like one of ours.
    return [visible(line.replace("\n", " ")) for line in found]


def amount(key: str, value: float) -> str:
    """Write the value or the bound of the measure `key` for people."""
    if key in {"speed_gain", "cost_gain"}:
        return f"{value:.2f} times"
    return f"{value:,.0f} requests a month" if key == "break_even" else percent(value)


def confidence(measure: Mapping[str, Any]) -> str:
    """Write the confidence of a measure's bound for people: 95%, or 98.33% where three seeds share alpha."""
    return f"{100 * measure['confidence']:.4g}%"


def _comparison(entry: Mapping[str, Any]) -> Iterator[str]:
    note = f", {entry['band_note']}" if entry["band_note"] else ""
    yield f"{entry['task']}: student {entry['student']} against teacher {entry['teacher']}: {entry['band']}{note}"
    yield f"  accuracy   {_accuracy(entry)}"
    yield f"  latency    {_latency(entry)}"
    if "cost_gain" in entry["measures"]:
        yield f"  cost       {_cost(entry['measures']['cost_gain'], entry['measures']['break_even'])}"
    cheaper = [_rung(row) for row in entry["ladder"] if row["rung"] not in {"student", "teacher"}]
    if cheaper:
        yield f"  ladder     {'; '.join(cheaper)}"
    if entry["ladder_note"]:
        yield f"  note       {entry['ladder_note']}"
    for judgement in entry["judgements"]:
        why = f" ({judgement['why']})" if judgement.get("why") else ""
        yield f"  {judgement['outcome']:<10} {_first_line(judgement['words'])}{why}"
    yield f"  student    {_student(entry)}"
    for note in entry["notes"]:
        yield f"  note       {note}"


def _accuracy(entry: Mapping[str, Any]) -> str:
    counts, drop, (teacher, student) = entry["counts"], entry["measures"]["accuracy_drop"], _sides(entry)
    sides = "" if teacher["accuracy"] is None else f"teacher {percent(teacher['accuracy'])}   student {percent(student['accuracy'])}   "
    at_worst = "at most " if counts.get("unlabelled") else ""
    moved = f"{counts['introduced']} lost, {counts['corrected']} gained"
    moved += "".join(f", {counts[kind]} {word}" for kind, word in (("unlabelled", "unlabelled"), ("agreed", "alike")) if counts.get(kind))
    return f"{sides}drop {at_worst}{_measured('accuracy_drop', drop)}   {moved} of {entry['n']}"


def _latency(entry: Mapping[str, Any]) -> str:
    gain, (teacher, student) = entry["measures"]["speed_gain"], _sides(entry)
    measured = _measured("speed_gain", gain)
    text = f"teacher {teacher['latency_ms']['p50']:.1f} ms   student {student['latency_ms']['p50']:.1f} ms"
    text += "" if gain["why"] else f"   gain {measured}"
    if teacher["first_token_ms"] and student["first_token_ms"]:
        text += f", first token {teacher['first_token_ms']['p50']:.1f} ms and {student['first_token_ms']['p50']:.1f} ms"
    text += {"live": "", "stored": f", timed {gain['at']}"}.get(gain["timed"], f", the teacher's times from a recording of {gain['at']}")
    return text + (f"; gain {measured}" if gain["why"] else "")


def _cost(gain: Mapping[str, Any], even: Mapping[str, Any]) -> str:
    if gain["why"]:
        return f"not measured: {_first_line(gain['why'])}"
    pays = even["why"] or f"pays above {amount('break_even', even['value'])}"
    return f"gain {amount('cost_gain', gain['value'])}, {pays} (arithmetic, no statistical claim)"


def _rung(row: Mapping[str, Any]) -> str:
    if row["accuracy"] is None:
        return f"{row['rung']} not had: {_first_line(row['why']).split('. ', 1)[0].removesuffix('.')}"
    return f"{row['rung']} {percent(row['accuracy'])}"


def _student(entry: Mapping[str, Any]) -> str:
    trained = entry["trained_seconds"]
    source = "loaded" if trained is None else "from the store" if entry["from_store"] else f"trained in {trained:.0f} s"
    seeds = f", one of {entry['seeds']['declared']} declared seeds" if entry["seeds"] else ""
    adapter = f", adapter {entry['adapter']['path']}" if entry["adapter"] else ""
    return f"{source}{seeds}, attempt {entry['attempt']} at these held-out rows{adapter}"


def _seeds(family: Mapping[str, Any], *, of_many: bool, strict: bool) -> str:
    declared, judged = family["declared"], len(family["drops"])
    where = f" in {family['file']}" if of_many else ""
    part = "" if judged == declared else f", {judged} judged here"
    text = f"seeds of {family['recipe']}{where} ({declared} declared{part}): accuracy drop mean {percent(family['mean'])}"
    if family["spread"] is not None:
        text += f", {percent(family['lowest'])} to {percent(family['highest'])}, spread {100 * family['spread']:.1f} points"
        text += f"; one more seed: at most about {percent(family['next_seed_bound'])}"
    return f"{text}; each judged at 1/{declared} of alpha" if strict else text


def _sides(entry: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return entry["models"]["teacher"], entry["models"]["student"]


def _measured(key: str, measure: Mapping[str, Any]) -> str:
    if measure["value"] is None:
        return f"not measured: {_first_line(measure['why'])}"
    bound = "none" if measure["bound"] is None else amount(key, measure["bound"]).removesuffix(" times")
    return f"{amount(key, measure['value'])} ({confidence(measure)} bound {bound})"


def _first_line(words: str) -> str:
    return words.split("\n", 1)[0]
