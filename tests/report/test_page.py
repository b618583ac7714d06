"""The page: what it says of a result, and that no text from outside can do harm in it."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pytest_distill import results
from pytest_distill.answers import Labels
from pytest_distill.compare import Comparison, ladder, ladder_note
from pytest_distill.evaluate import Series, Timing, evaluate
from pytest_distill.recording import Reply
from pytest_distill.report import page
from pytest_distill.task import Task
from pytest_distill.verdict import Judging
from tests.fakes import RuleModel

FILE = "benchmarks/bench_retrieval_routing.py"
ACCURACY, SPEED = f"{FILE}::test_keeps_the_teachers_accuracy[tiny]", f"{FILE}::test_is_at_least_twice_as_fast[tiny]"
AT = "2026-11-22T10:00:00Z"


def a_judgement(gate: str, line: int, measure: str, operator: str | None, limit: float | None, outcome: str, words: str) -> dict[str, Any]:
    """A judgement as results.json holds it."""
    p, p_refuted = {"shown": (0.0011, 0.9998), "refuted": (0.9998, 0.0002), "inconclusive": (0.31, 0.74)}.get(outcome, (None, None))
    return {
        "gate": gate,
        "comparison": f"{FILE}::tiny",
        "line": line,
        "measure": measure,
        "operator": operator,
        "limit": limit,
        "outcome": outcome,
        "shown": outcome == "shown",
        "alpha": None if operator is None else 0.05,
        "p": p,
        "p_refuted": p_refuted,
        "words": words,
        **({} if operator is None else {"value": 0.0125, "bound": 0.0297, "n": 400, "method": "exact-tango"}),
    }


def an_error(number: int, kind: str = "introduced", **other: Any) -> dict[str, Any]:
    """An error row as results.json holds it."""
    row = {
        "id": f"heldout-{number:05}",
        "kind": kind,
        "input": f"> which file holds on to row {number}\nRoute:",
        "expected": "code",
        "teacher": "docs" if kind == "inherited" else "code",
        "student": "code" if kind == "corrected" else "docs",
        "tags": ["hard-negative"],
    }
    return row | other


def a_cluster(**other: Any) -> dict[str, Any]:
    """A cluster of introduced errors as results.json holds it."""
    cluster = {
        "by": "pair",
        "name": "code -> docs",
        "count": 4,
        "share": 4 / 9,
        "lift": None,
        "inherited": 1,
        "training": 3448,
        "ids": ["heldout-1", "heldout-2"],
        "mend": "rows",
        "words": "4 of 9 introduced errors take 'code' for 'docs': train on more rows like these (3,448 of 12,500 training rows expect 'code')",
    }
    return cluster | other


def a_measure(value: float | None, bound: float | None, side: str, method: str, n: int = 400, **other: Any) -> dict[str, Any]:
    """A measure as results.json holds it."""
    return {"value": value, "bound": bound, "side": side, "confidence": 0.95, "n": n, "method": method, "why": None} | other


def a_rung(rung: str, accuracy: float | None, *behind: tuple[float, float] | None, **other: Any) -> dict[str, Any]:
    """A rung of the ladder as results.json holds it, with how far it is behind the student and the teacher."""
    row = {"rung": rung, "accuracy": accuracy, "why": None, "as_good": False}
    for side, drop in zip(("student", "teacher"), behind, strict=False):
        row[f"behind_{side}"] = drop and {"value": drop[0], "bound": drop[1]}
    return row | other


def a_model(name: str, digest: str, accuracy: float, p50: float) -> dict[str, Any]:
    """A model of a comparison as results.json holds it."""
    return {
        "name": name,
        "revision": None,
        "digest": f"sha256:{digest * 64}",
        "parameters": 12_345_678,
        "accuracy": accuracy,
        "why": None,
        "score": accuracy,
        "macro_f1": 0.9512,
        "weighted_f1": 0.953,
        "latency_ms": {"n": 60, "p50": p50, "p90": p50 * 1.2, "p95": p50 * 1.25, "p99": None},
        "first_token_ms": {"n": 60, "p50": p50 / 2, "p90": p50 * 0.6, "p95": p50 * 0.7, "p99": None},
        "per_token_ms": p50 / 8,
        "tokens_per_second": 129.04,
        "tokens_out_p50": 2.5,
        "tokens_in": 12000,
        "tokens_out": 800,
        "cost_usd": 0.05,
        "origin": f"answered {AT}",
        "tokens_cached": 0,
        "tokens_counted": True,
        "answered_by": None,
        "outcomes": {"answered": 1},
        "retires": None,
        "terms": None,
    }


def a_comparison() -> dict[str, Any]:
    """A comparison in which everything that the page can show is there."""
    kinds = ["introduced"] * 9 + ["corrected"] * 4 + ["inherited"] * 16
    labels = ["code", "docs", "hybrid", "skip", "(none)"]
    share = {"support": 100, "teacher_f1": 0.951, "student_f1": 0.942, "teacher_recall": 0.96, "student_recall": 0.93}
    share |= {"teacher_precision": 0.941, "student_precision": 0.955}
    table = [[100 if row == column < 4 else 0 for column in range(5)] for row in range(5)]
    return {
        "id": f"{FILE}::tiny",
        "file": FILE,
        "line": 12,
        "task": "retrieval_routing",
        "teacher": "reference",
        "student": "tiny",
        "inputs": {"task": "retrieval_routing", "heldout": {"rows": 400, "digest": f"sha256:{'4' * 64}"}},
        "inputs_digest": f"sha256:{'1' * 64}",
        "accepted": None,
        "own_fixtures": [],
        "fingerprint": f"sha256:{'2' * 64}",
        "attempt": 3,
        "trained_seconds": 41.2,
        "from_store": False,
        "adapter": {"path": ".distill/store/tiny-22/adapter", "sha256": f"sha256:{'3' * 64}"},
        "recipe": {"name": "tiny", "base": "training/checkpoints/student", "revision": None, "seed": 7, "epochs": 3.0},
        "n": 400,
        "train_examples": 477,
        "rejected": {"wrong": 21, "unparsable": 2},
        "replaced": {"wrong": 3},
        "stability": {
            "rate": 0.03,
            "lower": 0.018,
            "upper": 0.046,
            "n": 400,
            "method": "clopper-pearson",
            "samples": 2,
            "lost": 0,
            "unstable": [{"id": "heldout-3", "values": ["code", "docs"]}],
        },
        "left_out": [
            {"reason": "wrong", "rows": 21, "replaced": False, "id": "train-7", "said": "docs", "expected": "code"},
            {"reason": "wrong", "rows": 3, "replaced": True, "id": "train-8", "said": "docs", "expected": None},
        ],
        "counts": {"both_right": 371, "introduced": 9, "corrected": 4, "inherited": 16},
        "measures": {
            "accuracy_drop": a_measure(0.0125, 0.0297, "upper", "exact-tango"),
            "speed_gain": a_measure(6.1, 5.72, "lower", "sign-test", 60, timed="stored", at=AT),
            "quality_retained": a_measure(0.9868, 0.968, "lower", "gaffke"),
            "introduced_rate": a_measure(0.0225, 0.0389, "upper", "clopper-pearson"),
            "valid_rate": a_measure(1.0, 0.9925, "lower", "clopper-pearson"),
            "cost_gain": a_measure(3.2, None, "lower", "arithmetic"),
            "break_even": a_measure(321147.4, None, "upper", "arithmetic"),
            "forgotten": a_measure(0.025, 0.0766, "upper", "exact-tango", 80),
        },
        "models": {"teacher": a_model("reference", "a", 0.9675, 31.04), "student": a_model("tiny", "b", 0.955, 5.1)},
        "classes": {label: dict(share) for label in labels[:-1]},
        "confusion": {
            "labels": labels,
            "teacher": copy.deepcopy(table),
            "student": copy.deepcopy(table),
            "pairs": [{"expected": "code", "given": "docs", "teacher": 4, "student": 7}],
        },
        "parts": {"file": {"n": 390, "teacher": 0.91, "student": 0.84}},
        "slices": {"hard-negative": {"n": 60, "teacher": 0.9, "student": 0.866, "teacher_score": 0.93, "student_score": 0.88}},
        "clusters": [a_cluster(), a_cluster(by="tag", name="hard-negative", count=3, lift=2.2, words="3 of 9 introduced errors carry it")],
        "broad": {
            "task": "broad",
            "n": 80,
            "counts": {"both_right": 50, "forgotten": 3, "gained": 1, "both_wrong": 26},
            "base": 0.6625,
            "student": 0.6375,
            "slices": {"refusal": {"n": 24, "base": 0.5, "student": 0.45}},
            "forgotten": [
                {"id": "broad-7", "input": "What is 7 times 8?", "expected": "56", "base": "56", "student": "skip", "tags": ["refusal"]}
            ],
            "answers": {"broad-7": [["a1", 1.0, True, []], None]},
        },
        "judge": None,
        "band": "viable",
        "band_note": "",
        "timing": {
            "teacher": {"seconds": [0.031] * 60, "first_token": [0.0155] * 60, "tokens_out": [4] * 60},
            "student": {"seconds": [0.0051] * 60, "first_token": [0.00255] * 60, "tokens_out": [4] * 60},
            "timed": "stored",
            "at": AT,
            "machine": "AMD EPYC, 2 cores",
            "reference": [0.0121, 0.0123, 0.012],
            "noise": "",
            "unpaired": "",
            "recorded": "",
            "student_recorded": False,
        },
        "seeds": None,
        "ladder": [
            a_rung("majority", 0.251, (0.704, 0.741), (0.7165, 0.753)),
            a_rung("linear", 0.954, (0.001, 0.0184), (0.0135, 0.0321), as_good=True),
            a_rung("base", None, why="base needs a GPU. Run it there.\nOr not."),
            a_rung("base, 4 examples", 0.003, (0.952, 0.969), (0.9645, 0.979)),
            a_rung("student", 0.955, None, (0.0125, 0.0297)),
            a_rung("teacher", 0.9675, (-0.0125, 0.0051), None),
        ],
        "ladder_note": "linear is shown to be at most 2% worse than the student (0.1% behind, 95% bound 1.8%): it may be all that this task needs",
        "notes": ["2 rows were longer than max_length=256 tokens and were left out"],
        "judgements": [
            a_judgement(
                ACCURACY, 16, "accuracy_drop", "<=", 0.05, "shown", "accuracy drop 1.2% (95% bound 3.0%) is shown to be at most 5%"
            ),
            a_judgement(
                SPEED, 20, "speed_gain", ">=", 2.0, "shown", "speed gain 6.10 times (95% bound 5.72 times) is shown to be at least 2 times"
            ),
        ],
        "answers": {"heldout-1": ["code", "docs"]},
        "errors": [an_error(number, kind) for number, kind in enumerate(kinds, 1)],
    }


def a_result(**other: Any) -> dict[str, Any]:
    """A passing result with one comparison, as `Run` makes it."""
    result = {
        "schema": results.SCHEMA,
        "complete": True,
        "verdict": "pass",
        "cause": "all 2 gates passed",
        "started": AT,
        "seconds": 93.1,
        "evidence": "strict",
        "locked": False,
        "root": ".",
        "command": "pytest --distill -k tiny",
        "environment": {
            "python": "3.11.7",
            "platform": "Linux-6.18-x86_64",
            "cpu": "AMD EPYC, 2 cores",
            "gpu": None,
            "packages": {"pytest-distill": "0.1.0", "torch": "2.13.0+cpu"},
            "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": True},
        },
        "gates": [{"id": ACCURACY, "outcome": "passed", "message": ""}, {"id": SPEED, "outcome": "passed", "message": ""}],
        "collected": 2,
        "reported": 2,
        "summary": {
            "passed": 2,
            "failed": 0,
            "inconclusive": 0,
            "worst_accuracy_drop": 0.0125,
            "worst_accuracy_drop_bound": 0.0297,
            "smallest_speed_gain": 6.1,
            "cost_usd": None,
        },
        "seeds": [],
        "changes": [],
        "history": [],
        "drift": [],
        "recorded": [],
        "comparisons": [a_comparison()],
    }
    return result | other


def a_change(**other: Any) -> dict[str, Any]:
    """A change of the gate as results.json holds it: a limit that was loosened."""
    change = {
        "name": f"limit:{ACCURACY}:accuracy_drop<=0.08",
        "what": "the limit of accuracy_drop was loosened from <=0.05 to <=0.08",
        "was": "<=0.05",
        "now": "<=0.08",
        "file": FILE,
        "line": 16,
        "weakens": True,
        "allowed": False,
        "fails": True,
    }
    return change | other


def the_changes() -> list[dict[str, Any]]:
    """A change of each kind: one that fails, one that fails and can only be accepted, one allowed, one of no base, and one that is new."""
    return [
        a_change(),
        a_change(name="gate:a=new", what="the gate a is new (accept it)", was=None, now="speed_gain >=2", weakens=False),
        a_change(name="heldout:t=12", what="the held-out rows of t changed", allowed=True, fails=False),
        a_change(name="gate:it's=removed", what="the gate it's was removed", now=None, fails=False),
        a_change(name="train:t=34", what="the training rows of t changed", weakens=False, fails=False),
    ]


def a_recording(**other: Any) -> dict[str, Any]:
    """What a run that only records has done for a model, as results.json holds it."""
    entry = {
        "task": "retrieval_routing",
        "file": FILE,
        "line": 12,
        "role": "teacher",
        "model": "big",
        "held": 1200,
        "asked": 30,
        "failed": 0,
        "cost_usd": 0.0412,
        "outcome": "recorded",
        "words": "teacher 'big': all 1,230 replies are in the recording",
    }
    return entry | other


def a_recorded_result() -> dict[str, Any]:
    """A result of a run that only recorded: one model was had, one not."""
    lacking = a_recording(
        model="small", role="student", failed=2, cost_usd=None, outcome="error", words="student 'small': 429\nask again later"
    )
    cause = "student 'small': 429"
    found = a_result(verdict="error", complete=False, cause=cause, gates=[], collected=0, reported=0, comparisons=[])
    return found | {"recorded": [a_recording(), lacking]}


def a_failure() -> dict[str, Any]:
    """A failing result: the drop is refuted and a gate reads a plain estimate."""
    words = "accuracy drop is shown not to be at most 5%: refuted\nteacher 96.8%, student 80.0% on 400 held-out examples"
    result = a_result(verdict="fail", cause="1 of 2 gates failed: accuracy drop is shown not to be at most 5%: refuted")
    result["gates"][0] |= {"outcome": "failed", "message": words}
    entry = result["comparisons"][0]
    entry |= {"band": "not ready", "adapter": None, "recipe": None, "trained_seconds": None, "notes": []}
    entry["judgements"] = [
        a_judgement(ACCURACY, 16, "accuracy_drop", "<=", 0.05, "refuted", words),
        a_judgement(SPEED, 20, "speed_gain", None, None, "no claim", "speed gain was read as a plain estimate: no claim"),
    ]
    entry["measures"]["speed_gain"] |= {"bound": None, "timed": "live"}
    return result


def an_undecided_result() -> dict[str, Any]:
    """A result whose band is inconclusive with a note."""
    result = a_result()
    result["comparisons"][0] |= {"band": "inconclusive", "band_note": "worse than 5% shown"}
    return result


def a_result_without_references() -> dict[str, Any]:
    """A result in which 91 of 400 references are missing and 31 examples wait for a label: what needs references is not there."""
    why = "91 of 400 held-out examples have no reference. Add them to the held-out file"
    result = a_result()
    entry = result["comparisons"][0]
    entry["counts"] |= {"both_right": 280, "agreed": 60, "unlabelled": 31}
    entry["measures"]["accuracy_drop"] |= {"value": 0.09, "bound": 0.118}
    entry["measures"]["quality_retained"] |= {"value": None, "bound": None, "why": why}
    for model in entry["models"].values():
        model |= {**dict.fromkeys(("accuracy", "score", "macro_f1", "weighted_f1")), "why": why}
    of_tag = {"n": 60, **dict.fromkeys(("teacher", "student", "teacher_score", "student_score"))}
    entry |= {
        "classes": {},
        "parts": {},
        "ladder": [],
        "ladder_note": "",
        "slices": {"hard-negative": of_tag},
        "clusters": [],
        "broad": None,
    }
    entry["confusion"] |= {"teacher": [], "student": [], "pairs": []}
    entry["errors"] += [an_error(number, "unlabelled", expected="") for number in range(30, 61)]
    return result


def a_noisy_result() -> dict[str, Any]:
    """A result whose times show nothing, of models that cannot say when the first token came, and without prices."""
    why = "the reference workload took up to 2.4 times as long: another process keeps the device busy"
    result = a_result()
    entry = result["comparisons"][0]
    entry["measures"]["speed_gain"] |= {"value": None, "bound": None, "why": why, "timed": "live"}
    entry["timing"] |= {"noise": why, "timed": "live"}
    for model in entry["models"].values():
        model |= {"first_token_ms": None, "per_token_ms": None, "cost_usd": None}
    for key in ("cost_gain", "break_even"):
        del entry["measures"][key]
    return result


def a_result_of_seeds() -> dict[str, Any]:
    """A result of one of three declared seeds: what a comparison and the run say of all three."""
    result = a_result()
    entry = result["comparisons"][0]
    entry["seeds"] = {"recipe": "tiny", "declared": 3}
    for measure in entry["measures"].values():
        measure["confidence"] = 1 - 0.05 / 3
    family = {"file": FILE, "recipe": "tiny", "declared": 3, "students": ["tiny-0", "tiny-1", "tiny-2"], "drops": [0.018, 0.0293, 0.045]}
    spread = {"mean": 0.03077, "lowest": 0.018, "highest": 0.045, "spread": 0.0136, "next_seed_bound": 0.0894}
    result["seeds"] = [family | spread]
    return result


def a_broken_run() -> dict[str, Any]:
    """An error result: nothing was compared."""
    cause = "collection failed: benchmarks/bench_routing.py:9: mark distill names no students."
    found = a_result(verdict="error", complete=False, cause=cause, gates=[], collected=0, reported=0, comparisons=[])
    found["environment"]["git"] = {"commit": None, "dirty": False}
    return found


@dataclass
class Page:
    """A page as html.parser reads it."""

    elements: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # each tag with its attributes' names
    attributes: list[tuple[str, str, str]] = field(default_factory=list)  # tag, name, value
    texts: dict[str, list[str]] = field(default_factory=dict)  # what stands inside each kind of element
    rows: list[list[str]] = field(default_factory=list)  # the cells of each table row

    @property
    def text(self) -> str:
        """All that can be read, apart from the style."""
        return " ".join(word for tag, words in self.texts.items() if tag != "style" for word in words)

    def of(self, tag: str) -> list[str]:
        """The texts of all elements `tag`, with single blanks."""
        return [" ".join(text.split()) for text in self.texts.get(tag, [])]

    def row(self, first: str) -> list[str]:
        """The cells of the one row that begins with `first`."""
        (found,) = [row for row in self.rows if row and row[0] == first]
        return found

    def attribute(self, tag: str, name: str) -> list[str]:
        """The values of an attribute, in order."""
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


VOID = {"meta", "br", "img", "link", "input", "base", "hr"}


def parse(text: str) -> Page:
    """Read a page and hold that its elements nest."""
    found = Page()
    open_elements: list[tuple[str, list[str]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.elements.append((tag, tuple(name for name, _ in attrs)))
            found.attributes.extend((tag, name, value or "") for name, value in attrs)
            if tag not in VOID:
                open_elements.append((tag, []))
            if tag == "tr":
                found.rows.append([])

        def handle_data(self, data: str) -> None:
            for _, words in open_elements:
                words.append(data)

        def handle_endtag(self, tag: str) -> None:
            opened, words = open_elements.pop()
            assert opened == tag, f"</{tag}> closes <{opened}>"
            found.texts.setdefault(tag, []).append("".join(words))
            if tag in {"td", "th"}:
                found.rows[-1].append(" ".join("".join(words).split()))

    reader = Reader(convert_charrefs=True)
    reader.feed(text)
    reader.close()
    assert not open_elements
    return found


def a_real_entry(tmp_path: Path) -> dict[str, Any]:
    """The comparison of two evaluations as results.json holds it, with a ladder and a share of the facts that the run adds."""
    rows = [{"id": f"h{k}", "text": f"text {k}", "expected_label": "a", "tags": ["even"] if k % 2 == 0 else []} for k in range(5)]
    rows_path = tmp_path / "heldout.jsonl"
    rows_path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = Task("t", "say {{ text }}", Labels("a", "b"), rows_path, rows_path, 4)
    evaluations = []
    for name, right in (("reference", 4), ("tiny", 2), ("majority", 1)):
        replies = [Reply(f"k{k}", f"h{k}", name, "a" if k < right else "b", "answered", 10, 2, AT) for k in range(5)]
        evaluations.append(evaluate(name, task, task.heldout_examples, replies))
    teacher, student, majority = evaluations
    timing = Timing(
        Series((0.06,) * 30, (0.03,) * 30, (2,) * 30), Series((0.02,) * 30, (0.01,) * 30, (2,) * 30), "live", AT, "here", (0.01,)
    )
    price = (1.0, 0.5, 2.0)
    compared = Comparison(task, task.heldout_examples, teacher, student, timing, Judging(), prices=(price, price))
    rungs = ladder(compared, [("majority", majority)])
    facts = {"seeds": None, "ladder": rungs, "ladder_note": ladder_note(rungs)}
    sides = {"teacher": (RuleModel("reference"), teacher), "student": (RuleModel("tiny"), student)}
    known = {side: results.model_facts(*of, replies) for side, of in sides.items()}
    return results.comparison_entry(replace(compared, broad=compared), facts, known)


def render(result: dict[str, Any]) -> Page:
    """Render and read a result's page."""
    return parse(page.render(result))


