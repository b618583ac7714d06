"""The result that every reader reads: building it, deciding the verdict, writing it whole, reading it back."""

from __future__ import annotations

import json
import math
import platform
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from pytest_distill import stats
from pytest_distill.compare import Comparison, latency
from pytest_distill.curate import TrainingSet
from pytest_distill.errors import DistillError
from pytest_distill.evaluate import Evaluation
from pytest_distill.files import write_json
from pytest_distill.measures import Price, per_request
from pytest_distill.models import Model
from pytest_distill.models.device import threads
from pytest_distill.recording import Reply
from pytest_distill.verdict import INCONCLUSIVE, POINT, REFUTED, weakened

SCHEMA = "pytest-distill/results/1"
WARNED_DAYS = 60  # how long before a hosted model is shut down the result begins to say so
MOST_LEFT_OUT = 3  # rows named for each reason
MOST_WORDS = 3  # judgements that the cause of a pass still spells out
PACKAGES = ("pytest-distill", "pytest", "pytest-xdist", "openai", "scipy", "torch", "transformers", "trl", "peft", "datasets", "tokenizers")


def environment(root: Path) -> dict[str, Any]:
    """Return what a reader needs to know of the machine: Python, platform, CPU, GPU, package versions, git commit."""
    packages = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            packages[package] = version(package)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": machine(),
        "gpu": gpu(),
        "packages": packages,
        "git": {"commit": _git(root, "rev-parse", "HEAD"), "dirty": bool(_git(root, "status", "--porcelain"))},
    }


