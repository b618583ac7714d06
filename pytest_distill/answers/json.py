"""Json: the answer is a JSON object of a declared shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_distill.answers.comparers import Comparer, Exact
from pytest_distill.answers.contract import Grade, Malformed
from pytest_distill.answers.plain import read_json, to_json, unfenced
from pytest_distill.answers.schema import checked, object_schema, resolved, strict_schema
from pytest_distill.errors import TaskError

if TYPE_CHECKING:
    from pydantic import BaseModel

# Stands for a field of a nested object that is null.
_ABSENT: Any = object()


class Json:
    """A reply is one JSON object, validated strictly by a pydantic class: no type is converted, no key is added or repeated.

    The score of an answer is the mean of the scores of its fields; it is right where every field is.

    Args:
        schema: the pydantic class.
        fields: the comparer of each field that is not compared as `Exact`. A field of a nested class may be named with a dot
            (``address.city``): then each field of that class is compared, and counts, by itself.
        fenced: whether a reply may stand in a Markdown code fence.

    Raises:
        TaskError: pydantic is not installed, the class is none or cannot be read back as it is written, a field is unknown, or a
            comparer does not fit its field.
    """

    reference_fields = ("expected",)
    classes = ()
    several = False
    tools = ()

    def __init__(self, schema: type[BaseModel], *, fields: Mapping[str, Comparer] | None = None, fenced: bool = False) -> None:
        self._whole = object_schema("Json", schema)
        if not self._whole.get("properties"):
            raise TaskError(f"Json: {schema.__name__} has no fields. Give the class at least one.")
        if not isinstance(fields, Mapping | None):
            raise TaskError(f"Json(fields=…) is a comparer by name of a field; seen {fields!r:.80}.")
        if not isinstance(fenced, bool):
            raise TaskError(f"Json(fenced=…) is True or False; seen {fenced!r}.")
        self.schema, self.fenced = schema, fenced
        self.fields = dict(self._comparers(dict(fields or {})))

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the fields that are compared."""
        return tuple(self.fields)

    @property
    def json_schema(self) -> Mapping[str, Any] | None:
        """The schema as servers take it in strict mode.

        None where replies may stand in a fence, which such servers do not write, and where a field may hold an object of any keys, for
        which there is no such schema.
        """
        return None if self.fenced else strict_schema(self._whole)

    @property
    def misfit(self) -> str:
        """What a reply is that is no such object."""
        return f"no JSON object of {self.schema.__name__}"

    def __repr__(self) -> str:
        return f"Json({self.schema.__name__})"

    def describe(self) -> Mapping[str, Any]:
        """Return the contract as plain JSON values."""
        fields = {name: comparer.describe() for name, comparer in self.fields.items()}
        return {"kind": "json", "schema": self._whole, "fields": fields, "fenced": self.fenced}

    def parse(self, reply: str) -> dict[str, Any] | Malformed:
        """Return the object that `reply` is, or `Malformed` with the first thing that is wrong."""
        if not reply.strip():
            return Malformed("empty reply")
        try:
            return self._read(unfenced(reply) if self.fenced else reply)
        except ValueError as error:
            return Malformed(str(error))

    def key(self, value: Mapping[str, Any]) -> str:
        """Return the fields' keys in one text."""
        return to_json(["" if (at := _at(value, name)) is _ABSENT else each.key(at) for name, each in self.fields.items()])

    def written(self, value: Mapping[str, Any]) -> str:
        """Return the object as JSON on one line, its keys in the order of the class."""
        return to_json(value)

    def reference(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object that a row expects, given as an object or as its text.

        Raises:
            ValueError: a reply to that text would not satisfy the contract.
        """
        (value,) = given.values()
        try:
            found = self._read(value if isinstance(value, str) else to_json(value))
        except ValueError as error:
            raise ValueError(f"is {self.misfit}: {error}; seen {value!r:.120}") from None
        if self.parse(self.written(found)) != found:
            raise ValueError(
                f"is not read back as {self.schema.__name__} writes it, {self.written(found)}: leave serializers out of the class"
            )
        return found

    def as_reference(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the object."""
        return value

    def shown(self, expected: Mapping[str, Any]) -> str:
        """Return the object as it is written."""
        return self.written(expected)

    def completion(self, expected: Mapping[str, Any]) -> str:
        """Return the object as it is written."""
        return self.written(expected)

    def grade(self, value: Mapping[str, Any] | Malformed, expected: Mapping[str, Any]) -> Grade:
        """Return the mean score of the fields, which are the parts."""
        if isinstance(value, Malformed):
            return Grade(0.0, right=False, parts=dict.fromkeys(self.fields, 0.0))
        scores: dict[str, float] = {}
        whole = True
        for name, comparer in self.fields.items():
            ours, theirs = _at(value, name), _at(expected, name)
            absent = (ours is _ABSENT) + (theirs is _ABSENT)
            scores[name], right = (float(absent == 2), absent == 2) if absent else comparer.compare(ours, theirs)
            whole = whole and right
        return Grade(sum(scores.values()) / len(scores), whole, scores)

    def _read(self, text: str) -> dict[str, Any]:
        value = read_json(text)
        if not isinstance(value, dict):
            raise ValueError("no JSON object")  # noqa: TRY004  (of a reply, which is text)
        return checked(self.schema, value)

    def _comparers(self, given: dict[str, Comparer]) -> Iterator[tuple[str, Comparer]]:
        """Yield the comparer of each field by name, of nested classes those that are named with a dot."""
        known: list[str] = []

        def fields(schema: Mapping[str, Any], before: str) -> Iterator[tuple[str, Comparer]]:
            for key, field in schema["properties"].items():
                name = before + key
                known.append(name)
                comparer = given.pop(name, None)
                if any(other.startswith(f"{name}.") for other in given):
                    nested = [*resolved(field, self._whole)]
                    if comparer is not None or len(nested) != 1 or "properties" not in nested[0]:
                        raise TaskError(
                            f"Json: {name!r} is compared whole or by its fields; name one of both, and only fields of one class."
                        )
                    yield from fields(nested[0], f"{name}.")
                    continue
                if comparer is not None:
                    self._check(name, comparer, field)
                yield name, comparer or Exact()

        yield from fields(self._whole, "")
        if given:
            raise TaskError(f"Json(fields=…): {self.schema.__name__} has no field {min(given)!r}. It has {', '.join(known)}.")

    def _check(self, name: str, comparer: object, field: Mapping[str, Any]) -> None:
        if not isinstance(comparer, Comparer):
            raise TaskError(f"Json(fields=…): {name!r} needs a comparer, such as AsSet() or Tokens(right=0.8); seen {comparer!r}.")
        types = {each.get("type", "") for each in resolved(field, self._whole)}
        if comparer.takes and not types <= {*comparer.takes, ""}:
            raise TaskError(
                f"Json(fields=…): {comparer!r} compares {' or '.join(sorted(comparer.takes))} and {name!r} of {self.schema.__name__} is"
                f" {' or '.join(sorted(types))}. Choose another comparer."
            )


def _at(value: Mapping[str, Any], name: str) -> Any:
    found: Any = value
    for key in name.split("."):
        if not isinstance(found, dict):
            return _ABSENT
        found = found[key]
    return found
