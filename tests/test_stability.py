"""How often a model answers otherwise when it is asked again: shares, bounds, what is left out, and the words of a refusal."""

from __future__ import annotations

import pytest

from pytest_distill import Endpoint, Labels, Task, stats
from pytest_distill.errors import TeacherError
from pytest_distill.evaluate import check_stable, drift_of, enough_prompts, stability_of
from pytest_distill.evaluate.stability import share_of
from pytest_distill.recording import Reply
from tests.fakes import RuleModel, rows, write_jsonl

AT = "2026-11-22T10:00:00Z"


@pytest.fixture
def task(tmp_path):
    """A task of two labels with 100 held-out rows."""
    path = write_jsonl(tmp_path / "rows.jsonl", rows(100, "held"))
    return Task("parity", "{{ text }}", Labels("yes", "no"), path, path, 4)


def said(*texts, example="held-0", by=""):
    """The samples of one example; of a tuple the second is the outcome."""
    both = [text if isinstance(text, tuple) else (text, "answered") for text in texts]
    return [
        Reply(f"{example}-{k}", example, "m", text, outcome, 1, 1, AT, sample=k, answered_by=by) for k, (text, outcome) in enumerate(both)
    ]


def of_all(*groups):
    """The replies of several examples, one after another."""
    return [reply for k, group in enumerate(groups) for reply in said(*group, example=f"held-{k}")]


def teacher(samples=2):
    return Endpoint("gpt", samples=samples)


# A model asked several times at once


def test_two_samples_give_the_exact_bounds_of_a_rate(task):
    """Five of a hundred pairs that differ are 5 %, with the bounds of Clopper and Pearson."""
    found = stability_of(task, of_all(*[("yes", "no")] * 5, *[("yes", " YES ")] * 95))
    assert (found.rate, found.n, found.samples, found.lost, found.method) == (0.05, 100, 2, 0, "clopper-pearson")
    assert found.upper == stats.rate_bound(5, 100) == pytest.approx(0.102, abs=6e-4)
    assert stats.rate_p_refuted(5, 100, found.lower) == pytest.approx(0.05, abs=1e-5)


def test_more_samples_count_pairs_and_take_gaffkes_bounds(task):
    """Of three samples one that differs makes two pairs of three; three that differ make all."""
    found = stability_of(task, of_all(("yes", "yes", "no"), ("yes", "no", "maybe"), *[("no", "no", "no")] * 18))
    shares = [2 / 3, 1.0, *[0.0] * 18]
    assert found.rate == pytest.approx(sum(shares) / 20)
    assert found.upper == pytest.approx(stats.gaffke_bound(shares, 1.0), abs=1e-6)
    assert found.lower == pytest.approx(1 - stats.gaffke_bound([1 - share for share in shares], 1.0), abs=1e-6)
    assert (found.samples, found.method) == (3, "gaffke")


@pytest.mark.parametrize("count", [0, 1, 50])
def test_both_methods_agree_on_whole_values(count):
    """On values of 0 and 1 Gaffke's bounds are the exact ones."""
    values = [1.0] * count + [0.0] * (50 - count)
    exact, general = share_of(values, whole=True), share_of(values, whole=False)
    assert (general.lower, general.upper) == pytest.approx((exact.lower, exact.upper), abs=2e-6)
    assert exact.lower <= exact.rate <= exact.upper


@pytest.mark.parametrize(
    ("pair", "differ"),
    [
        (("yes", "yes "), False),
        (("maybe", "perhaps"), False),  # neither is a value of the contract
        (("maybe", "no"), True),
        (("yes", ("yes", "cut")), True),
        ((("", "refused"), ("I will not", "refused")), False),
        ((("", "refused"), ("", "filtered")), True),
    ],
)
def test_what_counts_as_another_answer(task, pair, differ):
    """Parsed values are compared; no answer is a value of its own, one for each reason."""
    assert stability_of(task, said(*pair)).rate == float(differ)