# What the page holds


def test_the_verdict_and_its_cause_come_first():
    """The page opens with the verdict and the cause as its heading, and both are its title."""
    seen = render(a_failure())
    assert seen.of("title") == ["fail: 1 of 2 gates failed: accuracy drop is shown not to be at most 5%: refuted"]
    assert seen.of("h1") == ["1 of 2 gates failed: accuracy drop is shown not to be at most 5%: refuted"]
    assert seen.of("p")[0] == "fail"
    assert seen.attribute("p", "class")[0] == "verdict fail"
    assert "2026-11-22T10:00:00Z, 93.1 s, 2 of 2 gates reported" in seen.of("p")[1]


def test_the_sample_is_made_as_results_makes_it(tmp_path):
    """The result of these tests has the keys that a comparison of two evaluations has in results.json."""

    def keys(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: keys(item) for key, item in value.items()}
        return keys(value[0]) if isinstance(value, list) and value else None

    real, sample = a_real_entry(tmp_path), a_comparison()
    for by_data in ("classes", "slices", "answers"):
        real[by_data], sample[by_data] = (list(entry[by_data].values()) for entry in (real, sample))
    for by_data in ("slices", "answers"):
        real["broad"][by_data], sample["broad"][by_data] = ([*entry["broad"][by_data].values()][:1] for entry in (real, sample))
    assert set(*map(frozenset, sample.pop("parts").values())) == {"n", "teacher", "student"}  # labels have no parts
    assert real.pop("parts") == {}
    assert keys(real) == {key: item for key, item in keys(sample).items() if key in real}
    of_the_run = {
        "id",
        "file",
        "line",
        "inputs",
        "own_fixtures",
        "accepted",
        "inputs_digest",
        "fingerprint",
        "attempt",
        "trained_seconds",
        "from_store",
        "adapter",
        "recipe",
    }
    assert set(sample) - set(real) == of_the_run | {
        "train_examples",
        "rejected",
        "replaced",
        "left_out",
        "stability",
        "notes",
        "judgements",
    }
    rungs = [set(row) for row in real["ladder"]]
    assert [set(row) for row in sample["ladder"]] == [rungs[0], rungs[0], {"rung", "accuracy", "why", "as_good"}, *rungs[:1] * 3]
    (family,) = results.seeds([{**real, **result_of_seeds} for result_of_seeds in a_result_of_seeds()["comparisons"]])
    assert set(family) == set(a_result_of_seeds()["seeds"][0])


