"""Files of rows in the shapes that others write: what each becomes, what is refused and where the message points."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.answers import Labels
from pytest_distill.errors import TaskError
from pytest_distill.rows import SHAPES, flattened
from pytest_distill.task import Example, Task

CHAT = "{% if system %}{{ system }}\n{% endif %}{% if history %}{{ history }}\n{% endif %}{{ prompt }}"
ALPACA = "{{ instruction }}{% if input %}\n{{ input }}{% endif %}"
FLAT = "{{ question }}{% if hint %} ({{ hint }}){% endif %}"
KNOWN = frozenset({"id", "tags", "expected_label", "prompt"})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that is the current one, so that messages show short paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder, data: bytes | str, prompt=CHAT, name="train.jsonl", **changed) -> list[Example]:
    """The examples of a file of this name and content."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return Task("t", prompt, Labels("yes", "no"), path, path, 4, **changed).train_examples


def refused(folder, data, *args, **changed) -> str:
    with pytest.raises(TaskError) as caught:
        read(folder, data, *args, **changed)
    return str(caught.value)


def lines(*rows) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def turns(*texts: str, **keys: str) -> list[dict[str, str]]:
    """Messages from texts like 'user: why?'."""
    return [
        {keys.get("role", "role"): role, keys.get("content", "content"): said} for role, _, said in (text.partition(": ") for text in texts)
    ]


def parquet(rows) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    file = io.BytesIO()
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


# Shapes

SYSTEM = {"role": "system", "content": "Be terse."}
SHAPED = {
    "prompt and completion": ({"prompt": "why?", "completion": " yes\n"}, {"prompt": "why?"}, "yes"),
    "prompt and null": ({"prompt": "why?", "completion": None}, {"prompt": "why?"}, None),
    "prompt and blank": ({"prompt": "why?", "completion": " \n"}, {"prompt": "why?"}, None),
    "read as a reply is": ({"prompt": " why? ", "completion": "YES"}, {"prompt": " why? "}, "yes"),
    "prompt and completion as messages": (
        {"prompt": [SYSTEM, *turns("user: why?")], "completion": turns("assistant: yes")}, {"system": "Be terse.", "prompt": "why?"}, "yes"),
    "prompt as messages": ({"prompt": turns("user: why?"), "completion": "no"}, {"prompt": "why?"}, "no"),
    "prompt as messages, no completion": ({"prompt": turns("user: why?"), "completion": []}, {"prompt": "why?"}, None),
    "one turn": ({"messages": turns("user: why?")}, {"prompt": "why?"}, None),
    "two turns": ({"messages": turns("user: why?", "assistant: No")}, {"prompt": "why?"}, "no"),
    "many turns": (
        {"messages": [SYSTEM, *turns("user: a", "assistant: b", "user: c", "assistant: yes")]},
        {"system": "Be terse.", "history": "User: a\nAssistant: b", "prompt": "c"}, "yes"),
    "many turns, unanswered": ({"messages": turns("assistant: Hello!", "user: a", "user: b")},
                               {"history": "Assistant: Hello!\nUser: a", "prompt": "b"}, None),
    "an empty system text": ({"messages": turns("system: ", "user: why?")}, {"prompt": "why?"}, None),
    "parts of text": ({"messages": [{"role": "user", "content": [{"type": "text", "text": "wh"}, {"type": "text", "text": "y?"}]}]},
                      {"prompt": "why?"}, None),
    "nothing that is lost": (
        {"messages": [{"role": "user", "content": "why?", "name": None, "tool_calls": []}], "tools": [], "source": None},
        {"prompt": "why?"}, None),
    "ShareGPT": ({"conversations": turns("human: a", "gpt: b", "human: c", "gpt: yes ", role="from", content="value")},
                 {"history": "User: a\nAssistant: b", "prompt": "c"}, "yes"),
    "ShareGPT, system": ({"conversations": turns("system: s", "human: a", role="from", content="value")}, {"system": "s", "prompt": "a"}, None),
    "ShareGPT, system beside": (
        {"system": "s", "conversations": turns("human: a", role="from", content="value")}, {"system": "s", "prompt": "a"}, None),
    "ShareGPT, role and content": ({"conversations": turns("user: a", "assistant: yes")}, {"prompt": "a"}, "yes"),
    "role and content, the others null": (
        {"messages": [{"role": "user", "content": "a", "from": None, "value": None}]}, {"prompt": "a"}, None),
    "the prompt beside": ({"prompt": "a", "messages": turns("user: a", "assistant: yes")}, {"prompt": "a"}, "yes"),
}  # fmt: skip


