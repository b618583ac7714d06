"""A run under --distill: what is collected, what each gate decided, and the one result that is written at the end."""

from __future__ import annotations

import os
import shlex
import sys
import time
import uuid
from collections.abc import Generator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pytest_distill import results
from pytest_distill.ask import Budget
from pytest_distill.errors import DistillError, LockError
from pytest_distill.lock import Ran, file_of
from pytest_distill.models import Endpoint
from pytest_distill.plugin import drift, gates, plan, record_only
from pytest_distill.plugin.declare import declared, mark_line
from pytest_distill.plugin.flow import Pairing, own_fixtures, pairing_of
from pytest_distill.plugin.leaks import check_rows
from pytest_distill.plugin.locking import Locking
from pytest_distill.plugin.options import Settings
from pytest_distill.plugin.progress import Progress
from pytest_distill.task import Task, shown_path
from pytest_distill.verdict import INCONCLUSIVE, NO_CLAIM, Judgement, Judging

DESELECTED = "distill_deselected"  # under which a worker tells how many gates it left out


class Run:
    """Registered under --distill, in the controller and in each xdist worker; only the controller writes the result."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.progress = Progress(config)
        self.judging = Judging(settings.evidence, heard=self._hear)
        self.trained: set[str] = set()
        self._take_old_result_away()
        self.locking = Locking(config, settings)
        self.budget = Budget(settings.budget, settings.store / "spent" / f"{_run_id(config)}.json")
        self.started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._pairings: dict[Path, list[Pairing]] = {}
        self._checked: set[Path] = set()  # benchmark files whose rows were read
        self._marks: dict[Path, pytest.Mark] = {}
        self._tasks: dict[str, tuple[Task, Path]] = {}
        # While one gate runs: its item, what it judged, and comparisons that no report has carried yet.
        self._item: pytest.Item | None = None
        self._judged: list[dict[str, Any]] = []
        self._attached = 0
        self._fresh: list[dict[str, Any]] = []
        self._fresh_inputs: dict[str, dict[str, Any]] = {}
        self._sheets: set[str] = set()
        # In the controller: the ledger.
        self._collected: set[str] = set()
        self._deselected = 0
        self._gates: dict[str, dict[str, Any]] = {}
        self._comparisons: dict[str, dict[str, Any]] = {}
        self._inputs: dict[str, dict[str, Any]] = {}
        self._trouble = ""
        self._instead: dict[str, Any] = {}
        self._lock_words = ""
        self.result: dict[str, Any] | None = None

    @property
    def _worker(self) -> bool:
        return hasattr(self.config, "workerinput")

    @property
    def _gateless(self) -> bool:
        """Whether something else is done, in the controller alone, in place of running gates."""
        return self.settings.plan or self.settings.record_only or bool(self.settings.drift)

    @property
    def _writes(self) -> bool:
        """Whether this process writes the result: a worker does not, nor one that only collects or plans."""
        return not (self._worker or self.config.option.collectonly or self.settings.plan)

    def relative(self, path: Path) -> str:
        """Return `path` below the root folder, with forward slashes."""
        try:
            return path.relative_to(self.config.rootpath).as_posix()
        except ValueError:
            return path.as_posix()

    # Collection

    def _take_old_result_away(self) -> None:
        """A run that is killed, or refused, must not leave the verdict of another one."""
        if self._writes:
            with suppress(OSError):
                (self.settings.out / "results.json").unlink(missing_ok=True)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave every file alone that is no benchmark: it is not even imported."""
        if collection_path.is_file() and not collection_path.match("bench_*.py"):
            return True
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Let xdist hand out whole files: a student then lives in one worker. Without gates to run there is nothing to hand out."""
        if self._gateless:
            config.option.dist = "no"
        elif getattr(config.option, "dist", "no") == "load":
            config.option.dist = "loadfile"

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each gate once for each student that the file's mark names."""
        mark = metafunc.definition.get_closest_marker("distill")
        if mark is None or "distill_pairing" not in metafunc.fixturenames:
            return
        path = metafunc.definition.path
        if self._marks.setdefault(path, mark) is not mark:
            raise pytest.Collector.CollectError(
                f"{self.relative(path)}: {metafunc.definition.name} has another mark distill than the gates before it. One mark a file: move it to a file of its own."
            )
        line = mark_line(path)
        where = f"{self.relative(path)}:{line}"
        try:
            if path not in self._pairings:
                self._pairings[path] = self._declared(mark, path, line)
            # Where all gates of a file are skipped, its rows are not read; but those who only ask models ask those of a skipped file too.
            asks = self.settings.record_only or self.settings.drift
            if path not in self._checked and (asks or gates.skipped(metafunc.definition) is None):
                check_rows(self._pairings[path], self.settings)
                self._checked.add(path)
        except DistillError as error:
            text = str(error)
            raise pytest.Collector.CollectError(text if text.startswith(where) else f"{where}: {text}") from None
        pairings = self._pairings[path]
        metafunc.parametrize("distill_pairing", pairings, indirect=True, scope="module", ids=[p.name for p in pairings])

    def _declared(self, mark: pytest.Mark, path: Path, line: int) -> list[Pairing]:
        """Return the pairings that a mark declares, checked but for the rows."""
        found = declared(mark)
        task = found.task
        other = self._tasks.setdefault(task.name, (task, path))
        if other[0] is not task and (other[0].digest, other[0].train, other[0].heldout) != (task.digest, task.train, task.heldout):
            raise DistillError(f"task {task.name!r} is another task in {self.relative(other[1])}. Give one of the two another name.")
        return [Pairing(found, student, path, line, self) for student in found.students]

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count the gates that the command line left out: the verdict is about the others, and says so."""
        self._deselected += len(items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over how many gates a worker left out; each of them collects everything."""
        self._deselected = max(self._deselected, getattr(node, "workeroutput", {}).get(DESELECTED, 0))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Enter what was collected here into the ledger."""
        self._collected |= {item.nodeid for item in session.items}
        for item in session.items:
            pairing = pairing_of(item)
            if pairing is not None:
                pairing.own_fixtures |= set(own_fixtures(item))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Enter what a worker collected into the ledger."""
        self._collected |= set(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember the first collection error: it is the run's cause."""
        if report.failed and not self._trouble:
            lines = [line for line in str(report.longrepr).strip().splitlines() if line.strip()] or ["no reason given"]
            text = lines[-1].removeprefix("E   ").strip() if len(lines) > 1 else lines[0]
            self._trouble = f"collection failed: {text}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """In place of running gates, say what would be done, or ask Endpoints again, where that is what the run is for."""
        broken = session.testsfailed and not self.config.option.continue_on_collection_errors
        if not self._gateless or self.config.option.collectonly or broken:
            return None
        if self.settings.plan:
            plan.show(session, self.settings)
        elif self.settings.record_only:
            self._instead = record_only.conclusion(record_only.record(self, session.items), self._trouble)
        else:
            self._instead = drift.conclusion(drift.ask_again(self, session.items), self._trouble)
        return True

    # Gates

    def _hear(self, judgement: Judgement | None, measure: str) -> None:
        """Attribute a judgement (or the reading of a plain estimate) to the gate that is running, with its line."""
        if self._item is None:
            return
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  (inspect.currentframe is the same thing)
        line = None
        while frame is not None and line is None:
            if frame.f_code.co_filename == str(self._item.path):
                line = frame.f_lineno
            frame = frame.f_back
        pairing: Pairing = self._item.callspec.params["distill_pairing"]  # type: ignore[attr-defined]
        self._judged.append(
            {"gate": self._item.nodeid, "comparison": pairing.id, "line": line, "measure": measure, **gates.judged(judgement, measure)}
        )

    @property
    def key_variables(self) -> frozenset[str]:
        """The environment variables that hold the keys of declared Endpoints."""
        models = [model for pairings in self._pairings.values() for pairing in pairings for model in pairing.models]
        return frozenset(model.api_key_env for model in models if isinstance(model, Endpoint) and model.api_key_env)

    def writes_label_sheet_again(self, task: str) -> bool:
        """Return whether this run may have written the label sheet of the task before; another xdist worker may always have."""
        again = self._worker or task in self._sheets
        self._sheets.add(task)
        return again

    def add_comparison(self, entry: dict[str, Any]) -> None:
        """Take a finished comparison into the result; the next test report carries it to the controller."""
        self._fresh.append({**entry, "judgements": []})

    def add_inputs(self, comparison: str, inputs: dict[str, Any]) -> None:
        """Take in what a comparison was made of, also where it came to nothing; carried like the comparison itself."""
        self._fresh_inputs[comparison] = inputs

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Know which gate is running."""
        self._item, self._judged, self._attached = item, [], 0
        try:
            return (yield)
        finally:
            self._item = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """A gate that judged nothing decides nothing: an error."""
        yield
        if not self._judged:
            pytest.fail(
                "the gate judged nothing: hold a measure of `comparison` against a limit, for example assert comparison.accuracy_drop <= 0.05",
                pytrace=False,
            )
        for entry in self._judged:
            if not entry["shown"] and entry["outcome"] != NO_CLAIM:
                pytest.fail(f"the gate let a limit pass that is not shown (line {entry['line']}): {entry['words']}", pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach to the report what the gate decided, as ASCII that every transport takes."""
        report = yield
        part: dict[str, Any] = {"comparisons": self._fresh, "inputs": self._fresh_inputs, "judgements": []}
        self._fresh, self._fresh_inputs = [], {}
        part["outcome"], part["message"] = gates.decided(report, call, self._judged)
        if call.when != "setup":  # what setup judged is attached with the call; what a teardown judges comes with the teardown
            part["judgements"], self._attached = self._judged[self._attached :], len(self._judged)
        gates.attach(report, part)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(
        self, config: pytest.Config, report: Any
    ) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
        """Make lone surrogates visible: xdist cannot send them, and would lose the whole failure with them."""
        data = yield
        return gates.scrubbed(data) if data is not None else None

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show an inconclusive gate as I / INCONCLUSIVE, inside pytest's own list of failures."""
        if report.when == "call" and report.failed and gates.attached(report).get("outcome") == INCONCLUSIVE:
            return "failed", "I", "INCONCLUSIVE"
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter a phase of a gate into the ledger (in the controller, also those of the workers)."""
        part = gates.attached(report)
        self._inputs |= part.get("inputs", {})
        for entry in part.get("comparisons", ()):
            self._comparisons[entry["id"]] = entry
        outcome = part.get("outcome", "error" if report.failed else report.outcome)
        message = part.get("message", "" if report.passed else report.longreprtext)
        gate = self._gates.setdefault(report.nodeid, {"id": report.nodeid, "outcome": "passed", "message": "", "judgements": []})
        gate["judgements"] += part.get("judgements", [])
        if outcome != "passed" and gate["outcome"] in ("passed", "skipped"):
            gate |= {"outcome": outcome, "message": message}

    # The end

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write results.json and report.html; make sure that missing evidence is never green."""
        if self._worker:
            self.config.workeroutput[DESELECTED] = self._deselected  # type: ignore[attr-defined]
        if not self._writes:
            return
        if exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR) and not self._trouble:
            self._trouble = "the run was interrupted" if exitstatus == pytest.ExitCode.INTERRUPTED else "pytest met an internal error"
        if self.settings.accept and self._deselected and not self._trouble:
            self._trouble = f"nothing can be accepted: {self._deselected} gates were deselected, and a lock without them would hide them"
        self.result = self._result()
        try:
            results.write(self.settings.out / "results.json", self.result)
            if self.settings.out.name == ".distill" and not (self.settings.out / ".gitignore").exists():
                (self.settings.out / ".gitignore").write_text("*\n", encoding="ascii")  # what is made here is not for committing
            from pytest_distill.report import page

            page.write(self.settings.out / "report.html", self.result)
            if self.settings.accept:
                files = {file_of(gate) for gate in self._collected}
                self._lock_words = self.locking.accept(self.result, files)
        except (OSError, LockError) as error:
            cause = f"the result could not be written to {shown_path(self.settings.out)}: {error}"
            self.result |= {"verdict": "error", "cause": cause, "complete": False}
        if self.result["verdict"] != "pass" and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _root(self) -> str:
        """Return where the root folder lies, seen from the folder in which pytest was started."""
        try:
            return Path(os.path.relpath(self.config.rootpath, self.config.invocation_params.dir)).as_posix()
        except ValueError:  # Windows: on another drive
            return self.config.rootpath.as_posix()

    def _result(self) -> dict[str, Any]:
        ledger = [self._gates[nodeid] for nodeid in sorted(self._gates)]
        comparisons = [self._comparisons[key] for key in sorted(self._comparisons)]
        results.confirm_refuted(ledger)
        for entry in comparisons:
            entry["judgements"] = [j for gate in ledger for j in gate["judgements"] if j["comparison"] == entry["id"]]
        shown = [{name: gate[name] for name in ("id", "outcome", "message")} for gate in ledger]
        outcomes = dict.fromkeys(self._collected, "") | {gate["id"]: gate["outcome"] for gate in ledger}
        judgements = [judgement for gate in ledger for judgement in gate["judgements"]]
        partial = bool(self._deselected) or any("::" in str(word) for word in self.config.args)
        ran = Ran(self._inputs, outcomes, judgements, self.settings.evidence, partial)
        # Where benchmarks could not be collected, or the run was broken off, their gates are not gone.
        changes = [] if self._gateless or self._trouble else self.locking.changes(ran)
        verdict, cause = results.verdict(shown, len(self._collected), comparisons, self._trouble, changes)
        if self._deselected:
            cause += f" ({self._deselected} deselected)"
        return {
            "schema": results.SCHEMA,
            "complete": not self._trouble and bool(ledger) and len(ledger) == len(self._collected),
            "verdict": verdict,
            "cause": cause,
            "started": self.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds": round(time.monotonic() - self._clock, 1),
            "evidence": self.settings.evidence,
            "locked": self.settings.locked,
            "root": self._root(),
            "command": shlex.join(["pytest", *map(str, self.config.invocation_params.args)]),
            "environment": results.environment(self.config.rootpath),
            "gates": shown,
            "collected": len(self._collected),
            "reported": len(ledger),
            "summary": results.summary(shown, comparisons),
            "seeds": results.seeds(comparisons),
            "changes": changes,
            "history": [],
            "comparisons": comparisons,
            "drift": [],
            "recorded": [],
            **self._instead,
        }

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Close with the verdict table and where the page lies."""
        if self.result is None:
            return
        from pytest_distill.report import terminal

        terminalreporter.section("distill")
        for line in terminal.lines(self.result):
            terminalreporter.write_line(line)
        if self._lock_words:
            terminalreporter.write_line(f"lock: {self._lock_words}")
        if self.result["complete"] or self.result["gates"]:
            terminalreporter.write_line(f"page: {shown_path(self.settings.out / 'report.html')}")


def _run_id(config: pytest.Config) -> str:
    """Return what all processes of this run have in common and no other run has."""
    given = getattr(config, "workerinput", {}).get("testrunuid") or os.environ.get("PYTEST_XDIST_TESTRUNUID")
    return str(given or uuid.uuid4().hex)