def test_measures_stand_with_bound_confidence_and_method():
    """Each measure has its estimate, its bound with the side it holds on and its confidence, its n, its method, and when it was timed."""
    seen = render(a_result())
    assert seen.row("accuracy drop") == ["accuracy drop", "1.2%", "at most 3.0% with 95% confidence", "400", "exact-tango"]
    timed = ["speed gain", "6.10 times", "at least 5.72 times with 95% confidence", "60", f"sign-test, pairs timed {AT}"]
    assert seen.row("speed gain") == timed
    assert seen.row("valid rate") == ["valid rate", "100.0%", "at least 99.2% with 95% confidence", "400", "clopper-pearson"]
    assert seen.row("cost gain") == ["cost gain", "3.20 times", "none", "400", "arithmetic, no statistical claim"]
    assert seen.row("break even")[1:3] == ["321,147 requests a month", "none"]
    assert "Measures on 400 held-out examples: 9 lost, 4 gained, 16 wrong for both" in seen.of("caption")
    assert render(a_failure()).row("speed gain") == ["speed gain", "6.10 times", "none", "60", "sign-test, pairs timed in this run"]
    recorded = a_result()
    recorded["comparisons"][0]["measures"]["speed_gain"]["timed"] = "recorded"
    assert render(recorded).row("speed gain")[4] == f"sign-test, pairs with recorded times, {AT}"


