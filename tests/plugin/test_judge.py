"""A judge in a benchmark file: asked and recorded once, nothing without people's labels, and judged again from the lock."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from pytest_distill import Json, Judge, Labels, Task, lock
from pytest_distill.answers import Malformed, Tokens
from pytest_distill.errors import DistillError
from pytest_distill.evaluate import Evaluation
from pytest_distill.plugin.declare import declared
from pytest_distill.plugin.judged import pairs_of
from tests.api_server import ApiServer
from tests.fakes import HEAD, RuleModel, rows, write_jsonl

# The student says "yep" for "yes", which ties, on 100 of 200 rows, and "no" on four more, which is worse.
BODY = """
from pytest_distill import Endpoint, Judge
from pytest_distill.models import Answer

class Talker(RuleModel):
    def answer(self, prompts, max_tokens):
        row = lambda prompt: int(prompt.split("row=")[1].split()[0])
        return [Answer(self.wrong.get(row(prompt), "yes"), "answered", 3, 1) for prompt in prompts]

class Stub(RuleModel):
    def answer(self, prompts, max_tokens):
        from tests.plugin.test_judge import opinion
        return [Answer(opinion(prompt), "answered", 9, 1) for prompt in prompts]

task = Task(name="talk", prompt="{{ text }}", answer=Labels("yes", "no", "yep"), train=HERE / "train.jsonl", heldout=HERE / "heldout.jsonl",
            max_tokens=4)
teacher = Talker("big", seconds=0.06)
small = Talker("small", wrong={k: "yep" if k < 100 else "no" for k in range(SAID)})
local, hosted = Stub("stub"), Endpoint("judge-1", base_url=URL, api_key_env=None, price=(1, 0.5, 2))
pytestmark = pytest.mark.distill(task, teacher=teacher, students=[small], judge=Judge(JUDGE, "The reply must say yes.", MODE))

def test_quality(comparison):
    assert comparison.judged_drop <= 0.05
