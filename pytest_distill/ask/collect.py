"""Collect replies over the wire: many at once, paced, tried again within bounds, each written down as it arrives."""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from pytest_distill.ask.pace import Budget, BudgetError, Pacer
from pytest_distill.errors import ModelError, RecordingError
from pytest_distill.models.endpoint import Endpoint
from pytest_distill.models.model import Answer
from pytest_distill.models.wire import NoReplyError
from pytest_distill.recording import FAILED, Recording, Reply, prompt_digest

COMMIT_SECONDS = 0.03  # with the sync itself, a reply is durable within 50 ms
MOST_FAILURES = 10  # replies in a row that failed for good: the server is down, and asking on only costs time
MOST_FAILURES_ALONE = 3  # of those asked one at a time, each of which was waited for
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0
GARBLED_TRIES = 2
BYTES_PER_TOKEN = 4  # of English text; only paces, and is corrected by what the server counts
OVERHEAD_TOKENS = 32  # what chat templates put around a prompt


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reply that is to be asked for: its key, the example's id, the prompt, which sample, and whether it must be asked alone."""

    key: str
    id: str
    prompt: str
    sample: int
    alone: bool = False


@dataclass(frozen=True)
class Asking:
    """What all requests of one collection have in common.

    Attributes:
        endpoint: loaded.
        max_tokens: the longest reply.
        schema: a JSON schema that replies should keep to, or None.
        budget: what may be spent.
        retires: the date on which the model is shut down, or nothing.
        tools: what the model may call.
    """

    endpoint: Endpoint
    max_tokens: int
    schema: Mapping[str, Any] | None
    budget: Budget
    retires: str = ""
    tools: Sequence[Mapping[str, Any]] = ()

    def most_tokens(self, prompt: str) -> tuple[int, int]:
        """Return how many tokens a request and its reply may have at most: a token is at least one byte of what is sent."""
        around, longest = self._most_beside_prompt
        return around + _bytes(prompt), longest

    @cached_property
    def _most_beside_prompt(self) -> tuple[int, int]:
        # All that is sent may be charged: tools and a reply schema become text of the prompt.
        body = self.endpoint.body("", self.max_tokens, self.schema, self.tools)
        longest = max(int(body.get("max_tokens") or 0), int(body.get("max_completion_tokens") or 0))
        drafts = body.get("best_of")  # written by the server, of which it returns one
        longest *= drafts if isinstance(drafts, int) and drafts > 1 else 1
        return _bytes(body) - _bytes("") + OVERHEAD_TOKENS, longest

    def most_cost(self, prompt: str) -> float:
        """Return what a reply may cost at most, in US dollars."""
        price = self.endpoint.price
        if price is None:
            return 0.0
        tokens_in, tokens_out = self.most_tokens(prompt)
        return (tokens_in * max(price[0], price[1]) + tokens_out * price[2]) / 1e6

    def cost(self, answer: Answer) -> float | None:
        """Return what an answer did cost in US dollars; None where no price or no count of tokens is known."""
        price = self.endpoint.price
        if price is None or not answer.counted:
            return None
        fresh = answer.tokens_in - answer.tokens_cached
        return round((fresh * price[0] + answer.tokens_cached * price[1] + answer.tokens_out * price[2]) / 1e6, 10)

    def reply(self, wanted: Wanted, answer: Answer) -> Reply:
        """Return what the recording keeps of an answer."""
        endpoint = self.endpoint
        return Reply(
            wanted.key,
            wanted.id,
            endpoint.model,
            answer.text,
            answer.outcome,
            answer.tokens_in,
            answer.tokens_out,
            datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            sample=wanted.sample,
            detail=answer.detail,
            answered_by=answer.answered_by,
            parameters=endpoint.sent(self.max_tokens, self.schema, self.tools),
            prompt=prompt_digest(wanted.prompt),
            tokens_cached=answer.tokens_cached,
            cost=self.cost(answer),
            seconds=None if answer.seconds is None else round(answer.seconds, 6),
            first_token=None if answer.first_token is None else round(answer.first_token, 6),
            alone=wanted.alone and answer.seconds is not None,
            origin=endpoint.origin,
            retires=self.retires,
            terms=endpoint.terms,
            logprobs=answer.logprobs,
            counted=answer.counted,
        )