@pytest.mark.parametrize(("row", "fields", "expected"), SHAPED.values(), ids=SHAPED)
def test_a_shape_becomes_fields_and_a_reference(folder, row, fields, expected):
    """Prompt and completion, messages and ShareGPT give the fields system, history and prompt, as far as they are there, and a reference."""
    assert read(folder, lines(row)) == [Example("train-1", fields, expected, (), 1)]


@pytest.mark.parametrize(
    ("row", "fields", "expected"),
    [
        ({"instruction": "a", "input": "b", "output": "yes"}, {"instruction": "a", "input": "b"}, "yes"),
        ({"instruction": "a", "input": "", "output": "Yes"}, {"instruction": "a"}, "yes"),
        ({"instruction": "a", "input": None, "output": ""}, {"instruction": "a"}, None),
        ({"instruction": "a", "output": None}, {"instruction": "a"}, None),
    ],
)
def test_alpaca_becomes_fields_and_a_reference(folder, row, fields, expected):
    """Alpaca gives the fields instruction and input; an empty input or output is none."""
    assert read(folder, lines(row), ALPACA) == [Example("train-1", fields, expected, (), 1)]


@pytest.mark.parametrize("given", [{"id": "own", "tags": ["x"]}, {"id": 7, "tags": []}, {"id": None}, {"id": ""}])
def test_id_and_tags_of_a_shaped_row_are_its_own(folder, given):
    """An id and tags beside a shape's keys are kept, a whole number as text; an empty id is none."""
    (example,) = read(folder, b"\n" + lines({"prompt": "why?", "completion": "yes", **given}))
    assert (example.id, example.tags, example.line) == (str(given["id"] or "train-1"), tuple(given.get("tags", ())), 2)


def test_other_fields_of_the_prompt_may_stand_beside_a_shape(folder):
    """A field that the prompt uses is read from a row of any shape."""
    (example,) = read(folder, lines({"prompt": "why?", "completion": "yes", "hint": "so"}), "{{ prompt }}{{ hint }}")
    assert example.fields == {"prompt": "why?", "hint": "so"}


def test_each_row_is_read_by_itself(folder):
    """One file may mix shapes, and a flat row keeps its own id."""
    flat = {"id": "own", "prompt": "c", "expected_label": "yes"}
    mixed = read(folder, lines({"messages": turns("user: a")}, {"prompt": "b", "completion": "no"}, flat))
    assert [(example.id, example.fields["prompt"], example.expected) for example in mixed] == [
        ("train-1", "a", None), ("train-2", "b", "no"), ("own", "c", "yes")]  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "row"),
    [
        (ALPACA, {"id": "a", "instruction": "x", "input": "y", "expected_label": "yes"}),
        (ALPACA, {"id": "a", "instruction": "x", "input": ""}),
        ("{{ instruction }}{{ output }}", {"id": "a", "instruction": "x", "output": "y"}),
        ("{{ prompt }}{{ completion }}", {"id": "a", "prompt": "x", "completion": "y", "expected_label": "no"}),
        ("{{ messages }}", {"id": "a", "messages": "x"}),
        ("{{ conversations }}", {"id": "a", "conversations": "x"}),
        ("{{ prompt }}", {"id": "a", "prompt": "x"}),
    ],
)
def test_a_flat_row_may_use_the_names_of_other_shapes(folder, prompt, row):
    """A row with the contract's reference is flat, and so is one whose would-be answer the prompt uses as a field."""
    (example,) = read(folder, lines(row), prompt)
    assert example.id == "a"
    assert example.expected == row.get("expected_label")
    assert example.fields == {name: value for name, value in row.items() if name not in {"id", "expected_label"}}


def test_a_shape_left_out_by_extra_is_no_shape(folder):
    """A row with two shapes is read as the one that Task(extra=…) does not name."""
    row = {"prompt": "why?", "completion": "yes", "messages": turns("user: other")}
    (example,) = read(folder, lines(row), extra=("messages",))
    assert (example.fields, example.expected) == ({"prompt": "why?"}, "yes")


