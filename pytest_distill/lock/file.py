"""The file distill.lock.json: small, in a stable order, fit for review, each entry under a digest of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_distill.answers.plain import read_json
from pytest_distill.errors import LockError
from pytest_distill.files import digest, write_whole
from pytest_distill.task import shown_path

NAME = "distill.lock.json"
SCHEMA = "pytest-distill/lock/1"
MOST_BYTES = 64 << 20  # of a file that is read: one of 100,000 wrong answers has 8 MB
SHORT = 120  # characters
PARTS: Mapping[str, type] = {
    "task": str,
    "teacher": str,
    "student": str,
    "accepted": dict,
    "evidence": str,
    "gates": list,
    "inputs": dict,
    "numbers": dict,
    "digest": str,
}
GATE: Mapping[str, tuple[type, ...]] = {"gate": (str,), "measure": (str,), "operator": (str,), "limit": (int, float)}


@dataclass(frozen=True)
class Lock:
    """A lock as it was read.

    Attributes:
        path: its file.
        comparisons: what was accepted of each comparison, by its id in the result: plain JSON values.
    """

    path: Path
    comparisons: Mapping[str, Mapping[str, Any]]

    @property
    def shown(self) -> str:
        """The path as messages show it."""
        return shown_path(self.path)


def file_of(name: str) -> str:
    """Return the benchmark file of a comparison or a gate, by its id."""
    return name.split("::", 1)[0]


def read(path: Path) -> Lock | None:
    """Return the lock at `path`, or None where there is no file.

    Raises:
        LockError: it cannot be read, is torn, of another schema, or was altered by hand: never the same as none at all.
    """
    shown, way = shown_path(path), "Take it from version control again, or remove it and accept anew: pytest --distill --distill-accept."
    try:
        if path.stat().st_size > MOST_BYTES:
            raise LockError(f"{shown}: larger than {MOST_BYTES >> 20} MiB, which no lock is. {way}")
        content = read_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path.is_symlink():
            raise LockError(f"{shown}: a link to nowhere. {way}") from None
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise LockError(f"{shown}: no lock can be read: {error}. {way}") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise LockError(
            f"{shown}: of schema {json.dumps(schema)[:60]}, not {SCHEMA}. Use the version of pytest-distill that wrote it, or: {way}"
        )
    comparisons = content.get("comparisons")
    if not isinstance(comparisons, dict):
        raise LockError(f"{shown}: holds no comparisons. {way}")
    for name, accepted in comparisons.items():
        wrong = _wrong(accepted)
        if wrong:
            raise LockError(f"{shown}: {name}: {wrong}. {way}")
    return Lock(path, comparisons)


def _wrong(accepted: Any) -> str:
    """Return what is wrong with an entry, or nothing."""
    if not isinstance(accepted, dict):
        return "no entry"
    for name, kind in PARTS.items():
        if not isinstance(accepted.get(name), kind):
            return f"{name!r} is missing or not as it was written"
    of = accepted["accepted"]
    if not all(isinstance(of.get(name), str) for name in ("at", "machine")) or not isinstance(of.get("commit"), str | None):
        return "when, where and at which commit it was accepted is not as it was written"
    if accepted["digest"] != _sealed(accepted)["digest"]:
        return "altered since it was accepted (its digest does not fit)"
    for gate in accepted["gates"]:
        if not isinstance(gate, dict) or not all(type(gate.get(name)) in kinds for name, kinds in GATE.items()):
            return "a gate is not as it was written"
    return ""


def _sealed(accepted: Mapping[str, Any]) -> dict[str, Any]:
    bare = {name: part for name, part in accepted.items() if name != "digest"}
    return {**bare, "digest": digest(bare)}


def write(path: Path, comparisons: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the lock, whole or not at all: comparisons by name, each sealed with its digest.

    Raises:
        OSError: it cannot be written; the old one is untouched.
        LockError: it would be larger than what is read.
    """
    content = {"schema": SCHEMA, "comparisons": {name: _sealed(comparisons[name]) for name in sorted(comparisons)}}
    data = (_lines(content) + "\n").encode("ascii")
    if len(data) > MOST_BYTES:
        raise LockError(f"{shown_path(path)} would have {len(data) >> 20} MiB; allowed are {MOST_BYTES >> 20}. The old one is as it was.")
    write_whole(path, data)


def _lines(value: Any, indent: str = "") -> str:
    """Write JSON for review: what is short and flat in one line, any other object over lines, a list of objects one a line."""
    inner = indent + "  "
    if isinstance(value, Mapping) and value:
        line = json.dumps(value, allow_nan=False)
        if len(line) <= SHORT and not any(isinstance(part, (Mapping, list)) for part in value.values()):
            return line
        rows = [f"{inner}{json.dumps(name)}: {_lines(part, inner)}" for name, part in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        return "[\n" + ",\n".join(inner + json.dumps(part, allow_nan=False) for part in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)
