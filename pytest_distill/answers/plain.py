"""JSON texts read strictly, and JSON values compared as values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

# A block of code that is the whole reply, as chat models write JSON.
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*)```", re.DOTALL | re.IGNORECASE)
MOST_DIGITS = 300  # which a float can still be
MOST_DEPTH = 100
_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_written = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def unfenced(text: str) -> str:
    """Return what stands inside the fence that is the whole text, or else the text; without blanks at the ends."""
    fence = _FENCED.fullmatch(text.strip())
    return fence[1].strip() if fence else text.strip()


def read_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none, repeats a key of an object, or holds what has no JSON value: NaN, an infinite number, half a character.
    """
    try:
        value = json.loads(text, **STRICT)
        _written(value).encode()
        if text.count("[") + text.count("{") > MOST_DEPTH:
            _refuse_depth(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos + 1}") from None
    except UnicodeEncodeError:
        raise ValueError("no JSON: it holds half of a surrogate pair") from None
    except RecursionError:
        raise ValueError("no JSON that can be read: it is nested too deeply") from None
    return value


def to_json(value: Any) -> str:
    """Return the JSON text of a value, in its own order of keys."""
    return _written(value)


def canonical(value: Any) -> str:
    """Return a text that is the same for equal JSON values: the order of keys does not count, and 1.0 is 1."""
    return _canonical(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"no JSON: {name} is no number")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"no JSON that can be read: the number {digits[:20]}… is too large")
    return int(digits)


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(MOST_DEPTH):
        held = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [inner for values in held for inner in values]
        if not level:
            return
    raise RecursionError


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"no JSON that can be read: the number {digits[:20]} is too large")
    return number


# How `json` reads a text strictly: each hook raises ValueError.
STRICT: Mapping[str, Any] = {
    "object_pairs_hook": _distinct,
    "parse_constant": _no_number,
    "parse_float": _finite,
    "parse_int": _whole,
}