@pytest.mark.parametrize(
    ("row", "prompt", "name", "shape"),
    [
        ({"messages": [SYSTEM, *turns("user: why?")]}, "{{ prompt }}", "system", "messages"),
        ({"messages": turns("user: a", "assistant: b", "user: c")}, "{{ prompt }}", "history", "messages"),
        ({"conversations": turns("user: a"), "source": "x"}, CHAT, "source", "ShareGPT"),
        ({"instruction": "a", "input": "b", "output": "yes"}, "{{ instruction }}", "input", "Alpaca"),
        ({"prompt": "why?", "completion": "yes"}, FLAT, "prompt", "prompt-completion"),
        ({"prompt": "why?", "completion": "yes", "score": 0}, CHAT, "score", "prompt-completion"),
    ],
)
def test_nothing_of_a_row_is_lost_unsaid(folder, row, prompt, name, shape):
    """A part of a row that the prompt does not use is refused with the way to use it, and left out where extra names it."""
    assert refused(folder, lines(row), prompt) == (
        f"train.jsonl:1: '{name}' of the {shape} row would be lost: the prompt of task 't' does not use it. Write {{{{ {name} }}}} in the"
        f" prompt, or leave it out with Task(extra=('{name}',))."
    )
    if prompt != FLAT:
        (example,) = read(folder, lines(row), prompt, extra=(name,))
        assert name not in example.fields


def test_a_key_that_no_prompt_can_use_is_left_out(folder):
    """A key that is no name in a template has one way out."""
    assert refused(folder, lines({"prompt": "why?", "completion": "yes", "a b": 1})).endswith(
        "does not use it. Leave it out with Task(extra=('a b',))."
    )


