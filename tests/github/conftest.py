"""One run of the action's second step, as the runner would start it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.github.__main__ import main
from tests.github.runner import Effect, effects, marks, outputs, summary_taken, written


@dataclass(frozen=True)
class Step:
    """What one run of the step did: its exit status, its log, its outputs, and its summary as bytes and text."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str

    @property
    def effects(self) -> list[Effect]:
        """What the runner makes of the log."""
        return effects(self.log)


Run = Callable[..., Step]


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the step on a result, in the folder of a project in a workspace, as the runner would."""
    project = tmp_path / "work" / "project"
    (project / ".distill").mkdir(parents=True)
    for name in ("OUTPUT", "STEP_SUMMARY", "ENV"):
        (tmp_path / name).touch()
        monkeypatch.setenv(f"GITHUB_{name}", str(tmp_path / name))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "work"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.chdir(project)

    def run(result: Any, mode: str = "gpu", status: str = "", annotations: int | str = 10) -> Step:
        path = Path(".distill", "results.json")
        if result is not None:
            path.write_bytes(result if isinstance(result, bytes) else json.dumps(result).encode("ascii"))
        ended = status or ("0" if isinstance(result, dict) and result["verdict"] == "pass" else "1")
        log, trouble = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", newline=""), io.StringIO()
        before = path.read_bytes() if path.is_file() else None
        for name in ("OUTPUT", "STEP_SUMMARY"):
            if os.access(tmp_path / name, os.W_OK) and (tmp_path / name).is_file():
                (tmp_path / name).write_bytes(b"")
        with redirect_stdout(log), redirect_stderr(trouble):
            code = main([str(path), "--mode", mode, "--status", ended if status != "none" else "", "--annotations", str(annotations)])
        log.flush()
        assert trouble.getvalue() == ""
        assert (tmp_path / "ENV").read_bytes() == b""
        assert (path.read_bytes() if path.is_file() else None) == before, "the result is kept as it is"
        summary = (tmp_path / "STEP_SUMMARY").read_bytes() if (tmp_path / "STEP_SUMMARY").is_file() else b""
        assert summary == b"" or summary_taken(summary)
        values = (tmp_path / "OUTPUT").read_bytes().decode("utf-8") if (tmp_path / "OUTPUT").is_file() else ""
        done = Step(code, log.buffer.getvalue().decode("utf-8"), outputs(values), summary.decode("utf-8"))
        assert marks(written(done.log)) == [effect.kind for effect in done.effects], "no text is shown as an error, or folds the log"
        return done

    return run
