"""What a run came to: the verdict and its cause, and the few numbers over all comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from pytest_distill import stats
from pytest_distill.verdict import INCONCLUSIVE, POINT, REFUTED, weakened

MOST_WORDS = 3  # judgements, models or recordings that the cause of a pass still spells out


def verdict(
    gates: Sequence[Mapping[str, Any]],
    collected: int,
    comparisons: Sequence[Mapping[str, Any]],
    trouble: str,
    changes: Sequence[Mapping[str, Any]] = (),
) -> tuple[str, str]:
    """Return the verdict and its cause in one sentence.

    Missing evidence never passes: trouble, nothing collected, lost or skipped gates, or gates that claim nothing are an error. Nor does
    a gate that was weakened against the lock it is held to.
    """
    by = {
        outcome: [gate for gate in gates if gate["outcome"] == outcome]
        for outcome in ("passed", "failed", "inconclusive", "error", "skipped")
    }
    if trouble:
        return "error", trouble
    if not collected:
        return "error", "no gate ran: nothing was collected"
    if by["error"]:
        return "error", f"{_first_line(by['error'][0])} ({by['error'][0]['id']})"
    if len(gates) != collected:
        return "error", f"{collected} gates were collected and {len(gates)} reported"
    for outcome, word in (("failed", "fail"), ("inconclusive", "inconclusive")):
        if by[outcome]:
            return word, f"{_count(len(by[outcome]), collected)} {outcome}: {_first_line(by[outcome][0])}"
    if len(by["skipped"]) == collected:
        return "error", f"no gate ran: all {collected} were skipped ({_first_line(by['skipped'][0])})"
    judgements = [judgement for entry in comparisons for judgement in entry["judgements"]]
    # A gate may have been skipped or expected to fail after its limit was judged: what is not shown is never passed over.
    passed_over = [judgement for judgement in judgements if not judgement["shown"] and judgement["outcome"] != "no claim"]
    if passed_over:
        word = "inconclusive" if all(judgement["outcome"] == "inconclusive" for judgement in passed_over) else "fail"
        return word, "a limit that is not shown was passed over: " + _first_line({"message": passed_over[0]["words"]})
    shown = [judgement for judgement in judgements if judgement["shown"]]
    if shown and all(judgement.get("method") == "arithmetic" for judgement in shown):
        return "error", "no gate claims anything but a cost: hold the student's quality against a limit as well"
    if not shown:
        return (
            "error",
            "no gate claims anything that holds: hold a measure against a limit with assert; .value and .shown alone decide nothing",
        )
    failing = [change for change in changes if change["fails"]]
    if failing:
        more = f"; and {len(failing) - 1} more" if len(failing) > 1 else ""
        return "fail", f"the gate itself was changed: {failing[0]['what']}{more}"
    skipped = f", {len(by['skipped'])} skipped" if by["skipped"] else ""
    words = ": " + "; ".join(_first_line({"message": judgement["words"]}) for judgement in shown) if len(shown) <= MOST_WORDS else ""
    return "pass", f"{_count(len(by['passed']), collected)} passed{skipped}{words}"


def in_place_of_gates(name: str, entries: Sequence[Mapping[str, Any]], verdict: str, cause: str) -> dict[str, Any]:
    """Return what a result says of a run that did something else than judging.

    Args:
        name: the key under which the result holds the `entries`; verdict, cause: what they came to.
    """
    return {
        "verdict": verdict,
        "cause": cause,
        "complete": verdict != "error",
        "collected": 0,  # no gate ran, and none was meant to: what is read as a gate's result must not pass
        "reported": 0,
        name: list(entries),
    }


def all_words(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the words of the first entries as one line, and how many more there are."""
    more = f"; and {len(entries) - MOST_WORDS} more" if len(entries) > MOST_WORDS else ""
    return "; ".join(entry["words"] for entry in entries[:MOST_WORDS]) + more


