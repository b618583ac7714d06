"""Tasks and their examples: the declaration, and the reading and checking of JSONL rows."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
        expected: the reference, or None where a training row has none.
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
        heldout: JSONL file of held-out rows, each with its reference; never trained on.
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
        return self._read(self.train, "train", reference_needed=False)

    @cached_property
    def heldout_examples(self) -> list[Example]:
        """The held-out rows, read and checked."""
        return self._read(self.heldout, "heldout", reference_needed=True)

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
        """Digest of the held-out rows."""
        return digest([example.content() for example in self.heldout_examples])

    def _read(self, path: Path, role: str, *, reference_needed: bool) -> list[Example]:
        shown = shown_path(path)
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise TaskError(
                f"task {self.name!r}: cannot read {shown}: {error.strerror}. Give Task({role}=…) a JSONL file, one object a line."
            ) from None
        examples: list[Example] = []
        first_line: dict[str, int] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            example = self._example(_object(line, f"{shown}:{number}"), number, f"{shown}:{number}", reference_needed)
            if example.id in first_line:
                raise TaskError(
                    f"{shown}:{number}: id {example.id!r} stands already at line {first_line[example.id]}. Give each row its own."
                )
            first_line[example.id] = number
            examples.append(example)
        if not examples:
            raise TaskError(f"task {self.name!r}: {shown} holds no rows. Add {role} examples, one JSON object a line.")
        return examples

    def _example(self, row: dict[str, Any], line: int, where: str, reference_needed: bool) -> Example:
        required, optional = self.prompt_fields
        reference = self.answer.reference_field
        known = {"id", "tags", reference, *required, *optional, *self.extra}
        for name in row:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else "Use it in the prompt or list it in Task(extra=…)."
                raise TaskError(f"{where}: unknown field {name!r}. Known are {', '.join(sorted(known))}. {hint}")
        missing = sorted({"id", *required, *({reference} if reference_needed else ())} - row.keys())
        if missing:
            raise TaskError(f"{where}: the row lacks {', '.join(map(repr, missing))}. Each row of this file needs it.")
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
                raise TaskError(f"{where}: {reference} {wrong}. Correct the row or add the value to the answer contract.")
        fields = {name: row[name] for name in row if name in required or name in optional}
        return Example(row["id"], fields, expected, tuple(tags), line)


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


def shown_path(path: Path) -> str:
    """Return `path` as messages show it: relative to the current folder where it lies below, with forward slashes."""
    absolute = Path(os.path.abspath(path))
    try:
        return absolute.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return absolute.as_posix()


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
