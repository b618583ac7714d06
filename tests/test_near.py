"""Leaks: which held-out rows equal or nearly equal a training row, exactly, and which short questions are left alone."""

from __future__ import annotations

import json
import sys
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.answers import Labels
from pytest_distill.curate import Leak, near, near_duplicates, unsearched
from pytest_distill.task import Example, Task
from tasks.retrieval_routing import retrieval_routing
from tests.fakes import ROOT

SHARED = ROOT.parent / "shared" / "data"  # public data sets that are no part of the project
WORDS = [f"w{k}" for k in range(40)]


def make(tmp_path, train, heldout, prompt="{{ text }}") -> Task:
    """A task of the given rows; a row that is a string is its field ``text``."""
    for name, given_rows in (("train", train), ("held", heldout)):
        rows = [{"id": f"{name}-{k}"} | ({"text": row} if isinstance(row, str) else row) for k, row in enumerate(given_rows)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Task("t", prompt, Labels("yes", "no"), tmp_path / "train.jsonl", tmp_path / "held.jsonl", 4)


def of_examples(train: list[str], heldout: list[str]) -> Task:
    """The same without files."""
    task = Task("t", "{{ text }}", Labels("yes", "no"), "none", "none", 4)
    for role, texts in (("train", train), ("heldout", heldout)):
        task.__dict__[f"{role}_examples"] = [Example(f"{role}-{k}", {"text": text}, None, (), k + 1) for k, text in enumerate(texts)]
    return task


def similarity(one: str, other: str, share: float = 0.5) -> float | None:
    """What is found of two texts, one held out and one trained on."""
    found = near_duplicates(of_examples([other], [one]), share)
    return found[0].similarity if found else None


# Equal but for case, blanks and punctuation


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("where is it?", "where is it?"),
        ("where is it?", "  where IS it"),
        ("where is it?", "where, is: it!"),
        ("where is it?", "WHERE\nis\u00a0it"),
        ("what's up", "Whats up?"),
        ("a follow-up", "a follow up"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u00e9t\u00e9", "e\u0301te\u0301"),
        ("soft\u00adhyphen", "softhyphen"),
        ("3+4", "3 + 4"),
        ("3-4", "3 - 4"),
        ("\u4f60\u597d\u5417\uff1f", "\u4f60\u597d\u5417"),
        ("???", "???"),
    ],
)
def test_equal_texts(one, other):
    """Texts that differ in nothing but case, blanks, punctuation and how Unicode writes a letter are the same."""
    assert similarity(one, other, 1.0) == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("where was it", "where is it"),
        ("Sort a list in C", "Sort a list in C#"),
        ("Sort a list in C", "Sort a list in C++"),
        ("3*4", "3/4"),
        ("5 plus 3", "5 plus -3"),
        ("read_file", "read file"),
        ("\u0915\u093f", "\u0915\u0940"),  # the same letter with another vowel sign
        ("???", "!!!"),
        ("\U0001f44d", "\U0001f44e"),
    ],
)
def test_other_texts(one, other):
    """Other words, signs that mean something, vowel signs, and different punctuation without any word make another text."""
    assert similarity(one, other, 1.0) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": "x"}, {"b": "x"}, False),
        ({"a": "x y", "b": "z"}, {"a": "x", "b": "y z"}, False),
        ({"a": "x", "b": " "}, {"a": "x"}, True),
        ({"a": "", "b": " "}, {}, True),
    ],
)
def test_fields_are_compared_each_with_its_like(tmp_path, one, other, same):
    """The same words in other fields make another row; an empty field is as good as none."""
    task = make(tmp_path, [one], [other], prompt="{% if a %}{{ a }}{% endif %}{% if b %}{{ b }}{% endif %}")
    assert near_duplicates(task, 0.8) == ([Leak("held-0", "train-0", 1.0)] if same else [])


# Near-duplicates


def swapped(count: int, at: int) -> str:
    return " ".join([*WORDS[:at], "other", *WORDS[at + 1 : count]])


