"""Live progress in the terminal: under capture, from xdist workers, and without a tty."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from typing import Any

import pytest

from pytest_distill.report import visible

EVERY = 5.0  # seconds between two lines where lines cannot be rewritten


class Progress:
    """Writes what is going on, past pytest's capture.

    On a terminal a step rewrites its line; elsewhere (a CI log, an xdist worker, whose standard error is the controller's) a line is
    written every five seconds and at the end of a step's work.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._last = 0.0
        self._open = False

    @property
    def _reporter(self) -> Any:
        """Pytest's terminal reporter; None in an xdist worker, which has no terminal of its own."""
        if hasattr(self._config, "workerinput"):
            return None
        return self._config.pluginmanager.get_plugin("terminalreporter")

    def say(self, text: str) -> None:
        """Write one line."""
        self._write(text, whole=True)

    def step(self, what: str, done: int, of: int, more: str = "") -> None:
        """Show that `done` of `of` steps of `what` are done."""
        text = f"{what}: {done}/{of}{', ' + more if more else ''}"
        last = done >= of
        if getattr(self._reporter, "isatty", False):
            self._write(text, whole=last)
        elif last or time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self._write(text, whole=True)

    def _write(self, text: str, *, whole: bool) -> None:
        if self._config.get_verbosity() < -1:
            return
        text = visible(text)  # names of models may hold control sequences
        capture: Any = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            reporter = self._reporter
            if reporter is None:
                print(text, file=sys.stderr, flush=True)
                return
            if not self._open:
                reporter.ensure_newline()
            if getattr(reporter, "isatty", False):
                reporter.rewrite(text, erase=True)
                if whole:
                    reporter.line("")
                self._open = not whole
            else:
                reporter.write_line(text)
