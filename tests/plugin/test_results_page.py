"""docs/results.md names the keys of results.json and of the lock: all of them, and no others."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_distill import Endpoint, Judge, Labels, Recipe, Task, lock, results
from pytest_distill.answers import Grade
from pytest_distill.ask import Budget
from pytest_distill.compare.classes import by_part
from pytest_distill.compare.comparison import KINDS
from pytest_distill.curate import Curation
from pytest_distill.evaluate import drift_of
from pytest_distill.models import Model
from pytest_distill.plugin import record_only
from pytest_distill.plugin.declare import Declaration, Student
from pytest_distill.plugin.drift import ask_again
from pytest_distill.plugin.flow import Pairing
from pytest_distill.plugin.locking import Locking, inputs_of
from pytest_distill.recording import Reply
from tests.fakes import GATES, ROOT, bench
from tests.test_compare import make

# A run that leaves little null or empty: it has tags, errors, prices, first tokens, an adapter and a ladder.
BODY = """
from pytest_distill import Judge, Serving
from pytest_distill.models import Timed

class Streaming(RuleModel):
    def time_one(self, prompt, max_tokens):
        return Timed(self.seconds, self.seconds / 2, 2)

teacher, small = Streaming("big", seconds=0.06), Streaming("small", wrong={0: "no"}, seconds=0.01)
teacher.price, small.adapter = (2.0, 0.5, 8.0), HERE / "adapter"
serving = Serving(usd_per_hour=1, requests_per_month=1e6)
pytestmark = pytest.mark.distill(task, teacher=teacher, students=[small], serving=serving, judge=Judge(RuleModel("judge"), "good"))
"""
TYPES: dict[str, type | tuple[type, ...]] = {
    "text": str, "time": str, "digest": str, "flag": bool, "count": int, "number": (int, float), "object": dict, "list": list,
}  # fmt: skip


def on_the_page() -> dict[str, str]:
    """Return the keys that the page names, as dotted paths, each with its type."""
    found: dict[str, str] = {}
    heads = [""]
    for line in (ROOT / "docs" / "results.md").read_text(encoding="utf-8").replace("[]", "").splitlines():
        if line.startswith("#"):
            heads = [f"{head}." for head in re.findall(r"`(.+?)`", line)] or [""]
        elif line.startswith("| `"):
            cells = line.split(" | ")
            names, types = re.findall(r"`(.+?)`", cells[0]), cells[1].split("; ")
            pairs = zip(names, types if len(types) > 1 else types * len(names), strict=True)
            for path, kind in ((head + name, kind) for name, kind in pairs for head in heads):
                before, star, after = path.partition("*")
                each = [name + after for name in found if re.fullmatch(re.escape(before) + r"\w+", name)] if star else [path]
                assert each, f"{path} stands for nothing"
                assert not found.keys() & each, f"{path} is named twice"
                found |= dict.fromkeys(each, kind)
    return found


def with_parents(paths: dict[str, str]) -> set[str]:
    """Return the paths, and those of the objects and lists that they lie in."""
    return {".".join(parts[:k]) for parts in (path.split(".") for path in paths) for k in range(1, len(parts) + 1)}


def held(value: Any, known: set[str], at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key that `value` holds, as a path, with what it holds; keys that data bring are called as in `known`."""
    if isinstance(value, list):
        for item in value:
            yield from held(item, known, at)
    if isinstance(value, dict):
        brought = next((path for path in known if re.fullmatch(re.escape(at) + r"\.<\w+>", path)), "")
        for key, item in value.items():
            path = f"{at}.{key}" if at else key
            path = path if path in known else brought or path
            yield path, item
            yield from held(item, known, path)


def fits(value: Any, kind: str) -> bool:
    """Return whether a value is of a type as the page writes it: ``number or null, 0 to 1``."""
    word = re.split("[ ,]", kind)[0]
    if word == "as" or (value is None and " or null" in kind):
        return True
    if not isinstance(value, TYPES[word]) or isinstance(value, bool) != (word == "flag"):
        return False
    limits = re.search(r"(?:from )?(-?\d+)(?: to (\d+))?$", kind) if word in ("number", "count") else None
    return limits is None or float(limits[1]) <= value <= float(limits[2] or math.inf)


