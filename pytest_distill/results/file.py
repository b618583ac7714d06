"""results.json: written whole, read back whole."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_distill.errors import DistillError
from pytest_distill.files import write_json

SCHEMA = "pytest-distill/results/1"


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
