"""Task declarations and rows: what is read, what is refused and where the message points, what the digests cover."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.answers import Labels
from pytest_distill.errors import TaskError
from pytest_distill.task import Example, Task, shown_path

PROMPT = "Q: {{ question }}{% if hint %} ({{ hint }}){% endif %}"
GOOD = {"id": "a", "question": "why?", "expected_label": "yes"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that is the current one, so that messages show short paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder, heldout: bytes | None = None, train: bytes | None = None, **changed) -> Task:
    good = json.dumps(GOOD).encode()
    (folder / "heldout.jsonl").write_bytes(good if heldout is None else heldout)
    (folder / "train.jsonl").write_bytes(good if train is None else train)
    values = {"name": "t", "prompt": PROMPT, "answer": Labels("yes", "no"), "max_tokens": 4, **changed}
    return Task(train=folder / "train.jsonl", heldout=folder / "heldout.jsonl", **values)


def row(**changed) -> bytes:
    return json.dumps({**GOOD, **changed}).encode()


def without(*names: str) -> bytes:
    return json.dumps({name: value for name, value in GOOD.items() if name not in names}).encode()


# Reading


def test_rows_become_examples(folder):
    """A row's id, prompt fields, reference, tags and line are read; blank lines, a BOM and CRLF make no difference."""
    data = b"\xef\xbb\xbf" + row(tags=["x"]) + b"\r\n\r\n  \n" + row(id="b", hint="so") + b"\r\n"
    assert make(folder, data).heldout_examples == [
        Example("a", {"question": "why?"}, "yes", ("x",), 1),
        Example("b", {"question": "why?", "hint": "so"}, "yes", (), 4),
    ]


def test_fields_that_are_no_text_are_shown_as_json(folder):
    """A list, an object, a number or a truth value of a row stays what it is for the prompt's template, and is shown as JSON by itself."""
    prompt = "{{ slots }}, {{ slots | join(' and ') }}: {{ item.name }} {{ item.size }} {{ many }} {{ open }}{% if hint %}!{% endif %}"
    given = {"id": "a", "slots": ["date", "größe"], "item": {"name": "x", "size": None}, "many": 2, "open": True, "hint": []}
    task = make(folder, json.dumps(given).encode(), prompt=prompt)
    (example,) = task.heldout_examples
    assert task.render(example) == '["date", "größe"], date and größe: x null 2 true'
    assert example.texts == {"slots": '["date", "größe"]', "item": '{"name": "x", "size": null}', "many": "2", "open": "true", "hint": ""}


def test_an_optional_field_is_empty_where_it_is_missing(folder):
    """A field that the prompt tests with `if` may be missing and is then an empty string; plain text is not escaped."""
    task = make(folder, row(question="a < b & 'c'") + b"\n" + row(id="b", hint="so"))
    assert task.prompt_fields == (frozenset({"question"}), frozenset({"hint"}))
    assert [task.render(example) for example in task.heldout_examples] == ["Q: a < b & 'c'", "Q: why? (so)"]


@pytest.mark.parametrize(
    ("prompt", "required", "optional"),
    [
        ("{{ a }}{{ b if b }}", {"a"}, {"b"}),
        ("{% if a and b == 'x' %}1{% elif c %}2{% endif %}{{ d }}", {"d"}, {"a", "b", "c"}),
        ("{% set z = a %}{{ z }}{% for i in range(2) %}{{ b }}{% endfor %}", {"a", "b"}, set()),
        ("plain", set(), set()),
    ],
)
def test_fields_are_read_off_the_prompt(folder, prompt, required, optional):
    """What a template reads is required, what it tests is optional, what it sets itself is neither."""
    assert make(folder, prompt=prompt).prompt_fields == (required, optional)


def test_no_row_needs_a_reference(folder):
    """Training and held-out rows may lack the reference, all of them or some."""
    bare = without("expected_label")
    task = make(folder, bare + b"\n" + row(id="b"), bare)
    assert task.train_examples[0].expected is None
    assert [example.expected for example in task.heldout_examples] == [None, "yes"]
    assert make(folder, bare).heldout_examples[0].expected is None


