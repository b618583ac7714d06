"""Tables by class, pair, part and slice; failure clusters and what would mend them; what was forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_distill.answers import Grade, Labels, Malformed
from pytest_distill.compare import clusters, confusion
from pytest_distill.compare.classes import by_class, by_part
from pytest_distill.errors import DistillError
from pytest_distill.evaluate import Evaluation
from pytest_distill.task import Example
from tests.test_compare import ROWS, make


def said(*values, grades=None) -> Evaluation:
    """An evaluation of these values."""
    grades = tuple(grades or [None] * len(values))
    keys = tuple(None if isinstance(value, Malformed) else str(value) for value in values)
    return Evaluation("m", values, keys, grades, tuple(map(str, values)), 0, 0, "")


def rows_of(*kinds) -> list[Example]:
    """Examples with these references."""
    return [Example(f"r{k}", {}, expected, (), k) for k, expected in enumerate(kinds)]


# Classes


def test_several_labels_count_by_membership():
    """Where an answer may be several labels each counts by itself: a label too many costs precision, one left out recall."""
    none = Malformed("empty reply")
    found = by_class(["a", "b", "c"], rows_of(["a", "b"], ["a"], [], ["b"]), {"student": said(["a"], ["a", "b"], [], none)})
    assert found["a"] == {"support": 2, "student_precision": 1.0, "student_recall": 1.0, "student_f1": 1.0}
    assert found["b"] == {"support": 2, "student_precision": 0.0, "student_recall": 0.0, "student_f1": 0.0}
    assert found["c"] == {"support": 0, "student_precision": 0.0, "student_recall": 0.0, "student_f1": 0.0}


def test_several_labels_have_recall_drops_and_no_confusion(tmp_path):
    """The recall of each of several labels is judged by membership; one is never taken for another, and macro-F1 has no bound."""
    found = make(tmp_path, ROWS[:3])
    several = replace(
        found,
        task=replace(found.task, answer=Labels("a", "b", "c", several=True)),
        examples=[
            replace(example, expected=expected) for example, expected in zip(found.examples, (["a", "b"], ["a"], ["b"]), strict=True)
        ],
        teacher=replace(found.teacher, values=(["a", "b"], ["a"], ["b"])),
        student=replace(found.student, values=(["b"], ["a", "b"], Malformed("x"))),
    )
    drops = several.recall_drop
    assert [(drop.both_right, drop.introduced) for drop in (drops["a"], drops["b"])] == [(1, 1), (1, 1)]
    assert several.confusion(several.student) == []
    assert confusion(several) == {"labels": ["a", "b", "c", "(none)"], "teacher": [], "student": [], "pairs": []}
    assert several.macro_f1_drop.why.startswith("an answer of this task may be several labels")
    bare = replace(several, examples=[replace(several.examples[0], expected=None), *several.examples[1:]])
    assert bare.macro_f1_drop.why == several.macro_f1_drop.why
    assert several.macro_f1("student") == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert several.weighted_f1("teacher") == 1.0


def test_weighted_f1_counts_classes_by_support(tmp_path):
    """The weighted mean of F1 weighs each label by how often it is expected; the plain one does not."""
    found = make(tmp_path, [("a", "a", "a", [])] * 3 + [("b", "b", "a", [])])
    assert found.macro_f1("student") == pytest.approx((6 / 7 + 0) / 2)
    assert found.weighted_f1("student") == pytest.approx(3 / 4 * 6 / 7)


def test_pairs_of_labels_are_listed_by_how_often_the_student_confuses_them(tmp_path):
    """Each pair that a model confuses is listed with both counts, a reply that is no label as (none)."""
    pairs = confusion(make(tmp_path))["pairs"]
    assert [tuple(pair.values()) for pair in pairs] == [
        ("a", "b", 1, 2), ("c", "a", 1, 1), ("b", "(none)", 0, 1), ("b", "a", 1, 0), ("c", "(none)", 1, 0),
    ]  # fmt: skip


def test_of_many_labels_results_hold_the_pairs_alone(tmp_path, monkeypatch):
    """Tables of confusion grow with the square of the labels: beyond fifty the pairs stand for them."""
    found = make(tmp_path)
    monkeypatch.setattr(type(found.task.answer), "classes", ("a", "b", "c", *map(str, range(48))))
    held = confusion(found)
    assert (len(held["labels"]), held["teacher"], held["student"], len(held["pairs"])) == (52, [], [], 5)


def test_a_part_counts_where_a_row_asks_for_it():
    """The mean score of a part is over the rows that ask for it; an answer that keeps no contract has none of it right."""
    teacher = [Grade(1, True, {"file": 1, "line": 1}), Grade(1, True, {"file": 1}), Grade(1, True, {"file": 1})]
    student = [Grade(0.5, False, {"file": 1, "line": 0}), Grade(0.5, False, {"file": 0.5}), Grade(0, False)]
    found = by_part(["file", "line", "word"], {"teacher": said(1, 2, 3, grades=teacher), "student": said(1, 2, 3, grades=student)})
    assert found == {"file": {"n": 3, "teacher": 1.0, "student": 0.5}, "line": {"n": 1, "teacher": 1.0, "student": 0.0}}


# Clusters


RIGHT = ("a", "a", "a", [])


def found_in(tmp_path, rows, train=()):
    """The clusters of these rows, as (by, name, count, mend)."""
    return [(each["by"], each["name"], each["count"], each["mend"]) for each in clusters(make(tmp_path, rows), train)]


def test_errors_are_grouped_by_what_they_share(tmp_path):
    """Introduced errors of one class pair, one tag, one reason are a cluster each, the largest first; what only one error has is none."""
    rows = [("a", "a", "b", ["long"])] * 4 + [("b", "b", "huh", [])] * 2 + [("c", "c", "a", ["odd"])] + [RIGHT] * 20
    assert found_in(tmp_path, rows) == [
        ("tag", "long", 4, "rows"), ("pair", "a -> b", 4, "rows"), ("reason", "none of a, b, c", 2, "format"),
    ]  # fmt: skip
    first = clusters(make(tmp_path, rows))[0]
    assert (first["share"], first["lift"], first["ids"]) == (4 / 7, pytest.approx(4 / 7 / (4 / 27)), ["h0", "h1", "h2", "h3"])
    assert (
        first["words"] == "4 of 7 introduced errors carry the tag 'long' (3.9 times its share of all rows): train on more rows like these"
    )


def test_a_tag_that_most_rows_carry_is_no_cluster(tmp_path):
    """A tag is a cluster where errors carry it at least 1.5 times as often as all rows do."""
    rows = [("a", "a", "b", ["t"])] * 3 + [("a", "a", "a", ["t"])] * 7 + [("a", "a", "b", [])]
    assert "tag" not in {by for by, *_ in found_in(tmp_path, rows)}
    rows += [RIGHT] * 10
    assert ("tag", "t", 3, "rows") in found_in(tmp_path, rows)


def test_a_label_that_is_taken_for_many_others_is_a_cluster(tmp_path):
    """Errors of one label that no single pair has most of are shared by the label, expected or given; where one pair has them, the pair tells all."""
    others = [(label, label, label, []) for label in "bc"] * 20
    missed = [("a", "a", "b", [])] * 2 + [("a", "a", "c", [])] * 2 + [RIGHT] * 2
    train = [Example("t0", {}, "a", (), 1), Example("t1", {}, "b", (), 2)]
    (first, *pairs) = clusters(make(tmp_path, [*missed, *others]), train)
    assert (first["by"], first["name"], first["count"], first["mend"], first["training"]) == ("expected", "a", 4, "rows", 1)
    assert first["words"].startswith(
        "4 of 4 introduced errors miss 'a' (7.7 times its share of all rows): train on more rows like these (1 of 2"
    )
    assert [each["by"] for each in pairs] == ["pair", "pair"]
    given = [("b", "b", "a", [])] * 2 + [("c", "c", "a", [])] * 2 + [RIGHT] * 2
    assert found_in(tmp_path, [*given, *others])[0] == ("given", "a", 4, "rows")
    assert "4 of 4 introduced errors wrongly say 'a'" in clusters(make(tmp_path, [*given, *others]))[0]["words"]
    assert {each[0] for each in found_in(tmp_path, [*missed[1:3], ("a", "a", "b", []), *others])} == {"pair"}


def test_training_rows_of_the_kind_are_counted(tmp_path):
    """Where more rows would help, the words say how many training rows carry the tag or expect the class already; not without such rows."""
    train = [Example("t0", {}, "a", ("long",), 1), Example("t1", {}, "b", (), 2), Example("t2", {}, None, (), 3)]
    made = clusters(make(tmp_path, [("a", "a", "b", ["long"])] * 2 + [RIGHT] * 9), train)
    assert [(each["training"], each["words"].partition(": ")[2]) for each in made] == [
        (1, "train on more rows like these (1 of 3 training rows carry it)"),
        (1, "train on more rows like these (1 of 3 training rows expect 'a')"),
    ]
    unlabelled = [replace(example, expected=None) for example in train]
    assert [each["training"] for each in clusters(make(tmp_path, [("a", "a", "b", ["long"])] * 2 + [RIGHT] * 9), unlabelled)] == [1, None]


def test_a_teacher_that_is_wrong_too_is_named(tmp_path):
    """Where at least half as many rows like these are wrong for both, the teacher is to be mended first."""
    rows = [("a", "a", "b", [])] * 4 + [("a", "b", "b", [])] + [RIGHT] * 9
    assert found_in(tmp_path, rows) == [("pair", "a -> b", 4, "rows")]
    assert found_in(tmp_path, [*rows, rows[4]]) == [("pair", "a -> b", 4, "teacher")]


def test_a_rule_that_both_models_mix_up_is_ambiguous(tmp_path):
    """A pair that goes both ways for the student, and for the teacher too, calls for a clearer rule; one of the two is not enough."""
    one_way = [("a", "a", "b", [])] * 4 + [("a", "b", "a", [])] * 2
    both_ways = [*one_way, *[("b", "b", "a", [])] * 2]
    assert found_in(tmp_path, one_way + [RIGHT] * 9)[0] == ("pair", "a -> b", 4, "rows")
    assert found_in(tmp_path, both_ways + [RIGHT] * 9)[0] == ("pair", "a -> b", 4, "rule")
    student_alone = [row for row in both_ways if row[1] == row[0]]
    assert found_in(tmp_path, student_alone + [RIGHT] * 9)[0] == ("pair", "a -> b", 4, "rows")


@pytest.mark.parametrize(
    ("reason", "name", "mend"),
    [
        ("cut at max_tokens", "cut at max_tokens", "max_tokens"),
        ("no JSON: Expecting value at character 17", "no JSON", "format"),
        ("a.b: Field required", "a.b: Field required", "format"),
        ("empty reply", "empty reply", "format"),
    ],
)
def test_replies_that_keep_no_contract_are_grouped_by_their_reason(tmp_path, reason, name, mend):
    """A reply that is cut calls for more tokens, any other that is malformed for a held format; where in a text its fault is tells no kind."""
    found = make(tmp_path, [("a", "a", "?", [])] * 2 + [RIGHT] * 3)
    values = (Malformed(reason), Malformed(reason.replace("17", "3")), *found.student.values[2:])
    (cluster,) = clusters(replace(found, student=replace(found.student, values=values)))
    assert (cluster["by"], cluster["name"], cluster["count"], cluster["mend"]) == ("reason", name, 2, mend)
    if mend == "max_tokens":
        assert cluster["words"] == "2 of 2 introduced errors are no answer (cut at max_tokens): raise max_tokens, which is 4"


def test_a_part_that_is_worse_than_the_teachers_is_shared(tmp_path):
    """Errors of an answer with parts are grouped by the parts that the student has worse than the teacher."""
    found = make(tmp_path, [("a", "a", "b", [])] * 2)
    whole, half = Grade(1, True, {"file": 0.9, "line": 1}), Grade(0.5, False, {"file": 0.9, "line": 0})
    graded = replace(found, teacher=replace(found.teacher, grades=(whole,) * 2), student=replace(found.student, grades=(half,) * 2))
    assert [(each["by"], each["name"], each["count"]) for each in clusters(graded)] == [("pair", "a -> b", 2), ("part", "line", 2)]


def test_several_labels_share_what_is_left_out_or_added(tmp_path):
    """Of several labels one that is left out, or too many, is what errors share."""
    found = make(tmp_path, [("a", "a", "b", [])] * 4)
    several = replace(
        found,
        examples=[replace(example, expected=["a", "b"]) for example in found.examples],
        student=replace(found.student, values=(["a"], ["a"], ["a", "b", "c"], ["a", "b", "c"])),
    )
    assert [each["words"].partition(":")[0] for each in clusters(several)] == [
        "2 of 4 introduced errors add 'c'", "2 of 4 introduced errors leave out 'b'",
    ]  # fmt: skip


def test_no_introduced_error_is_no_cluster(tmp_path):
    """Errors that the teacher makes too, or none at all, are no cluster."""
    assert clusters(make(tmp_path, [("a", "b", "b", ["t"])] * 5 + [RIGHT])) == []


# Forgetting


def test_forgotten_is_the_paired_drop_from_the_base(tmp_path):
    """What the base had right and the student has not is lost, the other way round gained; the test is the one of the accuracy drop."""
    broad = make(tmp_path, [("a", "a", "b", ["refusal"])] * 2 + [("a", "b", "a", [])] + [RIGHT] * 97)
    found = replace(make(tmp_path), broad=broad).forgotten
    assert (found.introduced, found.corrected, found.n, found.estimate) == (2, 1, 100, 0.01)
    assert found.bound == broad.accuracy_drop.bound
    assert found.facts().startswith("base 99.0%, student 98.0% on 100 broad examples: 2 forgotten, 1 gained, drop 1.0% (95% bound")
    assert "forgotten" in replace(make(tmp_path), broad=broad).measures
    of_tag = found.on("refusal")
    assert (of_tag.name, of_tag.introduced, of_tag.n) == ('forgotten.on("refusal")', 2, 2)
    with pytest.raises(TypeError, match="forgotten >= cannot be judged"):
        _ = found >= 0.5


def test_nothing_is_forgotten_without_a_broad_task_or_a_base_that_can_do_any_of_it(tmp_path):
    """Without a broad task there is no such measure; with a base that gets none of it right it was not measured."""
    with pytest.raises(DistillError, match="names no broad task"):
        _ = make(tmp_path).forgotten
    found = replace(make(tmp_path), broad=make(tmp_path, [("a", "b", "b", [])] * 100)).forgotten
    assert found.why.startswith("the base gets no row of the broad task right")
    assert not (found <= 0.5).shown