ONE = turns("user: why?", "assistant: yes")
BAD_ROWS = {
    "wrong reference": ({"prompt": "why?", "completion": "maybe"}, 'the reference of the prompt-completion row, "maybe", is none of yes, no.'
                        " Correct the row or add the value to the answer contract."),
    "long reference": ({"prompt": "why?", "completion": "yes " * 99}, 'the reference of the prompt-completion row, "yes yes'),
    "wrong last turn": ({"messages": turns("user: why?", "assistant: It is so.")}, 'the reference of the messages row, "It is so.", is'),
    "completion no text": ({"prompt": "why?", "completion": 0}, "'completion' must be text; seen 0. Write null where there is no reference."),
    "completion alone as messages": ({"prompt": "why?", "completion": turns("assistant: yes")}, "'completion' must be text; seen [{"),
    "completion by the user": ({"prompt": turns("user: a"), "completion": turns("user: b")}, "'completion' must be one turn of the assistant"),
    "completion of two turns": ({"prompt": turns("user: a"), "completion": ONE}, "'completion' must be one turn of the assistant; seen [{"),
    "completion no turn": ({"prompt": turns("user: a"), "completion": ["yes"]}, "turn 1 of 'completion' is no object; seen \"yes\"."),
    "completion 0 for messages": ({"prompt": turns("user: a"), "completion": 0}, "'completion' must be text; seen 0."),
    "prompt ends in an answer": ({"prompt": ONE, "completion": "yes"}, "'prompt' must end in a turn of the user. Move the assistant's to"),
    "prompt missing": ({"prompt": None, "completion": "yes"}, "the row lacks 'prompt'. Where rows may lack it, test it in the prompt: {% if"
                                                              " prompt %}"),
    "two references": ({"id": "a", "prompt": "b", "completion": "yes", "expected_label": "no"}, "unknown field 'completion'. Known are"),
    "completion alone": ({"id": "a", "completion": "yes"}, "unknown field 'completion'. Known are"),
    "messages no list": ({"messages": "why?"}, 'a conversation is a list of turns; seen "why?".'),
    "messages null": ({"messages": None}, "a conversation is a list of turns; seen null."),
    "messages empty": ({"messages": []}, "a conversation is a list of turns; seen []."),
    "turn no object": ({"messages": [["user", "why?"]]}, 'turn 1 is no object; seen ["user", "why?"].'),
    "tool turn": ({"messages": [*ONE, {"role": "tool", "content": "4"}]}, "turn 3: 'role' must be one of system, developer, user, human, assistant, gpt;"
                                                                          ' seen "tool". Leave out rows with other turns.'),
    "role missing": ({"messages": [{"content": "why?"}]}, "turn 1: 'role' must be one of system, developer, user, human, assistant, gpt; seen null."),
    "role no text": ({"conversations": [{"from": ["human"], "value": "a"}]}, "turn 1: 'from' must be one of system, developer, user, human, assistant, gpt"),
    "content missing": ({"messages": [{"role": "user"}]}, "turn 1: 'content' must be text or parts of text; seen null."),
    "content of the other kind": ({"conversations": [{"from": "human", "content": "a"}]}, "turn 1: 'content' would be lost"),
    "picture": ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
                "turn 1: 'content' must be text or parts of text; seen [{\"type\": \"image_url\""),
    "part without text": ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "turn 1: 'content' must be text or parts of text"),
    "part with more": ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}]}, "turn 1: 'content' must be"),
    "part no object": ({"messages": [{"role": "user", "content": ["a"]}]}, "turn 1: 'content' must be text or parts of text; seen [\"a\"]."),
    "tool call": ({"messages": [*turns("user: a"), {"role": "assistant", "content": "", "tool_calls": [{"id": "x"}]}]},
                  "turn 2: 'tool_calls' would be lost: a turn is 'role' and 'content' alone. Remove it."),
    "weight": ({"messages": [{"role": "user", "content": "a", "weight": 0}]}, "turn 1: 'weight' would be lost"),
    "two system texts": ({"messages": [SYSTEM, SYSTEM, *ONE]}, "a system text may stand once, as the first turn. Join the texts there."),
    "late system text": ({"messages": [*ONE, SYSTEM]}, "a system text may stand once, as the first turn."),
    "no user": ({"messages": turns("assistant: yes")}, "the last turn, or the one before the assistant's answer, must be the user's."),
    "system alone": ({"messages": [SYSTEM]}, "the last turn, or the one before the assistant's answer, must be the user's."),
    "two answers": ({"messages": [*ONE, *turns("assistant: no")]}, "the last turn, or the one before the assistant's answer, must be"),
    "two system texts, one beside": ({"system": "x", "messages": [SYSTEM, *ONE]}, "'system' of the row contradicts 'system' of its turns."),
    "another prompt beside": ({"prompt": "x", "messages": ONE}, "'prompt' of the row contradicts 'prompt' of its turns. Keep one of the two."),
    "empty last turn": ({"messages": turns("user: ")}, "the row lacks 'prompt'."),
    "id no text": ({"id": [7], "messages": ONE}, "field 'id' must be a string; seen [7]."),
    "id a truth value": ({"id": True, "messages": ONE}, "field 'id' must be a string; seen true."),
    "id twice": ({"id": "first", "messages": ONE}, "id 'first' stands already at line 1. Give each row its own."),
    "tags no list": ({"tags": "x", "messages": ONE}, "'tags' must be a list of strings; seen \"x\"."),
    "half a pair": ({"messages": turns("user: \ud800")}, "field 'prompt' holds half of a surrogate pair"),
    "half a pair in the history": ({"messages": turns("user: \ud800", "assistant: a", "user: b")}, "field 'history' holds half of a"),
    "half a pair in the reference": ({"messages": turns("user: a", "assistant: \udfff")}, 'the reference of the messages row, "\\udfff", is'),
    "flat without id": ({"prompt": "why?", "expected_label": "yes"}, "the row lacks 'id'."),
    "flat with a null": ({"id": "a", "prompt": None}, "field 'prompt' must be text or another JSON value but null; seen null."),
    "flat to the letter": ({"id": "a", "prompt": "why?", "expected_label": "Yes"}, "expected_label 'Yes' is none of yes, no."),
}  # fmt: skip


