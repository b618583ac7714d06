"""Files of rows: JSON, CSV and Parquet are read, and the shapes that others write are turned into the flat one."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_distill.answers.plain import STRICT
from pytest_distill.errors import TaskError, likest

# The keys by which a row of each shape is known; the first holds its answer.
SHAPES = {
    "messages": ("messages",),
    "ShareGPT": ("conversations",),
    "prompt-completion": ("completion", "prompt"),
    "Alpaca": ("output", "instruction"),
}
# What rows of other projects call their reference; a field of such a name that nothing uses is taken for it.
REFERENCE_NAMES = ("label", "answer", "target", "output", "completion", "expected", "intent", "class", "reference", "gold")
ROLES = {"system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
TABLES = (".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class Row:
    """A row in the flat shape.

    Attributes:
        line: where it begins in the file, from 1; in a Parquet file the number of the row.
        where: ``file:line``, with which messages begin.
        values: its id, tags, fields and reference by name.
        shape: which of `SHAPES` it had, or empty where it was flat in the file.
    """

    line: int
    where: str
    values: dict[str, Any]
    shape: str


def task_rows(data: bytes, path: Path, shown: str, references: Sequence[str], known: frozenset[str]) -> Iterator[Row]:
    """Yield the rows of a training or held-out file, flat; each row by itself may have any shape.

    ``.csv`` and ``.parquet`` are read as tables whose columns are fields; any other file holds one JSON object a line, or one
    JSON array of objects. A column ``tags`` of a CSV file is split at ``;``. Empty lines, and CSV lines of empty cells alone, are
    passed over.

    A JSON row that is flat stays to the letter. In tables and in the other shapes null and what is empty count as not there, a whole
    number is good as an id, and a row without an id is called ``<name of the file>-<number of the row>``. Such ids move when rows are
    added above; rows that are to be labelled want ids of their own.

    Args:
        data: the file's bytes.
        path: decides the format and names rows; nothing is read from it.
        shown: the path as messages show it.
        references: the fields of a flat row that may hold the reference; that of a row of another shape goes to the first.
        known: all that a flat row may hold, see `flattened`.

    Raises:
        TaskError: a row cannot be read, or its id stands on an earlier line; the text begins with ``shown:line``.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        rows = _csv(data, shown, known)
    elif suffix == ".parquet":
        rows = _parquet(data, shown)
    else:
        rows = _json(data, shown)
    first_line: dict[str, int] = {}
    for number, (line, given) in enumerate(rows, 1):
        where = f"{shown}:{line}"
        shape, values = flattened(given, where, references, known)
        if shape or suffix in TABLES:
            values = {"id": f"{path.stem}-{number}", **_filled(values)}
            if type(values["id"]) is int:
                values["id"] = str(values["id"])
        _check_new(values.get("id"), line, shown, first_line)
        yield Row(line, where, values, shape)


def flattened(row: Mapping[str, Any], where: str, references: Sequence[str], known: frozenset[str]) -> tuple[str, dict[str, Any]]:
    """Return the shape of `row`, one of `SHAPES` or empty for flat, and the row in the flat shape.

    A row is flat where it holds one of `references`, and where the key that would hold its answer is in `known`: a task whose prompt shows
    ``{{ output }}`` has no Alpaca rows. A reference loses the blanks at its ends; other keys of the row stay as they are.

    - ``{"prompt": …, "completion": …}``: field ``prompt``. Both may be lists of messages, read as below.
    - ``{"messages": [{"role": …, "content": …}, …]}``: fields ``system``, ``history`` (the turns before the last of the user, as lines
      ``User: …`` and ``Assistant: …``) and ``prompt`` (that last turn). The assistant's answer to it is the reference, where there is one.
    - ``{"conversations": [{"from": "human", "value": …}, …]}`` (ShareGPT): the same.
    - ``{"instruction": …, "input": …, "output": …}`` (Alpaca): fields ``instruction`` and ``input``.

    Raises:
        TaskError: a conversation is not of text, or not of turns by system, user and assistant that end in the user's and its answer.
    """
    shapes = (name for name, keys in SHAPES.items() if row.keys() >= {*keys} and keys[0] not in known)
    shape = "" if row.keys() & {*references} else next(shapes, "")
    if not shape:
        return "", dict(row)
    key = SHAPES[shape][0]
    values, answer = _filled({name: row[name] for name in row if name != key}), row[key]
    fields: dict[str, str] = {}
    if shape in {"messages", "ShareGPT"}:
        fields, answer = _conversation(answer, where)
    elif shape == "prompt-completion" and isinstance(values.get("prompt"), list):
        fields, answer = _completed(values.pop("prompt"), answer, where)
    if not isinstance(answer, str | None):
        raise TaskError(f"{where}: {key!r} must be text; seen {brief(answer)}. Write null where there is no reference.")
    for name in sorted(fields.keys() & values.keys()):
        if fields[name] != values[name]:
            raise TaskError(f"{where}: {name!r} of the row contradicts {name!r} of its turns. Keep one of the two.")
    return shape, {**values, **fields, references[0]: (answer or "").strip()}