def rare(result: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield what the one run does not bring, in its place in a result: made by what makes it in other runs."""
    (compared,), (first, *others) = result["comparisons"], result["comparisons"][0]["judgements"]
    judged: list[dict[str, Any]] = [{**first, "outcome": "refuted", "p_refuted": 0.04}, *others]
    results.confirm_refuted([{"outcome": "failed", "message": "", "judgements": judged}])
    gone: Any = SimpleNamespace(settings=SimpleNamespace(allowed=(), locked=False), own=lock.read(folder / lock.NAME), base=None)
    yield {
        "seeds": results.seeds([{**compared, "seeds": {"recipe": "tiny", "declared": 2}}] * 2),
        "changes": Locking.changes(gone, lock.Ran({}, {}, [], "strict")),
    }
    (folder / "base").mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / "base" / name).write_text("{}")
    task = Task("parity", "{{ text }}", Labels("yes", "no"), folder / "train.jsonl", folder / "heldout.jsonl", 4, stable=0.05)
    hosted, recipe = Endpoint("gpt", api_key_env=None), Recipe(name="tiny", base=folder / "base")
    run: Any = SimpleNamespace(
        settings=SimpleNamespace(drift=1, record=False, pairs=1, store=folder / "store"),
        budget=Budget(None),
        progress=SimpleNamespace(say=print, step=print),
        relative=lambda path: path.name,
    )

    def pairing(student: Model | Recipe) -> Pairing:
        declared = Student(student, student if isinstance(student, Recipe) else None)
        return Pairing(
            Declaration(task, hosted, [declared], None, Curation(), Judge(hosted, "good"), task), declared, folder / "bench.py", 1, run
        )

    asked = pairing(recipe)
    items: Any = [SimpleNamespace(callspec=SimpleNamespace(params={"distill_pairing": asked}))]
    monkeypatch.setattr(record_only, "flows_of", lambda _: [SimpleNamespace(pairing=asked, learns=False)])
    nothing_recorded = {"drift": ask_again(run, items), "recorded": record_only.record(run, items)}
    yield nothing_recorded

    def said(text: str, sample: int = 0) -> Reply:
        return Reply("key", "held-0", "gpt", text, "answered", 5, 1, "2026-09-01T10:00:00Z", sample=sample, answered_by="gpt-1")

    moved = drift_of(task, task.heldout_examples[:1], [[said("yes"), said("no", 1)]], [said("no")])
    assert moved is not None
    assert moved.itself is not None
    yield {"drift": [entry | moved.to_json() for entry in nothing_recorded["drift"]]}
    asked.committed_path(hosted).parent.mkdir()
    asked.committed_path(hosted).touch()
    of_fact = {
        "stability": moved.itself.to_json(),
        "accepted": {"at": result["started"], "commit": None, "machine": "CPU"},
        "seeds": {"recipe": "tiny", "declared": 2},
        "rejected": {"wrong": 1},
        "replaced": {"wrong": 1},
        "left_out": [results.left_out("wrong", 1, "train-0", "no", "yes")],
        "recipe": recipe.to_json(),
        "counts": dict.fromkeys(KINDS, 1),
        "judgements": judged,
    }
    able = make(folder, [("a", "a", "b", ["odd"])] * 2 + [("a", "a", "a", [])] * 9)
    entry = results.comparison_entry(replace(able, broad=able), {}, {"teacher": {}, "student": {}}, able.examples)
    of_fact |= {name: entry[name] for name in ("clusters", "broad", "measures", "confusion")}
    graded = replace(able.teacher, grades=(Grade(1, right=True, parts={"file": 1}),) * len(able.examples))
    of_fact["parts"] = by_part(["file"], dict.fromkeys(able.sides, graded))
    yield {"comparisons": [of_fact, *({"inputs": inputs_of(pairing(student))} for student in (recipe, hosted))]}


def test_the_page_names_each_key_with_its_type(pytester, run, result, monkeypatch):
    """Whatever a result or a lock holds is on the page, with its type and range, and the page names nothing that none of them holds."""
    bench(pytester.path, BODY + GATES)
    assert run("--distill-accept", "--distill-ladder", "on").ret == 0
    made, accepted = result(), json.loads((pytester.path / lock.NAME).read_text())
    (compared,), (entry,) = made["comparisons"], accepted["comparisons"].values()
    assert entry["inputs"] == compared["inputs"]
    entry["inputs"] = {}  # they are named once
    entry["numbers"] |= {"rejected": {"wrong": 1}, "replaced": {"wrong": 1}, "broad": {"n": 1, "answers": {"b": [None, None]}}}
    types = on_the_page()
    known = with_parents(types)
    found = [pair for each in (made, *rare(made, pytester.path, monkeypatch)) for pair in held(lock.plain(each), known)]
    found += [(path, value) for path, value in held({"lock": accepted}, known) if path != "lock"]
    assert sorted({path for path, _ in found} - known) == []
    assert sorted(known - {path for path, _ in found} - {"lock"}) == []
    assert [(path, types[path], value) for path, value in found if path in types and not fits(value, types[path])] == []