def test_extra_fields_are_carried_unused(folder):
    """A field named in extra is allowed with any value and reaches neither the example nor its digest."""
    plain, extra = make(folder).heldout_digest, make(folder, row(source={"page": 3}), extra=["source"])
    assert extra.heldout_digest == plain


BAD_ROWS = {
    "not JSON": (b"{", "2:2: the row is not JSON: Expecting property name"),
    "two objects": (row() + b" {}", f"2:{len(row()) + 2}: the row is not JSON: Extra data"),
    "no object": (b'["a"]', '2: the row is no JSON object; seen ["a"]'),
    "a number": (b"17", "2: the row is no JSON object; seen 17"),
    "NaN": (b'{"id": "a", "question": NaN}', "2: no JSON: NaN is no number"),
    "Infinity": (b'{"id": "a", "question": -Infinity}', "2: no JSON: -Infinity is no number"),
    "key twice": (b'{"id": "a", "question": "x", "id": "b"}', "2: key 'id' stands twice in one object"),
    "inner key twice": (b'{"id": "a", "question": {"x": 1, "x": 2}}', "2: key 'x' stands twice in one object"),
    "Latin-1": (b'{"id": "\xe9"}', "2:9: the row is not UTF-8. Save the file as UTF-8."),
    "UTF-16": ("{}".encode("utf-16-le"), "2"),
    "a BOM alone": (b"\xef\xbb\xbf", "2:1: the row is not JSON"),
    "nested": (b"[" * 100_000, "2: the row is nested too deeply"),
    "a huge number": (b'{"id": ' + b"1" * 5000 + b"}", "2: no JSON that can be read: the number 11111111111111111111… is too large. Correct the row."),
    "a lone surrogate": (row(id="\ud800"), "2: field 'id' holds half of a surrogate pair"),
    "a lone surrogate in a field": (row(question="why\udfff"), "2: field 'question' holds half of a surrogate pair"),
    "a lone surrogate in an optional field": (row(hint="\ud83d!"), "2: field 'hint' holds half of a surrogate pair"),
    "a lone surrogate in a list": (row(hint=["a", "\ud83d!"]), "2: field 'hint' must be text or another JSON value but null; seen [\"a\", \"\\ud83d!\"]."),
    "a lone surrogate in a tag": (row(tags=["x", "\ud800"]), "2: 'tags' must be a list of strings; seen [\"x\", \"\\ud800\"]."),
    "unknown field": (row(question2="x"), "2: unknown field 'question2'. Known are expected, expected_label, hint, id, question, tags. Did you"
                                          " mean 'question'?"),
    "unknown, nothing near": (row(zzz=1), "2: unknown field 'zzz'. Known are expected, expected_label, hint, id, question, tags. Use it in the"
                                          " prompt or list it in Task(extra=…)."),
    "no id": (without("id"), "2: the row lacks 'id'."),
    "two missing": (without("id", "question"), "2: the row lacks 'id', 'question'."),
    "id no string": (row(id=7), "2: field 'id' must be a string; seen 7."),
    "id empty": (row(id=""), "2: the id is empty"),
    "field no string": (row(question=None), "2: field 'question' must be text or another JSON value but null; seen null. Leave out what is not there,"),
    "tags no list": (row(tags="x"), "2: 'tags' must be a list of strings; seen \"x\"."),
    "tags of numbers": (row(tags=["x", 1]), "2: 'tags' must be a list of strings; seen [\"x\", 1]."),
    "tags null": (row(tags=None), "2: 'tags' must be a list of strings; seen null."),
    "wrong label": (row(expected_label="Yes"), "2: expected_label 'Yes' is none of yes, no. Correct the row"),
    "null label": (row(expected_label=None), "2: expected_label None is none of yes, no. Leave the field out where there is no reference."),
    "id twice": (row(id="first"), "2: id 'first' stands already at line 1. Give each row its own."),
}  # fmt: skip


