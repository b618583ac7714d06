"""Text from outside, written so that it stays text: a model's reply can be no Markdown, no HTML and no command of the runner."""

from __future__ import annotations

import re

from pytest_distill.report import visible

MOST_SPAN = 300  # characters
MOST_FENCE = 1500


def cut(text: str, most: int) -> str:
    """Return the first `most` characters (at most 2,000) of `text`, the rest counted, with what cannot be seen written as escapes."""
    rest = len(text) - most
    return visible(text[:most]) + (f"… ({rest:,} more characters)" if rest > 0 else "")


def line(text: str, most: int = MOST_SPAN) -> str:
    """Return `text` cut, on one line: ends of lines and tabs are written as escapes."""
    return cut(text, most).replace("\n", "\\n").replace("\t", "\\t")


def span(text: str, most: int = MOST_SPAN) -> str:
    """Return `text` as a code span of Markdown, on one line."""
    shown = line(text, most)
    if not shown.strip():
        return "(empty)"
    ticks = _ticks(shown, 1)
    pad = " " if {shown[0], shown[-1]} & {" ", "`"} else ""  # of which a reader of Markdown takes one off each end
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def cell(text: str, most: int = MOST_SPAN) -> str:
    r"""Return `text` as a code span that may stand in a table: a pipe is written ``\u007c``, since readers differ on ``\|``."""
    return span(text, most).replace("|", "\\u007c")


def fence(text: str, most: int = MOST_FENCE) -> str:
    """Return `text` as a fenced block of Markdown, its lines kept."""
    shown = cut(text, most)
    ticks = _ticks(shown, 3)
    return f"{ticks}text\n{shown}\n{ticks}"


def harmless(printed: str) -> str:
    """Return a line of ours, and what it quotes, so that a runner that reads the log takes no part of it for a command."""
    shown = visible(printed.replace("\n", " ")).replace("##[", "## [")
    return f"| {shown}" if shown.lstrip().startswith("::") else shown


def _ticks(shown: str, fewest: int) -> str:
    """Return a run of backticks longer than any in `shown`."""
    return "`" * max(fewest, 1 + max(map(len, re.findall("`+", shown)), default=0))
