"""Durable writes and digests: every file that must survive a crash is written here."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Encode `value` as JSON bytes that are the same for equal values: sorted keys, no spaces, ASCII only, no NaN.

    Raises:
        ValueError: `value` holds NaN or an infinity.
        TypeError: `value` holds something JSON cannot say.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def digest(value: Any) -> str:
    """Return ``sha256:<64 hex>`` over the canonical JSON of `value`."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def file_digest(path: Path) -> str:
    """Return ``sha256:<64 hex>`` over the bytes of the file at `path`."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(path: Path) -> str:
    """Return ``sha256:<64 hex>`` over the text at `path`, whatever an editor or a checkout made of it.

    A byte order mark does not count, and CR LF is read as LF.

    Raises:
        OSError: it cannot be read.
    """
    text = path.read_bytes().removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
    return "sha256:" + hashlib.sha256(text).hexdigest()


def folder_digests(folder: Path) -> dict[str, str]:
    """Return the digest of each regular file directly inside `folder`, by name, sorted."""
    return {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.is_file()}


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable, where the platform can open a folder for that."""
    with contextlib.suppress(OSError):  # Windows opens no folders; its renames need no such call
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_whole(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, so that at any moment the old or the new content is there, whole.

    Raises:
        OSError: the disk is full or the folder cannot be written; the old file is untouched and nothing is left over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON (ASCII, no NaN) with `write_whole`."""
    write_whole(path, (json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode())


def publish_folder(source: Path, target: Path) -> None:
    """Move the finished folder `source` to `target` in one rename, after syncing each of its files.

    Both must lie on one file system and `target` must not exist.

    Raises:
        OSError: a file could not be made durable or the rename failed; `target` does not exist then.
    """
    for path in source.iterdir():
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    sync_folder(source)
    os.rename(source, target)
    sync_folder(target.parent)
