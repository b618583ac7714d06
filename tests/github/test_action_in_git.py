"""The action in a git checkout: which lock of the base commit it compares with, and real runs of pytest from one end to the other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ROOT, bench
from tests.github.harness import FILES, HOSTILE, Job, Ran, needs_bash
from tests.github.runner import summary_taken

pytestmark = needs_bash  # a shell script stands in for the interpreter

LOCK = "distill.lock.json"
ALLOWED = "limit:bench_parity.py::test_accuracy[good]:accuracy_drop<=0.08"


@pytest.fixture(autouse=True, scope="module")
def _surroundings() -> Iterator[None]:
    """Git without anybody's settings, and the fakes importable in the runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{name}_NAME", "somebody")
            patch.setenv(f"GIT_{name}_EMAIL", "somebody@example.invalid")
        patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        yield


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, *, ignored: bool = False) -> str:
    """Commit all there is, where asked what git is told to ignore too, and return the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    git(folder, "add", "--all", *(["--force"] if ignored else []))
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "a change")
    return git(folder, "rev-parse", "HEAD")


def merged(folder: Path, base: str) -> str:
    """Merge what is checked out into a base commit, as GitHub does for a pull request, and return the commit, which is checked out then."""
    head = git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", "--quiet", "--detach", base)
    git(folder, "merge", "--quiet", "--no-ff", "--message", "a merge", head)
    return git(folder, "rev-parse", "HEAD")


def pull_request(sha: str) -> dict[str, Any]:
    """The event of a pull request that GitHub has merged into this commit; the base commit that it names is out of date."""
    return {"event_name": "pull_request", "sha": sha, "event": {"pull_request": {"base": {"sha": "1" * 40}}, "before": "2" * 40}}


def merge_group(base: str) -> dict[str, Any]:
    return {"event_name": "merge_group", "event": {"merge_group": {"base_sha": base}}}


def push(base: str) -> dict[str, Any]:
    return {"event_name": "push", "event": {"before": base}}


# The lock of the base commit


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A checkout whose first commit has no lock, the second has two, and the third has them changed."""
    made = Job(tmp_path)
    (made.workspace / "é, of blanks").mkdir()
    commit(made.workspace)
    for content in ("then", "now"):
        for folder in (made.workspace, made.workspace / "é, of blanks"):
            (folder / LOCK).write_text(f"{content} {folder.name}", encoding="utf-8")
        commit(made.workspace)
    return made


def pulled(folder: Path, base: str) -> dict[str, Any]:
    return pull_request(merged(folder, base))


@pytest.mark.parametrize(
    ("event", "mode"),
    [(pulled, "locked"), (lambda folder, base: merge_group(base), "gpu"), (lambda folder, base: push(base), "locked")],
    ids=["pull_request", "merge_group", "push"],
)
def test_the_lock_of_the_base_commit_is_compared_with(job, event, mode):
    """On each of the three events the run gets the project's lock as the base commit has it, byte by byte, also in a folder below."""
    happened = event(job.workspace, git(job.workspace, "rev-parse", "HEAD~1"))
    for path, folder in ((".", job.workspace.name), ("é, of blanks", "é, of blanks")):
        gates = job.run(mode, path=path, github=happened).steps["gates"]
        given = job.called("pytest")[-1].removeprefix("--distill-base-lock=")
        assert Path(given).read_text(encoding="utf-8") == f"then {folder}"
        assert gates.outputs == {"status": "0"}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (pulled, "the base commit has no distill.lock.json in '.': the gate is compared with no other"),
        (lambda folder, first: push(first), "the base commit has no distill.lock.json in '.'"),
        (lambda folder, first: push("0" * 40), "the branch is new and has no base commit"),
        (lambda folder, first: {"event_name": "schedule"}, "a run by schedule has no base commit"),
    ],
)
def test_a_base_without_a_lock_is_said(job, event, words):
    """Where there is nothing to compare with the gates run all the same, and the log says so."""
    first = git(job.workspace, "rev-list", "--max-parents=0", "HEAD")
    gates = job.run("locked", github=event(job.workspace, first)).steps["gates"]
    assert f"distill: {words}" in gates.log
    assert job.called("pytest")[-1] == "--distill-locked"
    assert gates.outputs == {"status": "0"}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            pull_request("3" * 40),
            f"the first parent of the merge commit {'3' * 40} is not in the checkout. Give actions/checkout fetch-depth: 0",
        ),
        ({**pull_request("3" * 40), "event_name": "pull_request_target"}, "pull_request_target gives a pull request's code"),
        (push("1" * 40), f"the base commit {'1' * 40} is not in the checkout. Give actions/checkout the input fetch-depth: 0."),
        (push("--output=x"), "the base commit is '--output=x', which is no commit."),
        (push("HEAD"), "the base commit is 'HEAD'"),
        (merge_group("0" * 39), "the base commit is '000"),
        (push(""), "this push names no base commit to compare with."),
    ],
)
def test_a_base_that_cannot_be_had_is_an_error(job, event, words):
    """A base commit that is not there is never taken for one without a lock: nothing runs."""
    job.does("reader", "exit 2")
    ran = job.run("gpu", github=event)
    assert f"distill: {words}" in ran.steps["gates"].log
    assert ran.steps["gates"].outputs == {}
    assert job.called("pytest") is None
    assert ran.outputs["verdict"] == "error"
    assert not ran.passed


