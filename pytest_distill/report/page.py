"""The HTML page: one file, no network, every string from outside escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_distill.files import write_whole
from pytest_distill.report import TEMPLATES, change_outcome, templates, visible
from pytest_distill.report.terminal import amount, confidence
from pytest_distill.verdict import percent

MOST_ERRORS = 2000
MOST_LISTED = 20  # classes, clusters and forgotten rows; of more labels the confused pairs are listed in place of the whole tables
LONG = 200  # characters with which all prompts begin: from so many on they are told once, not in each row
MOST_BYTES = 1_700_000  # of escaped text in error rows, so that the whole page stays below 2 MB


def render(result: Mapping[str, Any]) -> str:
    """Return the page for a result as `results` builds it; all its text is escaped."""
    environment = templates()
    environment.filters |= {
        "percent": percent,
        "visible": visible,
        "amount": amount,
        "confidence": confidence,
        "change_outcome": change_outcome,
    }
    # Free of quotes, angle brackets and ampersands (a test holds it to that), so that escaping leaves it, and its hash, as they are.
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    room = MOST_BYTES // max(len(result["comparisons"]), 1)
    return environment.get_template("report.html.j2").render(
        result=result,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        shown_errors=[_rows_that_fit(entry["errors"], room) for entry in result["comparisons"]],
        skipped=[_shared_start(entry["errors"]) for entry in result["comparisons"]],
        shown_classes=[_worst(entry["classes"]) for entry in result["comparisons"]],
        most_listed=MOST_LISTED,
        json=json,
    )


def _worst(classes: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the labels to show: all in their order where they are few, else those at which the student is worst, by F1."""
    if len(classes) <= MOST_LISTED:
        return list(classes)
    return sorted(classes, key=lambda label: (not classes[label]["support"], classes[label]["student_f1"]))[:MOST_LISTED]


def _shared_start(errors: Sequence[Mapping[str, Any]]) -> int:
    """Return with how many characters, in whole lines or words, all prompts begin alike; 0 where they are few."""
    start = os.path.commonprefix([row["input"] for row in errors]) if len(errors) > 1 else ""  # noqa: RUF071  (texts, no paths)
    whole = 1 + max(start.rfind("\n") if "\n" in start else start.rfind(" "), -1)
    return whole if whole >= LONG else 0


def _rows_that_fit(errors: Sequence[Mapping[str, Any]], room: int) -> int:
    """Return how many error rows fit into `room` bytes of the page, at most MOST_ERRORS."""
    for at, row in enumerate(errors[:MOST_ERRORS]):
        texts = [row["id"], row["input"], row["expected"], row["teacher"], row["student"], *row["tags"]]
        room -= 400 + sum(len(html.escape(visible(text)).encode()) for text in texts)
        if room < 0:
            return at
    return min(len(errors), MOST_ERRORS)


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write the page for `result` to `path`, whole or not at all."""
    write_whole(path, render(result).encode("utf-8", "backslashreplace"))
