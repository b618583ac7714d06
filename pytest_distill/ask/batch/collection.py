"""One go at a recording through the Batch API: what runs is found again, the rest is submitted, what comes back is recorded."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO

from pytest_distill.ask.batch.notes import Batch, Notes
from pytest_distill.ask.batch.output import Output
from pytest_distill.ask.batch.server import FIRST_PART, Server
from pytest_distill.ask.collect import Keeper, StopError, Wanted
from pytest_distill.ask.pace import BudgetError
from pytest_distill.task import shown_path

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000  # of one batch: the API's limits
LONGEST_WAIT = 60.0  # seconds between two looks at a batch
GROUP = 1000  # lines of a batch's output that are made durable together
ENDED = ("completed", "failed", "expired", "cancelled")
MOST_SHOWN = 3  # errors of a batch that are repeated


class BatchCollection:
    """One go at the replies that are missing from a recording, through the Batch API.

    What must be known to take a step up again is on disk, in ``<recording>.batches.json``, before the step is taken: wherever a process
    ends, the next go finds each batch that was created, and creates none twice.

    Args:
        keeper: takes the answers.
        progress: told how many replies are safely on disk.
        poll_seconds: the longest wait between two looks at a batch, above 0; the first is a sixteenth of it.
        say: told in words how the batches fare.
    """

    def __init__(
        self,
        keeper: Keeper,
        progress: Callable[[int], None],
        *,
        poll_seconds: float = LONGEST_WAIT,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._keeper, self._progress, self._say = keeper, progress, say
        self._asking, self._endpoint, self._budget = keeper.asking, keeper.asking.endpoint, keeper.asking.budget
        self._recording = keeper.recording
        self._poll_seconds = poll_seconds
        self._server = Server(self._endpoint, poll_seconds, say)
        self._url = "/v1" + self._endpoint.path
        self._one_file = asyncio.Lock()  # an output is large: one at a time is in memory
        self._missing: Counter[str] = Counter()  # replies that did not come, by reason
        self._refused: list[str] = []  # why the server did not begin a batch

    async def run(self, wanted: Sequence[Wanted]) -> None:
        """Wait for what was submitted before, submit the rest, and record what comes back.

        Args:
            wanted: what the recording does not hold; `Wanted.alone` says nothing here, for a batch has no times.

        Raises:
            StopError, BudgetError: not all of it came; what came is in the recording, and what runs is waited for by the next go.
            RecordingError: a reply, or what is noted, could not be written.
        """
        self._wanted = {each.key: each for each in wanted}
        self._notes = Notes(self._recording.path)
        try:
            running = await self._resume()
            noted = {key for batch in running for key in batch.keys}
            fresh = [each for each in wanted if each.key not in noted]
            if self._budget.limit is not None:
                # Nothing is set aside for what runs already: what it did cost must be known before more is spent.
                await self._collect(running, [])
                running = []
            await self._collect(running, fresh)
        except asyncio.CancelledError:
            if self._notes.batches:
                self._say(f"{len(self._notes.batches)} submitted batches go on at the provider; the same command collects them")
            raise
        words = list(self._refused)
        if self._missing:
            reasons = ", ".join(f"{reason}: {count:,}" for reason, count in self._missing.most_common())
            words.append(f"{self._missing.total():,} of {len(wanted):,} replies did not come back ({reasons})")
        if words:
            raise StopError("; ".join(words))

    async def _resume(self) -> list[Batch]:
        """Return the batches noted before that run for something wanted now."""
        notes, holds = self._notes, self._recording.holds
        left = [batch for batch in notes.batches if not all(map(holds, batch.keys))]
        if len(left) < len(notes.batches):
            notes.batches = left  # a go before ended between a batch's last reply and its last note
            notes.save()
        running = [batch for batch in left if any(key in self._wanted for key in batch.keys)]
        for batch in running:
            if batch.origin != self._endpoint.origin:
                raise StopError(
                    f"a batch was submitted to {batch.origin} on {batch.at[:10]}, and the Endpoint now asks {self._endpoint.origin}. Go back to"
                    f" the first to collect it, or delete {shown_path(notes.path)} to have its requests submitted, and paid for, again"
                )
        unsure = [batch for batch in running if not batch.id]
        if unsure:
            await asyncio.sleep(self._poll_seconds / 4)  # what was created a moment ago may not be listed yet
        for batch in unsure:
            batch.id = await self._server.find(batch)
            if batch.id:
                notes.save()
            else:
                notes.remove(batch)  # it was never created
        return [batch for batch in running if batch.id]

    async def _collect(self, running: Iterable[Batch], fresh: Sequence[Wanted]) -> None:
        """Follow batches that run, and those that are submitted for what is fresh, to their ends, all at the same time."""
        try:
            async with asyncio.TaskGroup() as group:
                for batch in running:
                    self._say(f"batch {batch.id}: submitted on {batch.at}, waited for again")
                    group.create_task(self._follow(batch, 0.0))
                for part, file in self._parts(fresh):
                    if self._refused:
                        break
                    batch, most = await self._submit(part, file)
                    group.create_task(self._follow(batch, most))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    def _parts(self, wanted: Sequence[Wanted]) -> Iterator[tuple[list[Wanted], BinaryIO]]:
        """Yield the requests in parts within the API's limits, each with a file of its lines that the next one overwrites.

        Raises:
            StopError: there is no room for the file.
        """
        part: list[Wanted] = []
        try:
            with tempfile.TemporaryFile() as file:
                for each in wanted:
                    body = self._endpoint.body(each.prompt, self._asking.max_tokens, self._asking.schema, self._asking.tools)
                    line = json.dumps({"custom_id": each.key, "method": "POST", "url": self._url, "body": body}).encode() + b"\n"
                    if part and (len(part) == MOST_REQUESTS or file.tell() + len(line) > MOST_BYTES):
                        yield part, file
                        part = []
                        file.seek(0)
                        file.truncate()
                    part.append(each)
                    file.write(line)
                if part:
                    yield part, file
        except OSError as error:
            raise StopError(f"the requests of a batch could not be written below {tempfile.gettempdir()}: {error.strerror}") from None

    async def _submit(self, part: Sequence[Wanted], file: BinaryIO) -> tuple[Batch, float]:
        """Create the batch of a part; return it and what it may cost at most, which is set aside.

        Raises:
            BudgetError: it may cost more than is left; nothing was submitted.
            StopError: the server refused it.
        """
        most = sum(self._asking.most_cost(each.prompt) for each in part)
        try:
            await self._budget.reserve(most)  # waits for earlier parts where only what they may cost stands in the way
        except BudgetError:
            raise BudgetError(
                f"the next batch, of {len(part):,} requests, may cost up to ${most:.4f}; of the budget of ${self._budget.limit:g},"
                f" ${self._budget.spent:.4f} are spent. It was not submitted. Raise the budget, or leave batch=True out: then requests are"
                " sent one by one until it is used up"
            ) from None
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        batch = Batch(secrets.token_hex(8), now, self._endpoint.origin, "", [each.key for each in part])
        try:
            batch.file = await self._server.upload(f"{batch.tag}.jsonl", file)
            self._notes.add(batch)  # from here on it may exist
            metadata = {"recording": self._recording.path.name[:512]}
            batch.id = await self._server.create(batch, self._url, metadata, refused=lambda: self._notes.remove(batch))
            self._notes.save()
        except BaseException:
            self._budget.settle(most, most if batch in self._notes.batches else 0.0)
            raise
        self._say(f"batch {batch.id}: {len(part):,} requests submitted")
        return batch, most

    async def _follow(self, batch: Batch, most: float) -> None:
        """Wait until a batch ends and record what it brought; then what was set aside for it is settled."""
        cost = most  # also where this is interrupted: what was submitted may be charged
        try:
            state = await self._ended(batch)
            if state["status"] == "failed":
                cost = 0.0
                self._refused.append(f"batch {batch.id} failed before it began: {_errors(state)}")
                self._say(self._refused[-1])
                self._notes.remove(batch)
            else:
                cost = await self._take(batch, state)
        except StopError as stop:
            raise StopError(
                f"{stop}. Batch {batch.id} is noted in {shown_path(self._notes.path)}, and waited for again; only if the provider no longer has it,"
                " delete that file to have its requests submitted again"
            ) from None
        finally:
            self._budget.settle(most, cost)

    async def _ended(self, batch: Batch) -> Mapping[str, Any]:
        wait, told = self._poll_seconds * FIRST_PART, ""
        while True:
            state = await self._server.look(batch)
            counts = state.get("request_counts") or {}
            done, failed, total = (counts.get(name) or 0 for name in ("completed", "failed", "total"))
            words = f"batch {batch.id}: {state['status']}" + (f", {done:,} of {total:,} done, {failed:,} failed" if total else "")
            if words != told:
                self._say(words)
            if state["status"] in ENDED:
                return state
            told = words
            await asyncio.sleep(wait)
            wait = min(2 * wait, self._poll_seconds)

    async def _take(self, batch: Batch, state: Mapping[str, Any]) -> float:
        """Record the replies of a batch and forget it; return what they cost in US dollars."""
        output = Output(self._keeper, self._wanted, batch)
        for file in filter(None, (state.get("output_file_id"), state.get("error_file_id"))):
            async with self._one_file:
                for number, line in enumerate(io.BytesIO(await self._server.download(batch, file)), 1):
                    output.take(line)
                    if number % GROUP == 0:
                        self._make_durable()
                        await asyncio.sleep(0)
        self._make_durable()
        self._missing += output.missing(state["status"])
        self._say(f"batch {batch.id}: {output.words()}")
        batch.keys = output.unasked
        if batch.keys:
            self._notes.save()
        else:
            self._notes.remove(batch)
        return output.cost

    def _make_durable(self) -> None:
        self._recording.sync()
        self._progress(self._keeper.done)


def _errors(state: Mapping[str, Any]) -> str:
    """Return what the server says is wrong with a batch as a whole."""
    found = (state.get("errors") or {}).get("data") or []
    said = [(f"line {each['line']}: " if each.get("line") else "") + str(each.get("message") or each.get("code")) for each in found]
    more = f" (and {len(said) - MOST_SHOWN:,} more)" if len(said) > MOST_SHOWN else ""
    return "; ".join(said[:MOST_SHOWN]) + more if said else "the server does not say why"