@pytest.mark.parametrize("role", ["heldout", "train"])
@pytest.mark.parametrize(("data", "words"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_named_by_file_and_line(folder, data, words, role):
    """Every way in which a row can be wrong is a TaskError that begins with file:line and says what was seen."""
    task = make(folder, **{role: row(id="first") + b"\n" + data})
    with pytest.raises(TaskError) as caught:
        getattr(task, f"{role}_examples")
    assert str(caught.value).startswith(f"{role}.jsonl:{words}")


@pytest.mark.parametrize("template", [b"%s", b'{"id": "a", "question": %s}'])
def test_any_depth_of_nesting_is_refused(folder, template):
    """However deep a value is nested, the row is a TaskError."""
    for depth in range(940, 1001):
        with pytest.raises(TaskError):
            _ = make(folder, template % (b"[" * depth + b"]" * depth)).heldout_examples


@given(
    st.binary(max_size=80)
    | st.lists(st.sampled_from([b"{", b"}", b'"id"', b":", b",", b'"a"', b"\n", b'"question"', b"1e999", b"\xff", b"[]", b"null"])).map(
        b"".join
    )
)
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_rows_or_a_task_error(tmp_path_factory, data):
    """Whatever a row file holds, reading gives examples or a TaskError, and nothing else escapes."""
    folder = tmp_path_factory.getbasetemp()
    for content in (data, row(id="first") + b"\n" + data):
        try:
            examples = make(folder, train=content).train_examples
        except TaskError:
            continue
        assert examples
        assert all(isinstance(example, Example) and example.id for example in examples)


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_a_file_without_rows_is_refused(folder, data):
    """An empty file says which task and which examples are missing."""
    with pytest.raises(TaskError, match=r"^task 't': heldout\.jsonl holds no rows\. Add heldout examples"):
        _ = make(folder, data).heldout_examples


def test_a_missing_file_is_named(folder):
    """A file that is not there is named with the argument that points to it."""
    task = make(folder)
    (folder / "train.jsonl").unlink()
    with pytest.raises(TaskError, match=r"^task 't': cannot read train\.jsonl: No such file.*Give Task\(train=…\) a JSONL file"):
        _ = task.train_examples


# Labels beside the held-out rows

BARE = b'{"id": "a", "question": "why?"}\n{"id": "b", "question": "who?"}\n' + row(id="c", question="when?")


def label(name: str = "a", value: object = "no", **more: object) -> bytes:
    return json.dumps({"id": name, "expected_label": value, **more}).encode()


def labelled(folder, labels: bytes, heldout: bytes = BARE, **changed) -> Task:
    (folder / "heldout.labels.jsonl").write_bytes(labels)
    return make(folder, heldout, **changed)


@pytest.mark.parametrize("name", ["heldout.jsonl", "heldout", "heldout.json"])
def test_the_labels_stand_beside_the_held_out_file(folder, name):
    """The labels file is the held-out file's name with another ending."""
    task = Task("t", PROMPT, Labels("yes", "no"), folder / "train.jsonl", folder / name, 4)
    assert task.labels_path == folder / "heldout.labels.jsonl"


def test_labels_become_references(folder):
    """A label is its row's reference, with or without the prompt beside it; null and empty mean not labelled; the order is the rows'."""
    task = labelled(
        folder, label("b", "yes", input="Q: who?") + b"\r\n\r\n" + label("a", None, input="Q: why?") + b"\n" + label("c", "yes")
    )
    assert [(example.id, example.expected, example.line) for example in task.heldout_examples] == [
        ("a", None, 1), ("b", "yes", 2), ("c", "yes", 3)]  # fmt: skip
    assert labelled(folder, label("a", "")).heldout_examples[0].expected is None
    assert labelled(folder, b"").heldout_examples[2].expected == "yes"


def test_a_row_that_waits_may_have_changed(folder):
    """Where nothing was labelled yet, another prompt is no error: the next sheet carries the present one."""
    assert labelled(folder, label("a", None, input="Q: old?")).heldout_examples[0].expected is None


BAD_LABELS = {
    "not JSON": (b"{", "2:2: the row is not JSON"),
    "Latin-1": (b'{"id": "\xe9"}', "2:9: the row is not UTF-8"),
    "NaN": (b'{"id": "a", "expected_label": NaN}', "2: no JSON: NaN is no number"),
    "id twice": (label("b"), "2: id 'b' stands already at line 1. Give each row its own."),
    "unknown field": (label(expected_labels="yes"), "2: unknown field 'expected_labels'. Known are expected_label, id, input. Did you mean"),
    "unknown, nothing near": (label(question="why?"), "2: unknown field 'question'. Known are expected_label, id, input. A row of labels"),
    "no id": (b'{"expected_label": "no"}', "2: the row lacks 'id'."),
    "no label": (b'{"id": "a"}', "2: the row lacks 'expected_label'."),
    "unknown id": (label("z"), '2: heldout.jsonl has no row with id "z". Correct the id or remove the line.'),
    "id no string": (label(["a"]), '2: heldout.jsonl has no row with id ["a"].'),
    "wrong label": (label(value="No"), "2: expected_label 'No' is none of yes, no. Correct the label, or set it to null"),
    "label no string": (label(value=[]), "2: expected_label [] is none of yes, no."),
    "input no string": (label(value=None, input=7), "2: field 'input' must be a string; seen 7."),
    "changed prompt": (label(input="Q: what?"), "2: the prompt of row 'a' has changed since it was labelled: from character 6 on it was"
                                                " \"at?\" and is \"y?\". Set expected_label to null and label it again, or remove 'input'"),
    "longer prompt": (label(input="Q: why? (so)"), "2: the prompt of row 'a' has changed since it was labelled: from character 8 on it"
                                                   ' was " (so)" and is "".'),
    "conflict": (label("c"), "2: expected_label 'no' contradicts 'yes' at heldout.jsonl:3. Correct one of the two."),
}  # fmt: skip


@pytest.mark.parametrize(("data", "words"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_a_bad_label_is_named_by_file_and_line(folder, data, words):
    """Every way in which a label can be wrong is a TaskError that begins with file:line and says what was seen."""
    task = labelled(folder, label("b") + b"\n" + data)
    with pytest.raises(TaskError) as caught:
        _ = task.heldout_examples
    assert str(caught.value).startswith(f"heldout.labels.jsonl:{words}")


def test_labels_that_cannot_be_read_are_an_error(folder):
    """A labels path that is no file is not passed over."""
    (folder / "heldout.labels.jsonl").mkdir()
    with pytest.raises(TaskError, match=r"^task 't': cannot read heldout\.labels\.jsonl: .*\. Make it a file of labels or remove it"):
        _ = make(folder, BARE).heldout_examples


def test_labels_are_for_held_out_rows_alone(folder):
    """Training rows are read without the labels."""
    assert labelled(folder, label(), train=BARE).train_examples[0].expected is None


# Declarations


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "Has Blank"}, "a task's name is 1 to 64 of a-z, 0-9, '_', '-'; seen 'Has Blank'"),
        ({"name": ""}, "seen ''"),
        ({"name": "a" * 65}, "a task's name is 1 to 64"),
        ({"name": "../up"}, "seen '../up'"),
        ({"name": None}, "seen None"),
        ({"max_tokens": 0}, "task 't': max_tokens must be a whole number of 1 or more; seen 0."),
        ({"max_tokens": True}, "seen True"),
        ({"max_tokens": 2.0}, "seen 2.0"),
        ({"extra": "source"}, "task 't': extra is a list of field names; write extra=('source',)."),
        ({"stable": -0.1}, "task 't': stable is a share of prompts from 0 to 1, or None; seen -0.1."),
        ({"stable": 1.5}, "seen 1.5"),
        ({"stable": float("nan")}, "seen NaN"),
        ({"stable": True}, "seen true"),
        ({"stable": "0.1"}, 'seen "0.1"'),
        ({"prompt": "a\n{{ b"}, "task 't': the prompt's line 2 is not Jinja2"),
        ({"prompt": "{{ a | nosuchfilter }}"}, "task 't': the prompt's line 1 is not Jinja2"),
        ({"prompt": 5}, "task 't': the prompt must be a string, a Jinja2 template; seen 5."),
    ],
    ids=str,
)
def test_a_bad_declaration_is_refused_at_once(folder, changed, words):
    """A wrong name, max_tokens, extra, stable or prompt is a TaskError before any row is read."""
    with pytest.raises(TaskError) as caught:
        make(folder, **changed)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["id", "tags", "expected_label"])
