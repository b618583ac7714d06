"""What one gate decided, as its test report carries it from the process that ran it to the one that writes the result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from pytest_distill.verdict import INCONCLUSIVE, NO_CLAIM, Judgement

ATTACHED = "distill"  # the attribute under which a test report carries our part, as ASCII JSON
OF_JUDGEMENT = ("operator", "limit", "outcome", "shown", "alpha", "p", "p_refuted", "words")


def skipped(item: pytest.Item) -> str | None:
    """Return why a run here would skip this gate, or None; pytest's own plugin for such marks tells."""
    skipping = item.config.pluginmanager.get_plugin("skipping")
    # An xfail mark that forbids the run, or a condition that cannot be told, is for the run to report.
    with suppress(pytest.xfail.Exception, pytest.fail.Exception):
        try:
            if skipping is not None:
                skipping.pytest_runtest_setup(item)
        except pytest.skip.Exception as skip:
            return skip.msg or ""
    return None


def judged(judgement: Judgement | None, measure: str) -> dict[str, Any]:
    """Return a judgement as the result holds it; None is a plain estimate that was read."""
    if judgement is None:
        words = f"{measure.replace('_', ' ')} was read as a plain estimate: no claim"
        return {**dict.fromkeys(OF_JUDGEMENT), "outcome": NO_CLAIM, "shown": False, "words": words}
    found = {name: getattr(judgement, name) for name in OF_JUDGEMENT}
    return found | {name: judgement.numbers[name] for name in ("value", "bound", "n", "method")}


def decided(report: pytest.TestReport, call: pytest.CallInfo[None], judgements: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the outcome of a phase of a gate, ``passed``, ``failed``, ``inconclusive``, ``error`` or ``skipped``, and its message."""
    if report.skipped:
        return "skipped", str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
    if call.excinfo is None:
        return "passed", ""
    error = call.excinfo.value
    message = str(error) or type(error).__name__
    if call.when != "call" or not judgements or not isinstance(error, (AssertionError, pytest.fail.Exception)):
        return "error", message if isinstance(error, pytest.fail.Exception) else f"{type(error).__name__}: {message}"
    missed = next((entry for entry in judgements if not entry["shown"] and entry["outcome"] != NO_CLAIM), None)
    raised = getattr(error, "judgement", None)
    decisive = raised.outcome if raised is not None else missed["outcome"] if missed is not None else ""
    if missed is not None and missed["words"] not in message:
        message += f"\n{missed['words']}"
    return INCONCLUSIVE if decisive == INCONCLUSIVE else "failed", message


def attach(report: pytest.TestReport, part: Mapping[str, Any]) -> None:
    """Let a report carry our part, as ASCII that every transport takes."""
    setattr(report, ATTACHED, json.dumps(part))


def attached(report: Any) -> dict[str, Any]:
    """Return our part of a report; empty where it has none."""
    found = json.loads(getattr(report, ATTACHED, "{}"))
    return found if isinstance(found, dict) else {}


def scrubbed(value: Any) -> Any:
    """Return a serialised report with lone surrogates made visible."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {scrubbed(key): scrubbed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(scrubbed, value))
    return value
