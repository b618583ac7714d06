"""The result: its verdict in every case, and what is written and read back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pytest_distill import results
from pytest_distill.errors import DistillError
from pytest_distill.evaluate import Series, Timing
from pytest_distill.recording import Reply
from pytest_distill.results import SCHEMA, verdict
from tests.fakes import RuleModel
from tests.test_compare import make

NO_CLAIM = "no gate claims anything that holds: hold a measure against a limit with assert; .value and .shown alone decide nothing"


def gates(*outcomes: str) -> list[dict]:
    return [{"id": f"g{k}", "outcome": outcome, "message": f"\n{outcome} {k}\nmore"} for k, outcome in enumerate(outcomes)]


PASSED_OVER = "a limit that is not shown was passed over: "


def judged(*outcomes: str) -> list[dict]:
    """Comparisons with a judgement each; a plain estimate that misses its limit is ``point missed``."""
    return [
        {
            "judgements": [
                {"outcome": outcome.removesuffix(" missed"), "shown": outcome in {"shown", "point"}, "words": f"{outcome} words\nmore"}
            ]
        }
        for outcome in outcomes
    ]


@pytest.mark.parametrize(
    ("outcomes", "collected", "comparisons", "trouble", "expected"),
    [
        (["passed"], 1, judged("shown"), "", ("pass", "1 gate passed: shown words")),
        (["passed"] * 2, 2, judged("shown", "shown"), "", ("pass", "all 2 gates passed: shown words; shown words")),
        (["passed", "skipped"], 2, judged("shown"), "", ("pass", "1 of 2 gates passed, 1 skipped: shown words")),
        (["passed"] * 2, 2, judged("no claim", "shown"), "", ("pass", "all 2 gates passed: shown words")),
        (["passed"] * 2, 2, judged("point", "point"), "", ("pass", "all 2 gates passed: point words; point words")),
        (["passed"] * 2, 2, judged(*["shown"] * 3), "", ("pass", "all 2 gates passed: shown words; shown words; shown words")),
        (["passed"] * 2, 2, judged(*["shown"] * 4), "", ("pass", "all 2 gates passed")),
        (["passed"] * 2, 2, judged(*["shown"] * 3, "refuted"), "", ("fail", PASSED_OVER + "refuted words")),
        (["passed"], 1, judged("inconclusive", "point"), "", ("inconclusive", PASSED_OVER + "inconclusive words")),
        (["passed", "failed"], 2, judged("shown", "refuted"), "", ("fail", "1 of 2 gates failed: failed 1")),
        (["failed"], 1, judged("refuted"), "", ("fail", "1 gate failed: failed 0")),
        (["inconclusive"] * 2, 2, judged("inconclusive"), "", ("inconclusive", "all 2 gates inconclusive: inconclusive 0")),
        (["inconclusive", "failed", "passed"], 3, judged("refuted"), "", ("fail", "1 of 3 gates failed: failed 1")),
        (["inconclusive", "passed"], 2, judged("shown"), "", ("inconclusive", "1 of 2 gates inconclusive: inconclusive 0")),
        (["inconclusive", "skipped"], 2, [], "", ("inconclusive", "1 of 2 gates inconclusive: inconclusive 0")),
        (["failed", "error"], 2, judged("refuted"), "", ("error", "error 1 (g1)")),
        (["passed"], 2, judged("shown"), "", ("error", "2 gates were collected and 1 reported")),
        (["failed"], 2, judged("refuted"), "", ("error", "2 gates were collected and 1 reported")),
        (["passed"] * 3, 2, judged("shown"), "", ("error", "2 gates were collected and 3 reported")),
        (["error"], 2, [], "", ("error", "error 0 (g0)")),
        ([], 0, [], "", ("error", "no gate ran: nothing was collected")),
        (["skipped"] * 2, 2, [], "", ("error", "no gate ran: all 2 were skipped (skipped 0)")),
        (["passed"], 1, judged("no claim"), "", ("error", NO_CLAIM)),
        (["passed"], 1, [], "", ("error", NO_CLAIM)),
        (["passed"], 1, judged("inconclusive"), "", ("inconclusive", PASSED_OVER + "inconclusive words")),
        (["passed"] * 2, 2, judged("refuted", "no claim"), "", ("fail", PASSED_OVER + "refuted words")),
        (["passed"], 1, judged("point missed"), "", ("fail", PASSED_OVER + "point missed words")),
        (["passed", "skipped"], 2, judged("refuted"), "", ("fail", PASSED_OVER + "refuted words")),
        (["failed"], 1, judged("no claim"), "", ("fail", "1 gate failed: failed 0")),
        (["passed"], 1, judged("shown"), "a worker crashed", ("error", "a worker crashed")),
        ([], 0, [], "interrupted", ("error", "interrupted")),
        (["failed", "error"], 2, judged("refuted"), "interrupted", ("error", "interrupted")),
    ],
)  # fmt: skip
def test_the_verdict_and_its_cause(outcomes, collected, comparisons, trouble, expected):
    """Trouble, errors and missing evidence come before a failure, a failure before an inconclusive gate, and that before a pass."""
    assert verdict(gates(*outcomes), collected, comparisons, trouble) == expected


def test_a_gate_without_words_still_has_a_cause():
    """A failed gate whose message is empty says that no reason was given."""
    assert verdict([{"id": "g", "outcome": "failed", "message": " "}], 1, [], "") == ("fail", "1 gate failed: no reason given")


def test_the_summary_takes_the_worst():
    """The summary counts the gates and names the largest drop and bound and the smallest gain; where nothing was judged they are null."""
    compared = [
        {"measures": {"accuracy_drop": {"value": 0.01, "bound": 0.06}, "speed_gain": {"value": 4.0}}, "models": {"t": {"cost_usd": None}}},
        {"measures": {"accuracy_drop": {"value": 0.03, "bound": None}, "speed_gain": {"value": 3.0}}, "models": {"t": {"cost_usd": None}}},
    ]
    noisy = {"measures": {"accuracy_drop": {"value": 0.0, "bound": 0.01}, "speed_gain": {"value": None}}}
    compared.append({**noisy, "models": {"t": {"cost_usd": 0.5}, "s": {"cost_usd": 0.25}}})
    found = gates("passed", "failed", "failed", "inconclusive", "skipped", "error")
    assert results.summary(found, compared) == {
        "passed": 1, "failed": 2, "inconclusive": 1, "worst_accuracy_drop": 0.03, "worst_accuracy_drop_bound": 0.06,
        "smallest_speed_gain": 3.0, "cost_usd": 0.75,
    }  # fmt: skip
    assert results.summary([], []) == {
        "passed": 0, "failed": 0, "inconclusive": 0, "worst_accuracy_drop": None, "worst_accuracy_drop_bound": None,
        "smallest_speed_gain": None, "cost_usd": None,
    }  # fmt: skip


def test_what_is_written_is_read_back(tmp_path):
    """A result comes back as it was, with null for what is no finite number and lists for tuples."""
    path = tmp_path / ".distill" / "results.json"
    results.write(path, {"schema": SCHEMA, "a": [1, math.nan, (math.inf, -math.inf)], "b": {"c": 0.1, "d": "é\ud800"}, "e": True})
    assert results.read(path) == {"schema": SCHEMA, "a": [1, None, [None, None]], "b": {"c": 0.1, "d": "é\ud800"}, "e": True}
    assert b"NaN" not in path.read_bytes()
    assert [found.name for found in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "no result can be read"),
        (b"", "no result can be read"),
        (b'{"schema": "pytest-distill/res', "no result can be read"),
        (b'{"schema": "\xff"}', "no result can be read"),
        (b"[]", "not of schema pytest-distill/results/1"),
        (b"{}", "not of schema pytest-distill/results/1"),
        (b'{"schema": "pytest-distill/results/2"}', "not of schema pytest-distill/results/1"),
        (b'{"schema": ["pytest-distill/results/1"]}', "not of schema pytest-distill/results/1"),
    ],
)
def test_a_result_that_cannot_be_trusted_is_refused(tmp_path, data, words):
    """A missing, empty, torn or foreign result is a DistillError that names the file and the way out."""
    path = tmp_path / "results.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DistillError) as caught:
        results.read(path)
    assert str(caught.value).startswith(f"{path}: {words}")
    assert "Run pytest --distill" in str(caught.value)


REPLY = Reply("k", "h0", "big", "a", "answered", 1, 1, "2026-11-22T10:00:52Z")
REPLIES = {"teacher": [REPLY], "student": [REPLY]}
MODELS = {"teacher": RuleModel("big"), "student": RuleModel("small")}


def known(comparison, replies=REPLIES):
    """What is known of both models."""
    return {side: results.model_facts(model, getattr(comparison, side), replies[side]) for side, model in MODELS.items()}


def test_a_comparison_as_the_result_holds_it(tmp_path):
    """An entry holds every key that its readers know, with both models in the same form, and is plain JSON."""
    comparison = make(tmp_path)
    entry = results.comparison_entry(comparison, {"id": "f::s", "n": "replaced"}, known(comparison))
    assert json.loads(json.dumps(entry, allow_nan=False)).keys() == entry.keys()
    assert set(entry) == {
        "id", "task", "teacher", "student", "n", "counts", "measures", "models", "classes", "confusion", "parts", "slices", "clusters", "broad", "judge",
        "band", "band_note", "timing", "answers", "errors",
    }  # fmt: skip
    assert (entry["task"], entry["teacher"], entry["student"], entry["n"], entry["band"]) == ("t", "big", "small", 8, "inconclusive")
    assert entry["band_note"] == comparison.band_note
    assert entry["models"]["student"] == {
        "name": "small", "revision": None, "digest": "sha256:small-[]", "parameters": 1, "accuracy": 0.5, "why": None,
        "score": 0.5, "macro_f1": comparison.macro_f1("student"), "weighted_f1": comparison.weighted_f1("student"), "latency_ms": {"n": 30, "p50": 20.0, "p90": 20.0, "p95": None, "p99": None},
        "first_token_ms": None, "per_token_ms": None, "tokens_per_second": None, "tokens_out_p50": None, "tokens_in": 80, "tokens_cached": 0,
        "tokens_out": 16, "tokens_counted": True, "cost_usd": None, "origin": "answered 2026-11-22T10:00:52Z", "answered_by": None, "outcomes": {"answered": 1},
        "retires": None, "terms": None,
    }  # fmt: skip
    assert entry["models"]["teacher"]["latency_ms"] == {"n": 30, "p50": 60.0, "p90": 60.0, "p95": None, "p99": None}
    assert entry["models"]["teacher"].keys() == entry["models"]["student"].keys()
    assert entry["confusion"]["labels"] == ["a", "b", "c", "(none)"]
    assert entry["confusion"]["student"] == comparison.confusion(comparison.student)


def test_a_comparison_holds_what_is_known_of_tokens(tmp_path):
    """Where a model says when its first token came and counts tokens, the entry holds their medians."""
    streamed = Series((0.05, 0.04, 0.07), (0.01, 0.02, 0.07), (5, 3, 1))
    comparison = make(tmp_path, timing=Timing(Series((0.06,) * 3, (), (2, 4, 6)), streamed, "live", "", ""))
    entry = results.comparison_entry(comparison, {}, known(comparison))
    names = ("first_token_ms", "per_token_ms", "tokens_per_second", "tokens_out_p50")
    assert [entry["models"]["student"][name] for name in names] == [
        {"n": 3, "p50": 20.0, "p90": None, "p95": None, "p99": None}, 10.0, 75.0, 3,
    ]  # fmt: skip
    assert [entry["models"]["teacher"][name] for name in names] == [None, None, 66.667, 4]


def test_the_environment_of_a_folder_without_git(tmp_path):
    """Outside a repository commit is null and nothing is dirty; packages that are not installed are left out."""
    found = results.environment(tmp_path)
    assert found["git"] == {"commit": None, "dirty": False}
    assert {"pytest", "pytest-distill"} <= found["packages"].keys()
    assert found["cpu"] == results.machine()
    assert found["cpu"].endswith(" cores")


HOSTED = replace(
    REPLY, origin="https://api.example/v1", answered_by="big-2026-01-01", terms="research only", parameters={"max_tokens": 4}, retires=""
)


def test_an_endpoint_is_told_by_its_replies(tmp_path):
    """What the replies of an Endpoint know stands with its model: origin, who answered, outcomes, retirement and licence note."""
    replies = [replace(HOSTED, retires="2027-01-14"), replace(HOSTED, outcome="refused")]
    comparison = make(tmp_path)
    entry = results.comparison_entry(comparison, {}, known(comparison, REPLIES | {"teacher": replies}))
    teacher = entry["models"]["teacher"]
    assert teacher["origin"] == "recorded 2026-11-22 from https://api.example/v1"
    assert (teacher["answered_by"], teacher["retires"], teacher["terms"]) == ("big-2026-01-01", "2027-01-14", "research only")
    assert teacher["outcomes"] == {"answered": 1, "refused": 1}


@pytest.mark.parametrize(
    ("days", "words"), [(61, None), (60, "in 60 days"), (1, "in 1 days"), (0, "no longer there"), (-5, "no longer there")]
)
def test_a_model_about_to_be_shut_down_is_noted(days, words):
    """Sixty days before a hosted model is shut down its result begins to say so, and goes on afterwards."""
    day = (datetime.now(UTC).date() + timedelta(days=days)).isoformat()
    notes = results.reply_notes("big", [replace(HOSTED, retires=day)])
    assert bool(notes) == (words is not None)
    if words:
        assert notes[0].startswith(f"big is shut down on {day} (")
        assert words in notes[0]


def test_what_a_server_passed_over_is_noted():
    """Log probabilities that never came and a response format that is not kept are said; where they came, nothing is."""
    asked = replace(HOSTED, parameters={"logprobs": True, "response_format": {"type": "json_object"}})
    assert results.reply_notes("big", [replace(asked, logprobs=[["a", -0.1, []]])]) == []
    notes = results.reply_notes("big", [replace(asked, outcome="malformed"), asked])
    assert notes == [
        "big was asked for log probabilities and its server sent none",
        "big was given a response format, and 1 of 2 replies do not keep to it: its server does not enforce it",
    ]
