"""The verdict table that closes a run in the terminal."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_distill.report import can_be_let_through, change_outcome, visible
from pytest_distill.verdict import percent

NOT_OF_ERRORS = ("speed_gain", "student_latency", "cost_gain", "break_even", "forgotten")
MOST_CLUSTERS = 2


def lines(result: Mapping[str, Any]) -> list[str]:
    """Return the verdict table, a line each: per comparison its measures and judgements, then where things lie."""
    found: list[str] = []
    for entry in result["comparisons"]:
        found += [*_comparison(entry), ""]
    for entry in result.get("drift", ()):
        found += [*_drift(entry), ""]
    for entry in result.get("recorded", ()):
        found += [*_recorded(entry), ""]
    changed = [line for change in result.get("changes", ()) for line in _change(change)]
    found += [*changed, ""] if changed else []
    left_out = [*skipped((gate["id"], gate["message"]) for gate in result.get("gates", ()) if gate["outcome"] == "skipped")]
    found += [*left_out, ""] if left_out else []
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
    if any(side["score"] != side["accuracy"] for side in _sides(entry)):
        yield f"  score      {_score(entry)}"
    yield f"  latency    {_latency(entry)}"
    if "cost_gain" in entry["measures"]:
        yield f"  cost       {_cost(entry['measures']['cost_gain'], entry['measures']['break_even'])}"
    if entry["stability"]:
        yield f"  stability  the teacher disagrees with itself on {_itself(entry['stability'])}"
    if entry["judge"]:
        yield f"  judge      {_judge(entry['judge'])}"
    cheaper = [_rung(row) for row in entry["ladder"] if row["rung"] not in {"student", "teacher"}]
    if cheaper:
        yield f"  ladder     {'; '.join(cheaper)}"
    if entry["ladder_note"]:
        yield f"  note       {entry['ladder_note']}"
    causes = [cluster["words"] for cluster in entry["clusters"][:MOST_CLUSTERS]]
    for judgement in entry["judgements"]:
        why = f" ({judgement['why']})" if judgement.get("why") else ""
        yield f"  {judgement['outcome']:<10} {_first_line(judgement['words'])}{why}"
        if _of_errors(judgement):
            while causes:
                yield f"             {causes.pop(0)}"
    if entry["broad"]:
        yield f"  forgetting {_forgotten(entry['broad'], entry['measures']['forgotten'])}"
    yield f"  student    {_student(entry)}"
    if entry["rejected"] or entry["replaced"]:
        yield f"  training   {_curated(entry)}"
    for note in entry["notes"]:
        yield f"  note       {note}"


def skipped(gates: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Name the files of which gates, given by id and reason, are skipped, a line for each reason: what is not judged should not go unseen."""
    reasons = Counter((gate.split("::")[0], _first_line(reason)) for gate, reason in gates)
    for (file, reason), count in reasons.items():
        yield f"skipped    {file}, {count} {'gate' if count == 1 else 'gates'}{': ' if reason else ''}{reason}"


def _of_errors(judgement: Mapping[str, Any]) -> bool:
    """Return whether a limit on how right the student is was not met, so that what errors share tells something."""
    measure = re.split(r"[.\[]", judgement["measure"])[0]
    return not judgement["shown"] and judgement["operator"] is not None and measure not in NOT_OF_ERRORS


def _forgotten(broad: Mapping[str, Any], measure: Mapping[str, Any]) -> str:
    counts, sides = broad["counts"], f"base {percent(broad['base'])}   student {percent(broad['student'])}"
    moved = f"{counts['forgotten']} forgotten, {counts['gained']} gained of {broad['n']} rows of {broad['task']}"
    return f"{sides}   drop {_measured('forgotten', measure)}   {moved}"


def _accuracy(entry: Mapping[str, Any]) -> str:
    counts, drop, (teacher, student) = entry["counts"], entry["measures"]["accuracy_drop"], _sides(entry)
    sides = "" if teacher["accuracy"] is None else f"teacher {percent(teacher['accuracy'])}   student {percent(student['accuracy'])}   "
    at_worst = "at most " if counts.get("unlabelled") else ""
    moved = f"{counts['introduced']} lost, {counts['corrected']} gained"
    moved += "".join(f", {counts[kind]} {word}" for kind, word in (("unlabelled", "unlabelled"), ("agreed", "alike")) if counts.get(kind))
    return f"{sides}drop {at_worst}{_measured('accuracy_drop', drop)}   {moved} of {entry['n']}"


