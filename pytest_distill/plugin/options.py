"""Command-line options, their ini keys, and the one frozen Settings that carries them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

EVIDENCE = ("strict", "point")
DEVICES = ("auto", "cpu", "cuda")
LADDER = ("on", "off")
FEWEST_PAIRS, PAIRS = 30, 100


@dataclass(frozen=True)
class Settings:
    """What the command line and the ini file asked for.

    Attributes:
        record: ask a teacher whose replies are committed for those that the recording lacks, and add them to it.
        retrain: train again even where the store has the adapter.
        label: write a sheet of the held-out rows that need a label.
        device: ``auto``, ``cpu`` or ``cuda``; overrides a recipe's ``auto``.
        evidence: ``strict`` or ``point``.
        ladder: whether cheaper ways are tried beside the student.
        pairs: how many prompts are timed, 30 or more.
        out: folder of results.json and report.html.
        store: folder of trained adapters and replies.
    """

    record: bool
    retrain: bool
    label: bool
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
    group.addoption("--distill-record", action="store_true", help="add a local teacher's replies to the recording beside the benchmark")
    group.addoption("--distill-retrain", action="store_true", help="train even where the store holds the student")
    group.addoption(
        "--distill-label", action="store_true", help="write a sheet of the held-out rows on which the models differ and no reference tells"
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
    return Settings(
        record=bool(config.getoption("distill_record")),
        retrain=bool(config.getoption("distill_retrain")),
        label=bool(config.getoption("distill_label")),
        device=chosen("device", "auto", DEVICES),
        evidence=chosen("evidence", "strict", EVIDENCE),
        ladder=chosen("ladder", "on", LADDER) == "on",
        pairs=int(pairs),
        out=config.rootpath / chosen("out", ".distill"),
        store=config.rootpath / chosen("store", ".distill/store"),
    )
