"""Tasks and their examples: the declaration, and the checking of rows against it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_distill.answers import Answer, Malformed
from pytest_distill.answers.plain import read_json
from pytest_distill.errors import TaskError
from pytest_distill.files import digest
from pytest_distill.rows import TABLES, Row, brief, check_names, is_text, read_rows, task_rows

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True)
class Example:
    """One input with its reference.

    Attributes:
        id: unique within its file.
        fields: what the prompt reads, by name; plain JSON values, of which none is null.
        expected: the reference as the task's answer contract keeps it, a plain JSON value, or None where there is none.
        tags: slices that this example belongs to.
        line: its line in the file, from 1; in a Parquet file the number of its row.
    """

    id: str
    fields: Mapping[str, Any]
    expected: Any
    tags: tuple[str, ...]
    line: int

    @property
    def texts(self) -> dict[str, str]:
        """The fields as the prompt shows them by themselves: what is no text as JSON; empty where it is an empty list or object."""
        return {name: "" if value in ([], {}) else _written(value) for name, value in self.fields.items()}

    def content(self) -> list[object]:
        """Return all but the line number as plain JSON values, for digests."""
        return [self.id, dict(self.fields), self.expected, list(self.tags)]


@dataclass(frozen=True)
class Task:
    """A bounded task: what is asked, what counts as right, and the examples.

    Args:
        name: lower-case letters, digits, '_' and '-'; unique in a run.
        prompt: a Jinja2 template over an example's fields. A field that the template tests with ``if`` is optional and an
            empty string where a row lacks it; every other one is required. Plain text, nothing is escaped. A field may hold any JSON value but null: what is no text when it
            is shown stands there as JSON, and ``{{ names | join(", ") }}`` shows a list in another way.
        answer: the contract a reply must satisfy, for example `Labels`.
        train: file of training rows, the reference optional: JSON lines, one JSON array, ``.csv`` or ``.parquet``. A row is flat, with
            ``id``, the prompt's fields and ``expected_label``, or has one of the shapes in which others write: prompt and completion,
            chat messages, Alpaca, ShareGPT; see `pytest_distill.rows.flattened` for the fields that each gives. Each row is read by
            itself, so one file may mix shapes. A flat reference is taken to the letter, one of another shape is read as a reply is.
            What a row holds and the prompt does not use is refused, unless `extra` names it. None for a task that nothing is distilled
            for, such as a mark's ``broad=``.
        heldout: file of held-out rows, read the same way; never trained on. References may also stand in the labels file beside it,
            see `labels_path`.
        max_tokens: the longest reply, 1 or more; decoding is greedy.
        extra: names of further fields that rows may carry unused.
        stable: the largest share of prompts, 0 to 1, on which the teacher may answer otherwise when it is asked again; None where
            that is not judged.

    Raises:
        TaskError: a wrong declaration here; a wrong row when `train_examples` or `heldout_examples` is first read.
    """

    name: str
    prompt: str
    answer: Answer
    train: Path | None
    heldout: Path
    max_tokens: int
    extra: Sequence[str] = field(default=())
    stable: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", self.name):
            raise TaskError(f"a task's name is 1 to 64 of a-z, 0-9, '_', '-'; seen {self.name!r}. It names files and report entries.")
        if not isinstance(self.prompt, str):
            raise TaskError(f"task {self.name!r}: the prompt must be a string, a Jinja2 template; seen {brief(self.prompt)}.")
        if not isinstance(self.max_tokens, int) or isinstance(self.max_tokens, bool) or self.max_tokens < 1:
            raise TaskError(f"task {self.name!r}: max_tokens must be a whole number of 1 or more; seen {self.max_tokens!r}.")
        if isinstance(self.extra, str):
            raise TaskError(f"task {self.name!r}: extra is a list of field names; write extra=({self.extra!r},).")
        share = self.stable
        if share is not None and (not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1):
            raise TaskError(f"task {self.name!r}: stable is a share of prompts from 0 to 1, or None; seen {brief(share)}.")
        object.__setattr__(self, "train", None if self.train is None else Path(self.train))
        object.__setattr__(self, "heldout", Path(self.heldout))
        _ = self._template  # a broken template is an error of the declaration, not of the first row
        closed = {"id", "tags", *self.answer.reference_fields} & frozenset().union(*self.prompt_fields)
        if closed:
            raise TaskError(f"task {self.name!r}: the prompt may not use {min(closed)!r}: a model would be shown what is not its to see.")

    @cached_property
    def _template(self) -> Template:
        import jinja2

        environment = jinja2.Environment(autoescape=False, keep_trailing_newline=True, undefined=jinja2.StrictUndefined, finalize=_shown)  # noqa: S701  (a prompt is plain text)
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
        """The training rows, read and checked.

        Raises:
            TaskError: there are none, or a row is wrong.
        """
        if self.train is None:
            raise TaskError(f"task {self.name!r} has no training rows: it was declared with train=None. Give Task(train=…) a JSONL file.")
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
        """Digest of the declaration: what is asked and what counts as right, without the rows and without `stable`."""
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
        required, optional = self.prompt_fields
        references = self.answer.reference_fields
        known = frozenset({"id", "tags", *references, *required, *optional, *self.extra})
        examples = [self._example(row, known) for row in task_rows(data, path, shown, references, known)]
        if not examples:
            form = "one a row" if path.suffix.lower() in TABLES else "one JSON object a line"
            raise TaskError(f"task {self.name!r}: {shown} holds no rows. Add {role} examples, {form}.")
        return examples

    def _example(self, read: Row, known: frozenset[str]) -> Example:
        required, optional = self.prompt_fields
        row, where = read.values, read.where
        if read.shape:
            for name in sorted(row.keys() - known):
                way = f"Write {{{{ {name} }}}} in the prompt, or leave" if name.isidentifier() else "Leave"
                raise TaskError(
                    f"{where}: {name!r} of the {read.shape} row would be lost: the prompt of task {self.name!r} does not use it."
                    f" {way} it out with Task(extra=({name!r},))."
                )
            absent = min(required - row.keys(), default="")
            missing = f"Where rows may lack it, test it in the prompt: {{% if {absent} %}}…{{% endif %}}."
            check_names(row, where, {"id", *required}, known, "", missing)
        else:
            check_names(row, where, {"id", *required}, known, "Use it in the prompt or list it in Task(extra=…).")
        if not isinstance(row["id"], str):
            raise TaskError(f"{where}: field 'id' must be a string; seen {brief(row['id'])}.")
        fields = {name: row[name] for name in row if name in required or name in optional}
        for name, value in fields.items():
            if value is None or not (isinstance(value, str) or _is_json(value)):
                raise TaskError(
                    f"{where}: field {name!r} must be text or another JSON value but null; seen {brief(value)}. Leave out what is not"
                    f" there, and test it in the prompt: {{% if {name} %}}…{{% endif %}}."
                )
        if not row["id"]:
            raise TaskError(f"{where}: the id is empty. Give each row its own.")
        for name in ("id", *fields):
            if isinstance(row[name], str) and not is_text(row[name]):
                raise TaskError(f"{where}: field {name!r} holds half of a surrogate pair, which is no text. Write the whole character.")
        tags = row.get("tags", [])
        if not isinstance(tags, list) or not all(isinstance(tag, str) and is_text(tag) for tag in tags):
            raise TaskError(f"{where}: 'tags' must be a list of strings; seen {brief(tags)}.")
        return Example(row["id"], fields, self._reference(read), tuple(tags), read.line)

    def _reference(self, read: Row) -> Any:
        """Return the checked reference of a row; what others wrote as a reply is read as one, a flat row is taken to the letter."""
        given = {name: read.values[name] for name in self.answer.reference_fields if name in read.values}
        if not given:
            return None
        for name, value in given.items():
            if not (isinstance(value, str) or _is_json(value)):
                raise TaskError(f"{read.where}: {name} must be text or another JSON value; seen {brief(value)}. Write it as text.")
        way = "Correct the row or " + ("add the value to" if self.answer.classes else "loosen") + " the answer contract."
        if read.shape:
            text = given[self.answer.reference_fields[0]]
            value = self.answer.parse(text)
            if isinstance(value, Malformed):
                raise TaskError(f"{read.where}: the reference of the {read.shape} row, {brief(text)}, is {self.answer.misfit}. {way}")
            return self.answer.as_reference(value)
        try:
            return self.answer.reference(given)
        except ValueError as error:
            way = "Leave the field out where there is no reference." if None in given.values() else way
            raise TaskError(f"{read.where}: {' and '.join(given)} {error}. {way}") from None

    def _labels(self, data: bytes, examples: Mapping[str, Example]) -> dict[str, Any]:
        """Return the labels of a labels file by id, checked against the held-out rows."""
        reference = self.answer.reference_fields[0]
        shown, heldout = shown_path(self.labels_path), shown_path(self.heldout)
        labels: dict[str, Any] = {}
        for number, _, row in read_rows(data, shown):
            where = f"{shown}:{number}"
            check_names(row, where, {"id", reference}, frozenset({"id", "input", reference}), "A row of labels has no others.")
            example = examples.get(row["id"]) if isinstance(row["id"], str) else None
            if example is None:
                raise TaskError(f"{where}: {heldout} has no row with id {brief(row['id'])}. Correct the id or remove the line.")
            prompt = self.render(example)
            seen = row.get("input", prompt)
            if not isinstance(seen, str):
                raise TaskError(f"{where}: field 'input' must be a string; seen {brief(seen)}. Correct or remove it.")
            if row[reference] in (None, ""):
                continue
            try:
                label = self.answer.reference({reference: row[reference]})
            except ValueError as error:
                raise TaskError(
                    f"{where}: {reference} {error}. Correct the label, or set it to null to leave the row unlabelled."
                ) from None
            if seen != prompt:
                differs = (at for at, (old, new) in enumerate(zip(seen, prompt, strict=False)) if old != new)
                at = next(differs, min(len(seen), len(prompt)))
                raise TaskError(
                    f"{where}: the prompt of row {example.id!r} has changed since it was labelled: from character {at + 1} on it was"
                    f" {brief(seen[at:])} and is {brief(prompt[at:])}. Set {reference} to null and label it again, or remove 'input'"
                    " where the label still holds."
                )
            if example.expected not in (None, label):
                raise TaskError(
                    f"{where}: {reference} {self.answer.shown(label)!r} contradicts {self.answer.shown(example.expected)!r} at {heldout}:{example.line}. Correct one of the two."
                )
            labels[example.id] = label
        return labels


def _is_json(value: Any) -> bool:
    """Whether a value is plain JSON, and not nested too deeply: tables may hold dates, bytes and numbers that are not."""
    try:
        read_json(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(value: Any) -> Any:
    """Return what a prompt shows of a value: of JSON values that are no text their JSON, of others (an undefined name) themselves."""
    return _written(value) if isinstance(value, list | dict | bool | None) else value


def shown_path(path: Path) -> str:
    """Return `path` as messages show it: relative to the current folder where it lies below, with forward slashes."""
    absolute = Path(os.path.abspath(path))
    try:
        return absolute.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return absolute.as_posix()