def _bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


class StopError(ModelError):
    """Asking ends before all is had: a reason that holds for every prompt."""


class Keeper:
    """Writes down what came back, and watches that one and the same model gave all of it.

    Args:
        asking: what requests have in common.
        recording: inside its `writing`.
        answered_by: the model that gave what is recorded already; nothing where nothing is.
    """

    def __init__(self, asking: Asking, recording: Recording, answered_by: str) -> None:
        self.asking, self.recording, self.answered_by = asking, recording, answered_by
        self.done = self.failed = 0

    def keep(self, wanted: Wanted, answer: Answer) -> None:
        """Append an answer to the recording.

        Raises:
            StopError: another model gave it; it is not kept.
            RecordingError: it cannot be written.
        """
        if self.answered_by and answer.answered_by and answer.answered_by != self.answered_by:
            raise StopError(
                f"{self.asking.endpoint.model!r} answered as {answer.answered_by!r} now, and as {self.answered_by!r} before: two models must"
                " not share a recording. Ask for a dated name, or delete the recording to have all of it asked anew"
            )
        self.answered_by = self.answered_by or answer.answered_by
        self.recording.write(self.asking.reply(wanted, answer))
        self.done += 1
        self.failed += answer.outcome == FAILED


class Collection:
    """One go at the replies that are missing from a recording, a request each.

    Args:
        keeper: takes the answers.
        progress: told how many replies are safely on disk.
        say: told in words where an interruption waits for what is in flight.
    """

    def __init__(self, keeper: Keeper, progress: Callable[[int], None], say: Callable[[str], None] = lambda text: None) -> None:
        self._keeper, self._progress, self._say = keeper, progress, say
        self._asking, self._endpoint, self._budget = keeper.asking, keeper.asking.endpoint, keeper.asking.budget
        self._requests = Pacer(self._endpoint.requests_per_minute)
        self._tokens = Pacer(self._endpoint.tokens_per_minute)
        self._not_before = 0.0  # the server asked everybody to wait until then
        self._failures = 0  # in a row
        self._stop: Exception | None = None
        self._stopped = asyncio.Event()
        self._reported = 0

    async def run(self, wanted: Sequence[Wanted]) -> None:
        """Ask for all that is wanted: what must be asked alone first, one at a time; then the rest, many at once.

        Raises:
            StopError, BudgetError: not all was asked; every finished reply is in the recording.
            RecordingError: a reply could not be written.
        """
        one_by_one, rest = [each for each in wanted if each.alone], [each for each in wanted if not each.alone]
        if self._keeper.answered_by and rest and not one_by_one:
            one_by_one = [rest.pop(0)]  # where another model answers by now, one reply tells, before many are paid for
        committer = asyncio.create_task(self._commit())
        try:
            for group, at_once in ((one_by_one, 1), (rest, self._endpoint.concurrency)):
                todo = iter(group)
                workers = [asyncio.create_task(self._work(todo)) for _ in range(at_once)]
                try:
                    ended, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
                    for worker in ended:
                        worker.result()
                except asyncio.CancelledError:
                    self._say("interrupted: replies in flight are waited for, they are paid for; interrupt again to leave them")
                    self._end(StopError("interrupted"))
                    await asyncio.wait(workers)
                    raise
                finally:
                    for worker in workers:
                        worker.cancel()
                    await asyncio.gather(*workers, return_exceptions=True)
        finally:
            committer.cancel()
            with suppress(asyncio.CancelledError):
                await committer
            self._make_durable()
            self._progress(self._keeper.done)
        if self._stop is not None:
            raise self._stop

    async def _commit(self) -> None:
        """Make durable together what arrived within a moment, and only then say that it is there."""
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            done = self._keeper.done
            try:
                await asyncio.to_thread(self._make_durable)
            except (RecordingError, BudgetError) as error:
                self._end(error)  # what comes now would be paid for, and perhaps lost
                return
            if done > self._reported:
                self._reported = done
                self._progress(done)

    def _make_durable(self) -> None:
        if self._keeper.done > self._reported:
            self._keeper.recording.sync()
        self._budget.save()

    async def _work(self, todo: Iterator[Wanted]) -> None:
        for wanted in todo:
            if self._stop is not None:
                return
            try:
                answer, attempts = await self._persist(wanted)
                # A request that was given up may still be at work in the server, beside the one that succeeded.
                self._keeper.keep(replace(wanted, alone=wanted.alone and attempts == 1), answer)
            except (StopError, BudgetError) as stop:
                # Requests in flight are paid for: they may end, and their replies are kept.
                self._end(stop)
                return
            self._failures = self._failures + 1 if answer.outcome == FAILED else 0
            most = MOST_FAILURES_ALONE if wanted.alone else MOST_FAILURES
            if self._failures >= most:
                self._end(StopError(f"{most} replies in a row failed, asked at {self._endpoint.origin}; the last: {answer.detail}"))

    def _end(self, reason: Exception) -> None:
        self._stop = self._stop or reason
        self._stopped.set()

    async def _pause(self, seconds: float) -> None:
        """Wait so long, where asking goes on.

        Raises:
            StopError: it ends.
        """
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopped.wait()
        if self._stop is not None:
            raise StopError("stopped")

    async def _persist(self, wanted: Wanted) -> tuple[Answer, int]:
        """Return the answer, or one of the outcome ``failed`` when all attempts or the patience are used up; and after how many attempts."""
        deadline = math.inf  # patience begins with the first request
        trouble: NoReplyError | None = None
        for attempt in range(self._endpoint.attempts):
            if trouble is not None:
                if trouble.garbled and attempt >= GARBLED_TRIES:
                    break
                wait = self._wait(trouble, attempt)
                left = deadline - time.monotonic()
                if trouble.after is not None and wait > left:
                    when = datetime.now(UTC) + timedelta(seconds=wait)
                    raise StopError(f"the server asks to wait {wait:.0f} s ({trouble.words}). Go on after {when:%Y-%m-%d %H:%M} UTC")
                if wait >= left:
                    break
                if trouble.after is not None:
                    self._not_before = max(self._not_before, time.monotonic() + wait)
                else:
                    await self._pause(wait)
            paused = time.monotonic()
            await self._pause(max(self._requests.take(1), self._tokens.take(self._expected_tokens(wanted))))
            deadline += time.monotonic() - paused  # the account's own limits are no fault of the server
            while (wait := self._not_before - time.monotonic()) > 0:
                await self._pause(wait)  # and it may be put off meanwhile
            if trouble is None:
                deadline = time.monotonic() + self._endpoint.patience
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return await self._once(wanted, left), attempt + 1
            except NoReplyError as error:
                trouble = error
                if error.hopeless:
                    raise StopError(error.words) from None
                if not error.again:
                    break
        assert trouble is not None
        if not (trouble.again or self._keeper.done or self._keeper.answered_by):
            raise StopError(trouble.words)  # the very first request was not understood: no other would be
        return Answer("", FAILED, 0, 0, counted=False, detail=trouble.words), attempt + 1

    def _wait(self, trouble: NoReplyError, attempt: int) -> float:
        """Return how long to wait before the next attempt: what the server asked for, else doubling, with half of it left to chance."""
        if trouble.after is not None:
            return trouble.after
        most = min(LONGEST_WAIT, FIRST_WAIT * math.pow(2, attempt - 1))
        return most * random.uniform(0.5, 1)

    def _expected_tokens(self, wanted: Wanted) -> float:
        tokens_in, tokens_out = self._asking.most_tokens(wanted.prompt)
        return tokens_in / BYTES_PER_TOKEN + tokens_out

    async def _once(self, wanted: Wanted, limit: float) -> Answer:
        most = self._asking.most_cost(wanted.prompt)
        await self._budget.reserve(most)
        cost = 0.0
        try:
            await self._pause(0)  # asking may have ended while this one waited for money
            cost = most  # also where the run is interrupted: what was sent may be charged
            asking = self._asking
            answer = await self._endpoint.request(wanted.prompt, asking.max_tokens, asking.schema, asking.tools, limit=limit)
            known = self._asking.cost(answer)
            cost = most if known is None else known
            if answer.counted:
                self._tokens.give_back(self._expected_tokens(wanted) - answer.tokens_in - answer.tokens_out)
        except NoReplyError as trouble:
            cost = most if trouble.billed else 0.0
            raise
        else:
            return answer
        finally:
            self._budget.settle(most, cost)