def test_a_measure_that_could_not_be_had_stands_with_its_reason():
    """Times of an unsteady machine are called so beside the gain and under the models' table."""
    why = "the reference workload took up to 2.4 times as long: another process keeps the device busy"
    seen = render(a_noisy_result())
    words = f"sign-test, pairs timed in this run; not measured: {why}"
    assert seen.row("speed gain") == ["speed gain", "not measured", "none", "60", words]
    assert f"These times show nothing: {why}." in seen.of("p")
    assert not any(text.startswith("These times show nothing") for text in render(a_result()).of("p"))


def test_judgements_stand_with_limit_outcome_p_and_words():
    """Each judgement has its limit, outcome, p value, n, method and words; a plain estimate has neither limit nor p."""
    seen = render(a_result())
    words = "accuracy drop 1.2% (95% bound 3.0%) is shown to be at most 5%"
    assert seen.row("accuracy_drop <= 0.05") == ["accuracy_drop <= 0.05", "shown", "0.0011", "400", "exact-tango", words]
    seen = render(a_failure())
    assert seen.row("accuracy_drop <= 0.05")[1:3] == ["refuted", "0.9998"]
    assert seen.row("speed_gain") == ["speed_gain", "no claim", "", "", "", "speed gain was read as a plain estimate: no claim"]
    assert "retrieval_routing: tiny against reference (not ready)" in seen.of("h2")
    certain = a_result()
    certain["comparisons"][0]["judgements"][0]["p"] = 4e-27
    assert render(certain).row("accuracy_drop <= 0.05")[2] == "< 0.0001"


def test_the_note_of_a_band_stands_beside_it():
    """What an inconclusive band still knows follows it in the heading and does not change its colour."""
    seen = render(an_undecided_result())
    assert "retrieval_routing: tiny against reference (inconclusive, worse than 5% shown)" in seen.of("h2")
    assert seen.attribute("span", "class")[0] == "inconclusive"


