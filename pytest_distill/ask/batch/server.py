"""The Batch API over the wire: files up and down, batches created and looked at, each step tried again within bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, BinaryIO, TypeVar

from pytest_distill.ask.batch.notes import Batch
from pytest_distill.ask.collect import StopError
from pytest_distill.models import Answer, Endpoint
from pytest_distill.models.wire import NoReplyError, garbled

T = TypeVar("T")
FILE_SECONDS = 3600.0  # the wall limit of a file's transfer
FIRST_PART = 1 / 16  # of the longest wait; each wait is twice the one before
LISTED = 100  # batches on a page of the provider's list: its most


class Server:
    """A server with a Batch API.

    Args:
        endpoint: loaded.
        longest_wait: seconds between two tries of one step, above 0; the first wait is a sixteenth of it.
        say: told what is tried again, and why.
    """

    def __init__(self, endpoint: Endpoint, longest_wait: float, say: Callable[[str], None]) -> None:
        self._endpoint, self._longest_wait, self._say = endpoint, longest_wait, say

    async def upload(self, name: str, file: BinaryIO) -> str:
        """Upload a file of requests and return its id; that alone starts nothing and costs nothing.

        Raises:
            StopError: the server refuses, or cannot be reached; so for all that follow.
        """
        file.flush()  # the length that is announced is the one on disk
        form = {"headers": {"Content-Type": "multipart/form-data"}}
        files = {"file": (name, file, "application/jsonl")}
        once = partial(
            self._object, "POST", "/files", {"purpose": "batch"}, needs={"id": str}, limit=FILE_SECONDS, files=files, options=form
        )
        return str((await self._step("the upload of requests", once))["id"])

    async def create(self, batch: Batch, url: str, metadata: Mapping[str, str], *, refused: Callable[[], None]) -> str:
        """Create a batch of an uploaded file and return its id; where a reply was lost, it is looked for before it is created again.

        Args:
            batch: with tag and file.
            url: where its requests go, as the API names it.
            metadata: beside the tag.
            refused: called where the server says that it does not exist and will not.
        """
        asked = {"input_file_id": batch.file, "endpoint": url, "completion_window": "24h", "metadata": {**metadata, "tag": batch.tag}}
        tried = False

        async def once() -> str:
            nonlocal tried
            if tried and (found := await self._find(batch)):
                return found
            tried = True
            try:
                return str((await self._object("POST", "/batches", asked, needs={"id": str}))["id"])
            except NoReplyError as trouble:
                if not trouble.again:
                    refused()
                raise

        return await self._step("the creation of a batch", once)

    async def find(self, batch: Batch) -> str:
        """Return the id of a batch of which only tag and file are known; nothing where it does not exist."""
        return await self._step("the list of batches", partial(self._find, batch))

    async def _find(self, batch: Batch) -> str:
        after = ""
        while True:
            params = {"limit": LISTED, **({"after": after} if after else {})}
            page = await self._object("GET", "/batches", needs={"data": list}, options={"params": params})
            listed = [each for each in page["data"] if isinstance(each, dict) and isinstance(each.get("id"), str)]
            for each in listed:
                metadata = each.get("metadata")
                # The file is its own as well: a server may not keep metadata.
                if each.get("input_file_id") == batch.file or (isinstance(metadata, dict) and metadata.get("tag") == batch.tag):
                    return str(each["id"])
            if not page.get("has_more") or not listed or listed[-1]["id"] == after:
                return ""
            after = listed[-1]["id"]

    async def look(self, batch: Batch) -> Mapping[str, Any]:
        """Return what the server says of a batch; it has a ``status``."""
        return await self._step(f"batch {batch.id}", partial(self._object, "GET", f"/batches/{batch.id}", needs={"status": str}))

    async def download(self, batch: Batch, file: str) -> bytes:
        """Return a file that a batch brought."""

        async def once() -> bytes:
            content = await self._send("GET", f"/files/{file}/content", limit=FILE_SECONDS)
            last = content[content.rfind(b"\n", 0, -1) + 1 :]
            try:
                json.loads(last.strip() or b"{}")
            except (ValueError, RecursionError):
                raise garbled(f"the file {file} ends in something that is no JSON: {last[:80]!r}") from None
            return content

        return await self._step(f"the output of batch {batch.id}", once)

    async def _step(self, what: str, once: Callable[[], Awaitable[T]]) -> T:
        """Return what `once` returns, tried as often as the endpoint allows where trying again may help."""
        wait = self._longest_wait * FIRST_PART
        for left in reversed(range(self._endpoint.attempts)):
            try:
                return await once()
            except NoReplyError as trouble:
                if trouble.after is not None and trouble.after > max(self._endpoint.patience, self._longest_wait):
                    when = datetime.now(UTC) + timedelta(seconds=trouble.after)
                    raise StopError(
                        f"{what}: the server asks to wait {trouble.after:.0f} s ({trouble.words}). Go on after {when:%Y-%m-%d %H:%M} UTC"
                    ) from None
                if not trouble.again or not left:
                    raise StopError(f"{what}: {trouble.words}") from None
                pause = wait if trouble.after is None else trouble.after
                self._say(f"{what}: {trouble.words}; trying again in {pause:.0f} s")
            await asyncio.sleep(pause)
            wait = min(2 * wait, self._longest_wait)
        raise AssertionError("an endpoint has at least one attempt")

    async def _object(
        self, method: str, path: str, body: Any = None, *, needs: Mapping[str, type], limit: float | None = None, **options: Any
    ) -> dict[str, Any]:
        """Send a request whose reply must be a JSON object with these fields."""
        content = await self._send(method, path, body, limit=limit, **options)
        try:
            said = json.loads(content)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or not all(isinstance(said.get(name), kind) for name, kind in needs.items()):
            raise garbled(f"{method} {path} brought something else than the Batch API sends: {content[:80]!r}")
        return said

    async def _send(self, method: str, path: str, body: Any = None, *, limit: float | None = None, **options: Any) -> bytes:
        limit = self._endpoint.timeout if limit is None else limit
        try:
            async with asyncio.timeout(limit):
                content = await self._endpoint.connection.send(method, path, body, **options)
        except TimeoutError:
            raise NoReplyError(f"no reply within {limit:g} s", again=True, billed=True) from None
        if isinstance(content, Answer):
            raise NoReplyError(content.detail)
        return content
