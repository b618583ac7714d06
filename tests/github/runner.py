"""What the GitHub Actions runner makes of a step's log and files: the oracle that the tests hold a step against.

A port of the runner's behaviour, on Linux, with its defaults: commands that are disabled unless a job opts in count as failed. Problem
matchers are not followed further than their being added, nor is the masking of secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

MOST_SUMMARY = 1024 * 1024  # bytes; a larger summary is dropped with an error
MOST_MESSAGE = 4096  # UTF-16 units; the rest of an annotation's message is cut away
MOST_ANNOTATIONS = 10  # shown of each kind and step
STOP = "stop-commands"
ISSUES = ("error", "warning", "notice")
WRITTEN = (*ISSUES, "debug", "group", "endgroup")
DISABLED = ("set-env", "add-path")
NAMED = ("set-output", "save-state")
TEXTS = ("add-mask", "add-matcher", "remove-matcher", "debug", "group", "endgroup", "echo")
REGISTERED = frozenset({STOP, *ISSUES, *DISABLED, *NAMED, *TEXTS})
NOT_TOKENS = frozenset({"", "pause-logging"})

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
# What .NET trims as white space. The file, group, record and unit separators, which Python strips as well, are not among it.
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
# The runner compares strings under the culture of its machine, to which these characters are not there at all.
_IGNORED = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
# Viewers of a log render some of these words at the start of a line; here it is all of them, wherever they stand.
_MARK = re.compile(r"##\[([a-z-]+)", re.IGNORECASE)
_SEPARATOR = re.compile(f":[{_IGNORED}]*:")
_ESCAPES = {"%0D": "\r", "%0A": "\n"}
_V2_DATA = {**_ESCAPES, "%25": "%"}
_V2_PROPERTY = {**_ESCAPES, "%3A": ":", "%2C": ",", "%25": "%"}
_LEGACY = {"%3B": ";", **_ESCAPES, "%5D": "]", "%25": "%"}


@dataclass(frozen=True)
class Effect:
    """One thing that a log line did, other than to be shown.

    Attributes:
        kind: the command's name in small letters; ``resume`` for the token that turns commands on again; ``failed`` for a command that
            fails the step (disabled, malformed, or a token that is refused).
        data: its text, unescaped; of an annotation what is left of it after the cut; of ``failed`` the name of the command.
        properties: what stands between name and text, unescaped, the names in small letters.
        shown: False for an annotation beyond the ten of its kind.
    """

    kind: str
    data: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    shown: bool = True


def lines(log: str) -> list[str]:
    """Return the lines of a log as the runner reads them: ended by LF, CR or CR LF, and by nothing else."""
    found = _LINE_ENDS.split(log.removeprefix("\ufeff"))
    return found[:-1] if found[-1] == "" else found


def effects(log: str) -> list[Effect]:
    """Return what the lines of a step's log did, in their order; lines that are only shown are left out."""
    return [effect for _, effect in _read(log) if effect is not None]


def written(log: str) -> list[str]:
    """Return the lines of a step's log as they are kept for people to read.

    The message of an annotation is written as it is, after a mark; no command in it is run. Commands that say nothing to people are left out.
    """
    found: list[str] = []
    for line, effect in _read(log):
        if effect is None or effect.kind in {STOP, "resume"}:
            found.append(line)
        elif effect.kind == "failed":
            found.append(f"##[error]Unable to process command '{line}' successfully.")
        elif effect.kind in WRITTEN:
            found += lines(f"##[{effect.kind}]{effect.data}")
    return found


def marks(log_lines: Iterable[str]) -> list[str]:
    """Return the marks in lines that people read, in small letters: what is shown as an error, folds a part of the log, or ends it."""
    return [mark.lower() for line in log_lines for mark in _MARK.findall(line)]


def _read(log: str) -> Iterator[tuple[str, Effect | None]]:
    """Yield each line of a log, and what it did."""
    counted = dict.fromkeys(ISSUES, 0)
    token: str | None = None
    for line in lines(log):
        command = _command(line, REGISTERED if token is None else REGISTERED | {token})
        if command is None or token not in (None, command.kind):
            yield line, None
            continue
        if token is not None:
            yield line, Effect("resume", token)
            token = None
            continue
        if command.kind == STOP and _is_token(command.data):
            token = command.data.lower()
        elif command.kind in ISSUES:
            counted[command.kind] += 1
            command = Effect(command.kind, _cut(command.data), command.properties, counted[command.kind] <= MOST_ANNOTATIONS)
        yield line, Effect("failed", command.kind) if _fails(command) else command