def _score(entry: Mapping[str, Any]) -> str:
    """Write mean scores, where an answer can be partly right, and those of its parts: the teacher's and the student's."""
    teacher, student = (side["score"] for side in _sides(entry))
    parts = [f"{name} {percent(of['teacher'])} and {percent(of['student'])}" for name, of in entry["parts"].items()]
    return f"teacher {percent(teacher)}   student {percent(student)}   drop {percent(teacher - student)}{'   ' if parts else ''}{', '.join(parts)}"


def _latency(entry: Mapping[str, Any]) -> str:
    gain, (teacher, student) = entry["measures"]["speed_gain"], _sides(entry)
    measured = _measured("speed_gain", gain)
    text = "   ".join(
        f"{role} {side['latency_ms']['p50']:.1f} ms" if side["latency_ms"] else f"{role} not timed"
        for role, side in (("teacher", teacher), ("student", student))
    )
    text += "" if gain["why"] else f"   gain {measured}"
    if teacher["first_token_ms"] and student["first_token_ms"]:
        text += f", first token {teacher['first_token_ms']['p50']:.1f} ms and {student['first_token_ms']['p50']:.1f} ms"
    if gain["timed"] == "recorded" and gain["why"]:
        return f"{text}; gain {measured}"
    text += {"live": "", "stored": f", timed {gain['at']}"}.get(gain["timed"], f", with recorded times of {gain['at']}")
    return text + (f"; gain {measured}" if gain["why"] else "")


def _cost(gain: Mapping[str, Any], even: Mapping[str, Any]) -> str:
    if gain["why"]:
        return f"not measured: {_first_line(gain['why'])}"
    pays = even["why"] or f"pays above {amount('break_even', even['value'])}"
    return f"gain {amount('cost_gain', gain['value'])}, {pays} (arithmetic, no statistical claim)"


def _judge(judge: Mapping[str, Any]) -> str:
    torn = f", no clear opinion on {judge['contradictions'] + judge['unclear']}" if judge["contradictions"] + judge["unclear"] else ""
    text = f"{judge['name']} ({judge['mode']}): student worse on {judge['worse']} and better on {judge['better']}{torn} of {judge['pairs']} differing pairs"
    if judge["kappa"] is not None:
        reach = f"95% interval {judge['kappa_low']:z.2f} to {judge['kappa_high']:z.2f}"
        text += f"; agrees with people by kappa {judge['kappa']:z.2f} ({reach}) on {judge['labelled']} labelled pairs"
    text += f", missed {percent(judge['missed'])} of what people call worse" if judge["missed"] is not None else ""
    relative = (judge["why"] or "").startswith("judge-relative")
    return text + (f"; judge-relative, with {judge['waiting']} labels missing" if relative else "")


def _itself(stability: Mapping[str, Any]) -> str:
    lost = f", {stability['lost']} left out for want of replies" if stability["lost"] else ""
    bounds = f"95% bounds {percent(stability['lower'])} to {percent(stability['upper'])}"
    return f"{percent(stability['rate'])} of prompts ({bounds}; {stability['samples']} samples of {stability['n']}{lost})"


