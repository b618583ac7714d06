"""Tasks and their examples: the declaration, and the reading and checking of JSONL rows."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_distill.answers import Answer
from pytest_distill.errors import TaskError
from pytest_distill.files import digest

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True)
class Example:
    """One input with its reference.

    Attributes:
        id: unique within its file.
        fields: what the prompt reads, by name; all strings.
        expected: the reference, or None where there is none.
        tags: slices that this example belongs to.
        line: its line in the file, from 1.
    """

    id: str
    fields: Mapping[str, str]
    expected: str | None
    tags: tuple[str, ...]
    line: int

    def content(self) -> list[object]:
        """Return all but the line number as plain JSON values, for digests."""
        return [self.id, dict(self.fields), self.expected, list(self.tags)]


@dataclass(frozen=True)
class Task:
    """A bounded task: what is asked, what counts as right, and the examples.

    Args:
        name: lower-case letters, digits, '_' and '-'; unique in a run.
        prompt: a Jinja2 template over an example's fields. A field that the template tests with ``if`` is optional and an
            empty string where a row lacks it; every other one is required. Plain text, nothing is escaped.
        answer: the contract a reply must satisfy, for example `Labels`.
        train: JSONL file of training rows, the reference optional.
        heldout: JSONL file of held-out rows, the reference optional; never trained on. References may also stand in the labels
            file beside it, see `labels_path`.
        max_tokens: the longest reply, 1 or more; decoding is greedy.
        extra: names of further fields that rows may carry unused.

    Raises:
        TaskError: a wrong declaration here; a wrong row when `train_examples` or `heldout_examples` is first read.
    """

    name: str
    prompt: str
    answer: Answer
    train: Path
    heldout: Path
    max_tokens: int
    extra: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", self.name):
            raise TaskError(f"a task's name is 1 to 64 of a-z, 0-9, '_', '-'; seen {self.name!r}. It names files and report entries.")
        if not isinstance(self.prompt, str):
            raise TaskError(f"task {self.name!r}: the prompt must be a string, a Jinja2 template; seen {_brief(self.prompt)}.")
        if not isinstance(self.max_tokens, int) or isinstance(self.max_tokens, bool) or self.max_tokens < 1:
            raise TaskError(f"task {self.name!r}: max_tokens must be a whole number of 1 or more; seen {self.max_tokens!r}.")
        if isinstance(self.extra, str):
            raise TaskError(f"task {self.name!r}: extra is a list of field names; write extra=({self.extra!r},).")
        object.__setattr__(self, "train", Path(self.train))
        object.__setattr__(self, "heldout", Path(self.heldout))
        _ = self._template  # a broken template is an error of the declaration, not of the first row
        closed = {"id", "tags", self.answer.reference_field} & frozenset().union(*self.prompt_fields)
        if closed:
            raise TaskError(f"task {self.name!r}: the prompt may not use {min(closed)!r}: a model would be shown what is not its to see.")

    @cached_property
    def _template(self) -> Template:
        import jinja2

        environment = jinja2.Environment(autoescape=False, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)  # noqa: S701  (a prompt is plain text)
        try:
            return environment.from_string(self.prompt)
        except jinja2.TemplateSyntaxError as error:
            raise TaskError(f"task {self.name!r}: the prompt's line {error.lineno} is not Jinja2: {error.message}.") from None

    @cached_property
    def prompt_fields(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names of the fields that the prompt requires, and of those it can do without."""
        from jinja2 import Environment, meta, nodes

        tree = Environment().parse(self.prompt)  # noqa: S701  (parsed, never rendered)
        branches: list[nodes.If | nodes.CondExpr] = [*tree.find_all(nodes.If), *tree.find_all(nodes.CondExpr)]
        tests = [branch.test for branch in branches]
        optional = {name.name for test in tests for name in (test, *test.find_all(nodes.Name)) if isinstance(name, nodes.Name)}
        used = meta.find_undeclared_variables(tree)
        return frozenset(used - optional), frozenset(used & optional)

    def render(self, example: Example) -> str:
        """Return the prompt for `example`."""
        _, optional = self.prompt_fields
        return self._template.render({**dict.fromkeys(optional, ""), **example.fields})

    @cached_property
    def train_examples(self) -> list[Example]:
        """The training rows, read and checked."""
        return self._read(self.train, "train")

    @cached_property
    def heldout_examples(self) -> list[Example]:
        """The held-out rows, read and checked, with the references that the labels file adds."""
        examples = self._read(self.heldout, "heldout")
        try:
            data = self.labels_path.read_bytes()
        except FileNotFoundError:
            return examples
        except OSError as error:
            raise TaskError(
                f"task {self.name!r}: cannot read {shown_path(self.labels_path)}: {error.strerror}. Make it a file of labels or remove it."
            ) from None
        labels = self._labels(data, {example.id: example for example in examples})
        return [replace(example, expected=labels.get(example.id, example.expected)) for example in examples]

    @property
    def labels_path(self) -> Path:
        """Where labels for held-out rows without a reference stand: ``heldout.labels.jsonl`` beside ``heldout.jsonl``.

        Each row is ``{"id": …, "input": the prompt, reference field: label}``; null or an empty label means not labelled yet.
        """
        return self.heldout.with_suffix(".labels.jsonl")

    @cached_property
    def digest(self) -> str:
        """Digest of the declaration: what is asked and what counts as right, without the rows."""
        return digest([self.name, self.prompt, self.answer.describe(), self.max_tokens])

    @cached_property
    def train_digest(self) -> str:
        """Digest of the training rows."""
        return digest([example.content() for example in self.train_examples])

    @cached_property
    def heldout_digest(self) -> str:
        """Digest of the held-out rows, labels included."""
        return digest([example.content() for example in self.heldout_examples])

    @cached_property
    def questions_digest(self) -> str:
        """Digest of the held-out ids and fields alone: it stays as it is when references or tags are added."""
        return digest([[example.id, dict(example.fields)] for example in self.heldout_examples])

    def _read(self, path: Path, role: str) -> list[Example]:
        shown = shown_path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TaskError(
                f"task {self.name!r}: cannot read {shown}: {error.strerror}. Give Task({role}=…) a JSONL file, one object a line."
            ) from None
        examples = [self._example(row, number, f"{shown}:{number}") for number, _, row in read_rows(data, shown)]
        if not examples:
            raise TaskError(f"task {self.name!r}: {shown} holds no rows. Add {role} examples, one JSON object a line.")
        return examples

    def _example(self, row: dict[str, Any], line: int, where: str) -> Example:
        required, optional = self.prompt_fields
        reference = self.answer.reference_field
        known = {"id", "tags", reference, *required, *optional, *self.extra}
        _check_names(row, where, {"id", *required}, known, "Use it in the prompt or list it in Task(extra=…).")
        for name in {"id", *required, *optional} & row.keys():
            if not isinstance(row[name], str):
                raise TaskError(f"{where}: field {name!r} must be a string; seen {_brief(row[name])}.")
        if not row["id"]:
            raise TaskError(f"{where}: the id is empty. Give each row its own.")
        for name in ("id", *required, *optional):
            if not _is_text(row.get(name, "")):
                raise TaskError(f"{where}: field {name!r} holds half of a surrogate pair, which is no text. Write the whole character.")
        tags = row.get("tags", [])
        if not isinstance(tags, list) or not all(isinstance(tag, str) and _is_text(tag) for tag in tags):
            raise TaskError(f"{where}: 'tags' must be a list of strings; seen {_brief(tags)}.")
        expected = row.get(reference)
        if reference in row:
            wrong = self.answer.check_reference(expected)
            if wrong:
                way = (
                    "Leave the field out where there is no reference."
                    if expected is None
                    else "Correct the row or add the value to the answer contract."
                )
                raise TaskError(f"{where}: {reference} {wrong}. {way}")
        fields = {name: row[name] for name in row if name in required or name in optional}
        return Example(row["id"], fields, expected, tuple(tags), line)

    def _labels(self, data: bytes, examples: Mapping[str, Example]) -> dict[str, str]:
        """Return the labels of a labels file by id, checked against the held-out rows."""
        reference = self.answer.reference_field
        shown, heldout = shown_path(self.labels_path), shown_path(self.heldout)
        labels: dict[str, str] = {}
        for number, _, row in read_rows(data, shown):
            where = f"{shown}:{number}"
            _check_names(row, where, {"id", reference}, {"id", "input", reference}, "A row of labels has no others.")
            example = examples.get(row["id"]) if isinstance(row["id"], str) else None
            if example is None:
                raise TaskError(f"{where}: {heldout} has no row with id {_brief(row['id'])}. Correct the id or remove the line.")
            prompt = self.render(example)
            seen = row.get("input", prompt)
            if not isinstance(seen, str):
                raise TaskError(f"{where}: field 'input' must be a string; seen {_brief(seen)}. Correct or remove it.")
            label = row[reference]
            if label in (None, ""):
                continue
            wrong = self.answer.check_reference(label)
            if wrong:
                raise TaskError(f"{where}: {reference} {wrong}. Correct the label, or set it to null to leave the row unlabelled.")
            if seen != prompt:
                differs = (at for at, (old, new) in enumerate(zip(seen, prompt, strict=False)) if old != new)
                at = next(differs, min(len(seen), len(prompt)))
                raise TaskError(
                    f"{where}: the prompt of row {example.id!r} has changed since it was labelled: from character {at + 1} on it was"
                    f" {_brief(seen[at:])} and is {_brief(prompt[at:])}. Set {reference} to null and label it again, or remove 'input'"
                    " where the label still holds."
                )
            if example.expected not in (None, label):
                raise TaskError(
                    f"{where}: {reference} {label!r} contradicts {example.expected!r} at {heldout}:{example.line}. Correct one of the two."
                )
            labels[example.id] = label
        return labels