def test_a_checkout_without_its_history_is_an_error(job):
    """A shallow clone, as actions/checkout makes it unless told otherwise, lacks the base commit: that is said, and nothing runs."""
    base = git(job.workspace, "rev-parse", "HEAD~1")
    merge = merged(job.workspace, base)
    whole = job.workspace.with_name("whole")
    job.workspace.rename(whole)
    git(whole.parent, "clone", "--quiet", "--depth=1", whole.as_uri(), str(job.workspace))
    assert git(job.workspace, "rev-parse", "HEAD") == merge
    assert (
        f"the first parent of the merge commit {merge} is not in the checkout."
        in job.run("locked", github=pull_request(merge)).steps["gates"].log
    )
    assert f"the base commit {base} is not in the checkout." in job.run("locked", github=push(base)).steps["gates"].log
    assert job.called("pytest") is None


# What a run keeps must come from a run


@pytest.mark.parametrize("mode", ["locked", "gpu"])
@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        (".distill/store/replies/0a.jsonl", {}),
        (".Distill/store/timings/0a.json", {"report_path": "out"}),
        ("é, of blanks/.distill/results.json", {"path": "é, of blanks"}),
        ("of all, runs/old.html", {"report_path": "./of all, runs/"}),
        ("*", {"report_path": "*"}),
    ],
)
def test_a_committed_store_is_refused(job, name, inputs, mode):
    """Where git has a file in the folder of a run's store or report, however its name is written, nothing runs."""
    job.does("reader", "exit 2")
    path = job.workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    base = commit(job.workspace, ignored=True)
    ran = job.run(mode, github=merge_group(base), **inputs)
    assert "is committed, where only what a run has left may be" in ran.steps["gates"].log.partition("\ndistill: ")[2]
    assert job.called("pytest") is None
    assert (ran.outputs["verdict"], ran.passed) == ("error", False)
    git(job.workspace, "rm", "--quiet", "-r", "--cached", name)
    assert job.run(mode, github=merge_group(base), **inputs).steps["gates"].outputs == {"status": "0"}


@pytest.mark.parametrize("committed", [True, False])
def test_a_store_behind_a_link_is_refused(job, committed):
    """A link in the store's place leads to what git may have under any other name, whether the link itself is committed or not."""
    store = job.workspace / "fixtures" / "store" / "replies"
    store.mkdir(parents=True)
    (store / "0a.jsonl").touch()
    base = commit(job.workspace)
    (job.workspace / ".distill").symlink_to("fixtures")
    if committed:
        base = commit(job.workspace)
    log = job.run("gpu", github=merge_group(base)).steps["gates"].log
    assert ("distill: .distill in '.' is committed" if committed else "distill: .distill in '.' is a link") in log
    assert job.called("pytest") is None


@pytest.mark.parametrize("spoil", [shutil.rmtree, lambda git: (git / "index").write_bytes(b"torn")], ids=["none", "torn"])
def test_what_git_cannot_tell_is_refused(job, spoil):
    """Without a repository, and in one that is broken or belongs to another user, it is not known what is committed."""
    spoil(job.workspace / ".git")
    log = job.run("gpu").steps["gates"].log
    assert "distill: git cannot tell whether '.distill' or '.distill' in '.' is committed." in log
    assert job.called("pytest") is None