@pytest.mark.parametrize(
    "use", ["{{ %s }}", "{%% if %s %%}1{%% endif %%}", "{%% for x in %s %%}{{ x }}{%% endfor %%}", "{{ question ~ %s | upper }}"]
)
def test_the_prompt_may_not_show_what_is_not_the_models(folder, name, use):
    """A prompt that uses the id, the tags or the reference, in whatever way, is refused at once."""
    with pytest.raises(TaskError) as caught:
        make(folder, prompt=PROMPT + use % name)
    assert str(caught.value) == f"task 't': the prompt may not use {name!r}: a model would be shown what is not its to see."


def test_the_prompt_may_use_other_fields_and_its_own_names(folder):
    """A name that the template sets itself, and one that is only like a closed one, are allowed."""
    task = make(folder, row(labels="x"), prompt="{% set id = 7 %}{{ id }} {{ question }} {{ labels }} expected_label")
    assert task.render(task.heldout_examples[0]) == "7 why? x expected_label"


# Digests


def test_digests_are_stable(folder):
    """The same declaration and rows give the same digests, pinned so that stores and locks stay valid."""
    task = make(folder)
    assert task.digest == make(folder).digest
    assert task.heldout_digest == task.train_digest == make(folder, b"\n" + row() + b"\n\n").heldout_digest
    assert task.heldout_digest == make(folder, json.dumps(dict(reversed(GOOD.items()))).encode()).heldout_digest
    assert task.heldout_digest == make(folder, row(tags=[])).heldout_digest


