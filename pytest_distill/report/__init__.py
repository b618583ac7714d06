"""Readers of a result: the terminal table and the HTML page. They compute nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"

MOST_TEXT = 2000
# Control, zero-width, bidirectional, line-separator, tag and lone surrogate characters: what a reader cannot see, or is misled by.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: object) -> str:
    """Return `text` cut to 2,000 characters (the rest counted), with what cannot be seen written as escapes."""
    whole = str(text)
    shown = _UNSEEN.sub(lambda match: f"\\u{ord(match.group()):04x}", whole[:MOST_TEXT])
    return shown if len(whole) <= MOST_TEXT else f"{shown}… ({len(whole) - MOST_TEXT} more characters)"


def change_outcome(change: Mapping[str, Any]) -> str:
    """Return what a change of the gate comes to: fails, allowed, weakens or changed."""
    return "fails" if change["fails"] else "allowed" if change["allowed"] else "weakens" if change["weakens"] else "changed"


def can_be_let_through(change: Mapping[str, Any]) -> bool:
    """Return whether a change fails that an allowance by its name is meant for; of others ``what`` says what to do."""
    return bool(change["fails"] and change["weakens"])


def templates() -> Environment:
    """Return the environment of the HTML pages: everything is escaped, and a name that does not exist is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