@pytest.mark.parametrize(
    ("other", "count"),
    [
        (lambda count: swapped(count, count // 2), 29),
        (lambda count: swapped(count, 0), 11),
        (lambda count: swapped(count, count - 1), 11),
        (lambda count: " ".join(["Hello there,", *WORDS[:count]]), 10),
        (lambda count: " ".join([*WORDS[:count], "please"]), 6),
    ],
    ids=["inside", "first", "last", "greeting", "please"],
)
def test_how_long_a_text_must_be(other, count):
    """At the default a changed word makes a near-duplicate from the length on that the documentation names, and another text below it."""
    pytest.importorskip("scipy")
    assert similarity(" ".join(WORDS[:count]), other(count), 0.8) >= 0.8
    assert similarity(" ".join(WORDS[: count - 1]), other(count - 1), 0.8) is None


def test_near_duplicates_in_scripts_without_blanks():
    """Where no blanks part the words, each character counts as one."""
    pytest.importorskip("scipy")
    text = "\u6211\u60f3\u9884\u8ba2\u660e\u5929\u665a\u4e0a\u516b\u70b9\u56db\u4e2a\u4eba\u7684\u684c\u5b50"
    assert similarity(text, "\u8bf7\u95ee" + text) == round(14 / 16, 3)


def test_order_counts():
    """The same words in another order are another text, however many they are."""
    pytest.importorskip("scipy")
    assert similarity(" ".join(WORDS), " ".join(reversed(WORDS))) is None


def test_only_equal_texts_are_wholly_similar():
    """A text with the same runs of words as another, which is yet not equal, is told from an equal one."""
    pytest.importorskip("scipy")
    assert similarity("no no no no", "no no no no no") == 0.999


texts = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=9).map(" ".join), min_size=1, max_size=8)


@given(texts, texts, st.sampled_from([0.5, 0.6, 0.75, 0.8, 1.0]), st.integers(1, 9))
@settings(deadline=None)
def test_all_pairs_are_found_and_none_else(train, heldout, share, block):
    """What is found is what comparing all pairs one by one finds: each leaking row of either side, with its closest."""
    pytest.importorskip("scipy")

    def runs(text):
        words = text.split()
        return {tuple(words[k : k + 3]) for k in range(max(1, len(words) - 2))}

    pairs = []
    for h, t in product(range(len(heldout)), range(len(train))):
        one, other = runs(heldout[h]), runs(train[t])
        value = len(one & other) / len(one | other)
        if heldout[h] == train[t] or (share < 1 and value >= share):
            pairs.append((1.0 if heldout[h] == train[t] else min(round(value, 3), 0.999), -h, -t))
    closest = {max(pair for pair in pairs if pair[side] == row) for side in (1, 2) for row in {pair[side] for pair in pairs}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "BLOCK", block)
        found = near_duplicates(of_examples(train, heldout), share)
    assert found == [Leak(f"heldout-{-h}", f"train-{-t}", value) for value, h, t in sorted(closest, key=lambda pair: (-pair[1], -pair[2]))]


def test_many_rows_that_are_all_alike_make_a_short_list():
    """Where every training row equals every held-out row, each row is listed with one partner, not with all."""
    assert len(near_duplicates(of_examples(["same"] * 50, ["same"] * 30), 1.0)) == 50 + 30 - 1


def test_each_row_is_listed_with_its_closest():
    """Of several near-duplicates of a row the most similar is told, whatever their order."""
    pytest.importorskip("scipy")
    once = swapped(40, 20)
    twice = once.replace("w5 ", "else ")
    found = near_duplicates(of_examples([twice, once], [" ".join(WORDS), twice]), 0.5)
    assert [(leak.heldout, leak.train) for leak in found] == [("heldout-0", "train-1"), ("heldout-1", "train-0")]


def test_the_least_similar_field_decides(tmp_path):
    """Questions about one long text are told apart by the question; a reworded text under the same question is found."""
    pytest.importorskip("scipy")
    text, reworded, other = " ".join(WORDS), swapped(40, 20), " ".join(reversed(WORDS))
    train = [{"text": text, "ask": "who wrote it"}, {"text": other, "ask": "who read it"}, {"text": other, "ask": "where"}]
    heldout = [{"text": text, "ask": "who wrote them"}, {"text": reworded, "ask": "Who wrote it?"}, {"text": text, "ask": "where"}]
    task = make(tmp_path, train, heldout, prompt="{{ text }} {{ ask }}")
    assert near_duplicates(task, 0.8) == [Leak("held-1", "train-0", round(35 / 41, 3))]


