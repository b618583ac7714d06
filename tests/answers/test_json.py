"""Json: objects of a declared shape, read strictly and compared field by field."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field, field_serializer

from pytest_distill import Json
from pytest_distill.answers import AsSet, Exact, Malformed, Near, Tokens
from pytest_distill.errors import TaskError


class Evidence(BaseModel):
    """What the evidence says."""

    answerable: bool
    answer: str | None
    cited_ids: list[str]
    confidence: float = Field(ge=0, le=1)


class Address(BaseModel):
    city: str
    code: int


class Person(BaseModel):
    name: str
    address: Address | None = None
    day: date | None = None


CONTRACT = Json(Evidence, fields={"answer": Tokens(right=0.6), "cited_ids": AsSet(), "confidence": Near(tolerance=0.1)})
GOOD = {"answerable": True, "answer": "the red fox", "cited_ids": ["e1", "e2"], "confidence": 0.9}
NESTED = Json(Person, fields={"address.city": Tokens()})


def reply(**changes):
    """Write a reply of the contract with some fields changed; those that are ... are left out."""
    return json.dumps({name: value for name, value in {**GOOD, **changes}.items() if value is not ...})


def test_a_reply_is_an_object_of_the_class():
    """What satisfies the class is a value, in the order of its fields, whatever the order in the reply."""
    shuffled = json.dumps(dict(reversed(GOOD.items())))
    assert CONTRACT.parse(f"\n {shuffled} ") == GOOD
    assert list(CONTRACT.parse(shuffled)) == list(GOOD)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" ", "empty reply"),
        ("yes", "no JSON: Expecting value at character 1"),
        (reply()[:-1], "no JSON"),
        (reply() + reply(), "no JSON: Extra data"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        (reply(answer=...), "answer: Field required"),
        (reply(more=1), "more: Extra inputs"),
        (reply(answerable=1), "answerable: "),
        (reply(answerable="true"), "answerable: "),
        (reply(answer=5), "answer: "),
        (reply(cited_ids="e1"), "cited_ids: "),
        (reply(cited_ids=[1]), "cited_ids.0: "),
        (reply(confidence="0.9"), "confidence: "),
        (reply(confidence=2), "confidence: "),
        (reply(confidence=float("nan")), "no JSON: NaN is no number"),
        (reply(confidence=float("inf")), "no JSON: Infinity is no number"),
        (reply().replace("0.9", "1e999"), "1e999 is too large"),
        (reply().replace("0.9", "1" * 5000), "is too large"),
        (reply().replace("0.9", "1" * 301), "is too large"),
        (reply().replace("0.9", "1" * 300), "confidence: "),
        (reply()[:-1] + ', "answer": "x"}', "key 'answer' stands twice in one object"),
        (reply(answer="\ud800"), "half of a surrogate pair"),
        ('{"a":' * 150 + "1" + "}" * 150, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        (f"```json\n{reply()}\n```", "no JSON"),
    ],
)
def test_anything_else_is_malformed(text, words):
    """Nothing is converted, added, repeated or left out; the reason names the field."""
    found = CONTRACT.parse(text)
    assert isinstance(found, Malformed)
    assert words in found.reason
    grade = CONTRACT.grade(found, GOOD)
    assert (grade.score, grade.right, set(grade.parts.values())) == (0.0, False, {0.0})


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", " ```JSON\n{}```\n", "{}"])
def test_a_fence_is_taken_off_where_it_is_allowed(fence):
    """With fenced=True a reply may be one code block, and need not."""
    assert Json(Evidence, fenced=True).parse(fence.replace("{}", reply())) == GOOD


def test_a_long_way_to_the_end_of_a_fence_is_read():
    """A reply that goes on in blanks is read in a moment, however long it is."""
    assert isinstance(Json(Evidence, fenced=True).parse("```json\n" + " " * 300_000 + "x"), Malformed)


@pytest.mark.parametrize("around", ["Here:\n```json\n{}\n```", "```json\n{}", "```json\n{}\n```\nDone.", "```python\n{}\n```"])
def test_other_text_around_a_fence_is_malformed(around):
    """Words beside the block are no JSON, allowed fence or not."""
    assert isinstance(Json(Evidence, fenced=True).parse(around.replace("{}", reply())), Malformed)


@pytest.mark.parametrize(
    ("changes", "parts", "right"),
    [
        ({}, (1, 1, 1, 1), True),
        ({"answer": "fox red", "cited_ids": ["e2", "e1"], "confidence": 0.8}, (1, 1, 1, 1), True),
        ({"answer": "a fox"}, (1, 2 / 3, 1, 1), True),
        ({"cited_ids": ["e1"]}, (1, 1, 2 / 3, 1), False),
        ({"answerable": False, "answer": None}, (0, 0, 1, 1), False),
    ],
)
def test_the_score_is_the_mean_of_the_fields(changes, parts, right):
    """Each field is scored by its comparer; an answer is right where each reaches its own limit."""
    grade = CONTRACT.grade(CONTRACT.parse(reply(**changes)), GOOD)
    assert list(grade.parts) == list(CONTRACT.parts) == list(GOOD)
    assert list(grade.parts.values()) == pytest.approx(parts, abs=1e-6)
    assert (grade.score, grade.right) == (pytest.approx(sum(parts) / 4, abs=1e-6), right)


def test_nested_fields_are_compared_by_themselves_where_one_is_named():
    """A dotted name opens its object: each field there is a part. An object that is null equals only another such."""
    assert NESTED.parts == ("name", "address.city", "address.code", "day")
    there = NESTED.parse('{"name": "x", "address": {"city": "New York", "code": 1}}')
    expected = NESTED.reference({"expected": {"name": "x", "address": {"city": "york NEW", "code": 2}}})
    assert NESTED.grade(there, expected).parts == {"name": 1, "address.city": 1, "address.code": 0, "day": 1}
    absent = NESTED.parse('{"name": "x"}')
    assert NESTED.grade(absent, expected).parts == {"name": 1, "address.city": 0, "address.code": 0, "day": 1}
    assert NESTED.grade(absent, absent).right
    assert NESTED.key(absent) != NESTED.key(there)
    assert Json(Person).parts == ("name", "address", "day")


def test_types_that_json_lacks_are_written_as_text():
    """A date is read from its text alone, and written back as it."""
    assert NESTED.parse('{"name": "x", "day": "2026-01-02"}') == {"name": "x", "address": None, "day": "2026-01-02"}
    assert isinstance(NESTED.parse('{"name": "x", "day": 5}'), Malformed)


def test_a_reference_is_an_object_or_its_text():
    """Both are read as strictly as a reply, and what is wrong is said."""
    assert CONTRACT.reference({"expected": GOOD}) == CONTRACT.reference({"expected": reply()}) == GOOD
    for value, words in [
        ({"answer": "x"}, "answerable: Field required"),
        ("{", "no JSON"),
        (None, "no JSON object"),
        ([GOOD], "no JSON object"),
    ]:
        with pytest.raises(ValueError, match=r"^is no JSON object of Evidence: ") as caught:
            CONTRACT.reference({"expected": value})
        assert words in str(caught.value)


def test_a_class_with_a_serializer_takes_no_reference():
    """A student would be trained on what the class itself does not read."""

    class Marked(BaseModel):
        count: int

        @field_serializer("count")
        def marked(self, count: int) -> str:
            return f"#{count}"

    with pytest.raises(ValueError, match=r'^is not read back as Marked writes it, \{"count": "#1"\}: leave serializers out'):
        Json(Marked).reference({"expected": {"count": 1}})


def test_what_is_trained_on_is_plain_json():
    """The completion has all fields in the order of the class, characters as they are, and a blank after each comma and colon."""
    expected = CONTRACT.reference({"expected": {**dict(reversed(GOOD.items())), "answer": "é"}})
    text = '{"answerable": true, "answer": "é", "cited_ids": ["e1", "e2"], "confidence": 0.9}'
    assert CONTRACT.completion(expected) == CONTRACT.written(expected) == CONTRACT.shown(expected) == text


def test_servers_get_the_schema_in_strict_form():
    """Every object is closed and all of its fields are required, nested ones too; defaults are left out."""
    schema = Json(Person).json_schema
    assert schema is not None
    for each in (schema, schema["$defs"]["Address"]):
        assert (each["additionalProperties"], each["required"]) == (False, list(each["properties"]))
    assert "default" not in json.dumps(schema)
    assert CONTRACT.describe()["schema"]["required"] == list(GOOD)


def test_what_has_no_strict_form_is_not_sent():
    """An object of any keys has no strict schema, and a fenced reply is not what such a server writes."""

    class Loose(BaseModel):
        counts: dict[str, int]
        kind: Literal["default", "other"]

    class Looser(BaseModel):
        items: list[Any]

    assert Json(Looser).json_schema is None
    assert Json(Loose).json_schema is None
    assert Json(Loose).parse('{"counts": {"b": 1, "a": 2}, "kind": "default"}') == {"counts": {"b": 1, "a": 2}, "kind": "default"}
    assert Json(Evidence, fenced=True).json_schema is None


def test_fields_may_be_called_like_keywords_of_schemas():
    """A field called default, properties or required is a field."""

    class Odd(BaseModel):
        default: str
        properties: int
        required: Literal["default"]

    schema = Json(Odd).json_schema
    assert schema is not None
    assert list(schema["properties"]) == schema["required"] == ["default", "properties", "required"]


def test_aliases_are_the_names():
    """A field with an alias is called so in replies, references and parts."""

    class Aliased(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        class_: str = Field(alias="class")

    contract = Json(Aliased, fields={"class": Tokens()})
    assert contract.parse('{"class": "x"}') == {"class": "x"}
    assert isinstance(contract.parse('{"class_": "x"}'), Malformed)
    assert contract.parts == ("class",)


class Priced(BaseModel):
    price: Decimal
    where: Address | Evidence


class Severity(StrEnum):
    LOW = "low"


class Sets(BaseModel):
    ids: set[str] | None


class Computed(BaseModel):
    a: int

    @computed_field
    @property
    def b(self) -> int:
        return self.a


class Dotted(BaseModel):
    a: int = Field(alias="a.b")


class Recursive(BaseModel):
    name: Severity
    inner: Recursive | None = None


class Empty(BaseModel):
    pass


class Callables(BaseModel):
    call: Callable[[], int]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (dict, "takes a pydantic class"),
        (Evidence(**GOOD), "takes a pydantic class"),
        ({"type": "object"}, "takes a pydantic class"),
        (RootModel[list[int]], "no object with fields"),
        (BaseModel, "takes a pydantic class"),
        (Empty, "has no fields"),
        (Sets, "a field that is a set"),
        (Computed, "other keys"),
        (Dotted, "holds a dot"),
        (Callables, "has no JSON schema"),
    ],
)
def test_a_class_that_is_not_read_back_as_written_is_refused(schema, words):
    """What is no class of objects, or has no order or no schema, is an error of the declaration."""
    with pytest.raises(TaskError, match=r"^Json") as caught:
        Json(schema)
    assert words in str(caught.value)


def test_a_class_may_hold_itself():
    """A recursive class is read and compared whole."""
    contract = Json(Recursive)
    assert contract.parse('{"name": "low", "inner": {"name": "low"}}') == {"name": "low", "inner": {"name": "low", "inner": None}}
    assert contract.json_schema is not None


@pytest.mark.parametrize(
    ("schema", "fields", "words"),
    [
        (Evidence, {"ids": AsSet()}, "has no field 'ids'. It has answerable, answer, cited_ids, confidence"),
        (Evidence, ["answer"], "is a comparer by name"),
        (Evidence, {"answer": "exact"}, "needs a comparer"),
        (Evidence, {"answer": Tokens}, "needs a comparer"),
        (Evidence, {"answer": AsSet()}, "compares array and 'answer' of Evidence is string"),
        (Evidence, {"cited_ids": Tokens()}, "compares string"),
        (Evidence, {"answerable": Near(tolerance=1)}, "compares integer or number"),
        (Evidence, {"answer.text": Exact()}, "fields of one class"),
        (Priced, {"price": Near(tolerance=1)}, "'price' of Priced is number or string"),
        (Priced, {"where.city": Tokens()}, "fields of one class"),
        (Person, {"address": Exact(), "address.city": Tokens()}, "whole or by its fields"),
        (Person, {"address.street": Tokens()}, "has no field 'address.street'"),
    ],
)
def test_wrong_comparers_are_refused(schema, fields, words):
    """An unknown field, no comparer, or one that does not fit its field is an error of the declaration."""
    with pytest.raises(TaskError) as caught:
        Json(schema, fields=fields)
    assert words in str(caught.value)


def test_fenced_is_a_switch():
    """What is neither true nor false is refused."""
    with pytest.raises(TaskError, match="fenced"):
        Json(Evidence, fenced="yes")


def test_without_pydantic_the_way_out_is_said(monkeypatch):
    """Where pydantic is missing, the declaration names the extra to install."""
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(TaskError, match=r"pip install 'pytest-distill\[json\]'"):
        Json(Evidence)


def test_the_description_holds_all_that_decides():
    """Schema, comparers and fence enter the task's digest."""
    found = CONTRACT.describe()
    assert [found[name] for name in ("kind", "fenced")] == ["json", False]
    assert found["fields"]["cited_ids"] == {"kind": "AsSet", "right": 1.0}
    assert found["fields"]["answerable"] == {"kind": "Exact"}
    assert repr(CONTRACT) == "Json(Evidence)"
    assert CONTRACT.misfit == "no JSON object of Evidence"
