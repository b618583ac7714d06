"""Recordings: the replies of one model as append-only JSONL, each line with its own digest, replayed by key."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from pytest_distill.errors import RecordingError
from pytest_distill.files import digest


@dataclass(frozen=True)
class Reply:
    """What came back for one prompt.

    Attributes:
        key: digest of what was asked and of whom; see `reply_key`.
        id: the example's id, for people.
        model: the model's name, for people.
        text: the reply as it came.
        outcome: ``answered``, or ``cut`` where it reached max_tokens unfinished.
        tokens_in, tokens_out: as the model's tokenizer counts them.
        at: UTC time to the second, ISO 8601.
    """

    key: str
    id: str
    model: str
    text: str
    outcome: str
    tokens_in: int
    tokens_out: int
    at: str


def reply_key(model_digest: str, prompt: str, max_tokens: int) -> str:
    """Return the key of a reply, 32 hex digits: the same model asked the same prompt with the same limit."""
    return digest([model_digest, prompt, max_tokens, "greedy"]).removeprefix("sha256:")[:32]


def _line(reply: Reply) -> bytes:
    row: dict[str, object] = dict(asdict(reply))
    row["sha"] = _sha(row)
    return (json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n").encode()


def _sha(row: dict[str, object]) -> str:
    return digest(row).removeprefix("sha256:")[:16]


def _parse(line: bytes) -> Reply | None:
    """Return the reply that a line holds, or None where it is damaged in any way."""
    try:
        row = json.loads(line)
        sha = row.pop("sha")
        reply = Reply(**row)
        texts = (reply.key, reply.id, reply.model, reply.text, reply.outcome, reply.at)
        whole = all(isinstance(text, str) for text in texts) and sha == _sha(row)
        return reply if whole and isinstance(reply.tokens_in, int) and isinstance(reply.tokens_out, int) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


class Recording:
    """The replies in one file, verified as they are read; a missing file is an empty recording.

    A torn last line (a crash, or another process in mid-write) is passed over; the next one to write moves it to
    ``<file>.quarantine``. Damage anywhere else is an error.

    Raises:
        RecordingError: a line before the last is damaged; the text names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._replies: dict[str, Reply] = {}
        self.read()

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, key: str) -> Reply | None:
        """Return the reply recorded under `key`, or None."""
        return self._replies.get(key)

    def read(self, *, mend: bool = False) -> None:
        """Read the file again, to see what other processes have appended; with `mend`, move a torn last line away."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        lines = data.split(b"\n")
        tail = lines.pop()
        for number, line in enumerate(lines, 1):
            reply = _parse(line)
            if reply is None and number == len(lines) and not tail:
                tail = line + b"\n"
            elif reply is None:
                raise RecordingError(
                    f"{self.path}:{number}: the line is damaged (its digest does not match). Restore the file from version"
                    " control, or delete that line to have the reply recorded again."
                )
            else:
                self._replies[reply.key] = reply
        if tail and mend:
            self._set_aside(len(data) - len(tail), tail)

    def _set_aside(self, keep: int, tail: bytes) -> None:
        with self.path.with_name(self.path.name + ".quarantine").open("ab") as file:
            file.write(tail + b"\n")
        os.truncate(self.path, keep)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to append, across processes; what others wrote meanwhile has been read on entry."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(self.path.name + ".lock")):
            self.read(mend=True)
            yield

    def append(self, replies: Iterable[Reply]) -> None:
        """Append replies inside `writing`: one write a line, synced to disk once before this returns.

        Raises:
            OSError: the disk is full or the file cannot be written; replies of earlier calls are kept.
        """
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            for reply in replies:
                line = _line(reply)
                if os.write(handle, line) != len(line):
                    raise OSError(f"{self.path}: the disk took only part of a line")
                self._replies[reply.key] = reply
            os.fsync(handle)
        finally:
            os.close(handle)