def test_a_machine_without_git_is_told_so(job, monkeypatch):
    """Where git is not installed the reason is that, and not a checkout without history; what compares with nothing needs no git."""
    tools = job.temp / "tools"
    tools.mkdir()
    for tool in ("bash", "env", "od", "tr", "rm", "cat", "sleep", "dirname"):
        (tools / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tools))
    assert "distill: there is no git here" in job.run("gpu").steps["gates"].log
    assert job.called("pytest") is None
    assert job.run("record").passed
    assert job.called("pytest")


def test_a_lock_that_is_a_folder_is_an_error(job):
    """What stands in the base commit under the lock's name and is no file is no lock, and not the lack of one."""
    (job.workspace / LOCK).unlink()
    (job.workspace / LOCK).mkdir()
    (job.workspace / LOCK / "file").touch()
    base = commit(job.workspace)
    assert f"distill: {LOCK} of the base commit {base} cannot be read." in job.run("gpu", github=push(base)).steps["gates"].log
    assert job.called("pytest") is None


# Real runs


def accept(project: Path, *options: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--distill", "--distill-accept", *options]
    subprocess.run(command, cwd=project, check=True, capture_output=True)


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of a project with an accepted lock, committed."""
    checkout = tmp_path_factory.mktemp("accepted")
    project = checkout / "project"
    project.mkdir()
    bench(project)
    (project / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\ndistill_ladder = off\n", encoding="utf-8")
    accept(project)
    (checkout / ".gitignore").write_text(".distill/\n", encoding="utf-8")
    (project / ".distill" / "results.json").rename(checkout / "earlier.json")
    shutil.rmtree(project / ".distill")
    commit(checkout)
    return checkout


class Change:
    """A pull request to the accepted project, judged by the real interpreter."""

    def __init__(self, accepted: Path, folder: Path) -> None:
        self._job = Job(folder)
        self._checkout = self._job.workspace
        shutil.copytree(accepted, self._checkout, dirs_exist_ok=True)
        self.base = git(accepted, "rev-parse", "HEAD")
        self.project = self._checkout / "project"

    def put(self, old: str, new: str, name: str = "bench_parity.py") -> None:
        """Replace text in a file of the project."""
        text = (self.project / name).read_text(encoding="utf-8")
        assert old in text
        (self.project / name).write_text(text.replace(old, new), encoding="utf-8")

    def run(self, mode: str = "locked", *, github: dict[str, Any] | None = None, **inputs: str) -> Ran:
        """Commit it, merge it as GitHub does unless another event is given, and run the action on that."""
        commit(self._checkout)
        github = github or pull_request(merged(self._checkout, self.base))
        return self._job.run(mode, github=github, **({"path": "project", "python": sys.executable} | inputs))


@pytest.fixture
def change(accepted: Path, tmp_path: Path) -> Change:
    return Change(accepted, tmp_path)


def test_an_unchanged_project_passes(change):
    """Judged from the lock: every output is there, the summary is taken, and nothing else is said to the runner."""
    ran = change.run()
    assert ran.passed, ran.steps["gates"].log
    named = {name: ran.outputs[name] for name in ("verdict", "complete", "gates", "passed", "failed", "inconclusive")}
    assert named == {"verdict": "pass", "complete": "true", "gates": "2", "passed": "2", "failed": "0", "inconclusive": "0"}
    assert (ran.outputs["report-path"], ran.outputs["results-path"]) == ("project/.distill/report.html", "project/.distill/results.json")
    assert (ran.outputs["worst-accuracy-drop"], ran.outputs["smallest-speed-gain"]) == ("0.005", "6.0")
    report = ran.steps["report"]
    assert report.effects == []
    assert summary_taken(report.files["GITHUB_STEP_SUMMARY"])
    assert {name for step in ran.steps.values() for name in FILES if step.files[name]} == {"GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"}


def test_a_loosened_limit_fails_until_it_is_allowed_by_name(change):
    """It fails at its line, from the lock, also where the change has accepted a lock of its own; the input allow-changes lets it through."""
    change.put("accuracy_drop <= 0.05", "accuracy_drop <= 0.08")
    accept(change.project, "--distill-locked")
    assert '"limit": 0.08' in (change.project / LOCK).read_text(encoding="utf-8")
    ran = change.run()
    assert (ran.outputs["verdict"], ran.steps["gates"].outputs) == ("fail", {"status": "1"})
    assert not ran.passed
    line = 1 + (change.project / "bench_parity.py").read_text(encoding="utf-8").splitlines().index(
        "    assert comparison.accuracy_drop <= 0.08"
    )
    at = [(effect.kind, effect.properties["file"], effect.properties["line"]) for effect in ran.steps["report"].effects]
    assert at == [("error", "project/bench_parity.py", str(line))]
    assert change.run(allow_changes=f"other\r\n\r\n  {ALLOWED}\r\n").outputs["verdict"] == "pass"


def test_a_branch_that_has_moved_on_is_compared_with_as_it_is_now(change):
    """A limit that main has made tighter since the pull request began is loosened by it: the first parent of the merge is what counts."""
    loose = change.base
    change.put("accuracy_drop <= 0.05", "accuracy_drop <= 0.04")
    accept(change.project, "--distill-locked")
    change.base = commit(change.project.parent)
    assert change.run().outputs["verdict"] == "pass"
    change.put("accuracy_drop <= 0.04", "accuracy_drop <= 0.05")
    accept(change.project, "--distill-locked")
    assert change.run().outputs["verdict"] == "fail"
    change.base = loose
    assert change.run().outputs["verdict"] == "pass"


def test_a_store_that_the_project_names_is_not_judged_from(change):
    """Forged times in a folder that the pull request's own ini file calls the store are no evidence: the slow student is timed anew."""
    change.put("seconds=0.01)", "seconds=0.05)")
    change.put("[pytest]", "[pytest]\ndistill_store = fixtures", "pytest.ini")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--distill"], cwd=change.project, check=False, capture_output=True
    )
    (timing,) = (change.project / "fixtures" / "timings").glob("*.json")
    told = json.loads(timing.read_text(encoding="utf-8"))
    told["student"]["seconds"] = [seconds / 10 for seconds in told["student"]["seconds"]]
    timing.write_text(json.dumps(told), encoding="utf-8")
    ran = change.run("gpu", github=push("0" * 40))
    assert (ran.outputs["verdict"], ran.outputs["smallest-speed-gain"]) == ("fail", "1.2")