@pytest.mark.parametrize(("row", "words"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_shape_is_named_by_file_and_line(folder, row, words):
    """Every way in which a row of any shape can be wrong is a TaskError that begins with file:line and says what was seen."""
    message = refused(folder, lines({"id": "first", "prompt": "a", "completion": "yes"}, row))
    assert message.startswith(f"train.jsonl:2: {words}")
    assert len(message) < 400


def test_a_made_id_is_an_id_like_any_other(folder):
    """An id made for a row may not be another row's own."""
    own = {"id": "train-2", "prompt": "a", "completion": "yes"}
    assert refused(folder, lines(own, {"prompt": "b", "completion": "no"})) == (
        "train.jsonl:2: id 'train-2' stands already at line 1. Give each row its own."
    )


def test_a_required_field_that_a_shape_lacks_is_named_with_the_way_out(folder):
    """Where some rows have a system text and some have none, the message says how a prompt allows for it."""
    assert refused(folder, lines({"messages": ONE}), "{{ system }}{{ prompt }}") == (
        "train.jsonl:1: the row lacks 'system'. Where rows may lack it, test it in the prompt: {% if system %}…{% endif %}."
    )


# Files


def sheet(*rows: str, end: str = "\n") -> str:
    return "".join(row + end for row in rows)


def test_an_array_is_read_like_lines(folder):
    """A file that holds one JSON array, as Alpaca and ShareGPT come, gives its objects with the lines on which they begin."""
    rows = [{"instruction": str(n), "input": "", "output": "yes"} for n in range(3)]
    for data, where in (
        (json.dumps(rows, indent=2), (2, 7, 12)),
        ("\ufeff\n [\r\n" + json.dumps(rows)[1:-1] + "\n\n]\n", (3, 3, 3)),
        (json.dumps(rows, indent=2).replace("},", "}\n\n,"), (2, 9, 16)),
    ):
        assert read(folder, data, ALPACA) == [
            Example(f"train-{n + 1}", {"instruction": str(n)}, "yes", (), line) for n, line in enumerate(where)
        ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("[]", "task 't': train.json holds no rows. Add train examples, one JSON object a line."),
        ('[\n{"prompt": "a", "completion": "yes"},\n\n{"prompt": ]', "train.json:4:12: the row is not JSON: Expecting value."),
        ('[\n{"prompt": "a",\n"completion": yes}]', "train.json:3:15: the row is not JSON: Expecting value."),
        ('[\n{"prompt": "a", "completion": NaN}]', "train.json:2: no JSON: NaN is no number."),
        ('[\n{"prompt": "a", "prompt": "b"}]', "train.json:2: key 'prompt' stands twice in one object."),
        ("[\n7]", "train.json:2: the row is no JSON object; seen 7."),
        ('[\n{"prompt": "a", "completion": "yes"}\n', "train.json:3: the array of rows does not end in ']' here; seen \"\"."),
        ('[{"prompt": "a", "completion": "yes"} {}]', "train.json:1: the array of rows does not end in ']' here; seen \"{}]\"."),
        ('[{"prompt": "a", "completion": "yes"}] {}', "train.json:1: the array of rows does not end in ']' here; seen \"] {}\"."),
        ('[{"id": "x", "prompt": "a", "completion": "yes"},\n{"id": "x", "prompt": "b", "completion": "no"}]',
         "train.json:2: id 'x' stands already at line 1."),
        (b'[\n{"prompt": "\xe9"}]', "train.json:2:13: the row is not UTF-8."),
        ("[" * 100_000, "train.json:1: the row is nested too deeply"),
    ],
)  # fmt: skip
def test_a_bad_array_is_named_by_file_and_line(folder, data, words):
    """What is wrong inside an array is named by the line where it stands."""
    assert refused(folder, data, name="train.json").startswith(words)


def test_a_table_gives_the_same_examples_as_lines(folder):
    """The same rows as JSON lines, an array, CSV and Parquet give the same examples but for the line."""
    rows = [
        {"id": "a", "question": 'why,\r\n "so"?', "hint": "h", "expected_label": "yes", "tags": ["x", "y z"]},
        {"id": "b", "question": "01"},
        {"id": "c", "question": "NA", "expected_label": "no"},
    ]  # fmt: skip
    names = ["id", "question", "hint", "expected_label", "tags"]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, names)
    writer.writeheader()
    writer.writerows([row | {"tags": "; ".join(row.get("tags", []))} for row in rows])
    plain = [example.content() for example in read(folder, lines(*rows), FLAT)]
    assert [example.content() for example in read(folder, json.dumps(rows), FLAT)] == plain
    for bom in ("", "\ufeff"):
        assert [example.content() for example in read(folder, bom + table.getvalue(), FLAT, "train.CSV")] == plain
    assert [example.content() for example in read(folder, parquet(rows), FLAT, "train.parquet")] == plain


