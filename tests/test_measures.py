"""Measures held against limits: the words, the directions, the outcomes and what is refused."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from pytest_distill.errors import TaskError
from pytest_distill.measures import (
    AccuracyDrop,
    Bill,
    BreakEven,
    ClassDrops,
    CostGain,
    IntroducedRate,
    Latency,
    MacroF1Drop,
    QualityRetained,
    RecallDrop,
    ScoreDrop,
    Serving,
    SpeedGain,
    ValidRate,
    per_request,
)
from pytest_distill.verdict import Judgement, Judging, band, outcome_of, percent

STRICT, POINT = Judging(), Judging("point")


def drop(b: int, c: int, n: int, inherited: int = 0, judging: Judging = STRICT) -> AccuracyDrop:
    return AccuracyDrop(n - b - c - inherited, b, c, inherited, judging=judging)


def speed(ratios, judging: Judging = STRICT, timed: str = "live") -> SpeedGain:
    return SpeedGain(ratios, timed, "2026-11-22T10:00:00Z", judging=judging)


def quality(teacher, student, judging: Judging = STRICT) -> QualityRetained:
    return QualityRetained(teacher, student, judging=judging)


def scores(drops, judging: Judging = STRICT) -> ScoreDrop:
    return ScoreDrop(drops, drops, judging=judging)


def macro(cells, judging: Judging = STRICT) -> MacroF1Drop:
    return MacroF1Drop(cells, judging=judging)


def introduced(lost: int, n: int, unlabelled: int = 0, judging: Judging = STRICT) -> IntroducedRate:
    return IntroducedRate(lost, unlabelled, n, judging=judging)


def valid(right: int, n: int, judging: Judging = STRICT) -> ValidRate:
    return ValidRate(right, n, judging=judging)


def latency(milliseconds, rank: str = "p95", judging: Judging = STRICT, why: str = ""):
    return getattr(Latency([ms / 1000 for ms in milliseconds], "live", "2026-11-22T10:00:00Z", judging, why), rank)


BILL = Bill(0.00465, 0.0, Serving(usd_per_hour=2, requests_per_month=1_000_000, training_usd=200, months=6), 1.0)
SAME = {("a", "a", "a"): 60, ("b", "b", "b"): 60}


# The words


def test_an_inconclusive_drop_reads_as_designed():
    """The message says what was not shown, the numbers behind it, and how many more examples would decide."""
    judgement = drop(7, 2, 200, inherited=8) <= 0.05
    assert judgement.words.split("\n") == [
        "accuracy drop is not shown to be at most 5%: inconclusive",
        "  teacher 95.0%, student 92.5% on 200 held-out examples: 7 lost, 2 gained, drop 2.5% (95% bound 5.5%)",
        "  no fewer than 221 examples could show it; about 194 more examples would decide, if the true drop is 2% (21 if it is 0%)",
    ]
    assert (judgement.outcome, judgement.shown, judgement.measure, judgement.operator, judgement.limit, judgement.alpha) == (
        "inconclusive", False, "accuracy_drop", "<=", 0.05, 0.05,
    )  # fmt: skip
    assert (judgement.p, judgement.p_refuted) == (pytest.approx(0.0798, abs=1e-4), pytest.approx(0.9377, abs=1e-4))


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        (lambda: drop(0, 0, 59) <= 0.05, "accuracy drop 0.0% (95% bound 5.0%) is shown to be at most 5%"),
        (lambda: drop(7, 2, 200, 8) < 0.1, "accuracy drop 2.5% (95% bound 5.5%) is shown to be below 10%"),
        (
            lambda: drop(40, 2, 200) <= 0.125,
            "accuracy drop is shown not to be at most 12.5%: refuted\n"
            "  teacher 99.0%, student 80.0% on 200 held-out examples: 40 lost, 2 gained, drop 19.0% (95% bound 24.3%)",
        ),
        (
            lambda: drop(2, 0, 46, 2) <= 0.02,
            "accuracy drop is not shown to be at most 2%: inconclusive\n"
            "  teacher 95.7%, student 91.3% on 46 held-out examples: 2 lost, 0 gained, drop 4.3% (95% bound 13.3%)\n"
            "  no fewer than 313 examples could show it; more data is unlikely to help: retrain",
        ),
        (
            lambda: drop(0, 1, 20, 1) <= 0,
            "accuracy drop is not shown to be at most 0%: inconclusive\n"
            "  teacher 90.0%, student 95.0% on 20 held-out examples: 0 lost, 1 gained, drop -5.0% (95% bound 8.9%)",
        ),
        (lambda: speed([3.0] * 30) >= 2, "speed gain 3.00 times (95% bound 3.00 times) is shown to be at least 2 times"),
        (lambda: speed([3.0] * 30) > 2.5, "speed gain 3.00 times (95% bound 3.00 times) is shown to be above 2.5 times"),
        (
            lambda: speed([1.5] * 30, timed="stored") >= 2,
            "speed gain is shown not to be at least 2 times: refuted\n"
            "  median of 30 interleaved pairs: 1.50 times (95% bound 1.50 times), timed 2026-11-22T10:00:00Z",
        ),
        (
            lambda: speed([1.9] * 14 + [2.2] * 16) >= 2,
            "speed gain is not shown to be at least 2 times: inconclusive\n"
            "  median of 30 interleaved pairs: 2.20 times (95% bound 1.90 times)\n"
            "  a quieter machine or more pairs (--distill-pairs) may decide",
        ),
        (
            lambda: speed([1.9] * 2 + [2.2]) >= 2,
            "speed gain is not shown to be at least 2 times: inconclusive\n"
            "  median of 3 interleaved pairs: 1.90 times (95% bound none: too few pairs)\n"
            "  the student is about as slow as the limit",
        ),
        (lambda: quality([1.0] * 200, [1.0] * 200) >= 0.95, "quality retained 100.0% (95% bound 98.5%) is shown to be at least 95%"),
        (
            lambda: quality([1.0] * 10, [0.0] + [1.0] * 9) >= 0.95,
            "quality retained is not shown to be at least 95%: inconclusive\n"
            "  student keeps 90.0% of the teacher's score on 10 held-out examples (95% bound 60.6%)\n"
            "  more data is unlikely to help: retrain",
        ),
        (lambda: scores([0.0] * 100) <= 0.05, "score drop 0.0% (95% bound 3.0%) is shown to be at most 5%"),
        (
            lambda: scores([0.25] * 4 + [-0.5] + [0.0] * 41) <= 0.05,
            "score drop is not shown to be at most 5%: inconclusive\n"
            "  46 held-out examples: 4 scored worse, 1 better, mean drop 1.1% (95% bound 7.8%)\n"
            "  more examples may decide",
        ),
        (lambda: macro(SAME) <= 0.05, "macro-F1 drop 0.0% (95% bound 2.4%) is shown to be at most 5%"),
        (
            lambda: macro({("a", "a", "a"): 40, ("a", "a", "b"): 20, ("b", "b", "b"): 60}) <= 0.05,
            "macro-F1 drop is shown not to be at most 5%: refuted\n"
            "  120 held-out examples in 2 classes: macro-F1 drop 17.1% (95% bound 23.9%)",
        ),
        (lambda: introduced(1, 200) <= 0.05, "introduced rate 0.5% (95% bound 2.3%) is shown to be at most 5%"),
        (
            lambda: introduced(3, 100) <= 0.05,
            "introduced rate is not shown to be at most 5%: inconclusive\n"
            "  3 of 100 held-out examples lost: 3.0% (95% bound 7.6%)\n"
            "  no fewer than 153 examples could show it",
        ),
        (lambda: valid(400, 400) >= 0.99, "valid rate 100.0% (95% bound 99.3%) is shown to be at least 99%"),
        (
            lambda: valid(100, 100) >= 0.99,
            "valid rate is not shown to be at least 99%: inconclusive\n"
            "  100 of 100 of the student's replies satisfy the contract: 100.0% (95% bound 97.0%)\n"
            "  no fewer than 299 examples could show it",
        ),
        (lambda: latency(range(1, 101)) <= 120, "student latency p95 95.0 ms (95% bound 99.0 ms) is shown to be at most 120 ms"),
        (
            lambda: latency(range(1, 101)) <= 97,
            "student latency p95 is not shown to be at most 97 ms: inconclusive\n"
            "  p95 of 100 prompts one at a time: 95.0 ms (95% bound 99.0 ms)\n"
            "  more pairs (--distill-pairs) may decide",
        ),
        (
            lambda: latency([9.0] * 298, "p99") <= 10,
            "student latency p99 was not measured: 298 timings are too few for p99: 299 are needed (--distill-pairs 299, and as many"
            " held-out rows)",
        ),
        (lambda: latency([9.0] * 299, "p99") <= 10, "student latency p99 9.0 ms (95% bound 9.0 ms) is shown to be at most 10 ms"),
        (
            lambda: CostGain(BILL, 998, judging=STRICT) >= 3,
            "cost gain 3.11 times meets at least 3 times by arithmetic on prices and measured tokens (not a statistical claim)\n"
            "  teacher $0.00465 a request; student $1,493.33 a month on 1 replica for 1,000,000 requests; it costs less above 321,147"
            " requests a month",
        ),
        (
            lambda: BreakEven(BILL, 998, judging=STRICT) <= 300_000,
            "break-even volume 321,147 requests a month misses at most 300,000 requests a month by arithmetic on prices and measured"
            " tokens (not a statistical claim)\n"
            "  teacher $0.00465 a request; student $1,493.33 a month on 1 replica for 1,000,000 requests; it costs less above 321,147"
            " requests a month",
        ),
        (
            lambda: AccuracyDrop(90, 3, 2, 5, 380, 20, judging=STRICT) <= 0.05,
            "accuracy drop is not shown to be at most 5%: inconclusive\n"
            "  500 held-out examples, 380 alike without a reference: 3 lost, 2 gained, 20 unlabelled and counted as lost, drop 4.2%"
            " (95% bound 6.1%)\n"
            "  20 examples on which the models differ have no label: run pytest --distill --distill-label and fill in the sheet",
        ),
        (
            lambda: RecallDrop(40, 9, 0, 1, judging=STRICT, part=('["code"]', " of 'code'")) <= 0.05,
            "recall drop of 'code' is shown not to be at most 5%: refuted\n"
            "  teacher 98.0%, student 80.0% on 50 held-out examples: 9 lost, 0 gained, drop 18.0% (95% bound 29.3%)",
        ),
        (
            lambda: SpeedGain([3.5] * 30, "recorded", "2026-11-22T10:00:00Z", judging=STRICT) >= 2,
            "speed gain 3.50 times (95% bound 3.50 times, from a recording of 2026-11-22) is shown to be at least 2 times",
        ),
        (
            lambda: SpeedGain([3.3] * 30, "recorded", "2026-11-22T10:00:00Z", judging=STRICT) >= 2,
            "speed gain is not shown to be at least 2 times: inconclusive\n"
            "  median of 30 pairs with recorded times: 3.30 times (95% bound 3.30 times), from a recording of 2026-11-22\n"
            "  with recorded times 1.7 times the limit must be shown: time both models in one run (--distill-live), or hold student_latency to a limit",
        ),
        (
            lambda: SpeedGain([9.0] * 30, "live", "", judging=STRICT, why="the machine was busy") >= 2,
            "speed gain was not measured: the machine was busy",
        ),
        (
            lambda: drop(5, 0, 100, judging=POINT) <= 0.05,
            "accuracy drop 5.0% (95% bound 10.2%) meets at most 5% as a plain estimate (not a statistical claim)\n"
            "  teacher 100.0%, student 95.0% on 100 held-out examples: 5 lost, 0 gained, drop 5.0% (95% bound 10.2%)",
        ),
    ],
)  # fmt: skip
def test_every_outcome_has_its_words(judge, words):
    """Each outcome of each measure reads as pinned here, in strict and in point evidence."""
    assert judge().words == words


def test_the_words_name_the_confidence_that_was_asked_for():
    """At another level the bound is named by that level, as `confidence` in the result is."""
    measure = drop(0, 0, 200, judging=Judging(alpha=0.01))
    assert measure.to_json()["confidence"] == 0.99
    assert "(99% bound 2.7%)" in (measure <= 0.05).words


# Judgements as booleans


def test_a_shown_limit_is_true():
    """A limit that is shown makes the judgement a true boolean, plain and inverted."""
    judgement = drop(0, 0, 59) <= 0.05
    assert bool(judgement) is True
    assert judgement.shown is True
    assert (not judgement) is False


@pytest.mark.parametrize("form", [bool, lambda j: not j, lambda j: any([j]), lambda j: all([j]), lambda j: 1 if j else 2])
@pytest.mark.parametrize(("b", "n"), [(0, 58), (40, 200)], ids=["inconclusive", "refuted"])
def test_every_use_of_a_limit_not_shown_fails_closed(form, b, n):
    """An inconclusive and a refuted judgement raise AssertionError with the words and themselves, however they are used."""
    judgement = drop(b, 0, n) <= 0.05
    with pytest.raises(AssertionError) as caught:
        form(judgement)
    assert str(caught.value) == judgement.words
    assert caught.value.judgement is judgement
    assert judgement.shown is False


@pytest.mark.parametrize(
    ("p", "p_refuted", "outcome"), [(0.05, 1, "shown"), (0.0501, 0.05, "refuted"), (0.0501, 0.0501, "inconclusive"), (0.01, 0.01, "shown")]
)
def test_alpha_itself_still_decides(p, p_refuted, outcome):
    """A p value of exactly alpha is enough, for either answer."""
    assert outcome_of(p, p_refuted, 0.05) == outcome


def test_the_limit_decides_at_58_and_59_examples():
    """Without a single error 5 % is inconclusive on 58 examples and shown on 59."""
    assert [(drop(0, 0, n) <= 0.05).outcome for n in (58, 59)] == ["inconclusive", "shown"]


# Directions and forms


MEASURES = {
    "drop": drop(0, 0, 59), "speed": speed([3.0] * 30), "quality": quality([1.0] * 59, [1.0] * 59), "score": scores([0.0] * 59),
    "macro": macro(SAME), "introduced": introduced(0, 59), "valid": valid(59, 59), "latency": latency([9.0] * 59),
    "cost": CostGain(BILL, 9, judging=STRICT), "break even": BreakEven(BILL, 9, judging=STRICT),
    "slice": AccuracyDrop(59, 0, 0, 0, judging=STRICT, part=('.on("hard")', " on 'hard'")),
    "class": RecallDrop(59, 0, 0, 0, judging=STRICT, part=('["code"]', " of 'code'")),
    "noisy": SpeedGain([3.0] * 30, "live", "", judging=STRICT, why="noise"),
}  # fmt: skip
RIGHT = {
    "drop": "comparison.accuracy_drop <= 0.05",
    "speed": "comparison.speed_gain >= 2",
    "quality": "comparison.quality_retained >= 0.95",
    "score": "comparison.score_drop <= 0.05",
    "macro": "comparison.macro_f1_drop <= 0.05",
    "introduced": "comparison.introduced_rate <= 0.05",
    "valid": "comparison.valid_rate >= 0.99",
    "latency": "comparison.student_latency.p95 <= 50",
    "cost": "comparison.cost_gain >= 5",
    "break even": "comparison.break_even <= 500_000",
    "slice": 'comparison.accuracy_drop.on("hard") <= 0.05',
    "class": 'comparison.recall_drop["code"] <= 0.05',
    "noisy": "comparison.speed_gain >= 2",
}
FORMS = {
    "<=": lambda m: m <= 0.5, "<": lambda m: m < 0.5, ">=": lambda m: m >= 0.5, ">": lambda m: m > 0.5,
    "==": lambda m: m == 0.5, "!=": lambda m: m != 0.5, "bool": bool,
    "mirrored <=": lambda m: 0.5 <= m, "mirrored >=": lambda m: 0.5 >= m,  # noqa: SIM300
}  # fmt: skip
ALLOWED = {"upper": {"<=", "<", "mirrored >="}, "lower": {">=", ">", "mirrored <="}}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MEASURES)
def test_each_measure_has_one_direction(name, form):
    """A drop takes <= and <, a gain >= and >, from either side; every other form is a TypeError that names the right one."""
    if form in ALLOWED[MEASURES[name].side]:
        assert isinstance(FORMS[form](MEASURES[name]), Judgement)
        return
    with pytest.raises(TypeError) as caught:
        FORMS[form](MEASURES[name])
    assert str(caught.value).endswith(f"has one direction. Write assert {RIGHT[name]}.")


@pytest.mark.parametrize("limit", ["0.05", None, True, [0.05], drop(0, 0, 59), 1j])
def test_a_limit_is_a_number(limit):
    """Text, None, booleans and another measure are no limits: TypeError names the right form."""
    with pytest.raises(
        TypeError, match=r"accuracy drop (must be a number|has one direction).* Write (assert )?comparison\.accuracy_drop <= 0\.05\."
    ):
        _ = drop(0, 0, 59) <= limit


@pytest.mark.parametrize("judging", [STRICT, POINT], ids=["strict", "point"])
@pytest.mark.parametrize(
    ("name", "limit", "words"),
    [
        ("drop", 5, "the limit of accuracy drop lies from 0 to 0.99; seen 5. Write comparison.accuracy_drop <= 0.05."),
        ("drop", -0.01, "lies from 0 to 0.99; seen -0.01"),
        ("drop", 1, "seen 1."),
        ("drop", math.nan, "seen nan"),
        ("speed", -1, "the limit of speed gain lies from 0 to 1e+12; seen -1. Write comparison.speed_gain >= 2."),
        ("speed", math.nan, "seen nan"),
        ("speed", math.inf, "the limit of speed gain"),
        ("quality", math.inf, "seen inf."),
        ("quality", 95, "the limit of quality retained lies from 0.01 to 1.5; seen 95. Write comparison.quality_retained >= 0.95."),
        ("quality", 0, "seen 0."),
    ],
)
def test_a_limit_outside_its_range_is_refused(name, limit, words, judging):
    """A percentage given as a whole number, a negative limit and NaN raise ValueError with what is allowed."""
    measure = {"drop": drop(0, 0, 59, judging=judging), "speed": speed([3.0], judging), "quality": quality([1.0], [1.0], judging)}[name]
    with pytest.raises(ValueError, match="limit of") as caught:
        _ = measure <= limit if name == "drop" else measure >= limit
    assert words in str(caught.value)


def test_limits_may_be_whole_numbers_and_fractions():
    """An integer, a float and a Fraction of the same size judge alike, and the judgement keeps a float."""
    found = [drop(0, 0, 59) <= limit for limit in (0.25, Fraction(1, 4))] + [speed([3.0] * 30) >= limit for limit in (2, 2.0)]
    assert [(j.limit, type(j.limit), j.outcome) for j in found] == [(0.25, float, "shown")] * 2 + [(2.0, float, "shown")] * 2


def test_a_limit_of_any_size_is_refused_with_words():
    """An integer too large for a float is out of range like any other number."""
    with pytest.raises(ValueError, match=r"lies from 0 to 0\.99; seen 1000"):
        _ = drop(0, 0, 59) <= 10**400
    with pytest.raises(ValueError, match=r"the limit of speed gain lies from 0 to 1e\+12; seen 1000"):
        _ = speed([3.0]) >= 10**400


@pytest.mark.parametrize("form", FORMS)
def test_what_holds_several_measures_takes_no_limit_itself(form):
    """recall_drop and student_latency are refused with the sentence that names one of their measures."""
    drops = ClassDrops({"code": MEASURES["class"]})
    times = Latency([0.01] * 59, "live", "", STRICT)
    for holder, words in ((drops, 'comparison.recall_drop["code"] <= 0.1.'), (times, "comparison.student_latency.p95 <= 50")):
        with pytest.raises(TypeError, match="takes no limit itself") as caught:
            FORMS[form](holder)
        assert words in str(caught.value)


def test_an_unknown_class_is_refused_with_those_there_are():
    """recall_drop of a label without held-out examples is a ValueError that lists the others."""
    drops = ClassDrops({"code": MEASURES["class"]})
    assert (list(drops), len(drops)) == (["code"], 1)
    assert drops["code"] is MEASURES["class"]
    with pytest.raises(ValueError, match=r"no class 'cod'. Classes with held-out examples: code\."):
        _ = drops["cod"]


def test_a_measure_without_slices_says_so():
    """A speed gain has no slices; a measure with a slicer hands on to it."""
    with pytest.raises(TypeError, match=r"speed_gain has no slices. Write assert comparison.speed_gain >= 2\."):
        MEASURES["speed"].on("hard")
    assert AccuracyDrop(1, 0, 0, 0, judging=STRICT, slicer=lambda tag: tag + "!").on("hard") == "hard!"


# What could not be measured


@pytest.mark.parametrize("judging", [STRICT, POINT], ids=["strict", "point"])
def test_what_was_not_measured_fails_with_its_reason(judging):
    """A measure with a reason why it could not be had fails every limit with that reason, gives no value, and is null in the result."""
    heard = []
    judging = Judging(judging.evidence, heard=lambda *seen: heard.append(seen))
    noisy = SpeedGain([9.0] * 30, "live", "", judging=judging, why="the machine was busy")
    judgement = noisy >= 2
    assert (judgement.outcome, judgement.shown, judgement.p, judgement.p_refuted) == ("inconclusive", False, None, None)
    with pytest.raises(AssertionError, match="speed gain was not measured: the machine was busy"):
        bool(judgement)
    with pytest.raises(ValueError, match="speed gain was not measured: the machine was busy"):
        _ = noisy.value
    assert [seen[0] for seen in heard] == [judgement]
    assert {key: noisy.to_json()[key] for key in ("value", "bound", "why")} == {"value": None, "bound": None, "why": "the machine was busy"}


def test_percentiles_need_their_number_of_timings():
    """p50 wants 30 timings, p90 30, p95 59 and p99 299; below it nothing is measured, and with more alpha levels it takes more."""
    for rank, fewest in (("p50", 30), ("p90", 30), ("p95", 59), ("p99", 299)):
        assert latency([9.0] * fewest, rank).why == ""
        assert f"{fewest - 1} timings are too few for {rank}: {fewest} are needed" in latency([9.0] * (fewest - 1), rank).why
    assert "80 are needed" in latency([9.0] * 79, "p95", Judging(alpha=0.05 / 3)).why


# Missing labels


def test_unlabelled_disagreements_count_against_what_is_to_be_shown():
    """While labels are missing, the limit is shown only if it holds with all of them lost, and refuted only with all gained."""
    enough = AccuracyDrop(0, 1, 1, 0, 495, 3, judging=STRICT)
    assert (enough <= 0.05).p == pytest.approx((drop(4, 1, 500) <= 0.05).p)
    assert (enough <= 0.05).p_refuted == pytest.approx((drop(1, 4, 500) <= 0.05).p_refuted)
    assert (enough <= 0.05).outcome == "shown"
    assert (AccuracyDrop(0, 1, 1, 0, 458, 40, judging=STRICT) <= 0.05).outcome == "inconclusive"
    assert (AccuracyDrop(0, 90, 0, 0, 406, 4, judging=STRICT) <= 0.05).outcome == "refuted"
    assert (AccuracyDrop(0, 50, 0, 0, 400, 50, judging=STRICT) <= 0.05).outcome == "inconclusive"
    assert (introduced(0, 200, 12) <= 0.05).outcome == "inconclusive"
    assert (ScoreDrop([1.0] * 30 + [0.0] * 200, [-1.0] * 30 + [0.0] * 200, judging=STRICT) <= 0.05).outcome == "inconclusive"


# A recorded teacher


def test_a_recorded_teacher_needs_a_wider_margin():
    """From a recording a gain of 2 is shown only above 3.4, is never refuted, and the words name the recording."""

    def recorded(ratio, judging=STRICT):
        return SpeedGain([ratio] * 30, "recorded", "2026-11-22T10:00:00Z", judging=judging) >= 2

    assert [recorded(r).outcome for r in (3.41, 3.4, 0.5)] == ["shown", "inconclusive", "inconclusive"]
    assert [recorded(r, POINT).shown for r in (3.41, 3.39)] == [True, False]
    assert all("from a recording of 2026-11-22" in recorded(r).words for r in (3.41, 0.5))


# Cost


def test_the_worked_bill():
    """800 and 150 tokens at $3 and $15, a GPU at $2 an hour and $200 of training over 6 months break even at about 321,000 a month."""
    assert per_request((3, 0.3, 15), 800, 0, 150) == pytest.approx(0.00465)
    assert per_request((3, 0.3, 15), 300, 500, 150) == pytest.approx(0.0033)
    assert BILL.break_even == pytest.approx(321_147, abs=1)
    assert BILL.gain(BILL.break_even) == pytest.approx(1)
    assert BILL.replicas(1) == 1
    assert BILL.replicas(0.6 * 3600 * 730 + 1) == 2


def test_break_even_counts_the_replicas_that_it_takes():
    """Where one replica cannot answer as much as it must to pay, more are counted; where each costs more than it saves, nothing pays."""
    slow = Serving(usd_per_hour=2, requests_per_month=1e6, training_usd=6000, months=1)
    bill = Bill(0.00465, 0.0, slow, 0.25)
    even = bill.break_even
    assert bill.replicas(even) > 1
    assert bill.fixed(bill.replicas(even)) == pytest.approx(even * 0.00465)
    assert Bill(0.00465, 0.0, slow, 0.1).break_even is None
    assert Bill(0.001, 0.002, None, 1.0).break_even is None
    assert Bill(0.002, 0.001, None, 1.0).break_even == 0
    assert Bill(0.002, 0.001, None, 1.0).gain(5) == pytest.approx(2)


def test_cost_is_judged_as_arithmetic_in_every_mode():
    """A cost gain is judged as `point`, with no p value and no bound, and says that it is no statistical claim."""
    for judging in (STRICT, POINT):
        judgement = CostGain(BILL, 9, judging=judging) >= 3
        assert (judgement.outcome, judgement.shown, judgement.p) == ("point", True, None)
        assert "not a statistical claim" in judgement.words
        assert CostGain(BILL, 9, judging=judging).to_json()["bound"] is None
    with pytest.raises(AssertionError, match="misses at least 4 times"):
        bool(CostGain(BILL, 9, judging=STRICT) >= 4)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"usd_per_hour": -1}, "usd_per_hour must be a number 0 or more; seen -1"),
        ({"requests_per_month": 0}, "requests_per_month must be a number above 0; seen 0"),
        ({"utilisation": 0.7}, "utilisation must be a number above 0 to 0.6; seen 0.7"),
        ({"months": math.nan}, "months must be a number above 0; seen nan"),
        ({"requests_per_second": "5"}, "requests_per_second must be a number above 0; seen '5'"),
        ({"training_usd": None}, "training_usd must be a number 0 or more; seen None"),
    ],
)
def test_serving_is_checked(wrong, words):
    """A value of Serving outside its range is refused by name."""
    with pytest.raises(TaskError, match=f"Serving: {words}"):
        Serving(**{"usd_per_hour": 2, "requests_per_month": 1000, **wrong})


# Plain estimates


def test_point_evidence_compares_fractions():
    """100/100 against 95/100 is a drop of exactly 5 %, which floats would miss, and one more error is not."""
    assert 1.0 - 95 / 100 > 0.05
    judged = {(b, op): op(drop(b, 0, 100, judging=POINT)) for b in (5, 6) for op in (FORMS["<="], lambda m: m <= 0.05, lambda m: m < 0.05)}
    assert [j.shown for j in judged.values()] == [True, True, False, True, False, False]
    assert {(j.outcome, j.p, j.p_refuted) for j in judged.values()} == {("point", None, None)}
    with pytest.raises(AssertionError, match="not a statistical claim"):
        bool(drop(6, 0, 100, judging=POINT) <= 0.05)


@pytest.mark.parametrize(
    ("ratios", "limit", "shown"), [([2.0], 2, True), ([1.9, 2.1], 2, True), ([1.99] * 3, 2, False), ([1.1], 1.1, True)]
)
def test_point_evidence_takes_the_median_ratio(ratios, limit, shown):
    """A speed gain in point evidence is the median as it is, even of one pair."""
    assert (speed(ratios, POINT) >= limit).shown is shown


def test_point_evidence_takes_the_ratio_of_the_scores():
    """Quality retained is exact as well: 19 of 20 meet 95 %, 18 do not."""
    assert [(quality([1.0] * 20, [0.0] * lost + [1.0] * (20 - lost), POINT) >= 0.95).shown for lost in (1, 2)] == [True, False]


def test_point_evidence_keeps_a_fraction_limit_exact():
    """A drop of 5/15 is at most Fraction(1, 3)."""
    assert (drop(5, 0, 15, judging=POINT) <= Fraction(1, 3)).shown


@pytest.mark.parametrize("judging", [STRICT, POINT], ids=["strict", "point"])
def test_a_limit_may_be_a_float_that_prints_itself_otherwise(judging):
    """A number such as numpy's float64, whose repr is no plain number, is the limit that it is."""

    class Wrapped(float):
        def __repr__(self) -> str:
            return f"Wrapped({float(self)})"

    judgement = drop(0, 0, 59, judging=judging) <= Wrapped(0.05)
    assert (judgement.limit, judgement.shown) == (0.05, True)
    judgement = drop(2, 0, 46, 2, judging=judging) <= Wrapped(0.02)
    assert (judgement.limit, judgement.shown) == (0.02, False)