def test_failed_replies_are_left_out_and_counted(task):
    """A prompt with fewer than two replies says nothing; where there is no other prompt, nothing is known."""
    failed = ("", "failed")
    found = stability_of(task, of_all(("yes", failed), ("yes", "no", failed), ("no", "no", "no")))
    assert (found.rate, found.n, found.lost) == (0.5, 2, 1)
    assert stability_of(task, of_all(("yes", failed))) is None
    assert stability_of(task, of_all(("yes",), ("no",))) is None


def test_the_first_unstable_examples_are_named(task):
    """At most five examples are kept, with what was said to each."""
    found = stability_of(task, of_all(("yes", "yes"), *[("yes", ("", "refused"))] * 9)).to_json()
    assert found["unstable"][0] == {"id": "held-1", "values": ["yes", "(refused)"]}
    assert len(found["unstable"]) == 5


def test_the_number_of_prompts_that_would_do_does(task):
    """With so many prompts of the same kind the limit is shown, and with a tenth fewer it is not."""
    values = [1.0] * 2 + [0.0] * 98
    n = enough_prompts(values, 0.05)
    assert stats.rate_bound(n * 2 // 100, n) <= 0.05 < stats.rate_bound(n * 9 * 2 // 1000, n * 9 // 10)
    assert enough_prompts([0.0] * 7, 0.05) == 59
    assert enough_prompts([0.0] * 7, 0.0) is None
    assert enough_prompts(values, 0.02) is None


# The teacher of a task that must be stable


def stable_task(task, limit):
    return Task(task.name, task.prompt, task.answer, task.train, task.heldout, 4, stable=limit)


def test_a_stable_teacher_goes_on(task):
    """Where the upper bound is within the limit the stability is returned."""
    found = check_stable(stable_task(task, 0.05), teacher(), of_all(*[("yes", "yes")] * 100))
    assert found.upper == pytest.approx(0.0295, abs=6e-4)


def test_an_unstable_teacher_is_refused_with_an_example(task):
    """Where the lower bound is above the limit the task is not stable, and the text says what to do."""
    replies = of_all(*[("yes", "no")] * 20, *[("yes", "yes")] * 80)
    with pytest.raises(TeacherError) as caught:
        check_stable(stable_task(task, 0.05), teacher(), replies)
    assert str(caught.value) == (
        "task 'parity' is not stable: gpt disagrees with itself on 20.0% of 100 held-out prompts (95% bound: at least 13.7%), allowed are"
        " 5%; first: held-0 was answered 'yes' (1) and 'no' (1). Distil only what is stable: tighten the prompt, merge answers that nobody"
        " tells apart, ask a dated model at temperature=0, or allow more with Task(stable=…)."
    )
    assert check_stable(task, teacher(), replies).rate == 0.2


def test_a_teacher_not_shown_to_be_stable_is_refused_with_the_number_of_rows(task):
    """Between the bounds it is not shown, and the text tells how many rows would show it."""
    replies = of_all(*[("yes", "no")] * 2, *[("yes", "yes")] * 98)
    with pytest.raises(TeacherError, match="task 'parity' is not shown to be stable: gpt disagrees") as caught:
        check_stable(stable_task(task, 0.05), teacher(), replies)
    n = enough_prompts([1.0] * 2 + [0.0] * 98, 0.05)
    assert f"(95% bound: at most 6.2%), allowed are 5%. About {n} held-out rows would show it" in str(caught.value)
    with pytest.raises(TeacherError, match="More rows would hardly show it"):
        check_stable(stable_task(task, 0.02), teacher(), replies)


def test_one_sample_cannot_show_stability(task):
    """A stated limit needs two samples; without one a single sample is fine, and nothing is known."""
    replies = of_all(*[("yes",)] * 100)
    with pytest.raises(TeacherError, match=r"asked once for each prompt.*Endpoint\(…, samples=2\).*--distill-record"):
        check_stable(stable_task(task, 0.05), teacher(1), replies)
    assert check_stable(task, teacher(1), replies) is None


def test_too_few_replies_do_not_show_stability(task):
    """Where more than one prompt in twenty lacks its second reply, the limit is not judged; up to there they are left out."""
    failed = ("", "failed")
    with pytest.raises(TeacherError, match="6 of 100 held-out prompts have fewer than two replies of 'gpt'"):
        check_stable(stable_task(task, 0.05), teacher(), of_all(*[("yes", failed)] * 6, *[("yes", "yes")] * 94))
    assert check_stable(stable_task(task, 0.05), teacher(), of_all(*[("yes", failed)] * 5, *[("yes", "yes")] * 95)).lost == 5


def test_a_local_teacher_needs_no_samples(task):
    """A local model answers greedily: nothing is judged and nothing is said."""
    assert check_stable(stable_task(task, 0.01), RuleModel("big"), of_all(*[("yes",)] * 100)) is None


# A model asked again later


def test_drift_counts_changed_answers_and_texts(task):
    """An answer that is written otherwise is the same answer and another text."""
    examples = task.heldout_examples[:10]
    then = [said("yes", example=example.id, by="m-1") for example in examples]
    now = [said(text, example=example.id, by="m-2")[0] for example, text in zip(examples, ["no", "Yes", *["yes"] * 8], strict=True)]
    found = drift_of(task, examples, then, now)
    assert (found.answers.rate, found.texts.rate, found.changed) == (0.1, 0.2, 1)
    assert found.answers.upper == stats.rate_bound(1, 10)
    assert found.first == ({"id": "held-0", "then": "yes", "now": "no"},)
    assert found.answered_by == {"then": ["m-1"], "now": ["m-2"]}
    assert found.accuracy == {"then": 0.5, "now": 0.4, "n": 10}
    assert (found.itself, found.p_beyond, found.to_json()["beyond"]) == (None, None, None)


def test_drift_leaves_failed_replies_out(task):
    """A reply that did not come back has not changed; where none came back nothing is known."""
    examples = task.heldout_examples[:3]
    then = [said("yes", example=example.id) for example in examples]
    failed = said(("", "failed"))[0]
    found = drift_of(task, examples, then, [failed, said("no")[0], said("yes")[0]])
    assert (found.answers.n, found.answers.rate, found.lost) == (2, 0.5, 1)
    assert drift_of(task, examples, then, [failed] * 3) is None


@pytest.mark.parametrize(
    ("wavered", "moved", "p"),
    [(0, 0, 1.0), (4, 4, 163 / 256), (0, 5, 1 / 32), (1, 9, 11 / 1024)],
)
def test_drift_beyond_disagreement_with_itself_is_an_exact_sign_test(task, wavered, moved, p):
    """Among the prompts where one of two replies differs from the first, the new one does so by chance as often as the recorded one."""
    examples = task.heldout_examples[:20]
    then = [said("yes", "no" if k < wavered else "yes", example=example.id) for k, example in enumerate(examples)]
    now = [said("no" if wavered <= k < wavered + moved else "yes")[0] for k in range(20)]
    found = drift_of(task, examples, then, now)
    assert found.p_beyond == pytest.approx(p)
    assert found.to_json()["beyond"] is (p <= 0.05)
    assert found.itself.rate == wavered / 20


def test_drift_without_references_has_no_accuracy(tmp_path):
    """Rows without a reference cannot tell how right a model is."""
    path = write_jsonl(tmp_path / "rows.jsonl", rows(2, "held", reference=False))
    task = Task("parity", "{{ text }}", Labels("yes", "no"), path, path, 4)
    then = [said("yes"), said("no")]
    assert drift_of(task, task.heldout_examples, then, [of_one[0] for of_one in then]).accuracy is None