def test_both_models_stand_side_by_side():
    """Accuracy, F1, size, times, tokens and cost of both models; a percentile of too few times is said to be one."""
    seen = render(a_result())
    assert ["", "teacher reference", "student tiny"] in seen.rows
    for row in (
        ["parameters", "12,345,678", "12,345,678"],
        ["accuracy", "96.8%", "95.5%"],
        ["macro F1", "95.1%", "95.1%"],
        ["latency p50", "31.0 ms", "5.1 ms"],
        ["latency p90", "37.2 ms", "6.1 ms"],
        ["latency p95", "38.8 ms", "6.4 ms"],
        ["latency p99", "n too small", "n too small"],
        ["first token p50", "15.5 ms", "2.5 ms"],
        ["first token p95", "21.7 ms", "3.6 ms"],
        ["each further token", "3.88 ms", "0.64 ms"],
        ["tokens per second", "129.0", "129.0"],
        ["tokens out, median", "2.5", "2.5"],
        ["cost of all prompts", "$0.0500", "$0.0500"],
        ["tokens in, all prompts", "12,000", "12,000"],
        ["tokens out, all prompts", "800", "800"],
    ):
        assert seen.row(row[0]) == row
    assert "The two models, timed with one prompt at a time (n = 60)" in seen.of("caption")
    bare = {row[0] for row in render(a_noisy_result()).rows}
    assert bare & {"first token p50", "each further token", "cost of all prompts"} == set()
    unknown = a_result()
    unknown["comparisons"][0]["models"]["teacher"] |= {"parameters": None, "first_token_ms": None, "cost_usd": None}
    seen = render(unknown)
    assert [seen.row(name)[1] for name in ("parameters", "first token p95", "cost of all prompts")] == ["unknown"] * 3
    assert seen.row("first token p95")[2] == "3.6 ms"


def test_classes_slices_and_confusion_stand_side_by_side():
    """Recall by class, accuracy by slice, and what was taken for what."""
    seen = render(a_result())
    assert seen.row("hard-negative") == ["hard-negative", "60", "90.0%", "86.6%", "93.0%", "88.0%"]
    codes = [row for row in seen.rows if row[0] == "code"]
    assert codes == [["code", "100", "94.1%", "95.5%", "96.0%", "93.0%", "95.1%", "94.2%"], *[["code", "100", "0", "0", "0", "0"]] * 2]
    assert seen.row("file") == ["file", "390", "91.0%", "84.0%"]


def test_of_many_labels_the_worst_and_the_confused_are_shown():
    """Of more than 20 labels the page has those at which the student is worst and the pairs that were confused, and says how many there are."""
    result = a_result()
    entry = result["comparisons"][0]
    row = entry["classes"]["code"]
    entry["classes"] = {f"label {k}": row | {"student_f1": 1 - k / 1000, "support": int(k != 150)} for k in range(151)}
    pairs = [{"expected": f"label {k}", "given": f"label {k + 1}", "teacher": 1, "student": 90 - k} for k in range(30)]
    entry["confusion"] |= {"labels": [*entry["classes"], "(none)"], "teacher": [], "student": [], "pairs": pairs}
    seen = render(result)
    assert "The 20 of 151 labels at which the student is worst, by F1; all are in results.json" in seen.of("caption")
    assert [row[0] for row in seen.rows if row[0].startswith("label") and len(row) == 8] == [f"label {k}" for k in range(149, 129, -1)]
    assert "The 20 of 30 pairs of labels that the student confuses most often; all are in results.json" in seen.of("caption")
    assert next(row for row in seen.rows if row[0].startswith("label") and len(row) == 4) == ["label 0", "label 1", "1", "90"]


def test_clusters_stand_with_what_would_mend_them():
    """Each group of errors stands with its size, its share and its words."""
    first = a_cluster()
    expected = ["pair code -> docs", "4", "44.4%", "1", first["words"], "heldout-1, heldout-2"]
    assert render(a_result()).row("pair code -> docs") == expected
    assert "What errors share" not in render(a_result_without_references()).of("h3")


def test_what_was_forgotten_is_shown():
    """The broad task has its accuracies, its tags, and the rows that the student no longer gets right, with both replies."""
    seen = render(a_result())
    assert "Of 80 rows of broad the student's base gets 66.2% right and the student 63.7%: 3 forgotten, 1 gained." in seen.of("p")
    assert seen.row("refusal") == ["refusal", "24", "50.0%", "45.0%"]
    assert seen.row("broad-7 refusal") == ["broad-7 refusal", "What is 7 times 8?", "56", "56", "skip"]
    assert seen.row("forgotten")[:4] == ["forgotten", "2.5%", "at most 7.7% with 95% confidence", "80"]
    assert "Forgetting" not in render(a_result_without_references()).of("h3")


def test_the_ladder_stands_below_its_note():
    """Each rung has its accuracy, how far it is behind student and teacher, and whether it is as good or why it could not be had."""
    seen = render(a_result())
    note = a_comparison()["ladder_note"]
    assert f"{note}." in seen.of("p")
    assert seen.row("majority") == ["majority", "25.1%", "70.4%, at most 74.1%", "71.7%, at most 75.3%", ""]
    assert seen.row("linear")[1:] == ["95.4%", "0.1%, at most 1.8%", "1.4%, at most 3.2%", "as good as the student"]
    assert seen.row("base") == ["base", "not had", "", "", "base needs a GPU. Run it there. Or not."]
    assert seen.row("student") == ["student", "95.5%", "", "1.2%, at most 3.0%", ""]
    assert seen.row("teacher") == ["teacher", "96.8%", "-1.2%, at most 0.5%", "", ""]
    assert "Ladder" not in render(a_result_without_references()).of("h3")


def test_declared_seeds_stand_behind_the_comparisons():
    """The spread over declared seeds is a table of its own, bounds have their own confidence, and a student is one of them."""
    seen = render(a_result_of_seeds())
    each = "tiny-0 1.8%, tiny-1 2.9%, tiny-2 4.5%"
    assert seen.row(f"tiny{FILE}") == [f"tiny{FILE}", "3", "3", "3.1%", "1.8%", "4.5%", "1.4 points", "at most about 8.9%", each]
    assert seen.row("accuracy drop")[2] == "at most 3.0% with 98.33% confidence"
    terms = dict(zip(seen.of("dt"), seen.of("dd"), strict=True))
    assert terms["training"].endswith("one of 3 declared seeds of tiny; attempt 3 at these held-out rows")
    assert seen.of("h2")[-2:] == ["Seeds", "Run"]
    assert "Seeds" not in render(a_result()).of("h2")
    single = a_result_of_seeds()
    single["seeds"][0] |= {"students": ["tiny-0"], "drops": [0.018], "spread": None, "next_seed_bound": None}
    assert render(single).row(f"tiny{FILE}")[6:] == ["n too small", "n too small", "tiny-0 1.8%"]