def test_judgements_and_estimates_are_heard():
    """Whoever runs the gate is told of each judgement, and of each plain estimate that is read."""
    heard = []
    judging = Judging(heard=lambda judgement, measure: heard.append((judgement, measure)))
    measure = drop(2, 1, 100, judging=judging)
    judgement = measure <= 0.1
    assert measure.value == 0.01
    assert heard == [(judgement, "accuracy_drop"), (None, "accuracy_drop")]
    _ = measure.estimate, measure.bound, measure.to_json()
    assert len(heard) == 2


# Numbers


def test_estimates_and_bounds():
    """The estimates, bounds and numbers of examples of the three measures."""
    assert (drop(7, 2, 200).estimate, drop(7, 2, 200).bound, drop(2, 7, 200).estimate) == (0.025, pytest.approx(0.05508, abs=1e-5), -0.025)
    gain = speed([float(k) for k in range(1, 31)])
    assert (gain.estimate, gain.bound, gain.n) == (15.5, 11.0, 30)
    assert speed([2.0] * 4).bound is None
    kept = quality([1.0, 0.5, 1.0, 0.0], [0.5, 0.5, 1.0, 0.0])
    assert (kept.exact, kept.n) == (Fraction(4, 5), 4)
    assert quality([0.0, 0.0], [1.0, 0.0]).estimate == 0.0