"""


class Why(BaseModel):
    """A reply with a free text in it."""

    why: str
    n: float


SHEET = "heldout.audit.jsonl"
RECORDING = "recordings/talk.judge-1.judge.jsonl"


def opinion(prompt: str) -> str:
    """What the stub says: "yes" and "yep" are as good, "no" is worse."""
    if "Answer with one digit" in prompt:
        return "1" if re.search(r" the reply\nno\n", prompt) else "5"
    bad = [name for name in "AB" if re.search(rf" reply {name}\nno\n", prompt)]
    return "tie" if len(bad) != 1 else "AB"[bad == ["A"]]


def bench(folder: Path, *, judge: str = "local", url: str = "http://127.0.0.1:9/v1", said: int = 104, mode: str = "pairwise") -> None:
    write_jsonl(folder / "train.jsonl", rows(4, "train", first=1000))
    write_jsonl(folder / "heldout.jsonl", rows(200, "held", reference=False))
    body = textwrap.dedent(BODY).replace("URL", repr(url)).replace("JUDGE", judge).replace("SAID", str(said)).replace("MODE", repr(mode))
    (folder / "bench_talk.py").write_text(HEAD + body, encoding="utf-8")


def label(folder: Path, *, worse: int = 4) -> None:
    """Fill in the sheet as people would who find "no" worse, but in `worse` pairs at most, and all else as good."""
    sheet = [json.loads(line) for line in (folder / SHEET).read_text().splitlines()]
    for row in sheet:
        said = re.findall(r"(?:First|Second) reply\n> (.*)", row["input"])
        row["better"] = "tie"
        if "no" in said and worse:
            row["better"], worse = ("second", "first")[said[1] == "no"], worse - 1
    write_jsonl(folder / SHEET, sheet)


def test_a_judge_alone_never_passes_and_its_labels_do(pytester, run, result):
    """Judge-relative fails and names the way out; with the sheet filled in the same gate passes, and the lock judges it again."""
    bench(pytester.path)
    alone = run()
    assert alone.ret == 1
    alone.stdout.fnmatch_lines(
        [
            "E*judged drop was not measured: judge-relative: 'stub' calls the student worse on 4 and better on 0 of 200, which shows nothing"
            " until people have labelled 4 more of the 4 pairs on which it sees a difference and 100 more random ones of the 100 on which it sees none."
            " Run pytest --distill --distill-label and fill in the sheet",
            "*judge      stub (pairwise): student worse on 4 and better on 0 of 104 differing pairs; judge-relative, with 104 labels missing",
        ]
    )
    assert result()["verdict"] == "inconclusive"
    assert not (pytester.path / SHEET).exists()
    run("--distill-label").stdout.fnmatch_lines(
        [f"*104 pairs of replies wait for a label (104 in all) in {SHEET}; a form for it is .distill/audit-talk.html*"]
    )
    form, sheet = (pytester.path / ".distill" / "audit-talk.html").read_text(), (pytester.path / SHEET).read_text()
    assert "The reply must say yes." in form
    assert not [word for word in ("big", "small", "teacher", "student") if word in sheet]
    label(pytester.path)
    passed = run("--distill-accept")
    assert passed.ret == 0, passed.stdout.str()
    passed.stdout.fnmatch_lines(
        ["*judge      stub (pairwise): * kappa 1.00 * on 104 labelled pairs, missed 0.0% of what people call worse"]
    )
    assert "it agrees with them by kappa 1.00" in (pytester.path / ".distill" / "report.html").read_text()
    found = result()["comparisons"][0]
    measure = found["measures"]["judged_drop"]
    assert (measure["value"], measure["method"], measure["n"]) == (0.02, "audit", 200)
    assert 0.02 < measure["bound"] <= 0.05
    again = run("--distill-locked")
    assert again.ret == 0, again.stdout.str()
    locked = result()["comparisons"][0]
    assert locked["measures"]["judged_drop"] == measure
    assert locked["judge"] == found["judge"]


def test_a_judge_is_recorded_once_and_replayed_without_its_server(pytester, run, result):
    """Each differing pair is asked twice under --distill-record, planned and kept beside the benchmark, and needs no socket from then on."""
    with ApiServer(reply=lambda prompt, request: opinion(prompt)) as server:
        bench(pytester.path, judge="hosted", url=server.url)
        run("--distill-plan").stdout.fnmatch_lines(["  judge      judge-1: asked twice wherever the replies differ;*"])
        refused = run()
        refused.stdout.fnmatch_lines(
            [f"*208 of 208 replies of 'judge-1' are not in {RECORDING}; first: held-0, teacher first: nothing is*"]
        )
        assert result()["verdict"] == "error"
        planned = ["  judge      judge-1: 0 of 104 pairs*", "  to ask     208 replies: about *, expected $*, at most $*"]
        run("--distill-plan").stdout.fnmatch_lines(planned)
        stopped = run("--distill-record", "--distill-budget", "0.01")
        assert "the budget of $0.01 is used up" in stopped.stdout.str()
        recorded = run("--distill-record-only")
        assert recorded.ret == 0
        recorded.stdout.fnmatch_lines([f"*judge 'judge-1' of task 'talk': 208 replies are in {RECORDING}, *"])
        assert server.asked == 208
        assert set(server.prompts.values()) == {1}
    assert "judge-relative" in run().stdout.str()
    compared = result()["comparisons"][0]
    assert compared["judge"]["worse"] == 4
    assert list(compared["inputs"]["replies"]) == ["judge-1.judge"]


def test_what_changes_a_judge_opens_the_lock_again(pytester, run):
    """Another rubric or label is an input that changed: the lock holds no longer, and the change is one that may weaken the gate."""
    bench(pytester.path)
    run("--distill-label")
    label(pytester.path)
    assert run("--distill-accept").ret == 0
    path, sheet = pytester.path / "bench_talk.py", pytester.path / SHEET
    sheet.write_text(sheet.read_text().replace('"first"', '"tie"'))
    run("--distill-locked").stdout.fnmatch_lines(["*no longer holds for bench_talk.py::small: judge.labels was sha256:*"])
    path.write_text(path.read_text().replace("must say yes", "may say yes"))
    run("--distill-locked", f"--distill-base-lock={pytester.path / lock.NAME}").stdout.fnmatch_lines(
        ["fails      the judge, or what people said of its opinions, of bench_talk.py::small changed: *judge.rubric was sha256:*"]
    )


def test_a_changed_reply_needs_a_new_label(pytester, run, result):
    """Labels are of the very replies that were shown: another reply of the student waits for a label again, and the words say why."""
    bench(pytester.path)
    run("--distill-label")
    label(pytester.path)
    path = pytester.path / "bench_talk.py"
    path.write_text(path.read_text().replace('"yep" if k < 100', '"yep" if 2 < k < 100'))
    stale = run("--distill-label")
    assert stale.ret == 1
    assert "3 more of the 7 pairs on which it sees a difference (3 have labels of other replies: a reply that changed" in stale.stdout.str()
    assert result()["comparisons"][0]["judge"]["waiting"] == 3
    label(pytester.path)
    assert run().ret == 0


def test_a_sheet_that_is_none_is_refused(pytester, run):
    """A label that is none of those asked for is an error that names the line."""
    bench(pytester.path)
    (pytester.path / SHEET).write_text('{"id": "held-1:0", "input": "x", "better": "teacher"}\n')
    run().stdout.fnmatch_lines([f"*{SHEET}:1: not a row of labels (*): it is*first, second, tie*"])


def test_a_judge_that_depends_on_the_order_is_refused(pytester, run):
    """A judge that always calls the first reply better contradicts itself."""
    bench(pytester.path)
    path = pytester.path / "bench_talk.py"
    path.write_text(path.read_text().replace("Answer(opinion(prompt)", 'Answer("A"'))
    refused = run()
    assert refused.ret == 1
    refused.stdout.fnmatch_lines(["E*the judge 'stub' contradicts itself on 104 and gives no clear answer on 0 of 104 pairs*"])


def test_scores_are_asked_blind(pytester, run, result):
    """In mode scores each reply is graded by itself."""
    bench(pytester.path, mode="scores")
    run()
    judge = result()["comparisons"][0]["judge"]
    assert (judge["mode"], judge["value"], judge["worse"], judge["waiting"]) == ("scores", 0.02, 4, 104)


def test_replies_that_count_as_equal_are_still_told_apart(tmp_path):
    """Where a contract sets marks aside, "x > 5" and "x < 5" have one key; people must see them, but not JSON in another order of keys."""
    answer = Json(Why, fields={"why": Tokens()})
    task = Task(
        "talk", "{{ text }}", answer, "train.jsonl", str(write_jsonl(tmp_path / "heldout.jsonl", rows(3, "held", reference=False))), 9
    )
    texts = {"teacher": ['{"why": "x > 5", "n": 1}'] * 3, "student": ['{"why": "x < 5", "n": 1}', '{"n": 1.0, "why": "x > 5"}', "{}"]}
    sides = []
    for name, said in texts.items():
        values = tuple(answer.parse(text) for text in said)
        keys = tuple(None if isinstance(value, Malformed) else answer.key(value) for value in values)
        sides.append(Evaluation(name, values, keys, (None,) * 3, tuple(said), 0, 0, ""))
    assert sides[0].keys[0] == sides[1].keys[0]
    pairing: Any = SimpleNamespace(task=task)
    assert [pair.example for pair in pairs_of(pairing, *sides)] == ["held-0", "held-2"]


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        ("gpt", r"judge is a Judge\(model, rubric=…\); seen 'gpt'"),
        (Judge("gpt", "good"), "the model of a Judge is an Endpoint or a Checkpoint; seen 'gpt'"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_judge_is_refused(judge, words):
    """A judge that is none, or one that cannot be asked, is an error of the mark."""
    task = Task("talk", "{{ text }}", Labels("yes", "no"), "train.jsonl", "heldout.jsonl", 4)
    mark = pytest.mark.distill(task, teacher=RuleModel("big"), students=[RuleModel("small")], judge=judge).mark
    with pytest.raises(DistillError, match=words):
        declared(mark)
