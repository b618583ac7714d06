"""``python -P -m pytest_distill.github``: say on GitHub, or to people, what a result says, and end with its exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pytest_distill import results
from pytest_distill.github.annotations import MOST, Annotation, emit, findings, within
from pytest_distill.github.check import MODES, Checked, checked
from pytest_distill.github.places import shown
from pytest_distill.github.summary import markdown
from pytest_distill.github.text import harmless

EXIT = {"pass": 0, "fail": 1, "inconclusive": 1, "error": 2}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 for the verdict pass, 1 for fail and inconclusive, 2 for error and for trouble of this step.

    Args:
        arguments: of the command line, or None for the process's own.
    """
    parser = argparse.ArgumentParser(prog="pytest_distill.github", description=__doc__, allow_abbrev=False)
    parser.add_argument("results", type=Path, help="results.json of the run")
    parser.add_argument("--mode", choices=MODES, required=True, help="what the run was for")
    parser.add_argument("--status", required=True, help="pytest's exit status; empty where it did not get that far")
    parser.add_argument("--annotations", type=int, choices=range(MOST + 1), default=MOST, metavar="0..10", help="how many at most")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # what the runner reads, whatever the locale says
    try:
        return _say(options)
    except Exception as error:  # what a traceback quotes would reach the log, where the runner takes it for commands
        print(harmless(f"error: the result could not be shown: {type(error).__name__}"))
        return EXIT["error"]


def _say(options: argparse.Namespace) -> int:
    found = checked(options.results, options.mode, options.status)
    if not os.environ.get("GITHUB_OUTPUT"):
        return _to_people(found, options)
    import github_action_utils as actions

    if os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            actions.append_job_summary(_markdown(found, options))
        except OSError as error:
            cause = (
                f"the summary cannot be written to GITHUB_STEP_SUMMARY: {error.strerror}. The verdict was {found.verdict}: {found.cause}"
            )
            found = Checked(found.result, "error", cause, doubted=True)
    else:
        print("GITHUB_STEP_SUMMARY is not set: no summary is written.")
    emit(within(findings(found), options.annotations)[0])
    try:
        for name, value in outputs(found, options.results).items():
            actions.set_output(name, value)
    except OSError as error:
        emit([Annotation("No verdict", f"error: the outputs cannot be written to GITHUB_OUTPUT: {error.strerror}.")])
        return EXIT["error"]
    print(f"verdict: {found.verdict}")
    return EXIT[found.verdict]


def _to_people(found: Checked, options: argparse.Namespace) -> int:
    kept, more = within(findings(found), options.annotations)
    for each in kept:
        where = f"{each.file}:{each.line}: " if each.file and each.line else ""
        print(harmless(f"{where}{each.title}: {each.message}"))
    if more:
        print(f"{more} more")
    for line in _markdown(found, options).split("\n"):
        print(harmless(line))
    for name, value in outputs(found, options.results).items():
        print(harmless(f"{name}={value}"))
    return EXIT[found.verdict]


def _markdown(found: Checked, options: argparse.Namespace) -> str:
    wrong = findings(found)
    kept, more = within(wrong, options.annotations)
    return markdown(found, options.results, len(kept), more)


def outputs(found: Checked, path: Path) -> dict[str, str]:
    """Return the outputs of the step: numbers in plain decimals, nothing where they were not had.

    The verdict stands last: where only some could be written, it is not among them.
    """
    result = found.result
    numbers: dict[str, Any] = {} if result is None else {**result["summary"], "gates": result["reported"]}
    names = {
        "gates": "gates",
        "passed": "passed",
        "failed": "failed",
        "inconclusive": "inconclusive",
        "worst-accuracy-drop": "worst_accuracy_drop",
        "worst-accuracy-drop-bound": "worst_accuracy_drop_bound",
        "smallest-speed-gain": "smallest_speed_gain",
        "cost-usd": "cost_usd",
    }
    complete = result is not None and result["complete"] and found.verdict != "error"
    page = path.parent / "report.html"
    return {
        "complete": "true" if complete else "false",
        **{name: _decimal(numbers.get(key)) for name, key in names.items()},
        "report-path": _path(page),
        "results-path": _path(path),
        "schema": "" if result is None else results.SCHEMA,
        "verdict": found.verdict,
    }


def _decimal(number: float | None) -> str:
    return "" if number is None else format(Decimal(repr(number)), "f")


def _path(path: Path) -> str:
    return shown(path).encode("utf-8", "backslashreplace").decode() if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
