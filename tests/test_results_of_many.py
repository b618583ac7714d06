"""What a result says of many limits and of many seeds."""

from __future__ import annotations

import random

import pytest

from pytest_distill import results, stats


def judgement(outcome: str, p_refuted: float | None, measure: str = "accuracy_drop", comparison: str = "c") -> dict:
    return {
        "comparison": comparison, "measure": measure, "operator": "<=", "limit": 0.05, "outcome": outcome, "shown": outcome == "shown",
        "p_refuted": p_refuted, "words": f"{measure} is shown not to be at most 5%: refuted\n  facts" if outcome == "refuted" else "words",
    }  # fmt: skip


def gate(name: str, *judgements: dict) -> dict:
    failed = [j["outcome"] for j in judgements if not j["shown"]]
    outcome = "passed" if not failed else "inconclusive" if failed == ["inconclusive"] else "failed"
    return {"id": name, "outcome": outcome, "message": "; ".join(j["words"] for j in judgements), "judgements": list(judgements)}


def test_a_refutation_that_many_limits_explain_becomes_inconclusive():
    """Among three limits the smallest p must be at most a third of 5 %; the result then says inconclusive, with the reason."""
    gates = [
        gate("g0", judgement("refuted", 0.03)),
        gate("g1", judgement("shown", 1.0, "speed_gain")),
        gate("g2", judgement("shown", 0.9, "x")),
    ]
    results.confirm_refuted(gates)
    (found,) = gates[0]["judgements"]
    assert (found["outcome"], gates[0]["outcome"]) == ("inconclusive", "inconclusive")
    assert found["words"] == (
        "accuracy_drop is not shown to be at most 5%: inconclusive\n  facts\n"
        "  refuted alone, not confirmed among the 3 limits of this run: inconclusive"
    )
    assert gates[0]["message"] == found["words"]
    assert [other["outcome"] for other in gates[1:]] == ["passed", "passed"]


def test_a_clear_refutation_stays():
    """A p value below its share of 5 % is confirmed, and then the next one has more room: Holm's steps, not Bonferroni's."""
    gates = [gate("g0", judgement("refuted", 0.001)), gate("g1", judgement("refuted", 0.04, "speed_gain"))]
    results.confirm_refuted(gates)
    assert [g["outcome"] for g in gates] == ["failed", "failed"]
    gates = [gate("g0", judgement("refuted", 0.001)), gate("g1", judgement("refuted", 0.04, "a")), gate("g2", judgement("shown", 1, "b"))]
    results.confirm_refuted(gates)
    assert [g["outcome"] for g in gates] == ["failed", "inconclusive", "passed"]


def test_one_limit_alone_needs_no_correction():
    """A single refuted limit stays refuted, also where two gates hold the very same limit."""
    same = [gate("g0", judgement("refuted", 0.04)), gate("g1", judgement("refuted", 0.04))]
    results.confirm_refuted(same)
    assert [g["outcome"] for g in same] == ["failed", "failed"]


def test_a_gate_that_also_failed_otherwise_stays_failed():
    """Where a point judgement of the same gate missed its limit, the gate stays failed; what was not measured has no p and no part."""
    missed = judgement("point", None, "cost_gain")
    gates = [gate("g0", judgement("refuted", 0.03), missed), gate("g1", judgement("inconclusive", None, "speed_gain"))]
    gates.append(gate("g2", judgement("shown", 1.0, "valid_rate")))
    results.confirm_refuted(gates)
    assert [g["outcome"] for g in gates] == ["failed", "inconclusive", "passed"]
    assert gates[0]["judgements"][0]["outcome"] == "inconclusive"


def entry(student: str, introduced: list[str], corrected: list[str], n: int = 200, declared: int = 3) -> dict:
    rows = [{"id": name, "kind": "introduced"} for name in introduced] + [{"id": name, "kind": "corrected"} for name in corrected]
    drop = (len(introduced) - len(corrected)) / n
    return {
        "file": "benchmarks/bench_a.py", "student": student, "n": n, "errors": [*rows, {"id": "both", "kind": "inherited"}],
        "seeds": {"recipe": "tiny", "declared": declared}, "measures": {"accuracy_drop": {"value": drop}},
    }  # fmt: skip


def test_declared_seeds_are_summed_up():
    """A recipe with declared seeds has mean, range, spread and the next seed's bound over its students; others are left out."""
    entries = [entry("tiny-seed0", ["a", "b"], []), entry("tiny-seed1", ["a", "b", "c", "d"], []), entry("tiny-seed2", ["a"], ["e"])]
    (found,) = results.seeds([*entries, {**entry("other", [], []), "seeds": None}])
    assert (found["recipe"], found["declared"], found["students"]) == ("tiny", 3, ["tiny-seed0", "tiny-seed1", "tiny-seed2"])
    assert (found["mean"], found["lowest"], found["highest"], found["spread"]) == (
        pytest.approx(0.01), 0.0, 0.02, pytest.approx(0.01),
    )  # fmt: skip
    means = [1.0, 2 / 3, 1 / 3, 1 / 3, -1 / 3] + [0.0] * 195
    assert found["next_seed_bound"] == pytest.approx(stats.next_seed_bound([0.01, 0.02, 0.0], stats.gaffke_bound(means, 1.0)))
    assert found["next_seed_bound"] > found["highest"]


def test_one_seed_alone_has_no_spread():
    """Where only one of the declared seeds was judged, spread and next bound are null."""
    (found,) = results.seeds([entry("tiny-seed1", ["a"], [])])
    assert (found["declared"], found["drops"], found["spread"], found["next_seed_bound"]) == (3, [0.005], None, None)


def test_ten_gates_at_their_limits_rarely_make_a_failure():
    """Ten gates whose true drop is exactly 5 % give a confirmed refutation in at most 5 % of runs; unadjusted it is more than 25 %."""
    chance = random.Random(3)
    n, runs = 200, 1000
    alone = confirmed = 0
    for _ in range(runs):
        gates = []
        for k in range(10):
            drawn = chance.choices("lg-", (0.06, 0.01, 0.93), k=n)
            counted = (drawn.count("l"), drawn.count("g"))
            p = stats.drop_p_refuted(*counted, n, 0.05)
            gates.append(gate(f"g{k}", judgement("refuted" if p <= 0.05 else "inconclusive", p, comparison=f"c{k}")))
        alone += any(g["outcome"] == "failed" for g in gates)
        results.confirm_refuted(gates)
        confirmed += any(g["outcome"] == "failed" for g in gates)
    assert alone / runs > 0.25
    assert confirmed / runs <= 0.05