def test_what_all_rows_repeat_does_not_make_them_alike():
    """An instruction at the head of every row is passed over, and a near-duplicate behind it is still found."""
    pytest.importorskip("scipy")
    instruction = " ".join(f"i{k}" for k in range(80))
    train = [f"{instruction} {' '.join(f't{row}x{k}' for k in range(30))}" for row in range(60)]
    heldout = [f"{instruction} {' '.join(f'h{row}x{k}' for k in range(30))}" for row in range(59)]
    found = near_duplicates(of_examples(train, [*heldout, train[7].replace("t7x15", "other")]), 0.8)
    assert [(leak.heldout, leak.train) for leak in found] == [("heldout-59", "train-7")]
    assert 0.8 <= found[0].similarity < 0.9


def test_without_scipy_equal_rows_are_found_and_the_rest_is_owned_up_to(monkeypatch):
    """Where scipy is not installed, equal rows are found all the same, and it is told that no others were looked for."""
    monkeypatch.setitem(sys.modules, "scipy", None)
    long = " ".join(WORDS)
    assert near_duplicates(of_examples([long, "Same."], [swapped(40, 20), "same"]), 0.8) == [Leak("heldout-1", "train-1", 1.0)]
    assert unsearched(1.0) is None
    assert unsearched(0.8) == (
        "near-duplicates between training and held-out rows were not searched, only equal rows: scipy is not installed."
        " Install pytest-distill[train]."
    )


def test_the_order_of_what_is_found():
    """Pairs stand in the order of the held-out rows and there of the training rows, the earlier row where two are as close."""
    assert near_duplicates(of_examples(["a", "b", "B", "a!"], ["b", "x", "a"]), 1.0) == [
        Leak("heldout-0", "train-1", 1.0),
        Leak("heldout-0", "train-2", 1.0),
        Leak("heldout-2", "train-0", 1.0),
        Leak("heldout-2", "train-3", 1.0),
    ]


# Real rows


def test_the_tasks_own_data_is_clean_with_room_to_spare():
    """No held-out question of retrieval routing comes nearer than 0.6 to a training row."""
    pytest.importorskip("scipy")
    assert max((leak.similarity for leak in near_duplicates(retrieval_routing, 0.5)), default=0) <= 0.6


@pytest.mark.parametrize(
    ("name", "equal", "nearly"),
    [
        (
            "clinc150",
            1,
            {
                "how do i apply for a visa card",
                "how many carry ons can i take on a flight with american airlines to japan",
                "i want to pay my bill",
                "please set the temperature to 70 f",
                "when will my next paycheck be coming",
            },
        ),
        ("alexa_query_rewrite", 8, {"is it going to snow today"}),
        ("restaurant8k_slots", 19, set()),
    ],
)
def test_public_data_at_the_default(name, equal, nearly):
    """On public data sets what is found are rewordings, and short questions that differ in a word are left alone."""
    pytest.importorskip("scipy")
    if not (SHARED / name).is_dir():
        pytest.skip("the public data sets are not here")
    prompt = "{% if conversation_context %}{{ conversation_context }}{% endif %} {{ question }}"
    task = Task(name, prompt, Labels("a", "b"), SHARED / name / "train.jsonl", SHARED / name / "heldout.jsonl", 4)
    for role in ("train", "heldout"):
        rows = map(json.loads, (SHARED / name / f"{role}.jsonl").read_text(encoding="utf-8").splitlines())
        task.__dict__[f"{role}_examples"] = [
            Example(row["id"], {key: row[key] for key in ("conversation_context", "question") if key in row}, None, (), 1) for row in rows
        ]
    found = near_duplicates(task, 0.8)
    questions = {example.id: example.fields["question"] for example in task.heldout_examples}
    assert len({leak.heldout for leak in found if leak.similarity == 1}) == equal
    assert {questions[leak.heldout] for leak in found if leak.similarity < 1} == nearly