def test_what_needs_references_is_said_to_have_none():
    """Without references there is no accuracy, class or confusion, the reason is given, and rows that wait for a label blame no model."""
    seen = render(a_result_without_references())
    why = "91 of 400 held-out examples have no reference. Add them to the held-out file"
    assert seen.row("accuracy") == ["accuracy", "no reference", "no reference"]
    assert seen.row("macro F1")[1:] == ["no reference"] * 2
    assert f"No accuracy and no F1: {why}." in seen.of("p")
    assert seen.row("quality retained") == ["quality retained", "not measured", "none", "400", f"gaffke; not measured: {why}"]
    assert seen.row("hard-negative") == ["hard-negative", "60", *["no reference"] * 4]
    assert seen.of("h3")[:2] == ["Classes and slices", "Errors"]
    captions = seen.of("caption")
    counted = "9 lost, 4 gained, 16 wrong for both, 31 unlabelled and counted as lost, 60 alike without a reference"
    assert f"Measures on 400 held-out examples: {counted}" in captions
    assert "60 of 400 examples that a model got wrong or that wait for a label: introduced (only the student wrong) first" in captions
    row = next(row for row in seen.rows if row[0].startswith("heldout-00030"))
    assert row[2:] == ["no label", "code", "docs"]
    inherited, introduced, corrected = 2 * 16, 9, 4
    assert seen.attribute("code", "class").count("fail") == inherited + introduced + corrected


def test_error_rows_stand_with_expected_and_both_replies():
    """Every error row has its prompt, what was expected, both replies, its kind and its tags, in the result's order."""
    seen = render(a_result())
    rows = [row for row in seen.rows if row[0].startswith("heldout-")]
    assert len(rows) == 29
    assert re.fullmatch(r"heldout-00001 ?introduced ?hard-negative", rows[0][0])
    assert rows[0][1:] == ["> which file holds on to row 1 Route:", "code", "code", "docs"]
    assert rows[9][2:] == ["code", "code", "code"]
    assert [re.search("introduced|corrected|inherited", row[0]).group() for row in rows] == (
        ["introduced"] * 9 + ["corrected"] * 4 + ["inherited"] * 16
    )


def test_what_all_prompts_begin_with_is_told_once():
    """A long instruction above each prompt stands once, closed, and in the rows only what follows it."""
    result = a_result()
    errors = result["comparisons"][0]["errors"]
    for number, error in enumerate(errors):
        error["input"] = f"{'Choose one of these. ' * 10}\nquestion {number} Route:"
    seen = render(result)
    prompts = [row[1] for row in seen.rows if row[0].startswith("heldout-")]
    assert prompts == [f"… question {number} Route:" for number in range(29)]
    assert sum("Choose one" in text for text in seen.of("pre")) == 1
    assert any(caption.endswith("Each prompt begins with the same 211 characters, left out here") for caption in seen.of("caption"))
    errors[-1]["input"] = "another"
    assert sum("Choose one" in row[1] for row in render(result).rows if row[0].startswith("heldout-")) == 28


def test_the_page_says_where_the_result_comes_from():
    """Command, commit, machine, versions, digests, recipe, training and notes are all on the page."""
    seen = render(a_result())
    terms = list(zip(seen.of("dt"), seen.of("dd"), strict=True))
    for term in (
        ("benchmark", f"{FILE}:12"),
        ("inputs digest", f"sha256:{'1' * 64}"),
        ("fingerprint", f"sha256:{'2' * 64}"),
        ("adapter", f".distill/store/tiny-22/adapter, sha256:{'3' * 64}"),
        ("training", "477 examples, 41.2 s; rejected 21 wrong, 2 unparsable; attempt 3 at these held-out rows"),
        ("teacher", f"sha256:{'a' * 64}, answered {AT}"),
        ("timed on", f"AMD EPYC, 2 cores, {AT}"),
        ("reference workload", "12.0 to 12.3 ms in 3 runs between the timings"),
        ("note", "2 rows were longer than max_length=256 tokens and were left out"),
        ("command", "pytest --distill -k tiny"),
        ("commit", "0123456789abcdef0123456789abcdef01234567, with uncommitted changes"),
        ("machine", "AMD EPYC, 2 cores; Linux-6.18-x86_64; Python 3.11.7"),
        ("packages", "pytest-distill 0.1.0, torch 2.13.0+cpu"),
    ):
        assert term in terms
    assert json.loads(dict(terms)["recipe"])["seed"] == 7
    terms = dict(zip(render(a_failure()).of("dt"), render(a_failure()).of("dd"), strict=True))
    assert terms["training"].startswith("loaded, not trained here")
    assert "adapter" not in terms


def test_a_run_without_comparisons_has_a_page_too():
    """An error before any comparison still gives a page with the cause."""
    seen = render(a_broken_run())
    assert seen.of("h1") == ["collection failed: benchmarks/bench_routing.py:9: mark distill names no students."]
    assert dict(zip(seen.of("dt"), seen.of("dd"), strict=True))["commit"] == "none"


def test_gates_stand_with_outcome_and_message():
    """Each gate has its id, its outcome and, where it did not pass, its whole message."""
    seen = render(a_failure())
    assert seen.row(SPEED) == [SPEED, "passed", ""]
    assert seen.row(ACCURACY)[1] == "failed"
    assert "teacher 96.8%, student 80.0% on 400 held-out examples" in seen.row(ACCURACY)[2]


def test_changes_of_the_gate_stand_first():
    """Each change has its words, both values and what it comes to; one that weakens the gate has the name that allows it."""
    seen = render(a_result(verdict="fail", changes=the_changes()))
    assert seen.of("h2")[0] == "What changed in the gate"
    loosened, new, rows, removed, trained = the_changes()
    assert seen.row(loosened["what"]) == [loosened["what"], "<=0.05", "<=0.08", "fails", loosened["name"]]
    assert seen.row(new["what"])[1:] == ["", "speed_gain >=2", "fails", ""]
    assert seen.row(rows["what"])[3:] == ["allowed", rows["name"]]
    assert seen.row(removed["what"])[1:] == ["<=0.05", "", "weakens", removed["name"]]
    assert seen.row(trained["what"])[3:] == ["changed", ""]
    assert {"fails", "allowed", "weakens"} <= set(seen.attribute("td", "class"))
    assert "What changed in the gate" not in render(a_result()).of("h2")


def test_what_an_outcome_of_a_change_is_called_has_a_colour():
    """The style knows the words for what a change comes to that are not neutral."""
    style = (page.TEMPLATES / "report.css").read_text(encoding="utf-8")
    assert all(re.search(rf"\.{word}\b[^}}]*{{ color", style) for word in ("fails", "allowed", "weakens"))