def outputs(text: str) -> dict[str, str]:
    """Return the outputs that a step set with its GITHUB_OUTPUT file.

    Raises:
        ValueError: the runner refuses the file, and the step fails.
    """
    return dict(_pairs(text))


def summary_taken(data: bytes) -> bool:
    """Return whether the runner shows a GITHUB_STEP_SUMMARY file: one that is empty, or larger than 1 MiB, is dropped."""
    return 0 < len(data) <= MOST_SUMMARY


def _command(line: str, registered: frozenset[str]) -> Effect | None:
    return _v2(line, registered) or _legacy(line, registered)


def _v2(line: str, registered: frozenset[str]) -> Effect | None:
    """Read ``::name key=value,key=value::text``, which must begin the line but for blanks."""
    text = line.lstrip(_BLANKS)
    end = _SEPARATOR.search(text, 2)
    if not text.startswith("::") or end is None:
        return None
    name, _, given = text[2 : end.start()].partition(" ")
    if name.lower() not in registered:
        return None
    return Effect(name.lower(), _unescaped(text[end.start() + 2 :], _V2_DATA), dict(_properties(given.strip(_BLANKS), ",", _V2_PROPERTY)))


def _legacy(line: str, registered: frozenset[str]) -> Effect | None:
    """Read ``##[name key=value;key=value]text``, which may stand anywhere in a line; only the first one of a line counts."""
    _, mark, rest = line.partition("##[")
    head, bracket, data = rest.partition("]")
    name, _, given = head.partition(" ")
    if not mark or not bracket or name.lower() not in registered:
        return None
    return Effect(name.lower(), _unescaped(data, _LEGACY), dict(_properties(given, ";", _LEGACY)))


def _properties(given: str, separator: str, escapes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for part in given.split(separator):
        name, _, value = part.lstrip("=").partition("=")
        if value.lstrip("="):
            yield name.lower(), _unescaped(value.lstrip("="), escapes)


def _unescaped(text: str, escapes: Mapping[str, str]) -> str:
    for escaped, plain in escapes.items():  # one after the other, the percent sign last
        text = text.replace(escaped, plain)
    return text


def _is_token(token: str) -> bool:
    return token.lower() not in REGISTERED | NOT_TOKENS


def _fails(command: Effect) -> bool:
    if command.kind == STOP:
        return not _is_token(command.data)
    if command.kind == "echo":
        return command.data.strip(_BLANKS).lower() not in {"on", "off"}
    return command.kind in DISABLED or (command.kind in NAMED and not command.properties.get("name"))


def _cut(message: str) -> str:
    return message.encode("utf-16-le", "surrogatepass")[: 2 * MOST_MESSAGE].decode("utf-16-le", "surrogatepass")


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Read ``name=value`` and ``name<<delimiter`` records; only LF ends a line."""
    rest = text.removeprefix("\ufeff")
    while rest:
        line, _, rest = rest.partition("\n")
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            name, _, value = line.partition("=")
        elif heredoc >= 0:
            name, _, delimiter = line.partition("<<")
            if not delimiter:
                raise ValueError(f"the delimiter is empty: {line!r}")
            value, rest = _heredoc(rest, delimiter)
        else:
            raise ValueError(f"neither name=value nor name<<delimiter: {line!r}")
        if not name:
            raise ValueError(f"the name is empty: {line!r}")
        yield name, value


def _heredoc(rest: str, delimiter: str) -> tuple[str, str]:
    """Return the value that ends before the line `delimiter`, and what follows that line."""
    value: list[str] = []
    while rest:
        line, newline, rest = rest.partition("\n")
        if line == delimiter:
            return "\n".join(value), rest
        if not newline:
            break
        value.append(line)
    raise ValueError(f"the delimiter {delimiter!r} does not come on a line of its own")
