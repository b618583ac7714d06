"""Recordings: the replies of one model as append-only JSONL, each line with its own digest, replayed by key."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from pytest_distill.errors import RecordingError
from pytest_distill.files import canonical_json, digest, sync_folder
from pytest_distill.task import shown_path

FAILED = "failed"
OUTCOMES = ("answered", "refused", "cut", "filtered", "empty", "malformed", FAILED)
_SHA_FIELD = b',"sha":"'
_SHA_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one prompt.

    Attributes:
        key: digest of what was asked and of whom; see `reply_key`.
        id: the example's id, for people.
        model: the name of the model that was asked.
        text: the reply as it came.
        outcome: ``answered``; ``cut`` (it reached the token limit unfinished); ``refused``; ``filtered`` (by the provider); ``empty``;
            ``malformed`` (not in the form that was asked for); or ``failed`` (no reply was had: the next recording asks again).
        tokens_in, tokens_out: as the model's tokenizer, or the server, counts them.
        at: UTC time to the second, ISO 8601.
        sample: which of several replies to the same prompt this is, from 0.
        detail: why it is no answer, in words.
        answered_by: the name of the model that answered, as the server gave it.
        parameters: what was sent beside the prompt, as plain JSON values.
        prompt: the prompt's digest, 16 hex digits; see `prompt_digest`.
        tokens_cached: how many of `tokens_in` the server had cached.
        cost: US dollars; None where no price or no count of tokens is known.
        seconds: from sending to the last byte, at the attempt that succeeded; None where that says nothing (a batch).
        first_token: seconds until the first token, where the reply was streamed.
        alone: whether nothing else was in flight to the same server: only such a time can be compared.
        origin: the server's address, without anything secret.
        retires: the ISO date on which the provider shuts the model down, where the server tells one.
        terms: the teacher's licence note.
        logprobs: for each token ``[token, logprob, [[token, logprob], …]]`` with the likeliest ones; None where none came back.
        counted: whether the server counted the tokens; where not, they are 0.
    """

    key: str
    id: str
    model: str
    text: str
    outcome: str
    tokens_in: int
    tokens_out: int
    at: str
    sample: int = 0
    detail: str = ""
    answered_by: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""
    tokens_cached: int = 0
    cost: float | None = None
    seconds: float | None = None
    first_token: float | None = None
    alone: bool = False
    origin: str = ""
    retires: str = ""
    terms: str = ""
    logprobs: Sequence[Any] | None = None
    counted: bool = True


# Fields that a line leaves out where they say nothing: what a local model has no use for takes no room.
_OPTIONAL: dict[str, Any] = {each.name: each.default for each in fields(Reply) if each.default is not MISSING} | {"parameters": {}}
_NAMES = tuple(each.name for each in fields(Reply))
_NEEDED, _ALLOWED = {*_NAMES} - _OPTIONAL.keys(), {*_NAMES, "sha"}
_STRINGS = ("key", "id", "model", "text", "outcome", "at", "detail", "answered_by", "prompt", "origin", "retires", "terms")


def reply_key(model_digest: str, prompt: str, max_tokens: int, *, sample: int = 0, schema: str = "") -> str:
    """Return the key of a reply, 32 hex digits: the same model asked the same prompt with the same limit, sample and reply schema's digest."""
    asked: list[object] = [model_digest, prompt, max_tokens, "greedy"]
    asked += [["sample", sample]] if sample else []
    asked += [["schema", schema]] if schema else []
    return digest(asked).removeprefix("sha256:")[:32]


def prompt_digest(prompt: str) -> str:
    """Return what a reply says of its prompt: 16 hex digits."""
    return digest(prompt).removeprefix("sha256:")[:_SHA_LENGTH]


def _line(reply: Reply) -> bytes:
    row = {name: getattr(reply, name) for name in _NAMES}
    row = {name: value for name, value in row.items() if name not in _OPTIONAL or value != _OPTIONAL[name]}
    body = canonical_json(row)
    return canonical_json({**row, "sha": _sha(body)}) + b"\n"