def test_a_table_has_shapes_too(folder):
    """Columns of a CSV or Parquet file are recognised by their names; an empty cell is an absent field."""
    assert read(folder, "prompt,completion,tags\nwhy?,YES,x;y;\nwho?,,\n", name="a.csv") == [
        Example("a-1", {"prompt": "why?"}, "yes", ("x", "y"), 2), Example("a-2", {"prompt": "who?"}, None, (), 3)]  # fmt: skip
    assert read(folder, "instruction,input,output\na,,no\n", ALPACA, "a.csv") == [Example("a-1", {"instruction": "a"}, "no", (), 2)]
    rows = [{"messages": [{**turn, "name": None} for turn in ONE], "id": 7, "tags": None}, {"messages": turns("user: b"), "tags": ["x"]}]
    assert read(folder, parquet(rows), name="a.parquet") == [
        Example("7", {"prompt": "why?"}, "yes", (), 1), Example("a-2", {"prompt": "b"}, None, ("x",), 2)]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_csv_row_stands_where_it_begins(folder, end):
    """Rows of a CSV file carry the line on which they begin, whatever ends lines and however many a cell spans; empty ones are passed over."""
    data = sheet("", "question,hint", "", '"a', 'b",', "c,", ",", "  ,d", end=end)
    assert [(example.id, example.line, example.fields) for example in read(folder, data, FLAT, "train.csv")] == [
        ("train-1", 4, {"question": f"a{end}b"}), ("train-2", 6, {"question": "c"}), ("train-3", 8, {"question": "  ", "hint": "d"})]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "task 't': train.csv holds no rows. Add train examples, one a row."),
        ("question,hint\n,\n", "task 't': train.csv holds no rows."),
        ("why?,yes\nwho?,no\n", "train.csv:1: none of the columns 'why?', 'yes' is a field of this task. Known are expected, expected_label, hint, id,"
                                " question, tags. The first line of a CSV file names its columns, with commas between them."),
        ("id;question\na;b\n", "train.csv:1: none of the columns 'id;question' is a field"),
        (",question\n0,a\n", "train.csv:1: column 1 has no name. Rename or remove it."),
        ("question,question\na,b\n", "train.csv:1: column 2 has the name 'question' of another. Rename or remove it."),
        ("question,hint\na\n", "train.csv:2: the row has 1 cells and the header 2. Quote cells that hold a comma."),
        ("question,hint\na,b\nc,d,e\n", "train.csv:3: the row has 3 cells and the header 2."),
        ('question\na\n"b\nc\n', "train.csv:3: the row is not CSV: unexpected end of data."),
        ('question\na\n"b"c\n', "train.csv:3: the row is not CSV: ',' expected after '\"'."),
        ("question,hnt\na,b\n", "train.csv:2: unknown field 'hnt'. Known are expected, expected_label, hint, id, question, tags. Did you mean 'hint'?"),
        ("question,hint\n,b\n", "train.csv:2: the row lacks 'question'."),
        ("question,expected_label\na,Yes\n", "train.csv:2: expected_label 'Yes' is none of yes, no."),
        ("id,question\na,b\n\na,c\n", "train.csv:4: id 'a' stands already at line 2."),
        (b"question\na\n\xe9b\n", "train.csv:3:1: the row is not UTF-8. Save the file as UTF-8."),
        ("question\na\n".encode("utf-16"), "train.csv:1:1: the row is not UTF-8."),
        ("prompt,completion\na,yes\n", "train.csv:2: 'prompt' of the prompt-completion row would be lost"),
        ("messages\nwhy?\n", 'train.csv:2: a conversation is a list of turns; seen "why?".'),
    ],
)  # fmt: skip
def test_a_bad_csv_file_is_named_by_line(folder, data, words):
    """What is wrong with a CSV file or a row of it is named by file and line."""
    assert refused(folder, data, FLAT, "train.csv").startswith(words)


