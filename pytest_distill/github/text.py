"""Text from outside, written so that it stays text: a model's reply can be no Markdown, no HTML and no command of the runner."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_distill.report import visible

MOST_SPAN = 300  # characters
MOST_FENCE = 1500
_MARK = re.compile(r"##(?=[^\s#])")


def cut(text: str, most: int) -> str:
    """Return the first `most` characters (at most 2,000) of `text`, the rest counted, with what cannot be seen written as escapes."""
    rest = len(text) - most
    return visible(text[:most]) + (f"… ({rest:,} more characters)" if rest > 0 else "")


def one_line(text: str, most: int = MOST_SPAN) -> str:
    """Return `text` cut, on one line: ends of lines and tabs are written as escapes."""
    return cut(text, most).replace("\n", "\\n").replace("\t", "\\t")


def span(text: str, most: int = MOST_SPAN) -> str:
    """Return `text` as a code span of Markdown, on one line."""
    shown = one_line(text, most)
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


def unmarked(text: str) -> str:
    """Return `text` without what readers of a log take for a mark or an order wherever it stands: ``##[group]``, ``##vso[…]``."""
    return _MARK.sub("## ", text)


def harmless(printed: str) -> str:
    """Return a line of ours, and what it quotes, so that nothing that reads the log takes a part of it for a command."""
    shown = unmarked(visible(printed.replace("\n", " ")))
    return f"| {shown}" if shown.lstrip().startswith("::") else shown


def for_people(markdown: str) -> Iterator[str]:
    """Yield the lines of a summary as they may be printed; before those in a fence stands a bar, so that none looks like one of ours."""
    closing = ""
    for row in markdown.split("\n"):
        printed = row
        if row == closing:
            closing = ""
        elif closing:
            printed = f"| {row}"
        elif row.startswith("```"):
            closing = row.removesuffix("text")
        yield harmless(printed)


def _ticks(shown: str, fewest: int) -> str:
    """Return a run of backticks longer than any in `shown`."""
    return "`" * max(fewest, 1 + max(map(len, re.findall("`+", shown)), default=0))