def machine() -> str:
    """Return the processor's name, the number of cores that this process may use, and the GPU's name where there is one."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    graphics = gpu()
    return f"{name}, {threads()} cores" + (f", {graphics}" if graphics else "")


def gpu() -> str | None:
    """Return the name of the first NVIDIA GPU, or None."""
    if shutil.which("nvidia-smi") is None:
        return None
    lines = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return lines.splitlines()[0] if lines else None


def _git(root: Path, *words: str) -> str | None:
    return _output("git", *words, cwd=root)


def _output(*command: str, cwd: Path | None = None) -> str | None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def comparison_entry(
    comparison: Comparison, facts: Mapping[str, Any], models: Mapping[str, Model], replies: Mapping[str, Sequence[Reply]]
) -> dict[str, Any]:
    """Return a comparison as results.json holds it, judgements aside.

    Args:
        comparison: the comparison.
        facts: what only the run knows: id, file, line, digests, adapter, training.
        models: the ``teacher`` and the ``student`` that were judged.
        replies: what each of them said to the held-out rows.
    """
    timing, (teacher_price, student_price) = comparison.timing, comparison.prices
    sides = {
        "teacher": (comparison.teacher, timing.teacher, teacher_price),
        "student": (comparison.student, timing.student, student_price),
    }
    return {
        **facts,
        "task": comparison.task.name,
        "teacher": comparison.teacher.model,
        "student": comparison.student.model,
        "n": len(comparison.examples),
        "counts": comparison.counts,
        "measures": {key: measure.to_json() for key, measure in comparison.measures.items()},
        "models": {
            side: {
                "name": evaluation.model,
                "revision": models[side].revision,
                "digest": models[side].digest,
                "parameters": models[side].parameters,
                "accuracy": comparison.accuracy(side),
                "why": comparison.without_reference or None,
                "macro_f1": comparison.macro_f1(side),
                "latency_ms": latency(series.seconds) if series.seconds else None,
                "first_token_ms": latency(series.first_token) if series.first_token else None,
                "per_token_ms": round(median(series.per_token) * 1e3, 3) if series.per_token else None,
                "tokens_per_second": round(median(series.tokens_per_second), 3) if series.tokens_out else None,
                "tokens_out_p50": median(series.tokens_out) if series.tokens_out else None,
                "tokens_in": evaluation.tokens_in,
                "tokens_cached": evaluation.tokens_cached,
                "tokens_out": evaluation.tokens_out,
                "cost_usd": None if price is None or not evaluation.counted else _cost(price, evaluation),
                **_reply_facts(replies[side], evaluation.recorded),
            }
            for side, (evaluation, series, price) in sides.items()
        },
        "classes": comparison.classes,
        "confusion": {
            "labels": comparison.labels,
            "teacher": comparison.confusion(comparison.teacher),
            "student": comparison.confusion(comparison.student),
        },
        "slices": comparison.slices,
        "band": comparison.band,
        "band_note": comparison.band_note,
        "timing": comparison.timing.to_json(),
        "errors": comparison.errors(),
    }


def curation_facts(kept: TrainingSet) -> dict[str, Any]:
    """Return what a result says of the curation: how many rows were left out or got their reference, by reason, with the first of each."""
    return {
        "rejected": {reason: len(rows) for reason, rows in kept.rejected.items()},
        "replaced": {reason: len(rows) for reason, rows in kept.replaced.items()},
        "left_out": [
            left_out(reason, len(rows), row.id, row.said, row.expected, replaced=where is kept.replaced)
            for where in (kept.rejected, kept.replaced)
            for reason, rows in where.items()
            for row in rows[:MOST_LEFT_OUT]
        ],
    }


def left_out(reason: str, rows: int, name: str, said: str, expected: str | None, *, replaced: bool = False) -> dict[str, Any]:
    """Return what a result says of one row that is not trained on, or with its reference in place of the reply.

    Args:
        reason: why; `rows`: how many have this reason.
        name: the row's id; `said`: what the teacher said; `expected`: the reference, or None.
        replaced: whether it is trained on with its reference.
    """
    return {"reason": reason, "rows": rows, "replaced": replaced, "id": name, "said": said, "expected": expected}


def _cost(price: Price, side: Evaluation) -> float:
    return per_request(price, side.tokens_in - side.tokens_cached, side.tokens_cached, side.tokens_out)


def _reply_facts(replies: Sequence[Reply], at: str) -> dict[str, Any]:
    """Return what the replies themselves tell of their model: where they are from, who gave them, how they ended."""
    hosted = next((reply for reply in replies if reply.origin), None)
    places = sorted({reply.origin for reply in replies if reply.origin})
    return {
        "origin": f"recorded {at[:10]} from {' and '.join(places)}" if hosted else f"answered {at}",
        "answered_by": next((reply.answered_by for reply in replies if reply.answered_by), None),
        "outcomes": dict(sorted(Counter(reply.outcome for reply in replies if not reply.sample).items())),
        "retires": max((reply.retires for reply in replies), default="") or None,
        "terms": hosted.terms or None if hosted else None,
    }


def _today() -> date:
    return datetime.now(UTC).date()


def reply_notes(name: str, replies: Sequence[Reply]) -> list[str]:
    """Return what a reader should know of an Endpoint's replies: a model about to be shut down, and what its server passed over."""
    notes = []
    retires = max((reply.retires for reply in replies), default="")
    if retires and date.fromisoformat(retires) <= _today() + timedelta(days=WARNED_DAYS):
        left = (date.fromisoformat(retires) - _today()).days
        when = f"in {left} days" if left > 0 else "it is no longer there to be asked"
        notes.append(f"{name} is shut down on {retires} ({when}): record what you still need of it")
    places = {reply.origin for reply in replies}
    if len(places) > 1:
        notes.append(f"{name} was recorded from {len(places)} addresses; only times of the one that it has now are compared")
    uncounted = sum(not reply.counted for reply in replies)
    if uncounted:
        notes.append(f"the server of {name} counted no tokens of {uncounted} of {len(replies)} replies: its cost is not known")
    asked = [reply for reply in replies if reply.parameters.get("logprobs")]
    if asked and all(reply.logprobs is None for reply in asked):
        notes.append(f"{name} was asked for log probabilities and its server sent none")
    unformed = sum(reply.outcome == "malformed" and "response_format" in reply.parameters for reply in replies)
    if unformed:
        notes.append(
            f"{name} was given a response format, and {unformed} of {len(replies)} replies do not keep to it: its server does not enforce it"
        )
    return notes


def verdict(gates: Sequence[Mapping[str, Any]], collected: int, comparisons: Sequence[Mapping[str, Any]], trouble: str) -> tuple[str, str]:
    """Return the verdict and its cause in one sentence.

    Missing evidence never passes: trouble, nothing collected, lost or skipped gates, or gates that claim nothing are an error.
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
    skipped = f", {len(by['skipped'])} skipped" if by["skipped"] else ""
    words = ": " + "; ".join(_first_line({"message": judgement["words"]}) for judgement in shown) if len(shown) <= MOST_WORDS else ""
    return "pass", f"{_count(len(by['passed']), collected)} passed{skipped}{words}"


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


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write the result to `path`, whole or not at all; numbers that JSON cannot say become null."""
    write_json(path, _plain(result))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def read(path: Path) -> dict[str, Any]:
    """Return the result at `path`.

    Raises:
        DistillError: it is missing, torn, or of another schema.
    """
    try:
        result = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise DistillError(f"{path}: no result can be read: {error}. Run pytest --distill to write it.") from None
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise DistillError(f"{path}: not of schema {SCHEMA}. Run pytest --distill with this version to write it.")
    return result
