"""The action, with a shell script in the interpreter's place: what it hands on, what it refuses, and that no text speaks to the runner."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.github import harness
from tests.github.harness import FILES, HOSTILE, Job, needs_bash
from tests.github.runner import effects

pytestmark = needs_bash  # a shell script stands in for the interpreter

OWN = ["remove-matcher", "stop-commands", "resume"]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path)
    subprocess.run(["git", "init", "--quiet", str(made.workspace)], check=True)
    return made


def kinds(log: str) -> list[str]:
    return [effect.kind for effect in effects(log)]


# The file


def test_every_input_is_said_and_handed_on_as_a_variable():
    """Each input has a description and reaches the scripts as an environment variable; a script holds no expression, which text could end."""
    action = harness.read()
    steps = action["runs"]["steps"]
    handed = {name for step in steps for value in step["env"].values() for name in re.findall(r"\binputs\.([\w-]+)", value)}
    assert handed == action["inputs"].keys()
    assert all(one["description"] for one in [*action["inputs"].values(), *action["outputs"].values()])
    assert [name for name, one in action["inputs"].items() if ("default" in one) == one.get("required", False)] == []
    for step in steps:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
        used = set(re.findall(r"\$\{?((?:INPUT_|STATUS)\w*)", step["run"]))
        assert used == step["env"].keys()


def test_the_outputs_are_those_of_step_two():
    """What step one sets is no output of the action, whoever set it; step two is run whatever became of step one."""
    action = harness.read()
    gates, report = action["runs"]["steps"]
    assert (gates["id"], report["id"], report["if"]) == ("gates", "report", "always()")
    assert {name: one["value"] for name, one in action["outputs"].items()} == {
        name: f"${{{{ steps.report.outputs.{name} }}}}" for name in action["outputs"]
    }


# What is handed on


@pytest.mark.parametrize(
    ("mode", "more", "options"),
    [
        ("gpu", {}, []),
        ("gpu", {"budget_usd": "2.50", "evidence": "point"}, ["--distill-budget=2.50"]),
        (
            "gpu",
            {"allow_changes": "\r\n  a b \r\n\n\t--c=d,é\r\nlast"},
            [f"--distill-allow-change={name}" for name in ("a b", "--c=d,é", "last")],
        ),
        ("locked", {"allow_changes": "x"}, ["--distill-locked", "--distill-allow-change=x"]),
        ("record", {"allow_changes": "x", "budget_usd": "-1"}, ["--distill-budget=-1", "--distill-record-only"]),
        ("drift", {"prompts": "7"}, ["--distill-drift=7"]),
    ],
)
def test_a_mode_is_these_options(job, mode, more, options):
    """Each mode has its options, blank lines and carriage returns name no change, and a value that begins with a dash is no option."""
    (job.workspace / "distill.lock.json").write_text("{}")
    ran = job.run(mode, **more)
    folder, *arguments = job.called("pytest")
    assert folder == str(job.workspace)
    assert arguments[:6] == [
        "-m",
        "pytest",
        "--distill",
        f"--distill-evidence={more.get('evidence', 'strict')}",
        f"--distill-out={job.workspace}/./.distill",
        f"--distill-store={job.workspace}/./.distill/store",
    ]
    assert arguments[6:] == options
    assert ran.passed


def test_an_unusual_path_is_one_word(job):
    """Blanks, commas, quotes, a leading dash and letters beyond ASCII in the project's or the report's folder stay as they are."""
    name = "-a 'b', \"ü\" $(c)"
    (job.workspace / name).mkdir()
    job.run(path=name, report_path="of all, runs")
    assert job.called("pytest")[0] == str(job.workspace / name)
    assert f"--distill-out={job.workspace}/{name}/of all, runs" in job.called("pytest")
    assert job.called("reader")[4] == f"{job.workspace}/{name}/of all, runs/results.json"


def test_an_interpreter_is_a_name_or_a_path_from_the_workspace(job):
    """A path with blanks, relative to the workspace, is found in both steps, wherever the project lies in it."""
    (job.workspace / "deep").mkdir()
    (job.workspace / "my env").mkdir()
    relative = job.workspace / "my env" / "python"
    relative.write_text(f"#!/usr/bin/env bash\nexec '{job.python}' \"$@\"\n", encoding="utf-8")
    relative.chmod(0o755)
    assert job.run(path="deep", python="my env/python").passed
    assert job.called("pytest")
    assert job.called("reader")


@pytest.mark.parametrize("status", [0, 1, 5, 137])
def test_pytests_exit_status_reaches_step_two(job, status):
    """Step one itself ends well and hands on what pytest ended with, also where it was killed."""
    job.does("pytest", "kill -KILL $$" if status == 137 else f"exit {status}")
    ran = job.run(annotations="3")
    assert ran.steps["gates"].status == 0
    assert ran.steps["gates"].outputs == {"status": str(status)}
    assert job.called("reader")[1:] == [
        "-P",
        "-m",
        "pytest_distill.github",
        f"{job.workspace}/./.distill/results.json",
        "--mode=record",
        f"--status={status}",
        "--annotations=3",
    ]


@pytest.mark.parametrize("status", [0, 1, 2])
def test_step_two_decides(job, status):
    """The action ends as step two does, and has its outputs."""
    job.does("reader", f'echo verdict=said >>"$GITHUB_OUTPUT"; echo gates=3 >>"$GITHUB_OUTPUT"; exit {status}')
    ran = job.run()
    assert ran.steps["report"].status == status
    assert ran.passed is (status == 0)
    assert {name: value for name, value in ran.outputs.items() if value} == {"verdict": "said", "complete": "false", "gates": "3"}


# What goes wrong


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"mode": "gated"}, "the input mode is 'gated'. Allowed are locked, gpu, record, drift."),
        ({"mode": ""}, "the input mode is ''."),
        ({"mode": "locked"}, "there is no distill.lock.json in '.'. Write it with pytest --distill --distill-accept"),
        ({"path": "absent"}, "the input path is 'absent', which is no folder"),
        ({"path": "file"}, "the input path is 'file', which is no folder"),
        ({"path": ".."}, "the input path is '..', which leaves the workspace"),
        ({"path": "deep/../../bin"}, "which leaves the workspace"),
        ({"path": "out"}, "the input path is 'out', which leaves the workspace or is a link"),
        ({"path": "link"}, "or is a link. Give the folder itself"),
        ({"path": "deep\n::set-output name=verdict::pass"}, "which is no folder"),
        ({"report_path": "taken"}, "what an earlier run left in 'taken' cannot be removed"),
        ({"mode": "drift", "prompts": ""}, "the input prompts is ''. Give a whole number from 1."),
        ({"mode": "drift", "prompts": "0"}, "the input prompts is '0'."),
        ({"version": "1.*"}, "the input version is '1.*'. Give an exact one"),
        ({"version": ">1"}, "the input version is '>1'."),
        ({"version": "1.0\n--pre"}, "the input version is '1.0"),
        ({"version": "1.0 torch"}, "the input version is '1.0 torch'."),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_reason(job, inputs, words):
    """Step one says why and ends well without a status, which step two takes for an error; nothing is installed or run."""
    outside = job.workspace.parent / "outside"
    for made in (outside, job.workspace / "deep", job.workspace / "taken" / "results.json"):
        made.mkdir(parents=True)
    (job.workspace / "file").touch()
    (job.workspace / "out").symlink_to(outside)
    (job.workspace / "link").symlink_to(job.workspace / "deep")
    job.does("reader", "exit 2")
    ran = job.run(**inputs)
    gates = ran.steps["gates"]
    assert words in gates.log.partition("\ndistill: ")[2]
    assert (gates.status, gates.outputs, kinds(gates.log)) == (0, {}, OWN)
    assert ran.steps["report"].effects == []
    assert (job.called("pip"), job.called("pytest")) == (None, None)
    assert "--status=" in job.called("reader")
    assert not ran.passed
    assert (ran.outputs["verdict"], ran.outputs["complete"]) == ("error", "false")


def test_an_earlier_result_is_taken_away(job):
    """What an earlier run, or the checkout, left as result and page is gone before anything else can fail."""
    folder = job.workspace / ".distill"
    folder.mkdir()
    for name in ("results.json", "report.html", "other"):
        (folder / name).touch()
    job.run("gated")
    assert [path.name for path in folder.iterdir()] == ["other"]


def test_an_interpreter_that_is_missing_is_an_error(job):
    """Where not even step two can be run, the verdict is an error and the action fails."""
    ran = job.run(python="no-such-python")
    assert "no-such-python: command not found" in ran.steps["gates"].log
    assert ran.steps["gates"].outputs == {"status": "127"}
    assert not ran.passed
    assert {name: value for name, value in ran.outputs.items() if value} == {"verdict": "error", "complete": "false"}


def test_a_step_that_is_killed_leaves_no_status(job):
    """Where step one is killed itself, step two is run all the same, without a status."""
    job.does("pytest", "kill -KILL $PPID")
    ran = job.run()
    assert ran.steps["gates"].status != 0
    assert "--status=" in job.called("reader")
    assert not ran.passed
    assert ran.outputs["verdict"] == "error"


@pytest.mark.parametrize("works", [True, False])
def test_a_version_is_installed_before_the_gates_run(job, works):
    """The exact version is installed with the interpreter; where that fails the gates are not run, and no text of it is a command."""
    job.does("pip", f"echo ::set-output name=verdict::pass; exit {0 if works else 1}")
    ran = job.run(version="0.1.0rc1")
    assert job.called("pip")[1:] == [
        *("-P", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
        "pytest-distill==0.1.0rc1",
    ]
    assert (job.called("pytest") is not None) is works
    assert ("distill: pytest-distill 0.1.0rc1 could not be installed" in ran.steps["gates"].log) is not works
    assert kinds(ran.steps["gates"].log) == OWN


# Text of models


def test_nothing_that_pytest_prints_is_a_command(job):
    """Hostile lines on both streams, the last without an end, do nothing; the same log without the stop does a lot."""
    job.prints([*HOSTILE, HOSTILE[0]], then=f"cat '{job.python.with_name('text')}' >&2; exit 1", end="")
    gates = job.run().steps["gates"]
    for line in HOSTILE:
        assert gates.log.count(line) >= 2
    assert kinds(gates.log) == OWN
    assert gates.outputs == {"status": "1"}
    unprotected = [effect for line in gates.log.splitlines() if "stop-commands" not in line for effect in effects(line)]
    said = {kind: sum(effect.kind == kind for effect in unprotected) for kind in ("set-output", "add-mask", "error", "echo", "failed")}
    assert said == {"set-output": 9, "add-mask": 4, "error": 2, "echo": 2, "failed": 2}
    for name in FILES[1:]:
        assert gates.files[name] == b""


def test_what_runs_on_for_a_while_is_waited_for(job):
    """A process that pytest leaves behind and that prints after pytest's end does so while commands are stopped."""
    job.prints(HOSTILE, then=f"(sleep 0.5; cat '{job.python.with_name('text')}'; printf ::debug::x) &")
    gates = job.run().steps["gates"]
    assert gates.log.count("::debug::x") == 3
    assert kinds(gates.log) == OWN
    assert gates.outputs == {"status": "0"}