def test_a_long_cell_is_read_and_the_limit_of_the_process_stays(folder):
    """A cell beyond the module's usual limit is read whole; the limit, which belongs to the process, is as before, also after an error."""
    limit = csv.field_size_limit()
    (example,) = read(folder, "question\n" + "x" * (limit + 1) + "\n", FLAT, "train.csv")
    assert len(example.fields["question"]) == limit + 1
    refused(folder, 'question\n"', FLAT, "train.csv")
    assert csv.field_size_limit() == limit


def test_a_bad_parquet_row_is_named_by_its_number(folder):
    """A row of a Parquet file that cannot be a row of the task is named by file and number, whatever its columns' types."""
    good = {"question": "a"}
    for row, words in (
        ({"question": None}, "the row lacks 'question'."),
        ({"question": "c", "source": 1.5}, "unknown field 'source'."),
        ({"question": "c", "id": True}, "field 'id' must be a string; seen true."),
        ({"question": "c", "expected_label": "Yes"}, "expected_label 'Yes' is none of yes, no."),
        ({"question": "c", "tags": [None]}, "'tags' must be a list of strings; seen [null]."),
    ):
        columns = dict.fromkeys(row)
        assert refused(folder, parquet([columns | good, row]), FLAT, "train.parquet").startswith(f"train.parquet:2: {words}")
    for value in (float("nan"), b"c", date(2024, 5, 1)):
        message = refused(folder, parquet([{"question": value}]), FLAT, "train.parquet")
        assert message.startswith("train.parquet:1: field 'question' must be text or another JSON value but null; seen ")


def test_a_damaged_parquet_file_is_named(folder):
    """A file that is not Parquet, a torn one, doubled columns and bytes that are not UTF-8 are each a TaskError with file and row."""
    pyarrow = pytest.importorskip("pyarrow")
    whole = parquet([{"question": "a"}] * 5)
    for data in (b"", b"x", whole[:-9], b"\0" * len(whole)):
        assert refused(folder, data, FLAT, "train.parquet").startswith(
            "train.parquet:1: the file cannot be read as Parquet from this row on: "
        )
    text = pyarrow.array([b"a", b"\xe9"]).view(pyarrow.utf8())
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table([text], names=["question"]), file)
    assert refused(folder, file.getvalue(), FLAT, "train.parquet").startswith("train.parquet:2: the file cannot be read")
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table([["a"], ["b"]], names=["question", "question"]), file)
    assert refused(folder, file.getvalue(), FLAT, "train.parquet").startswith(
        "train.parquet:1: column 2 has the name 'question' of another"
    )


def test_parquet_without_its_library_says_what_to_install(folder, monkeypatch):
    """Where pyarrow is not installed, the message names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert refused(folder, b"x", FLAT, "train.parquet") == (
        "train.parquet:1: reading Parquet needs pyarrow, which is not installed. Run pip install 'pytest-distill[train]'."
    )


def test_held_out_rows_are_read_the_same_way(folder):
    """Held-out files may have every shape and format, with labels beside them by the rows' ids."""
    (folder / "held.csv").write_text("prompt,completion\nwhy?,\nwho?,no\n")
    (folder / "held.labels.jsonl").write_bytes(lines({"id": "held-1", "expected_label": "yes"}))
    task = Task("t", CHAT, Labels("yes", "no"), folder / "none", folder / "held.csv", 4)
    assert [(example.id, example.expected) for example in task.heldout_examples] == [("held-1", "yes"), ("held-2", "no")]


# Any rows

VALUE = st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=2), max_leaves=3)
TEXTS = st.sampled_from(["yes", " NO", "a", "b\nc", ""])
CONTENT = TEXTS | TEXTS | VALUE | st.just("\ud800") | st.just([{"type": "text", "text": "a"}])
ROLE = st.sampled_from(["user", "human", "assistant", "gpt"]) | st.sampled_from(["system", "tool", None])
TURN = st.fixed_dictionaries({"role": ROLE, "content": TEXTS | CONTENT}) | st.fixed_dictionaries({"from": ROLE, "value": CONTENT})
TALK = st.lists(TURN, min_size=1, max_size=2) | st.lists(TURN | VALUE, max_size=4)
EXTRA = {"id": CONTENT, "tags": VALUE | st.just(["x"]), "system": CONTENT, "expected_label": CONTENT, "input": CONTENT, "zzz": VALUE}
BESIDE = st.one_of(st.just({}), *(st.fixed_dictionaries({name: value}) for name, value in EXTRA.items()))
SHAPE = st.one_of(
    st.fixed_dictionaries(dict.fromkeys(keys, TALK | CONTENT if {"messages", "conversations", "prompt"} & {*keys} else CONTENT))
    for keys in (*SHAPES.values(), ("prompt",), ("instruction",))
)
ANY_ROW = st.builds(lambda row, beside: row | beside, SHAPE, BESIDE)