def _drift(entry: Mapping[str, Any]) -> Iterator[str]:
    yield f"{entry['task']}: {entry['role']} {entry['model']} asked again: {entry['outcome']}"
    if entry["answers"] is None:
        yield f"  error      {_first_line(entry['words'])}"
        return
    yield (
        f"  prompts    {entry['asked']} of {entry['recorded']} recorded ones, from held-out and training rows alike"
        f" (the sample of {entry['sample']}; recorded from {entry['recorded_at'][:10]} on)"
    )
    lost = f"; {entry['lost']} left out for want of a reply" if entry["lost"] else ""
    yield f"  answers    {entry['changed']} changed: {_share(entry['answers'])}; texts {_share(entry['texts'])}{lost}"
    if entry["itself"] is None:
        yield "  itself     recorded once: how often it disagrees with itself is not known (Endpoint(samples=2) would tell)"
    else:
        yield f"  itself     it disagrees with itself on {_itself(entry['itself'])}"
        yield f"             that it changed more than that is {'' if entry['beyond'] else 'not '}shown ({_chance(entry['p_beyond'])})"
    if entry["accuracy"]:
        then, now, n = (entry["accuracy"][name] for name in ("then", "now", "n"))
        yield f"  accuracy   {percent(then)} as recorded, {percent(now)} now, on {n} prompts with a reference"
    then, now = (", ".join(entry["answered_by"][name]) or "a model not named" for name in ("then", "now"))
    yield f"  model      {then}" if then == now else f"  model      answered by {then} as recorded and by {now} now"
    for row in entry["first"]:
        yield f"  changed    {row['id']}: {row['then']}, now {row['now']}"
    yield from _came_to(entry)


def _recorded(entry: Mapping[str, Any]) -> Iterator[str]:
    yield f"{entry['task']}: {entry['role']} {entry['model']}: {entry['outcome']}"
    lacking = f", {entry['failed']:,} not had" if entry["failed"] else ""
    yield f"  replies    {entry['held']:,} on hand before, {entry['asked']:,} new{lacking}"
    yield from _came_to(entry)


def _came_to(entry: Mapping[str, Any]) -> Iterator[str]:
    """Write what asking a model cost, where that is known, and what it came to."""
    if entry["cost_usd"] is not None:
        yield f"  cost       ${entry['cost_usd']:.4f}"
    yield f"  {entry['outcome']:<10} {_first_line(entry['words'])}"


def _change(change: Mapping[str, Any]) -> Iterator[str]:
    yield f"{change_outcome(change):<10} {change['what']}"
    if can_be_let_through(change):
        yield f"           to let it through: --distill-allow-change {shlex.quote(change['name'])}"


def _chance(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _share(share: Mapping[str, Any]) -> str:
    return f"{percent(share['rate'])} (95% bounds {percent(share['lower'])} to {percent(share['upper'])})"


def _rung(row: Mapping[str, Any]) -> str:
    if row["accuracy"] is None:
        return f"{row['rung']} not had: {_first_line(row['why']).split('. ', 1)[0].removesuffix('.')}"
    return f"{row['rung']} {percent(row['accuracy'])}"


def _student(entry: Mapping[str, Any]) -> str:
    if entry["accepted"]:
        accepted = entry["accepted"]
        commit = f" at commit {accepted['commit'][:12]}" if accepted["commit"] else ""
        return f"judged from the lock: accepted {accepted['at']}{commit}, on {accepted['machine']}"
    trained = entry["trained_seconds"]
    asked = entry["models"]["student"]["origin"].startswith("recorded")
    source = (
        ("asked over the API" if asked else "loaded")
        if trained is None
        else "from the store"
        if entry["from_store"]
        else f"trained in {trained:.0f} s"
    )
    seeds = f", one of {entry['seeds']['declared']} declared seeds" if entry["seeds"] else ""
    adapter = f", adapter {entry['adapter']['path']}" if entry["adapter"] else ""
    return f"{source}{seeds}, attempt {entry['attempt']} at these held-out rows{adapter}"


def _curated(entry: Mapping[str, Any]) -> str:
    """Say how many rows are trained on and, of those left out, how many for each reason with the first."""
    first = {(row["reason"], row["replaced"]): row for row in reversed(entry["left_out"])}

    def of(reasons: Mapping[str, int], *, replaced: bool) -> str:
        named = []
        for reason, count in reasons.items():
            row = first.get((reason, replaced))
            right = f", expected {row['expected'][:40]!r}" if row and row["expected"] is not None else ""
            said = f" (first: {row['id']} said {row['said'][:40]!r}{right})" if row else ""
            named.append(f"{count:,} {reason}{said}")
        return ", ".join(named)

    words = [f"{entry['train_examples']:,} rows kept"] if entry["train_examples"] is not None else []
    words += [f"left out: {of(entry['rejected'], replaced=False)}"] if entry["rejected"] else []
    words += [f"trained on the reference: {of(entry['replaced'], replaced=True)}"] if entry["replaced"] else []
    return "; ".join(words)


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