def test_what_runs_on_for_ever_is_cut_off(job, monkeypatch):
    """A process that keeps pytest's output open is neither waited for without end nor heard once commands are on again."""
    nap = job.python.with_name("sleep")
    nap.write_text("#!/bin/sh\nexec /bin/sleep 0.01\n", encoding="utf-8")
    nap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{nap.parent}:/usr/bin:/bin")
    job.does("pytest", "(trap '' PIPE; while :; do echo ::set-output name=verdict::pass; /bin/sleep 0.02; done) 2>/dev/null & exit 1")
    gates = job.run().steps["gates"]
    assert "something that pytest started still runs" in gates.log
    assert kinds(gates.log) == OWN
    assert gates.outputs == {"status": "1"}
    assert gates.log.endswith("::\n")


def test_what_pytest_is_given_cannot_speak_to_github(job, monkeypatch):
    """Neither the five files nor the inputs nor the word that turns commands on again are in its environment or arguments; the rest is."""
    monkeypatch.setenv("TEACHER_KEY", "kept")
    gates = job.run(version="1.0").steps["gates"]
    word = next(effect.data for effect in gates.effects if effect.kind == "stop-commands")
    assert re.fullmatch("[0-9a-f]{64}", word)
    for role in ("pip", "pytest"):
        variables = job.variables(role)
        assert "TEACHER_KEY=kept\n" in variables
        assert "GITHUB_WORKSPACE=" in variables
        assert re.findall(rf"(?m)^(?:{'|'.join(FILES)}|INPUT_\w*)=", variables) == []
        assert word not in variables + "\n".join(job.called(role))
    assert "GITHUB_OUTPUT=" in job.variables("reader")
    assert word not in {effect.data for effect in job.run().steps["gates"].effects}