@pytest.mark.parametrize("status", [5, 137])
def test_a_run_without_a_result_is_an_error(change, status):
    """No benchmark is left, or the run is killed, beside the result of an earlier run that passed: an error, not that result."""
    if status == 5:
        (change.project / "bench_parity.py").unlink()
    else:
        change.put("import pytest", "import os; os.kill(os.getpid(), 9)")
    (change.project / ".distill").mkdir()
    shutil.copy(change.project.parent / "earlier.json", change.project / ".distill" / "results.json")
    ran = change.run("gpu")
    assert ran.steps["gates"].outputs == {"status": str(status)}
    assert ran.outputs["verdict"] == "error"
    assert not ran.passed


def test_an_interpreter_without_pytest_is_an_error(change):
    """Where neither pytest nor pytest-distill is installed, both steps say so and the verdict is an error."""
    bare = change.project / "bare"
    bare.write_text(f"#!/bin/sh\nexec '{sys.executable}' -I -S \"$@\"\n", encoding="utf-8")
    bare.chmod(0o755)
    ran = change.run(python="project/bare")
    assert "No module named pytest" in ran.steps["gates"].log
    assert "No module named 'pytest_distill'" in ran.steps["report"].log
    assert (ran.outputs["verdict"], ran.passed) == ("error", False)


def test_hostile_replies_say_nothing_to_the_runner(change):
    """A student that answers in commands, and a gate that prints what it says: the missed gate is annotated, and that is all."""
    wrong = {2 * k: text for k, text in enumerate([*HOSTILE, "x"] * 2)}
    change.put('wrong={0: "no"}', f"wrong={wrong!r}")
    change.put("    assert comparison.accuracy_drop", "    print(*good.wrong.values(), sep='\\n')\n    assert comparison.accuracy_drop")
    ran = change.run("gpu")
    gates, report = ran.steps["gates"], ran.steps["report"]
    assert f"\n{HOSTILE[0]}\n" in gates.log
    assert [effect.kind for effect in gates.effects] == ["remove-matcher", "stop-commands", "resume"]
    assert gates.outputs == {"status": "1"}
    assert {effect.kind for effect in report.effects} == {"error"}
    assert {effect.properties["file"] for effect in report.effects} == {"project/bench_parity.py"}
    assert (ran.outputs["verdict"], ran.outputs["gates"]) == ("fail", "2")