def _sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:_SHA_LENGTH]


def _verified(line: bytes) -> dict[str, Any] | None:
    """Return the fields of a line, or None where it is not what was written: damaged in any way. The last one may lack its line end."""
    # The digest is taken over the bytes, so that nothing needs to be encoded again. Quotes inside a string are escaped: what stands
    # between two quotes here is the field itself, and behind it come no objects that could hold another.
    line = line.removesuffix(b"\n")
    at = line.rfind(_SHA_FIELD)
    end = at + len(_SHA_FIELD) + _SHA_LENGTH + 1
    if at < 0 or line[end - 1 : end] != b'"':
        return None
    if _sha(line[:at] + line[end:]).encode() != line[end - 1 - _SHA_LENGTH : end - 1]:
        return None
    try:
        row = json.loads(line)
        whole = all(isinstance(row.get(name, ""), str) for name in _STRINGS) and type(row["tokens_in"]) is type(row["tokens_out"]) is int
        return row if whole and _NEEDED <= row.keys() <= _ALLOWED else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


class Recording:
    """The replies in one file, verified as they are read; a missing file is an empty recording.

    Only keys and places are held in memory. A torn last line (a crash, or another process in mid-write) is passed over; the next one
    to write moves it to ``<file>.quarantine``. Damage anywhere else is an error.

    Args:
        path: the file.
        lock: the file by which processes take turns in writing; beside the recording where it is not given.

    Raises:
        RecordingError: a line before the last is damaged; the text names it.
    """

    def __init__(self, path: Path, *, lock: Path | None = None) -> None:
        self.path = path
        self._lock = lock or path.with_name(path.name + ".lock")
        self._places: dict[str, int] = {}
        self._failed: set[str] = set()
        self._end = self._lines = 0  # how far the file was read
        self._file: tuple[int, int] | None = None
        self._handle: int | None = None
        self._held = False
        self.read()

    def __len__(self) -> int:
        return len(self._places)

    def has(self, key: str) -> bool:
        """Return whether anything is recorded under `key`, be it that no reply could be had."""
        return key in self._places

    def holds(self, key: str) -> bool:
        """Return whether a reply is recorded under `key` that need not be asked for again."""
        return key in self._places and key not in self._failed

    def get(self, key: str) -> Reply | None:
        """Return the last reply recorded under `key`, or None."""
        return next(self.replies([key]))

    def replies(self, keys: Iterable[str]) -> Iterator[Reply | None]:
        """Yield the last reply recorded under each key, or None.

        Raises:
            RecordingError: the file was changed since it was read.
        """
        if not self._places:
            yield from (None for _ in keys)
            return
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise RecordingError(f"{self.path}: the file cannot be read any more: {error.strerror}. Restore it and run again.") from None
        with file:
            for key in keys:
                place = self._places.get(key)
                yield None if place is None else self._at(file, place, key)

    def _at(self, file: BinaryIO, place: int, key: str) -> Reply:
        file.seek(place)
        row = _verified(file.readline())
        if row is None or row.pop("key") != key:
            raise RecordingError(f"{self.path}: the file changed while it was in use. Run again.")
        del row["sha"]
        return Reply(key, **row)

    def every(self) -> Iterator[Reply]:
        """Yield the last reply of each key, in the order of the file."""
        return (reply for reply in self.replies(sorted(self._places, key=self._places.__getitem__)) if reply is not None)

    def read(self, *, mend: bool = False) -> None:
        """Read what was appended since the last time, by whomever; with `mend`, move a torn last line away, and end a whole one."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        except OSError as error:
            raise RecordingError(f"{self.path}: the file cannot be read: {error.strerror}. Correct its path or its rights.") from None
        with file:
            self._continue(file)
            torn, ended = b"", True
            for line in file:
                row = _verified(line)
                if row is None:
                    torn = line + file.read(1)
                    if len(torn) > len(line):
                        ends = ": Git changed its line ends; -text in .gitattributes keeps them" if line.endswith(b"\r\n") else ""
                        raise RecordingError(
                            f"{shown_path(self.path)}:{self._lines + 1}: the line is damaged (its digest does not match{ends}). Restore the file from"
                            " version control, or delete that line to have the reply recorded again."
                        )
                    break
                ended = line.endswith(b"\n")
                self._enter(row["key"], row["outcome"], len(line) + (not ended))  # its end may come yet; a file without it is read anew
        if torn and mend:
            self._set_aside(torn)
        if not ended and mend:  # an editor took the line end away
            with self.path.open("ab") as mended:
                mended.write(b"\n")

    def _continue(self, file: BinaryIO) -> None:
        """Go to where reading stopped; to the start where it is another file now, or a shorter one."""
        state = os.fstat(file.fileno())
        same = (state.st_dev, state.st_ino)
        if same != self._file or state.st_size < self._end:
            self._places, self._failed, self._end, self._lines, self._file = {}, set(), 0, 0, same
        file.seek(self._end)

    def _enter(self, key: str, outcome: str, length: int) -> None:
        self._places[key] = self._end
        (self._failed.add if outcome == FAILED else self._failed.discard)(key)
        self._end += length
        self._lines += 1

    def _set_aside(self, torn: bytes) -> None:
        with self.path.with_name(self.path.name + ".quarantine").open("ab") as file:
            file.write(torn + b"\n")
        os.truncate(self.path, self._end)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to append, across processes; what others wrote meanwhile has been read on entry.

        Raises:
            RecordingError: the folder or the file cannot be written, or a line before the last is damaged.
        """
        lock = FileLock(self._lock)
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock.acquire()
        try:
            with self._explained():
                self.read(mend=True)
            self._held = True
            yield
        finally:
            self._held = False
            handle, self._handle = self._handle, None
            try:
                if handle is not None:
                    os.close(handle)
            finally:
                lock.release()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of the file system into one that names the recording."""
        try:
            yield
        except OSError as error:
            raise RecordingError(
                f"{shown_path(self.path)}: a reply could not be written: {error.strerror or error}. Those before it are kept."
            ) from error

    def _open(self) -> None:
        """Open the file for appending; it is made when there is something to write."""
        assert self._held, "write belongs inside writing()"
        self._handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        sync_folder(self.path.parent)
        self.read(mend=True)  # a file that was just made, or replaced meanwhile, is the one that is read from now on

    def write(self, reply: Reply) -> None:
        """Append one reply inside `writing`, in one write; it is on disk for good after the next `sync`.

        Raises:
            RecordingError: the disk is full or the file cannot be written; earlier replies are kept.
        """
        line = _line(reply)
        with self._explained():
            if self._handle is None:
                self._open()
            assert self._handle is not None
            if os.write(self._handle, line) != len(line):
                os.ftruncate(self._handle, self._end)  # nothing may be appended to a torn line
                raise OSError("the disk took only part of a line")
        self._enter(reply.key, reply.outcome, len(line))

    def sync(self) -> None:
        """Make durable what was written.

        Raises:
            RecordingError: the disk failed; or the file is not the one that was written any more: Git, or an editor, replaced or deleted it.
        """
        if self._handle is None:
            return
        with self._explained():
            os.fsync(self._handle)
            ours = os.fstat(self._handle)
            try:
                there = os.stat(self.path)
                same = (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
            except FileNotFoundError:
                same = False
        if not same:
            raise RecordingError(
                f"{shown_path(self.path)} was replaced while it was being written; what this run recorded may not be in it. Leave the file"
                " alone while replies are recorded, and run again: what it lacks is asked for."
            )

    def append(self, replies: Iterable[Reply]) -> None:
        """Append replies inside `writing`: one write a line, synced to disk once before this returns; errors as `write` and `sync`."""
        for reply in replies:
            self.write(reply)
        self.sync()
