"""Command-line options, their ini keys, and the one frozen Settings that carries them."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

EVIDENCE = ("strict", "point")
DEVICES = ("auto", "cpu", "cuda")
LADDER = ("on", "off")
FEWEST_PAIRS, PAIRS = 30, 100
# Options that ask for something to be done; the others only say how, and may stand in a command for all runs.
COMPANIONS = ("plan", "record", "record_only", "live", "drift", "retrain", "label", "locked", "accept", "base_lock", "allow_change")
# What does something else than judging in this run; nothing that asks, trains or writes goes with it.
EXCLUDES = {
    "plan": ("it judges nothing", ("locked", "accept", "base_lock")),
    "drift": (
        "it judges no gates and writes no recording",
        ("plan", "record", "record_only", "live", "label", "locked", "accept", "base_lock"),
    ),
    "record_only": ("it asks for replies and stops", ("plan", "live", "retrain", "label", "locked", "accept", "base_lock")),
    "locked": ("it judges from the lock, and asks and trains nothing", ("plan", "record", "live", "retrain", "label")),
    "accept": ("it accepts what is committed: record first, then accept in a run that replays", ("plan", "record", "live")),
}


@dataclass(frozen=True)
class Settings:
    """What the command line and the ini file asked for.

    Attributes:
        record: ask an Endpoint (or a local teacher whose replies are committed) for what its recording lacks, and add it.
        record_only: ask for what no recording holds, and judge nothing; `record` is then set as well.
        live: time Endpoints in this run too, which asks them again.
        budget: what recording may cost in this run, in US dollars; None for no limit.
        plan: say what would be asked, trained and spent, and do nothing.
        drift: how many recorded prompts of each Endpoint are asked again, in place of the gates; 0 for none.
        retrain: train again even where the store has the adapter.
        label: write a sheet of the held-out rows that need a label.
        locked: judge from the lock; nothing is asked, trained or loaded.
        accept: write the lock after a run that passes.
        base_lock: the lock to compare with, of the branch that a change is to be merged into; None for none.
        allowed: names of changes against the lock that are let through.
        device: ``auto``, ``cpu`` or ``cuda``; overrides a recipe's ``auto``.
        evidence: ``strict`` or ``point``.
        ladder: whether cheaper ways are tried beside the student.
        pairs: how many prompts are timed, 30 or more.
        out: folder of results.json and report.html.
        store: folder of trained adapters and replies.
    """

    record: bool
    record_only: bool
    live: bool
    budget: float | None
    plan: bool
    drift: int
    retrain: bool
    label: bool
    locked: bool
    accept: bool
    base_lock: Path | None
    allowed: tuple[str, ...]
    device: str
    evidence: str
    ladder: bool
    pairs: int
    out: Path
    store: Path


def add_options(parser: pytest.Parser) -> None:
    """Declare the options and their ini keys."""
    group = parser.getgroup("distill", "distil a student model and gate it against its teacher")
    group.addoption("--distill", action="store_true", help="run the benchmarks in bench_*.py files, and nothing else")
    group.addoption("--distill-plan", action="store_true", help="say what would be asked, trained and spent; do nothing")
    group.addoption(
        "--distill-record", action="store_true", help="ask a teacher for the replies that no recording beside the benchmark holds"
    )
    group.addoption("--distill-record-only", action="store_true", help="ask for the replies that no recording holds, and judge nothing")
    group.addoption(
        "--distill-budget", metavar="USD", help="stop before the request that could bring this run's spending above so many US dollars"
    )
    group.addoption(
        "--distill-live", action="store_true", help="time Endpoints in this run, beside the student: asks them again, which costs"
    )
    group.addoption("--distill-drift", metavar="N", help="ask N recorded prompts of each Endpoint again: does it still answer as recorded?")
    group.addoption("--distill-retrain", action="store_true", help="train even where the store holds the student")
    group.addoption(
        "--distill-label",
        action="store_true",
        help="write a sheet of the held-out rows on which the models differ and no reference tells, or of the replies that people check for a judge",
    )
    group.addoption("--distill-locked", action="store_true", help="judge from distill.lock.json: nothing is asked, trained or loaded")
    group.addoption("--distill-accept", action="store_true", help="write distill.lock.json after a run that passes, to be committed")
    group.addoption(
        "--distill-base-lock",
        metavar="PATH",
        help="(written with =) fail what weakens the gate against this lock, of the branch to merge into",
    )
    group.addoption(
        "--distill-allow-change",
        metavar="NAME",
        action="append",
        help="let one change against a lock through, by the name that the run gives it",
    )
    choices: tuple[tuple[str, tuple[str, ...], str], ...] = (
        ("device", DEVICES, "where models run (default auto)"),
        ("evidence", EVIDENCE, "strict: a limit must be shown (default); point: plain estimates, not a statistical claim"),
        ("ladder", LADDER, "whether cheaper ways (majority, linear model, bare base) are tried beside the student (default on)"),
    )
    for name, allowed, text in choices:
        group.addoption(f"--distill-{name}", choices=allowed, help=text)
        parser.addini(f"distill_{name}", f"default of --distill-{name}: {', '.join(allowed)}")
    group.addoption(
        "--distill-pairs",
        metavar="N",
        help=f"how many prompts are timed on both models (default {PAIRS}, at least {FEWEST_PAIRS}; fewer held-out rows are all timed)",
    )
    parser.addini("distill_pairs", "default of --distill-pairs")
    parser.addini("distill_budget", "default of --distill-budget")
    for name, default in (("out", ".distill"), ("store", ".distill/store")):
        text = {"out": "folder of results.json and report.html", "store": "folder of trained students and their replies"}[name]
        group.addoption(f"--distill-{name}", metavar="DIR", help=f"{text} (default {default})")
        parser.addini(f"distill_{name}", f"default of --distill-{name}")


def settings_of(config: pytest.Config) -> Settings:
    """Return the settings: each option falls back to the ini key of the same name.

    Raises:
        pytest.UsageError: a value that is not allowed.
    """

    def chosen(name: str, default: str, allowed: tuple[str, ...] = ()) -> str:
        value = config.getoption(f"distill_{name}") or config.getini(f"distill_{name}") or default
        if allowed and value not in allowed:
            raise pytest.UsageError(f"distill_{name} = {value!r} in {config.inipath}: allowed are {', '.join(allowed)}.")
        return str(value)

    pairs = chosen("pairs", str(PAIRS))
    if not pairs.isdecimal() or len(pairs) > 6 or int(pairs) < FEWEST_PAIRS:
        raise pytest.UsageError(f"distill_pairs = {pairs[:40]!r}: allowed are whole numbers from {FEWEST_PAIRS} to 999999.")
    budget = chosen("budget", "")
    given = config.getoption("distill_drift")
    drift = "0" if given is None else given
    if not re.fullmatch(r"\d{1,6}", drift) or (given is not None and not int(drift)):
        raise pytest.UsageError(f"--distill-drift {drift[:40]!r}: allowed are whole numbers from 1 to 999999.")
    for name, (does, others) in EXCLUDES.items():
        for other in others:
            if config.getoption(f"distill_{name}") and config.getoption(f"distill_{other}"):
                raise pytest.UsageError(f"{_option(name)} does not go with {_option(other)}: {does}. Leave one of them out.")
    base_lock = config.getoption("distill_base_lock")
    if base_lock == "":
        raise pytest.UsageError("--distill-base-lock= names no file. Leave the option out where the base has no lock.")
    if base_lock and config.option.collectonly:
        raise pytest.UsageError("--distill-base-lock guards nothing under --collect-only, which judges nothing. Leave one of them out.")
    if base_lock and base_lock in map(str, config.invocation_params.args):
        raise pytest.UsageError(
            f"Write --distill-base-lock={base_lock}: pytest takes a path that stands by itself for one of tests, and looks there for its root folder."
        )
    return Settings(
        record=bool(config.getoption("distill_record") or config.getoption("distill_record_only")),
        record_only=bool(config.getoption("distill_record_only")),
        live=bool(config.getoption("distill_live")),
        budget=_dollars(budget) if budget else None,
        plan=bool(config.getoption("distill_plan")),
        drift=int(drift),
        retrain=bool(config.getoption("distill_retrain")),
        label=bool(config.getoption("distill_label")),
        locked=bool(config.getoption("distill_locked")),
        accept=bool(config.getoption("distill_accept")),
        base_lock=config.invocation_params.dir / base_lock if base_lock else None,
        allowed=_allowed(config),
        device=chosen("device", "auto", DEVICES),
        evidence=chosen("evidence", "strict", EVIDENCE),
        ladder=chosen("ladder", "on", LADDER) == "on",
        pairs=int(pairs),
        out=config.rootpath / chosen("out", ".distill"),
        store=config.rootpath / chosen("store", ".distill/store"),
    )


def check_alone(config: pytest.Config) -> None:
    """Refuse a companion of --distill that is given without it: the run would do something else than was asked for.

    Raises:
        pytest.UsageError: naming the option.
    """
    for name in COMPANIONS:
        if config.getoption(f"distill_{name}"):
            raise pytest.UsageError(f"{_option(name)} does nothing without --distill. Write pytest --distill {_option(name)} …")


def _option(name: str) -> str:
    return "--distill-" + name.replace("_", "-")


def _allowed(config: pytest.Config) -> tuple[str, ...]:
    """Return the changes that the command line lets through.

    Raises:
        pytest.UsageError: one of them comes from a file of the project or from the environment, which the change itself may have written.
    """
    given = tuple(config.getoption("distill_allow_change") or ())
    words = [str(word) for word in config.invocation_params.args]
    for name in given:
        if name not in words and f"--distill-allow-change={name}" not in words and not hasattr(config, "workerinput"):
            raise pytest.UsageError(f"--distill-allow-change {name} counts on the command line alone. Take it out of addopts.")
    return given


def _dollars(given: str) -> float:
    with suppress(ValueError):
        if 0 < float(given) < math.inf:
            return float(given)
    raise pytest.UsageError(f"distill_budget = {given[:40]!r}: allowed are US dollars above 0, for example 2.50.")
