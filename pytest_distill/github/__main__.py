"""``python -P -m pytest_distill.github``: say on GitHub, or to people, what a result says, and end with its exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from pytest_distill import results
from pytest_distill.errors import DistillError
from pytest_distill.github.annotations import MOST, emit, findings, within
from pytest_distill.github.check import MODES, Checked, checked
from pytest_distill.github.places import from_workspace
from pytest_distill.github.summary import headline, markdown
from pytest_distill.github.text import for_people, harmless

EXIT = {"pass": 0, "fail": 1, "inconclusive": 1, "error": 2}


class _Parser(argparse.ArgumentParser):
    """Refuses wrong arguments with an error that is shown where every other one is."""

    def error(self, message: str) -> NoReturn:
        raise DistillError(f"wrong arguments: {message}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 for the verdict pass, 1 for fail and inconclusive, 2 for error and for trouble of this step.

    Args:
        arguments: of the command line, or None for the process's own.
    """
    parser = _Parser(prog="pytest_distill.github", description=__doc__, allow_abbrev=False)
    parser.add_argument("results", type=Path, help="results.json of the run")
    parser.add_argument("--mode", choices=MODES, required=True, help="what the run was for")
    parser.add_argument("--status", required=True, help="pytest's exit status; empty where it did not get that far")
    parser.add_argument("--annotations", type=_budget, default=MOST, metavar=f"0..{MOST}", help="how many at most")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # what the runner reads, whatever the locale says
    try:
        options = parser.parse_args(arguments)
        found = checked(options.results, options.mode, options.status)
        say = _to_github if os.environ.get("GITHUB_OUTPUT") else _to_people
        say(found, options)
        return EXIT[found.verdict]
    except DistillError as error:
        cause = str(error)
    except Exception as error:  # what a traceback quotes would reach the log, where the runner takes it for commands
        cause = f"the result could not be shown: {getattr(error, 'strerror', None) or type(error).__name__}"
    _say_no_verdict(cause)
    return EXIT["error"]


def _budget(text: str) -> int:
    if text.strip() not in map(str, range(MOST + 1)):
        raise argparse.ArgumentTypeError(f"a whole number from 0 to {MOST} is expected, and {text!r} is there")
    return int(text)


def _to_github(found: Checked, options: argparse.Namespace) -> None:
    """Write annotations, the summary, a line of the log and the outputs.

    The outputs come last, and of them the verdict: where anything could not be written before, none says pass.

    Raises:
        DistillError, OSError: something cannot be written.
    """
    import github_action_utils as actions

    kept, more = within(findings(found), options.annotations)
    emit(kept)
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        with _writing("summary", "GITHUB_STEP_SUMMARY", found):
            actions.append_job_summary(markdown(found, options.results, len(kept), more))
    else:
        print("GITHUB_STEP_SUMMARY is not set: no summary is written.")
    print(f"verdict: {found.verdict}", flush=True)
    with _writing("outputs", "GITHUB_OUTPUT", found):
        for name, value in outputs(found, options.results).items():
            actions.set_output(name, value)


@contextmanager
def _writing(what: str, where: str, found: Checked) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = f"The verdict was {found.verdict}: {found.cause}"
        raise DistillError(f"the {what} cannot be written to {where}: {error.strerror}. {said}") from None


def _to_people(found: Checked, options: argparse.Namespace) -> None:
    """Print the same for people; each line begins with words of ours."""
    kept, more = within(findings(found), options.annotations)
    for each in kept:
        where = f"{each.file}:{each.line}: " if each.file and each.line else ""
        print(harmless(f"{each.title}: {where}{each.message}"))
    if more:
        print(f"{more} more")
    for line in for_people(markdown(found, options.results, len(kept), more)):
        print(line)
    for name, value in outputs(found, options.results).items():
        print(harmless(f"{name}={value}"))
    print(end="", flush=True)


def _say_no_verdict(cause: str) -> None:
    """Say wherever that is still possible that there is no verdict, and why."""
    nothing = Checked(None, "error", cause, doubted=True)
    on_github = bool(os.environ.get("GITHUB_OUTPUT"))
    with suppress(Exception):
        if on_github:
            emit(within(findings(nothing), MOST)[0])
        else:
            print(harmless(f"error: {cause}"), flush=True)
    if on_github:
        with suppress(Exception):
            import github_action_utils as actions

            with suppress(KeyError, OSError):
                actions.append_job_summary(f"\n{headline(nothing)}")
            actions.set_output("complete", "false")
            actions.set_output("verdict", "error")
    try:
        print(end="", flush=True)
    except OSError:  # what is left of it would be written at the interpreter's end, and fail again with another exit status
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    complete = result is not None and result["complete"] and not found.doubted
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
    return from_workspace(path).encode("utf-8", "backslashreplace").decode() if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