def test_what_was_recorded_stands_in_place_of_gates():
    """A run that only recorded lists for each model what was on hand, new and not had; there is no table of gates."""
    seen = render(a_recorded_result())
    assert seen.of("h2") == ["What was recorded", "Run"]
    rows = [row for row in seen.rows if row[0] == "retrieval_routing"]
    assert rows == [
        ["retrieval_routing", "teacher big", "1200", "30", "0", "teacher 'big': all 1,230 replies are in the recording"],
        ["retrieval_routing", "student small", "1200", "30", "2", "student 'small': 429 ask again later"],
    ]
    assert "What was recorded" not in render(a_result()).of("h2")


def test_point_evidence_is_labelled_as_no_statistical_claim():
    """A result by plain estimates says so under its heading, and a strict one does not."""
    label = "Evidence: point. Plain estimates, not a statistical claim."
    assert label in render(a_result(evidence="point")).of("strong")
    assert render(a_result()).of("strong") == []


def test_every_id_of_the_page_is_unique():
    """A deep link leads to one row, also where two comparisons are about students of one name."""
    seen = render(a_result(comparisons=[a_comparison(), {**a_comparison(), "file": "benchmarks/bench_other.py", "task": "other"}]))
    anchors = [value for _, name, value in seen.attributes if name == "id"]
    assert len(anchors) == 58
    assert len(set(anchors)) == len(anchors)
    assert [anchor for anchor in anchors if re.search(r"\s", anchor)] == []


def test_the_page_is_the_same_for_the_same_result(tmp_path):
    """Rendering is deterministic, leaves the result alone, and gives the same from memory as from results.json."""
    result = a_result()
    kept = copy.deepcopy(result)
    page.write(tmp_path / "a.html", result)
    assert result == kept
    results.write(tmp_path / "results.json", result)
    page.write(tmp_path / "b.html", results.read(tmp_path / "results.json"))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html", "results.json"]


# Safety


def test_the_policy_allows_this_style_and_nothing_else():
    """The content security policy starts from none and holds the digest of the one style that is in the page."""
    seen = render(a_result())
    (style,) = seen.texts["style"]
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = seen.attribute("meta", "content")[1:]
    assert seen.attribute("meta", "http-equiv") == ["Content-Security-Policy"]
    assert policy == f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    assert "&" not in style  # an entity is no entity inside a style


def test_the_page_loads_and_links_nothing():
    """The page has no script, no image, no link and no attribute that names an address."""
    seen = render(a_result())
    assert {tag for tag, _ in seen.elements} & {"script", "img", "a", "link", "iframe", "object", "embed", "form", "base", "svg"} == set()
    plain_attributes = {"lang", "charset", "name", "content", "http-equiv", "class", "scope", "id", "tabindex", "role", "aria-label"}
    assert {name for _, name, _ in seen.attributes} <= plain_attributes


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title></pre></textarea><!--",
    "]]>&lt;b&gt;&amp;",
    "{{7*7}}{% raw %}",
    "javascript:alert(1)",
    "[here](javascript:alert(1))",
    "NUL\x00ESC\x1b[31mDEL\x7fCSI\x9b",
    "over\u202eride\u2066",
    "lone\ud83dsurrogate",
)
ATTACK = " ".join(HOSTILE)
SHOWN_ATTACK = ATTACK
for _character in "\x00\x1b\x7f\x9b\u202e\u2066\ud83d":
    SHOWN_ATTACK = SHOWN_ATTACK.replace(_character, f"\\u{ord(_character):04x}")
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

# Every text of a result that comes from outside and stands on the page: from rows, models, files, machines and messages.
# `@name` is the key itself.
FIELDS = [
    "cause",
    "command",
    "environment/cpu",
    "gates/0/id",
    "gates/0/message",
    "comparisons/0/file",
    "comparisons/0/teacher",
    "comparisons/0/student",
    "comparisons/0/adapter/path",
    "comparisons/0/recipe/base",
    "comparisons/0/notes/0",
    "comparisons/0/judgements/0/words",
    "comparisons/0/measures/speed_gain/at",
    "comparisons/0/measures/quality_retained/why",
    "comparisons/0/judgements/0/measure",
    "comparisons/0/ladder/0/rung",
    "comparisons/0/ladder/2/why",
    "comparisons/0/ladder_note",
    "comparisons/0/seeds/recipe",
    "comparisons/0/timing/noise",
    "comparisons/0/models/teacher/why",
    "seeds/0/file",
    "seeds/0/recipe",
    "seeds/0/students/0",
    "comparisons/0/models/teacher/name",
    "comparisons/0/models/teacher/digest",
    "comparisons/0/models/teacher/origin",
    "comparisons/0/models/teacher/answered_by",
    "comparisons/0/models/teacher/terms",
    "comparisons/0/left_out/0/id",
    "comparisons/0/stability/unstable/0/id",
    "comparisons/0/stability/unstable/0/values/0",
    "changes/0/what",
    "changes/0/was",
    "changes/0/now",
    "changes/0/name",
    "recorded/0/task",
    "recorded/0/model",
    "recorded/0/words",
    "drift/0/words",
    "drift/0/model",
    "drift/0/first/0/then",
    "drift/0/answered_by/now/0",
    "comparisons/0/left_out/0/said",
    "comparisons/0/left_out/0/expected",
    "comparisons/0/models/student/name",
    "comparisons/0/timing/at",
    "comparisons/0/timing/machine",
    "comparisons/0/classes/@code",
    "comparisons/0/slices/@hard-negative",
    "comparisons/0/parts/@file",
    "comparisons/0/clusters/0/name",
    "comparisons/0/clusters/0/words",
    "comparisons/0/clusters/0/ids/0",
    "comparisons/0/broad/task",
    "comparisons/0/broad/slices/@refusal",
    "comparisons/0/broad/forgotten/0/id",
    "comparisons/0/broad/forgotten/0/input",
    "comparisons/0/broad/forgotten/0/expected",
    "comparisons/0/broad/forgotten/0/base",
    "comparisons/0/broad/forgotten/0/student",
    "comparisons/0/broad/forgotten/0/tags/0",
    "comparisons/0/confusion/labels/0",
    "comparisons/0/errors/0/id",
    "comparisons/0/errors/0/input",
    "comparisons/0/errors/0/expected",
    "comparisons/0/errors/0/teacher",
    "comparisons/0/errors/0/student",
    "comparisons/0/errors/0/tags/0",
]


def put(result: dict[str, Any], path: str, text: str) -> dict[str, Any]:
    """Put `text` into one field of a result, or in place of a key."""
    *way, last = path.split("/")
    at: Any = result
    for step in way:
        at = at[int(step) if isinstance(at, list) else step]
    if last.startswith("@"):
        items = [(text if key == last[1:] else key, value) for key, value in at.items()]
        at.clear()
        at.update(items)
    else:
        at[int(last) if isinstance(at, list) else last] = text
    return result