def outcome(path, data: bytes, prompt: str) -> list[Example] | None:
    """The examples of a file, None where it is refused as it should be."""
    path.write_bytes(data)
    try:
        return Task("t", prompt, Labels("yes", "no"), path, path, 4).train_examples
    except TaskError as error:
        assert re.match(rf"{re.escape(path.as_posix())}:\d+(:\d+)?: ", str(error)) or "holds no rows" in str(error)
        str(error).encode()
        return None


@given(st.lists(ANY_ROW, min_size=1, max_size=3), st.sampled_from([CHAT, ALPACA]))
@settings(max_examples=300, deadline=None)
def test_any_row_in_any_shape_is_an_example_or_a_task_error(tmp_path_factory, rows, prompt):
    """Whatever a row of any shape holds, reading gives examples or a TaskError with file and line; an array tells the same as lines."""
    folder = tmp_path_factory.getbasetemp()
    alone, array = (outcome(folder / "any.jsonl", data, prompt) for data in (lines(*rows), json.dumps(rows, indent=1).encode()))
    assert (alone is None) == (array is None)
    for example in alone or []:
        assert example.expected in {"yes", "no", None}
        assert example.id
        assert all(value.encode() is not None for value in example.texts.values())


@given(st.text(",\"'\n\r;ab\x00", max_size=60) | st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_csv_gives_examples_or_a_task_error(tmp_path_factory, data):
    """Whatever a CSV file holds, reading gives examples or a TaskError with file and line."""
    data = data if isinstance(data, bytes) else data.encode()
    folder = tmp_path_factory.getbasetemp()
    for content in (data, b"question,hint\n" + data):
        outcome(folder / "any.csv", content, FLAT)


@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]))] * 2).filter(lambda cells: cells[0]), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_what_a_csv_writer_writes_is_read_to_the_letter(tmp_path_factory, rows):
    """Every text survives a CSV file: no blank, quote, line end or number is changed."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("question", "hint"), *rows])
    examples = outcome(tmp_path_factory.getbasetemp() / "whole.csv", file.getvalue().encode(), FLAT)
    assert [(example.fields["question"], example.fields.get("hint", "")) for example in examples] == rows


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    st.none() | TEXT,
    st.lists(st.tuples(TEXT, TEXT), max_size=3),
    TEXT,
    st.sampled_from(["yes", "no", None]),
    st.sampled_from(["messages", "conversations", "prompt"]),
)
@settings(max_examples=150, deadline=None)
def test_a_conversation_is_read_to_the_letter(system, before, prompt, answer, key):
    """Each text of a conversation reaches its field unchanged, in each of the shapes that hold one."""
    role, content, user, assistant = (
        ("from", "value", "human", "gpt") if key == "conversations" else ("role", "content", "user", "assistant")
    )
    spoken = [("system", system)] if system else []
    spoken += [turn for asked, said in before for turn in ((user, asked), (assistant, said))]
    asked = [{role: who, content: text} for who, text in [*spoken, (user, prompt)]]
    said = [{role: assistant, content: answer}] if answer else []
    row = {"prompt": asked, "completion": said} if key == "prompt" else {key: asked + said}
    shape, values = flattened(row, "here:1", ["expected_label"], KNOWN)
    assert shape == {"messages": "messages", "conversations": "ShareGPT", "prompt": "prompt-completion"}[key]
    history = "\n".join(f"User: {one}\nAssistant: {other}" for one, other in before)
    made = {"system": system or "", "history": history, "prompt": prompt, "expected_label": answer or ""}
    assert {name: value for name, value in values.items() if value} == {name: value for name, value in made.items() if value}
