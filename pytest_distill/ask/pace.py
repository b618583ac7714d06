"""How fast and for how much money a server may be asked: requests and tokens a minute, and a budget in dollars."""

from __future__ import annotations

import asyncio
import json
import threading
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
        self._saved: float | None = None  # what stands in the ledger
        self._saving = threading.Lock()
        self._settled: asyncio.Event | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the ledger: one process of the run spends at a time.

        Raises:
            BudgetError: the ledger cannot be read or written.
        """
        self._settled = asyncio.Event()
        if self.limit is None or self._ledger is None:
            yield
            return
        lock = FileLock(self._ledger.with_suffix(".lock"))
        try:
            self._ledger.parent.mkdir(parents=True, exist_ok=True)
            for old in self._ledger.parent.iterdir():  # of runs that ended long ago
                with suppress(OSError):
                    if old.stat().st_mtime < time.time() - LEDGER_SECONDS:
                        old.unlink()
            lock.acquire()
        except OSError as error:
            raise self._unusable(error) from None
        try:
            self._read(self._ledger)
            try:
                yield
            finally:
                self.save()
        finally:
            lock.release()

    def _read(self, ledger: Path) -> None:
        try:
            self._saved = float(json.loads(ledger.read_text(encoding="ascii")))
        except FileNotFoundError:
            self._saved = None  # the first process of this run
        except (OSError, ValueError, TypeError) as error:
            raise BudgetError(f"what this run has spent cannot be read from {ledger} ({error}). Run again") from None
        self.spent = max(self.spent, self._saved or 0.0)

    def save(self) -> None:
        """Write into the ledger what was spent, and what requests in flight may cost: a process that is killed leaves it to the next.

        Raises:
            BudgetError: the ledger cannot be written.
        """
        if self.limit is None or self._ledger is None:
            return
        with self._saving:
            # Read in this order, `settle` in another thread makes it too much for a moment, and never too little.
            most = self._reserved + self.spent
            if most == self._saved:
                return
            try:
                write_json(self._ledger, most)
            except OSError as error:
                raise self._unusable(error) from None
            self._saved = most

    def _unusable(self, error: Exception) -> BudgetError:
        return BudgetError(f"what this run has spent cannot be kept in {self._ledger} ({error}). Run again")

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
        self.spent += cost  # first, for the thread that saves
        self._reserved = max(0.0, self._reserved - most)
        if self._reserved < 1e-12:  # what is left of sums and differences of floats
            self._reserved = 0.0
        if self._settled is not None:
            self._settled.set()