def plain() -> dict[str, Any]:
    """A result in which every optional text is there, so that only the text itself can change the page's elements."""
    result = a_result_of_seeds()
    for gate in result["gates"]:
        gate["message"] = "a message"
    entry = result["comparisons"][0]
    entry["timing"]["noise"] = entry["models"]["teacher"]["why"] = entry["measures"]["quality_retained"]["why"] = "a reason"
    entry["models"]["teacher"] |= {"answered_by": "a model", "terms": "a note"}
    return result | {"drift": [a_drift()], "changes": the_changes(), "recorded": [a_recording()]}


def a_drift() -> dict[str, Any]:
    """What asking an Endpoint again found, as far as the page shows it."""
    share = {"rate": 0.3, "lower": 0.22, "upper": 0.38, "n": 100, "method": "clopper-pearson"}
    return {
        "task": "retrieval_routing", "role": "teacher", "model": "big", "outcome": "moved", "words": "teacher 'big' has moved", "asked": 100,
        "recorded": 400, "sample": "2026-11-22", "recorded_at": AT, "answers": share, "texts": share, "changed": 30, "lost": 0,
        "first": [{"id": "heldout-9", "then": "code", "now": "docs"}], "answered_by": {"then": ["big-1"], "now": ["big-2"]},
    }  # fmt: skip


def test_what_asking_again_found_is_shown():
    """Drift stands on the page with its words, both shares with their bounds, the first changed answers and the models that answered."""
    result = a_result() | {"drift": [a_drift()]}
    seen = render(result)
    assert seen.row("another answer") == ["another answer", "30.0%", "22.0% to 38.0%"]
    assert seen.row("heldout-9") == ["heldout-9", "code", "docs"]
    assert any("Answered by big-1 when recorded, by big-2 now." in text for text in seen.texts["p"])
    failed = a_drift() | {"outcome": "error", "words": "whether it has moved is not known", "answers": None, "first": None}
    assert "whether it has moved is not known" in render(result | {"drift": [failed]}).texts["p"]


def every_text(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all texts in a result."""
    if isinstance(value, str):
        yield path.removeprefix("/")
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from every_text(item, f"{path}/{key}")


@pytest.mark.parametrize("path", FIELDS)
def test_hostile_text_is_shown_to_the_letter(path, tmp_path):
    """Markup, templates, links and control characters in a field stand on the written page as text; nothing else changes."""
    page.write(tmp_path / "report.html", put(plain(), path, ATTACK))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    seen = parse(text)
    assert seen.elements == render(plain()).elements
    assert RAW.findall(text) == []
    if path.startswith("comparisons/0/recipe"):  # shown as JSON
        assert json.dumps(ATTACK) in seen.text
    else:
        assert SHOWN_ATTACK in seen.text


@pytest.mark.parametrize("path", FIELDS)
def test_a_text_of_megabytes_is_cut(path, tmp_path):
    """Five megabytes in one field leave a page of two at most, which says that there is more."""
    text = page.render(put(plain(), path, "<&\"' " * 1_000_000))
    size = len(text.encode())
    assert size <= 2_000_000
    more = "more characters" in text
    assert more


def test_no_text_of_a_result_can_add_an_element():
    """Markup in any text of a result, also in those that only this package writes, leaves the page's elements as they are."""
    paths = list(every_text(plain()))
    assert len(paths) > 100
    result = plain()
    for path in paths:
        # These decide which words are shown, so that a change of elements would be no escape.
        if path.rpartition("/")[2] not in {"evidence", "timed", "side", "kind"}:
            put(result, path, "\"'><script>alert(1)</script><img src=x onerror=alert(1)>")
    seen = render(result)
    assert seen.elements == render(plain()).elements
    assert seen.text.count("<script>") > 100


def test_the_page_keeps_to_two_megabytes_with_thousands_of_error_rows():
    """With 3,000 error rows and a reply of 20 MB the page has 2,000 rows, says so, and stays within two megabytes."""
    result = a_result()
    errors = [an_error(number, input=f"> {number} " + "which index is searched " * 5) for number in range(3000)]
    errors[0]["student"] = "docs " * 4_000_000
    result["comparisons"][0]["errors"] = errors
    text = page.render(result)
    size = len(text.encode())
    assert size <= 2_000_000
    seen = parse(text)
    assert len([row for row in seen.rows if row[0].startswith("heldout-")]) == 2000
    assert "The first 2000 of 3000; all are in results.json." in seen.of("p")


@pytest.mark.parametrize("comparisons", [1, 3])
def test_the_page_keeps_to_two_megabytes_when_every_row_is_long(comparisons):
    """Prompts and replies of a page each do not take the whole beyond two megabytes; the count that is left out is stated."""
    entry = a_comparison()
    entry["errors"] = [an_error(number, input="<p>" * 500, teacher="> " * 500, student="& " * 500) for number in range(3000)]
    text = page.render(a_result(comparisons=[entry] * comparisons))
    size, stated = len(text.encode()), text.count("of 3000; all are in results.json")
    assert (size <= 2_000_000, stated) == (True, comparisons)


def test_the_shell_of_the_page_is_small():
    """Without any data the page takes at most 60 KB."""
    assert len(page.render(a_broken_run()).encode()) <= 60_000


def test_visible_leaves_readable_text_alone():
    """Letters of any script, emoji, tabs and line ends stay as they are, and 2,000 characters are not cut."""
    text = "Straße 東京 שלום 😀\tand\nmore"
    assert page.visible(text) == text
    assert page.visible("x" * 2000) == "x" * 2000
    assert page.visible("x" * 2001) == "x" * 2000 + "… (1 more characters)"


# In a browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the path")


def browse(tmp_path: Path, result: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    """Open a result's page in headless Chromium and return what it printed; its console is on stderr."""
    page.write(tmp_path / "report.html", result)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
    address = (tmp_path / "report.html").as_uri()
    return subprocess.run([str(CHROMIUM), *flags, *options, address], capture_output=True, text=True, timeout=120, check=True)


@in_browser
def test_a_browser_builds_no_element_from_hostile_text(tmp_path):
    """In Chromium a page with hostile text in every field has no script, no image and no handler, and its title is literal."""
    result = plain()
    safe = [path for path in FIELDS if not path.rpartition("/")[2].startswith("@")]
    for path in [*safe, *(path for path in FIELDS if path not in safe)]:
        put(result, path, " ".join(HOSTILE[:8]))
    seen = parse(browse(tmp_path, result, "--dump-dom").stdout)
    assert {tag for tag, _ in seen.elements} & {"script", "img", "a"} == set()
    assert [name for _, name, _ in seen.attributes if name.startswith("on")] == []
    assert seen.of("title") == ["pass: " + " ".join(HOSTILE[:8])]
    assert seen.of("h1") == [" ".join(HOSTILE[:8])]


@in_browser
def test_a_browser_applies_the_style_and_reports_no_violation(tmp_path):
    """Chromium draws the page and its console holds no refusal by the content security policy."""
    done = browse(tmp_path, a_result(), f"--screenshot={tmp_path / 'page.png'}", "--window-size=800,600")
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line or "Content Security Policy" in line] == []
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