def confirm_refuted(gates: Sequence[dict[str, Any]]) -> None:
    """Call inconclusive what was refuted alone but is not confirmed among all limits of the run (Holm's correction).

    Each of many limits that are just met would be refuted by chance in 5 % of runs. Passing needs no such care: a merge requires all
    gates to pass. Changes the judgements and, where nothing of it stays refuted, the outcome of a gate in the result; what pytest
    showed for a finished test stays, and it has failed either way.
    """
    limits: dict[tuple[object, ...], float] = {}
    for gate in gates:
        for judgement in gate["judgements"]:
            if judgement["p_refuted"] is not None:
                limits[_limit_of(judgement)] = judgement["p_refuted"]
    confirmed = dict(zip(limits, stats.holm(list(limits.values())), strict=True))
    for gate in gates:
        note = f"refuted alone, not confirmed among the {len(limits)} limits of this run: {INCONCLUSIVE}"
        unsure = [j for j in gate["judgements"] if j["outcome"] == REFUTED and not confirmed[_limit_of(j)]]
        said = str(gate["message"])
        for judgement in unsure:
            words = weakened(judgement["words"], note)
            said = said.replace(judgement["words"], words)
            judgement |= {"outcome": INCONCLUSIVE, "words": words, "why": note}
        still = any(j["outcome"] in (REFUTED, POINT) and not j["shown"] for j in gate["judgements"])
        if said != gate["message"] and not still and gate["outcome"] == "failed":  # it failed for this, not for something else
            gate |= {"outcome": INCONCLUSIVE, "message": said}


def _limit_of(judgement: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(judgement[name] for name in ("comparison", "measure", "operator", "limit"))


def seeds(comparisons: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each recipe with declared seeds how the accuracy drop spreads over them: for information, nothing is gated on it.

    ``spread`` is the standard deviation over the seeds that were judged; ``next_seed_bound`` is approximate. Both are None with fewer than two.
    """
    families: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for entry in comparisons:
        if entry["seeds"]:
            families.setdefault((entry["file"], entry["seeds"]["recipe"]), []).append(entry)
    found = []
    for (file, recipe), entries in sorted(families.items()):
        drops = [entry["measures"]["accuracy_drop"]["value"] for entry in entries]
        several = len(drops) > 1
        found.append(
            {
                "file": file,
                "recipe": recipe,
                "declared": entries[0]["seeds"]["declared"],
                "students": [entry["student"] for entry in entries],
                "drops": drops,
                "mean": fmean(drops),
                "lowest": min(drops),
                "highest": max(drops),
                "spread": stdev(drops) if several else None,
                "next_seed_bound": stats.next_seed_bound(drops, _mean_bound(entries)) if several else None,
            }
        )
    return found


def _mean_bound(entries: Sequence[Mapping[str, Any]]) -> float:
    """Return Gaffke's bound of the drop averaged over seeds, from the error rows: all other examples cannot move it."""
    moves = {"introduced": 1, "unlabelled": 1, "corrected": -1}
    moved: Counter[str] = Counter()
    for entry in entries:
        for row in entry["errors"]:
            moved[row["id"]] += moves.get(row["kind"], 0)
    n = entries[0]["n"]
    drops = [total / len(entries) for total in moved.values()]
    return stats.gaffke_bound([*drops, *[0.0] * (n - len(drops))], 1.0)


def _count(some: int, of: int) -> str:
    return f"{'all ' if some == of and of > 1 else ''}{some} {'of ' + str(of) + ' ' if some != of else ''}gate{'s' if of != 1 else ''}"


def _first_line(gate: Mapping[str, Any]) -> str:
    return str(gate["message"]).strip().split("\n", 1)[0] or "no reason given"


def summary(gates: Sequence[Mapping[str, Any]], comparisons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the few numbers that a badge or a pull request shows."""
    drops = [entry["measures"]["accuracy_drop"] for entry in comparisons]
    gains = [entry["measures"]["speed_gain"]["value"] for entry in comparisons]
    costs = [model["cost_usd"] for entry in comparisons for model in entry["models"].values() if model["cost_usd"] is not None]
    return {
        **{name: sum(gate["outcome"] == name for gate in gates) for name in ("passed", "failed", "inconclusive")},
        "worst_accuracy_drop": max((drop["value"] for drop in drops), default=None),
        "worst_accuracy_drop_bound": max((drop["bound"] for drop in drops if drop["bound"] is not None), default=None),
        "smallest_speed_gain": min((gain for gain in gains if gain is not None), default=None),
        "cost_usd": sum(costs) if costs else None,
    }
