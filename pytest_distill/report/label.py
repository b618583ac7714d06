"""The sheet on which a person labels held-out rows, blind to what either model said: a JSONL file and a page to fill it in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_distill.errors import DistillError
from pytest_distill.files import canonical_json, write_whole
from pytest_distill.report import MOST_TEXT, templates, visible
from pytest_distill.rows import read_rows
from pytest_distill.task import shown_path


@dataclass(frozen=True)
class _Row:
    """A row of the sheet: `prompt` is None where a person wrote the row without it, `line` is None where the row is to be written anew."""

    id: str
    prompt: str | None
    label: str | None
    line: bytes | None = None

    def values(self, reference_field: str) -> dict[str, str | None]:
        return {"id": self.id, reference_field: self.label} | ({} if self.prompt is None else {"input": self.prompt})


def write_sheet(
    path: Path,
    form: Path,
    task_name: str,
    reference_field: str,
    labels: Sequence[str] | None,
    rows: Sequence[tuple[str, str]],
    *,
    keep_waiting: bool = False,
    about: str = "",
) -> int:
    """Write the rows that need a label to the sheet at `path` and the page to label them on to `form`; return how many wait.

    Rows of the sheet that are labelled stay to the letter and in order. New rows follow in an order that tells nothing.

    Args:
        path: the JSONL sheet, a task's ``labels_path``; it is made where it is missing and a row needs a label.
        form: the HTML page.
        task_name: the task's name, for people.
        reference_field: the field of a row that holds the label.
        labels: what a label may be, or None where any text may.
        rows: id and prompt of each row that needs a label.
        keep_waiting: keep unlabelled rows of the sheet that are not among `rows`, as a second call for the same sheet in one run
            must; otherwise they are dropped.
        about: what is asked, where it is not for the right answer to a prompt.

    Raises:
        DistillError: the file at `path` is not a sheet of labels; neither file is touched.
        OSError: a file cannot be written.
    """
    from filelock import FileLock

    # The lock lies beside the form, in the folder of the run's output: it can neither be removed safely nor be left beside the data.
    form.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(form.with_name(form.name + ".lock")):
        present = _read(path, reference_field, labels)
        wanted = dict(rows)
        kept = [
            row if row.label is not None else _Row(row.id, wanted.get(row.id, row.prompt), None)
            for row in present
            if row.label is not None or row.id in wanted or keep_waiting
        ]
        known = {row.id for row in kept}
        new = sorted(wanted.keys() - known, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest())
        kept += [_Row(name, wanted[name], None) for name in new]
        if kept or present:
            lines = [row.line if row.line is not None else canonical_json(row.values(reference_field)) for row in kept]
            write_whole(path, b"".join(line + b"\n" for line in lines))
        write_whole(form, _page(path, task_name, reference_field, labels, kept, about).encode("utf-8", "backslashreplace"))
    return sum(row.label is None for row in kept)


def labels_of(path: Path, reference_field: str, labels: Sequence[str]) -> dict[str, str]:
    """Return the labels of the sheet at `path` by row, those that wait left out; a missing sheet has none.

    Raises:
        DistillError: the file is not a sheet of these labels.
        OSError: it cannot be read.
    """
    return {row.id: row.label for row in _read(path, reference_field, labels) if row.label is not None}


def _read(path: Path, reference_field: str, labels: Sequence[str] | None) -> list[_Row]:
    """Read the sheet at `path`; a missing one has no rows."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    shown = shown_path(path)
    rows = []
    for number, line, row in read_rows(data, shown):
        name, prompt, label = row.get("id"), row.get("input"), row.get(reference_field)
        if labels is None and not isinstance(label, str | None):
            label = canonical_json(label).decode()  # an object or a list, which the form shows as its text
        fits = label in (None, "") or (isinstance(label, str) and (labels is None or label in labels))
        if seen := _misfit(row, reference_field, fits=fits):
            allowed = "any text" if labels is None else ", ".join(labels)
            raise DistillError(
                f'{shown}:{number}: not a row of labels ({seen:.200}): it is {{"id": …, "input": …, "{reference_field}": …}} with {allowed} or'
                " null as the label. Correct the line, or move the file away to begin anew."
            )
        rows.append(_Row(str(name), prompt, label or None, line if label else None))
    return rows


def _misfit(row: Mapping[str, Any], reference_field: str, *, fits: bool) -> str:
    """Return what keeps an object from being a row of labels, or nothing; `fits` says whether its label is allowed."""
    if unknown := sorted(row.keys() - {"id", "input", reference_field}):
        return f"it has an unknown field {unknown[0]!r}"
    if reference_field not in row:
        return f"it has no {reference_field!r}"
    if not isinstance(row.get("id"), str):
        return f"its id is {row.get('id')!r}"
    if not isinstance(row.get("input"), str | None):
        return f"its input is {row['input']!r}"
    return "" if fits else f"its {reference_field!r} is {row[reference_field]!r}"


def _page(path: Path, task_name: str, reference_field: str, labels: Sequence[str] | None, rows: Sequence[_Row], about: str) -> str:
    environment = templates()
    environment.filters |= {"visible": _visible}
    # The page includes both as they are; they hold nothing that a template would change, so that their hashes are those of the page.
    style, script = (environment.get_template(name).render() for name in ("label.css", "label.js"))
    return environment.get_template("label.html.j2").render(
        style_hash=_hash(style),
        script_hash=_hash(script),
        task=task_name,
        about=about,
        field=reference_field,
        labels=labels,
        labels_json=canonical_json(labels and list(labels)).decode(),
        path=shown_path(path),
        name=path.name,
        rows=[(row, canonical_json(row.values(reference_field)).decode()) for row in rows],
        labelled=sum(row.label is not None for row in rows),
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _visible(text: str) -> str:
    """Return the whole of `text` with what cannot be seen written as escapes: nobody can label what was cut."""
    return "".join(visible(text[at : at + MOST_TEXT]) for at in range(0, len(text), MOST_TEXT))
