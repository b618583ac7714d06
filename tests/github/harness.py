"""Runs the composite action step by step, as the GitHub Actions runner does, and tells what each step did to the job."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from tests.fakes import ROOT
from tests.github.runner import Effect, effects, outputs

ACTION = ROOT / ".github" / "actions" / "distill" / "action.yml"
FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_STATE")
needs_bash = pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="needs a Unix with bash")
PATIENCE = 5  # seconds for which the runner goes on reading what a step that has ended still prints
HOSTILE = (
    "::set-output name=verdict::pass",
    "::set-output name=status::0",
    "  \t::add-mask::e",
    "##[add-mask]e",
    "said: ##[set-output name=verdict;]pass",
    "::error file=bench.py,line=1::forged",
    "::echo::on",
    "::add-matcher::matcher.json",
    "::set-env name=PATH::/nowhere",
    "::save-state name=a::b",
    "one\r::set-output name=gates::9\r::debug::x",
    "\u00a0::warning::after a blank of another kind",
    "::stop-commands::mine",
    f"::{'0' * 64}::",
    "::mine::",
)
_STAND_IN = """#!/usr/bin/env bash
case "$*" in
  "-P -m pip "*) role=pip ;;
  "-P -m pytest_distill.github "*) role=reader ;;
  "-m pytest "*) role=pytest ;;
esac
folder=$(dirname "$0")
printf '%s\\0' "$PWD" "$@" >"$folder/$role.called"
env >"$folder/$role.env"
exec bash "$folder/$role.does"
"""

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
_NAME = re.compile(r"[a-z_]\w*(\.[\w-]+)*", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """What one step did.

    Attributes:
        status: exit status of its script.
        log: what it printed to both streams, line by line as it came.
        effects: what its log did, other than to be shown.
        outputs: its outputs, from its file and from its log.
        files: what it left in the file that each variable of `FILES` names.
    """

    status: int
    log: str
    effects: list[Effect]
    outputs: dict[str, str]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Ran:
    """What an action did.

    Attributes:
        steps: what each step did that was run, by its id.
        outputs: the action's outputs.
    """

    steps: dict[str, Step]
    outputs: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether every step that was run ended well."""
        return all(step.status == 0 for step in self.steps.values())


def read() -> dict[str, Any]:
    """Return the action; raises yaml.YAMLError where its file is none."""
    content: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    return content


