"""How fast and for how much money a server may be asked: requests and tokens a minute, and a budget in dollars."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from pytest_distill.errors import ModelError
from pytest_distill.files import write_json

LEDGER_SECONDS = 7 * 24 * 3600.0  # no run lasts longer


class Pacer:
    """Spaces starts out evenly, so that no minute holds more than the account's limit.

    Args:
        per_minute: how many units (requests, or tokens) a minute; None for no limit.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._seconds = 60 / per_minute if per_minute else 0.0
        self._next = 0.0

    def take(self, units: float) -> float:
        """Return how many seconds to wait before `units` are used; they count as used from then on."""
        if not self._seconds:
            return 0.0
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + units * self._seconds
        return start - now

    def give_back(self, units: float) -> None:
        """Correct an estimate: so many units were not used after all (below 0: used in addition)."""
        self._next -= units * self._seconds


class BudgetError(ModelError):
    """The next request could pass the budget."""


class Budget:
    """What recording may cost in this run, over all its processes.

    A request is begun only if what was spent, what requests in flight may cost at most, and what it may cost itself stay within.

    Args:
        limit: US dollars, above 0; None for no limit.
        ledger: a file that the processes of this run share; what they spent stands in it.
    """

    def __init__(self, limit: float | None = None, ledger: Path | None = None) -> None:
        self.limit = limit
        self.spent = 0.0
        self._ledger = ledger
        self._reserved = 0.0
        self._settled: asyncio.Event | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the ledger: one process of the run spends at a time."""
        self._settled = asyncio.Event()
        if self.limit is None or self._ledger is None:
            yield
            return
        self._ledger.parent.mkdir(parents=True, exist_ok=True)
        for old in self._ledger.parent.iterdir():  # of runs that ended long ago
            with suppress(OSError):
                if old.stat().st_mtime < time.time() - LEDGER_SECONDS:
                    old.unlink()
        with FileLock(self._ledger.with_suffix(".lock")):
            try:
                self.spent = max(self.spent, float(json.loads(self._ledger.read_text(encoding="ascii"))))
            except FileNotFoundError:
                pass  # the first process of this run
            except (OSError, ValueError, TypeError) as error:
                raise BudgetError(f"what this run has spent cannot be read from {self._ledger} ({error}). Run again") from None
            try:
                yield
            finally:
                write_json(self._ledger, self.spent)

    async def reserve(self, most: float) -> None:
        """Set aside what a request may cost at most; waits for requests in flight where only their estimates stand in the way.

        Raises:
            BudgetError: it could pass the limit.
        """
        while self.limit is not None and self.spent + self._reserved + most > self.limit:
            if not self._reserved:
                raise BudgetError(
                    f"the budget of ${self.limit:g} is used up: ${self.spent:.4f} spent, and the next reply may cost up to ${most:.4f}"
                )
            assert self._settled is not None
            self._settled.clear()
            await self._settled.wait()
        self._reserved += most

    def settle(self, most: float, cost: float) -> None:
        """Replace what `reserve` set aside by what the request did cost."""
        self._reserved = max(0.0, self._reserved - most)
        if self._reserved < 1e-12:  # what is left of sums and differences of floats
            self._reserved = 0.0
        self.spent += cost
        if self._settled is not None:
            self._settled.set()
