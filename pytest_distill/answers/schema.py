"""Schemas: pydantic classes as contracts use them, and JSON schemas as servers take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_distill.answers.plain import to_json
from pytest_distill.errors import TaskError

if TYPE_CHECKING:
    from pydantic import BaseModel

# What a schema may say that a server's strict mode does not take.
_LEFT_OUT = ("default", "discriminator", "uniqueItems")


def object_schema(of: str, schema: object) -> dict[str, Any]:
    """Return the JSON schema of a pydantic class whose objects are read back as they are written; `of` names the contract.

    Raises:
        TaskError: it is no such class, or pydantic is not installed.
    """
    try:
        from pydantic import BaseModel
        from pydantic.errors import PydanticUserError
    except ImportError:
        raise TaskError(f"{of} needs pydantic, which is not installed. Run pip install 'pytest-distill[json]'.") from None
    if not isinstance(schema, type) or not issubclass(schema, BaseModel) or schema is BaseModel:
        raise TaskError(f"{of} takes a pydantic class, such as class Reply(BaseModel): ...; seen {schema!r}.")
    name = schema.__name__
    try:
        whole, written = (_from_root(schema.model_json_schema(mode=mode)) for mode in ("validation", "serialization"))
    except PydanticUserError as error:
        raise TaskError(f"{of}: {name} has no JSON schema: {str(error).splitlines()[0]}") from None
    objects = [whole, *whole.get("$defs", {}).values()]
    if whole.get("type") != "object":
        raise TaskError(f"{of}: {name} is no object with fields. Make what it holds a field of a class.")
    for one, other in zip(objects, [written, *written.get("$defs", {}).values()], strict=False):
        if [*one.get("properties", ())] != [*other.get("properties", ())]:
            raise TaskError(
                f"{of}: {name} is written with other keys than it is read with. Use one alias for both, and no computed fields."
            )
    if dotted := [key for each in objects for key in each.get("properties", ()) if "." in key]:
        raise TaskError(f"{of}: the key {dotted[0]!r} of {name} holds a dot, which parts the names of nested fields. Choose another alias.")
    if '"uniqueItems": true' in to_json(whole):
        raise TaskError(
            f"{of}: {name} has a field that is a set, which has no order to be written in. Make it a list and compare it AsSet()."
        )
    return whole


def _from_root(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with that of the class itself at its root, where pydantic leaves a reference for a class that holds itself."""
    if "$ref" not in schema:
        return schema
    return {**schema["$defs"][schema["$ref"].rpartition("/")[2]], "$defs": schema["$defs"]}


def checked(schema: type[BaseModel], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return `value` as the class has it, all its fields in their order, as plain JSON values.

    Raises:
        ValueError: it does not satisfy the class to the letter; the text names the first field that is wrong.
    """
    from pydantic import ValidationError

    try:
        found = schema.model_validate_json(to_json(value), strict=True, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None
    return found.model_dump(mode="json", by_alias=True)


def json_checker(what: str, schema: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what checks arguments by a JSON schema, in which keys that it does not name are refused unless it allows them.

    Args:
        what: names the schema in messages.
        schema: of an object, complete in itself.

    Raises:
        TaskError: it is none, or jsonschema is not installed. What is returned raises ValueError with the first thing that is wrong.
    """
    try:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for
    except ImportError:
        raise TaskError(
            f"{what}: checking them needs jsonschema, which is not installed. Run pip install 'pytest-distill[json]'."
        ) from None
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        raise TaskError(f'{what} are a JSON schema with "type": "object"; seen {schema!r:.80}.')
    closed = {"additionalProperties": False, **schema}
    kind = validator_for(closed)
    try:
        kind.check_schema(closed)
        for each in _objects(closed):
            if isinstance(each.get("$ref"), str):
                _refuse_dangling(closed, each["$ref"])
    except SchemaError as error:
        raise TaskError(f"{what} are no JSON schema: {error.message}") from None
    except LookupError as error:
        raise TaskError(f"{what}: the reference {error} leads nowhere inside the schema. Write out what it names.") from None
    validator = kind(closed)

    def check(arguments: Mapping[str, Any]) -> dict[str, Any]:
        first = next(validator.iter_errors(arguments), None)
        if first is not None:
            raise ValueError(f"{first.json_path.removeprefix('$').removeprefix('.') or 'arguments'}: {first.message:.100}")
        return dict(arguments)

    return check


def _objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, Mapping):
        yield schema
    inner = schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ()
    for each in inner:
        yield from _objects(each)


def _refuse_dangling(schema: Any, reference: str) -> None:
    if not reference.startswith("#"):
        raise LookupError(reference)
    at = schema
    for step in reference[1:].split("/")[1:]:
        if not isinstance(at, Mapping) or step not in at:
            raise LookupError(reference)
        at = at[step]


def resolved(field: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas that a field may satisfy, without null, each with what its reference names."""
    if "$ref" in field:
        yield from resolved(whole["$defs"][field["$ref"].rpartition("/")[2]], whole)
    elif choices := [*field.get("anyOf", ()), *field.get("oneOf", ()), *field.get("allOf", ())]:
        for choice in choices:
            yield from resolved(choice, whole)
    elif field.get("type") != "null":
        yield field


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema in the form that servers hold replies to: every object closed, and all of its keys required.

    None where an object may have any keys, or a field any value: there is no such form for them.
    """
    try:
        return _strict(schema)
    except LookupError:
        return None


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema and "$defs" not in schema:
        return {"$ref": schema["$ref"]}
    if not schema.keys() & {"type", "anyOf", "oneOf", "enum", "const"} or (schema.get("type") == "object" and "properties" not in schema):
        raise LookupError
    found = {name: value for name, value in schema.items() if name not in _LEFT_OUT}
    if "oneOf" in found:
        found["anyOf"] = found.pop("oneOf")
    if "anyOf" in found:
        found["anyOf"] = [_strict(choice) for choice in found["anyOf"]]
    if schema.get("type") == "array":
        found["items"] = _strict(schema.get("items", {}))
    for name in {"properties", "$defs"} & found.keys():
        found[name] = {key: _strict(each) for key, each in found[name].items()}
    if "properties" in found:
        found |= {"additionalProperties": False, "required": [*found["properties"]]}
    return found