def read_rows(data: bytes, shown: str) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Yield the rows of a JSONL file's `data`: the line number from 1, the line as it stands, and its object; blank lines are passed over.

    Raises:
        TaskError: a line is no JSON object in UTF-8, or its id stands on an earlier line; the text begins with ``shown:line``.
    """
    first_line: dict[str, int] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        row, _ = _object(_text(line, shown, number), shown, number)
        _check_new(row.get("id"), number, shown, first_line)
        yield number, line, row


def check_names(
    row: Mapping[str, Any],
    where: str,
    required: set[str],
    known: frozenset[str],
    unknown: str,
    missing: str = "Each row of this file needs it.",
) -> None:
    """Refuse a row that holds a field that is not `known`, or lacks one that is `required`; `unknown` and `missing` say the way out.

    Raises:
        TaskError: the text begins with `where`.
    """
    for name in row:
        if name not in known:
            references = sorted(each for each in known if each.startswith("expected"))
            if name in REFERENCE_NAMES and references and not row.keys() & {*references}:
                hint = f"If it is the reference, call it {references[0]!r}."
            else:
                hint = likest(name, known, unknown)
            raise TaskError(f"{where}: unknown field {name!r}. Known are {', '.join(sorted(known))}. {hint}")
    lacking = sorted(required - row.keys())
    if lacking:
        raise TaskError(f"{where}: the row lacks {', '.join(map(repr, lacking))}. {missing}")


def is_text(value: str) -> bool:
    """Whether `value` holds no half of a surrogate pair, which cannot be written as UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def brief(value: object) -> str:
    """Return `value` as at most 60 characters of JSON, for messages."""
    try:
        text = json.dumps(value, default=str)
    except (RecursionError, ValueError, TypeError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, "", [], {})}


def _check_new(name: object, line: int, shown: str, first_line: dict[str, int]) -> None:
    if isinstance(name, str):
        if name in first_line:
            raise TaskError(f"{shown}:{line}: id {name!r} stands already at line {first_line[name]}. Give each row its own.")
        first_line[name] = line


def _conversation(turns: object, where: str) -> tuple[dict[str, str], str | None]:
    """Return the fields of a conversation, without those that would be empty, and the answer to its last turn of the user."""
    if not isinstance(turns, list) or not turns:
        raise TaskError(f"{where}: a conversation is a list of turns; seen {brief(turns)}.")
    spoken = [_turn(turn, f"{where}: turn {number}") for number, turn in enumerate(turns, 1)]
    _, system = spoken.pop(0) if spoken[0][0] == "system" else ("", "")
    if any(role == "system" for role, _ in spoken):
        raise TaskError(f"{where}: a system text may stand once, as the first turn. Join the texts there.")
    answer = spoken.pop()[1] if spoken and spoken[-1][0] == "assistant" else None
    if not spoken or spoken[-1][0] != "user":
        raise TaskError(f"{where}: the last turn, or the one before the assistant's answer, must be the user's. Correct the turns.")
    *before, (_, prompt) = spoken
    history = "\n".join(f"{role.capitalize()}: {text}" for role, text in before)
    return _filled({"system": system, "history": history, "prompt": prompt}), answer


def _completed(prompt: object, completion: object, where: str) -> tuple[dict[str, str], object]:
    """Return the fields of a prompt that is a conversation, and the text of its completion."""
    fields, answer = _conversation(prompt, where)
    if answer is not None:
        raise TaskError(f"{where}: 'prompt' must end in a turn of the user. Move the assistant's to 'completion'.")
    if not isinstance(completion, list) or not completion:
        return fields, None if completion == [] else completion
    said = [_turn(turn, f"{where}: turn {number} of 'completion'") for number, turn in enumerate(completion, 1)]
    if [role for role, _ in said] != ["assistant"]:
        raise TaskError(f"{where}: 'completion' must be one turn of the assistant; seen {brief(completion)}. Move the others to 'prompt'.")
    return fields, said[0][1]


def _turn(turn: object, where: str) -> tuple[str, str]:
    """Return who speaks and the text, which may come in parts."""
    if not isinstance(turn, dict):
        raise TaskError(f"{where} is no object; seen {brief(turn)}.")
    speaker, content = ("from", "value") if turn.get("from") is not None else ("role", "content")
    role, said = turn.get(speaker), turn.get(content)
    if not isinstance(role, str) or role not in ROLES:
        raise TaskError(f"{where}: {speaker!r} must be one of {', '.join(ROLES)}; seen {brief(role)}. Leave out rows with other turns.")
    lost = _filled(turn).keys() - {speaker, content}
    if lost:
        raise TaskError(f"{where}: {min(lost)!r} would be lost: a turn is {speaker!r} and {content!r} alone. Remove it.")
    text = ""
    for part in said if isinstance(said, list) else [{"type": "text", "text": said}]:
        given = _filled(part) if isinstance(part, dict) else {}
        words = part.get("text") if given.pop("type", None) == "text" else None
        if not isinstance(words, str) or given.keys() - {"text"}:
            raise TaskError(f"{where}: {content!r} must be text or parts of text; seen {brief(said)}. A prompt shows nothing else.")
        text += words
    return ROLES[role], text