@pytest.mark.parametrize(
    "changed",
    [{"name": "u"}, {"prompt": PROMPT + " "}, {"answer": Labels("no", "yes")}, {"answer": Labels("yes", "no", "x")}, {"max_tokens": 5}],
    ids=str,
)
def test_the_declaration_decides_its_digest(folder, changed):
    """Name, prompt, contract and max_tokens each change the task's digest and leave that of the rows alone."""
    plain, other = make(folder), make(folder, **changed)
    assert plain.digest != other.digest
    assert plain.heldout_digest == other.heldout_digest


@pytest.mark.parametrize("stable", [0, 0.05, 1])
def test_the_limit_of_stability_leaves_every_digest(folder, stable):
    """How stable the teacher must be decides neither what is asked nor what is right."""
    plain, other = make(folder), make(folder, stable=stable)
    assert (plain.stable, other.stable) == (None, stable)
    assert (plain.digest, plain.train_digest, plain.heldout_digest) == (other.digest, other.train_digest, other.heldout_digest)


@pytest.mark.parametrize(
    "data",
    [row(id="b"), row(question="Why?"), row(hint=""), row(expected_label="no"), row(tags=["x"]), row() + b"\n" + row(id="b")],
)
def test_the_rows_decide_theirs(folder, data):
    """An id, field, reference, tag or row that differs changes the rows' digest and leaves that of the declaration alone."""
    plain = make(folder)
    before = plain.heldout_digest
    other = make(folder, data)
    assert other.heldout_digest != before
    assert (other.digest, other.train_digest) == (plain.digest, before)


def test_a_label_counts_wherever_it_stands(folder):
    """A label changes the held-out digest, and is the same one whether it stands in the rows' file or beside it."""
    bare = without("expected_label")
    plain, beside = make(folder, bare).heldout_digest, labelled(folder, label(value="yes"), bare).heldout_digest
    assert plain != beside == labelled(folder, b"", row()).heldout_digest


def test_the_questions_digest_outlives_labels(folder):
    """References, labels and tags leave the digest of the questions as it is; an id, a field, a row or their order change it."""
    plain = make(folder, BARE).questions_digest
    assert labelled(folder, label(), BARE.replace(b"yes", b"no")).questions_digest == plain
    assert make(folder, BARE.replace(b'"why?"', b'"why?", "tags": ["x"], "expected_label": "no"')).questions_digest == plain
    others = [BARE.replace(b'"a"', b'"d"'), BARE.replace(b"why", b"Why"), BARE + b"\n" + row(id="d"), b"\n".join(BARE.split(b"\n")[::-1])]
    (folder / "heldout.labels.jsonl").unlink()
    assert len({plain, *(make(folder, other).questions_digest for other in others)}) == 5


# Paths


def test_paths_are_shown_from_here(folder):
    """A path below the current folder is shown relative, any other absolute."""
    assert shown_path(folder / "a" / "b.jsonl") == "a/b.jsonl"
    assert shown_path(folder.parent / "c.jsonl") == (folder.parent / "c.jsonl").as_posix()
