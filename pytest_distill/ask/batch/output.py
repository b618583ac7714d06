"""What a batch brought, line by line: replies for the recording, the rest counted with its reasons."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pytest_distill.ask.batch.notes import Batch
from pytest_distill.ask.collect import Keeper, Wanted
from pytest_distill.models import Answer
from pytest_distill.models.wire import NoReplyError, from_status, read_reply
from pytest_distill.recording import FAILED


class Output:
    """Takes the lines of a batch's files, each reply once.

    Args:
        keeper: takes the answers.
        wanted: what is wanted now and not held by the recording, by key.
        batch: the batch that ended.

    Attributes:
        cost: US dollars that the replies taken did cost.
        unasked: the keys of replies that came and are not wanted now.
    """

    def __init__(self, keeper: Keeper, wanted: Mapping[str, Wanted], batch: Batch) -> None:
        self._keeper, self._wanted, self._batch = keeper, wanted, batch
        self._asking, self._recording = keeper.asking, keeper.recording
        self._known, self._came = set(batch.keys), set[str]()
        self._why_not: dict[str, str] = {}
        self._kept = self._failed = self._odd = 0
        self._first_failure = ""
        self.cost = 0.0
        self.unasked: list[str] = []

    def take(self, line: bytes) -> None:
        """Record the reply in a line; a damaged line, an unknown id and a second line for one reply are passed over, and counted.

        Raises:
            StopError: another model answered.
            RecordingError: the reply cannot be written.
        """
        if not line.strip():
            return
        try:
            row = json.loads(line)
            key, response = str(row["custom_id"]), row.get("response")
            status = int(response["status_code"]) if response else 0
            body = response["body"] if response else row["error"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._odd += 1
            return
        if key not in self._known or key in self._came:
            self._odd += 1
        elif not response:
            self._why_not[key] = str(body.get("code") if isinstance(body, dict) else "no response")
        else:
            self._came.add(key)
            if key in self._wanted:
                self._record(self._wanted[key], status, body)
            elif not self._recording.holds(key):  # it does where a go before ended among these lines
                self.unasked.append(key)

    def _record(self, wanted: Wanted, status: int, body: Any) -> None:
        answer, cost = self._read(wanted, status, json.dumps(body).encode())
        answer = self._asking.endpoint.redacted(answer)
        if answer.outcome == FAILED:
            self._failed += 1
            self._first_failure = self._first_failure or answer.detail
            if self._is_known_to_fail(wanted.key):
                return
        self._keeper.keep(wanted, answer)
        self._kept += answer.outcome != FAILED
        self.cost += cost

    def _is_known_to_fail(self, key: str) -> bool:
        """Say whether a go before wrote this failure down already."""
        before = self._recording.get(key)
        return before is not None and before.at >= self._batch.at

    def _read(self, wanted: Wanted, status: int, body: bytes) -> tuple[Answer, float]:
        """Return the answer in a response and what it did cost."""
        endpoint, most = self._asking.endpoint, self._asking.most_cost(wanted.prompt)
        try:
            if status == HTTPStatus.OK:
                answer = read_reply(body, endpoint.body(wanted.prompt, self._asking.max_tokens, self._asking.schema, self._asking.tools))
                known = self._asking.cost(answer)
                return answer, most if known is None else known
            found = from_status(status, {}, body, key=endpoint.key_source, model=endpoint.model, origin=endpoint.origin)
            if isinstance(found, Answer):
                return found, 0.0
            raise found
        except NoReplyError as trouble:
            return Answer("", FAILED, 0, 0, counted=False, detail=trouble.words), most if trouble.billed else 0.0

    def missing(self, status: str) -> Counter[str]:
        """Return how many of the batch's replies that are wanted did not come, by reason; its status is one where no line tells."""
        lacking = [key for key in self._batch.keys if key in self._wanted and key not in self._came and not self._recording.holds(key)]
        return Counter(self._why_not.get(key, f"no line in the output of a batch that is {status}") for key in lacking)

    def words(self) -> str:
        """Return what came, for people."""
        said = f"{self._kept:,} replies recorded"
        said += f", {self._failed:,} failed (the first: {self._first_failure})" if self._failed else ""
        said += f", {self._odd:,} lines passed over: damaged, doubled, or of an unknown id" if self._odd else ""
        return said + (f", {len(self.unasked):,} left for prompts that are not asked now" if self.unasked else "")