def overlap(train: Iterable[Example], heldout: Iterable[Example]) -> list[tuple[Example, Example]]:
    """Return the pairs (held-out, training) whose fields are equal but for case, blanks and punctuation."""

    def normal(example: Example) -> tuple[tuple[str, str], ...]:
        return tuple(
            (name, " ".join(re.findall(r"\w+", text.casefold())) or text.strip())
            for name, text in sorted(example.fields.items())
            if text.strip()
        )

    seen = {normal(example): example for example in train}
    return [(example, seen[key]) for example in heldout if (key := normal(example)) in seen]


def read_rows(data: bytes, shown: str) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Yield the rows of a JSONL file's `data`: the line number from 1, the line as it stands, and its object; blank lines are passed over.

    Raises:
        TaskError: a line is no JSON object in UTF-8, or its id stands on an earlier line; the text begins with ``shown:line``.
    """
    first_line: dict[str, int] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        row = _object(line, f"{shown}:{number}")
        name = row.get("id")
        if isinstance(name, str):
            if name in first_line:
                raise TaskError(f"{shown}:{number}: id {name!r} stands already at line {first_line[name]}. Give each row its own.")
            first_line[name] = number
        yield number, line, row


def shown_path(path: Path) -> str:
    """Return `path` as messages show it: relative to the current folder where it lies below, with forward slashes."""
    absolute = Path(os.path.abspath(path))
    try:
        return absolute.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return absolute.as_posix()


def _check_names(row: Mapping[str, Any], where: str, required: set[str], known: set[str], way_out: str) -> None:
    for name in row:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else way_out
            raise TaskError(f"{where}: unknown field {name!r}. Known are {', '.join(sorted(known))}. {hint}")
    missing = sorted(required - row.keys())
    if missing:
        raise TaskError(f"{where}: the row lacks {', '.join(map(repr, missing))}. Each row of this file needs it.")


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _brief(value: object) -> str:
    try:
        text = json.dumps(value, default=str)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _object(line: bytes, where: str) -> dict[str, Any]:
    """Parse one line as a JSON object without repeated keys and without NaN or Infinity."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        repeated = {key for key in keys if keys.count(key) > 1}
        if repeated:
            raise TaskError(f"{where}: key {min(repeated)!r} stands twice in the row. Keep one.")
        return dict(pairs)

    def constant(name: str) -> float:
        raise TaskError(f"{where}: {name} is not JSON. Use a number, a string or null.")

    try:
        row = json.loads(line.decode("utf-8-sig"), object_pairs_hook=unique, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise TaskError(f"{where}:{error.start + 1}: the row is not UTF-8. Save the file as UTF-8.") from None
    except json.JSONDecodeError as error:
        raise TaskError(f"{where}:{error.colno}: the row is not JSON: {error.msg}. Write one JSON object a line.") from None
    except (RecursionError, ValueError) as error:
        raise TaskError(f"{where}: the row is nested too deeply or holds too long a number: {error}. Rows are flat objects.") from None
    if not isinstance(row, dict):
        raise TaskError(f"{where}: the row is no JSON object; seen {_brief(row)}. Write one JSON object a line.")
    return row