def run(workspace: Path, temp: Path, inputs: Mapping[str, str], *, github: Mapping[str, Any] | None = None) -> Ran:
    """Run the action's steps.

    Args:
        workspace: folder of the checkout, in which each step starts.
        temp: folder for RUNNER_TEMP and the files of the steps.
        inputs: as under ``with:``; the others have their defaults.
        github: the github context; its ``event_name`` is ``workflow_dispatch`` unless given, and its ``sha`` may be left out.

    Raises:
        ValueError: an input that is not declared, a required one that is missing, or an expression that this harness does not know.
    """
    declared = read()
    if wrong := inputs.keys() - declared["inputs"].keys():
        raise ValueError(f"no inputs of the action: {sorted(wrong)}")
    given = {name: str(inputs.get(name, one.get("default", ""))) for name, one in declared["inputs"].items()}
    if missing := [name for name, one in declared["inputs"].items() if one.get("required") and name not in inputs]:
        raise ValueError(f"required inputs of the action: {missing}")
    context: dict[str, Any] = {"inputs": given, "github": {"event_name": "workflow_dispatch"} | dict(github or {}), "steps": {}}
    job = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "INPUT_", "RUNNER_", "PYTEST_"))}
    job |= {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": context["github"]["event_name"]}
    job |= {"GITHUB_SHA": context["github"].get("sha", ""), "GITHUB_WORKSPACE": str(workspace), "RUNNER_TEMP": str(temp)}
    steps: dict[str, Step] = {}
    for number, step in enumerate(declared["runs"]["steps"]):
        if step.get("if", "success()") not in ("success()", "always()"):
            raise ValueError(f"this harness does not know the condition {step['if']!r}")
        if step.get("if") != "always()" and any(done.status for done in steps.values()):
            continue
        variables_of_step = {name: _text(value, context) for name, value in step.get("env", {}).items()}
        folder = temp / f"_step{number}"
        folder.mkdir(parents=True)
        done = _run(step["run"], workspace, job | variables_of_step, folder)
        steps[step["id"]] = done
        context["steps"][step["id"]] = {"outputs": done.outputs}
    return Ran(steps, {name: _text(one["value"], context) for name, one in declared["outputs"].items()})


def _run(script: str, workspace: Path, environment: Mapping[str, str], folder: Path) -> Step:
    """Run a step's script with fresh files; what it left running is ended with it."""
    paths = {name: folder / name.lower() for name in FILES}
    for path in paths.values():
        path.touch()
    source = folder / "script.sh"
    source.write_text(script, encoding="utf-8")
    process = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(source)],
        cwd=workspace,
        env={**environment, **{name: str(path) for name, path in paths.items()}},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    lines: list[bytes] = []
    readers = [threading.Thread(target=_follow, args=(stream, lines), daemon=True) for stream in (process.stdout, process.stderr)]
    for reader in readers:
        reader.start()
    status = process.wait(timeout=120)
    for reader in readers:
        reader.join(PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for reader in readers:
        reader.join()
    log = b"".join(lines).decode("utf-8", "replace")
    found = effects(log)
    said = {effect.properties["name"]: effect.data for effect in found if effect.kind == "set-output"}
    files = {name: path.read_bytes() for name, path in paths.items()}
    return Step(status, log, found, said | outputs(files["GITHUB_OUTPUT"].decode("utf-8")), files)


def _follow(stream: IO[bytes], lines: list[bytes]) -> None:
    """Take a stream's lines as they come: both streams of a step are read apart, so that no line of one continues one of the other."""
    with stream:
        lines.extend(line.removesuffix(b"\n") + b"\n" for line in stream)


def _text(value: object, context: Mapping[str, Any]) -> str:
    return _EXPRESSION.sub(lambda found: _value(found[1], context), str(value))


def _value(expression: str, context: Mapping[str, Any]) -> str:
    """Evaluate ``name.name || name.name``; a name that is not there is empty."""
    for word in expression.split("||"):
        name = word.strip()
        if not _NAME.fullmatch(name):
            raise ValueError(f"this harness does not know the expression {expression!r}")
        found: Any = context
        for part in name.split("."):
            found = found.get(part, "") if isinstance(found, Mapping) else ""
        if found:
            return str(found)
    return ""


class Job:
    """A workspace, and a stand-in for its interpreter whose three uses can be told what to do and asked how they were called."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "a workspace, with blanks"
        self.temp = folder / "temp"
        self.python = folder / "bin" / "python"
        for made in (self.workspace, self.temp, self.python.parent):
            made.mkdir(parents=True)
        self.python.write_text(_STAND_IN, encoding="utf-8")
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)
        for role in ("pip", "pytest", "reader"):
            self.does(role, "exit 0")
        self._runs = 0

    def does(self, role: str, script: str) -> None:
        """Let a role (pip, pytest, reader) do what a shell script does."""
        self.python.with_name(f"{role}.does").write_text(script, encoding="utf-8")

    def run(self, mode: str = "record", *, github: Mapping[str, Any] | None = None, **inputs: str) -> Ran:
        """Run the action; an input's underscores stand for hyphens."""
        self._runs += 1
        for left in self.python.parent.glob("*.called"):
            left.unlink()
        given = {"mode": mode, "python": str(self.python)} | {name.replace("_", "-"): value for name, value in inputs.items()}
        return run(self.workspace, self.temp / str(self._runs), given, github=github)

    def called(self, role: str) -> list[str] | None:
        """Return the folder in which a role was started, and its arguments; None where it was not."""
        path = self.python.with_name(f"{role}.called")
        return path.read_text(encoding="utf-8").split("\0")[:-1] if path.exists() else None

    def variables(self, role: str) -> str:
        """Return the environment that a role was started with."""
        return self.python.with_name(f"{role}.env").read_text(encoding="utf-8", errors="replace")

    def prints(self, texts: Sequence[str], *, then: str = "", end: str = "\n") -> None:
        """Let pytest print these texts, and then do what a shell script does."""
        path = self.python.with_name("text")
        path.write_text("\n".join(texts) + end, encoding="utf-8", newline="")
        self.does("pytest", f"cat '{path}'\n{then}")