def _json(data: bytes, shown: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if data.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        yield from _array(_text(data, shown), shown)
    else:
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                yield number, _object(_text(line, shown, number), shown, number)[0]


def _array(text: str, shown: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of one JSON array, as Alpaca and ShareGPT files hold them, with the line on which each begins."""
    at = _past_blanks(text, text.index("[") + 1)
    line = 1 + text.count("\n", 0, at)
    while text[at : at + 1] != "]":
        row, end = _object(text, shown, line, at)
        yield line, row
        comma = _past_blanks(text, end)
        start = _past_blanks(text, comma + 1) if text[comma : comma + 1] == "," else comma
        line += text.count("\n", at, start)
        at = start
        if at == comma:
            break
    if text[at:].strip() != "]":
        raise TaskError(f"{shown}:{line}: the array of rows does not end in ']' here; seen {brief(text[at : at + 40])}. Mend the JSON.")


def _past_blanks(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _csv(data: bytes, shown: str, known: frozenset[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a CSV file.

    The standard module keeps each cell to the letter and knows its line; the reader of `datasets` makes 1 of 01 and null of NA.
    """
    reader = csv.reader(io.StringIO(_text(data, shown), newline=""), strict=True)
    lines: list[tuple[int, list[str]]] = []
    start = 1
    limit = csv.field_size_limit(2**31 - 1)  # of the whole process, so it is put back
    try:
        for cells in reader:
            if any(cells):
                lines.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise TaskError(
            f"{shown}:{start}: the row is not CSV: {error}. Put text with a quote in quotes and write each inner one twice."
        ) from None
    finally:
        csv.field_size_limit(limit)
    if not lines:
        return
    (line, header), *rows = lines
    _check_columns(header, f"{shown}:{line}")
    if not {*header} & known.union(*SHAPES.values()):
        raise TaskError(
            f"{shown}:{line}: none of the columns {', '.join(map(repr, header))} is a field of this task. Known are"
            f" {', '.join(sorted(known))}. The first line of a CSV file names its columns, with commas between them."
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise TaskError(f"{shown}:{line}: the row has {len(cells)} cells and the header {len(header)}. Quote cells that hold a comma.")
        row: dict[str, Any] = dict(zip(header, cells, strict=True))
        if "tags" in row:
            row["tags"] = [tag.strip() for tag in row["tags"].split(";") if tag.strip()]
        yield line, row


def _parquet(data: bytes, shown: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a Parquet file, numbered from 1, with pyarrow.

    It comes with `datasets`, whose own reader would copy the file into a cache and not say which row cannot be read.
    """
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise TaskError(
            f"{shown}:1: reading Parquet needs pyarrow, which is not installed. Run pip install 'pytest-distill[train]'."
        ) from None
    number = 1
    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        names = file.schema_arrow.names
        _check_columns(names, f"{shown}:1")
        for batch in file.iter_batches():
            for at in range(batch.num_rows):
                yield number, {name: column[at].as_py() for name, column in zip(names, batch.columns, strict=True)}
                number += 1
    except TaskError:
        raise
    except Exception as error:  # pyarrow has no one family of errors for a damaged file
        said = " ".join(str(error).split())
        raise TaskError(f"{shown}:{number}: the file cannot be read as Parquet from this row on: {said}. Write it anew.") from None


def _check_columns(names: Sequence[str], where: str) -> None:
    for number, name in enumerate(names, 1):
        if not name or name in names[: number - 1]:
            raise TaskError(f"{where}: column {number} has {f'the name {name!r} of another' if name else 'no name'}. Rename or remove it.")


def _text(data: bytes, shown: str, line: int = 1) -> str:
    """Decode `data`, which begins on `line`."""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line += data.count(b"\n", 0, error.start)
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise TaskError(f"{shown}:{line}:{column}: the row is not UTF-8. Save the file as UTF-8.") from None


def _object(text: str, shown: str, line: int, at: int | None = None) -> tuple[dict[str, Any], int]:
    """Parse a JSON object without repeated keys and without NaN or Infinity: the whole of `text`, or what begins at `at`, on `line`.

    Return it and where it ends.
    """
    where = f"{shown}:{line}"

    decoder = json.JSONDecoder(**STRICT)
    try:
        row, end = (decoder.decode(text), len(text)) if at is None else decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        line += text.count("\n", at or 0, error.pos)
        raise TaskError(f"{shown}:{line}:{error.colno}: the row is not JSON: {error.msg}. Write one JSON object a line.") from None
    except RecursionError:
        raise TaskError(f"{where}: the row is nested too deeply to be read. Write it flat.") from None
    except ValueError as error:
        raise TaskError(f"{where}: {error}. Correct the row.") from None
    if not isinstance(row, dict):
        raise TaskError(f"{where}: the row is no JSON object; seen {brief(row)}. Write one JSON object a line.")
    return row, end