def test_ties_with_the_limit_count_for_neither_side():
    """Pairs exactly at the limit neither show nor refute a speed gain."""
    judgement = speed([2.0] * 30) >= 2
    assert (judgement.outcome, judgement.p, judgement.p_refuted) == ("inconclusive", 1.0, 1.0)


def test_a_measure_as_the_result_holds_it():
    """The result holds value, bound, side, confidence, n and method; a timing also says when it was made."""
    assert drop(0, 0, 59).to_json() == {
        "value": 0.0, "bound": pytest.approx(0.04951, abs=1e-5), "side": "upper", "confidence": 0.95, "n": 59, "method": "exact-tango",
        "why": None,
    }  # fmt: skip
    assert speed([2.0] * 4, timed="stored").to_json() == {
        "value": 2.0, "bound": None, "side": "lower", "confidence": 0.95, "n": 4, "method": "sign-test", "timed": "stored",
        "at": "2026-11-22T10:00:00Z", "why": None,
    }  # fmt: skip
    assert quality([1.0] * 20, [1.0] * 20).to_json() == {
        "value": 1.0, "bound": pytest.approx(0.05 ** (1 / 20), abs=2e-5), "side": "lower", "confidence": 0.95, "n": 20, "method": "gaffke",
        "why": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.05, -1, "5%"), (0.125, -1, "12.5%"), (0.07, -1, "7%"), (0.05, 1, "5.0%"), (-0.025, 1, "-2.5%"), (-1e-5, 1, "0.0%")],
)
def test_percentages(value, digits, text):
    """Limits are written without needless zeros, values with one digit."""
    assert percent(value, digits) == text


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ((True, True, True, False), "viable"),
        ((True, False, True, False), "marginal"),
        ((False, True, True, False), "marginal"),
        ((False, True, False, True), "not ready"),
        ((False, True, False, False), "inconclusive"),
        ((False, False, False, False), "inconclusive"),
    ],
)
def test_bands(flags, name):
    """Viable needs the drop and the speed, marginal only 10 %, and what decides nothing is inconclusive."""
    assert band(*flags) == name


def test_a_cost_that_meets_its_limit_exactly_meets_it():
    """Prices of which one is twenty times the other meet a limit of 20, as people would reckon; what they cost a request is told in digits that say something."""
    dear, cheap = (per_request(price, 12.0, 0.0, 1.0) for price in ((2, 0.5, 8), (0.1, 0.05, 0.4)))
    assert dear / cheap != 20
    gain = CostGain(Bill(dear, cheap, None, 1.0), 10, judging=STRICT)
    assert (gain >= 20).shown
    assert gain.facts().startswith("teacher $0.0000320 a request, student $0.00000160;")


def test_recorded_times_of_a_student_keep_the_limit_with_a_margin():
    """A percentile from a recording must keep the limit 1.7 times over, is never refuted, and says where it is from."""
    times = Latency([0.01] * 100, "recorded", "2026-11-22T10:00:00Z", STRICT).p95
    assert (times <= 17).shown
    assert "from a recording of 2026-11-22" in (times <= 17).words
    for limit in (16.9, 1):
        with pytest.raises(AssertionError) as caught:
            assert times <= limit
        assert "inconclusive" in str(caught.value)
        assert "--distill-live" in str(caught.value)
