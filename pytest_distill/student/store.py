"""The store of trained adapters: one folder a fingerprint, published whole in one rename, verified whenever it is used."""

from __future__ import annotations

import json
import platform
import secrets
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pytest_distill.curate import TrainingRow
from pytest_distill.errors import AdapterError, TrainingError
from pytest_distill.files import digest, folder_digests, publish_folder, write_json
from pytest_distill.models.adapter import check_adapter
from pytest_distill.models.device import held
from pytest_distill.student.job import TrainingProgress, run_job, write_job
from pytest_distill.student.recipe import Recipe

# Raised with each change of the trainer that gives other weights for the same inputs.
TRAINER = "2"
BUILD_PACKAGES = ("torch", "transformers", "trl", "peft", "tokenizers")


def build(device: str) -> dict[str, str]:
    """Return what besides a person's decisions can change a trained adapter: trainer, library versions, platform, kind of device."""
    versions = {}
    for package in BUILD_PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        **versions,
        "trainer": TRAINER,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device,
    }


@dataclass(frozen=True)
class Entry:
    """A trained adapter in the store.

    Attributes:
        folder: its folder; the adapter lies in ``adapter/``.
        manifest: what manifest.json says: digests, seconds of training, row counts, when.
        from_store: whether it was there before this run.
        notes: what a reader of the result should know, for example that a damaged one was replaced.
    """

    folder: Path
    manifest: dict[str, Any]
    from_store: bool
    notes: tuple[str, ...]

    @property
    def adapter(self) -> Path:
        """The adapter's folder."""
        return self.folder / "adapter"


class Store:
    """The folder of trained adapters (by default ``.distill/store``)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, fingerprint: str) -> Path:
        """Return where the adapter of `fingerprint` lies or would lie."""
        return self.root / "students" / fingerprint.removeprefix("sha256:")[:24]

    def obtain(
        self,
        recipe: Recipe,
        fingerprint: str,
        rows: Sequence[TrainingRow],
        device: str,
        *,
        exclusive: Callable[[], AbstractContextManager[None]],
        progress: Callable[[TrainingProgress], None],
        waiting: Callable[[], None],
        retrain: bool = False,
        withheld: Collection[str] = (),
    ) -> Entry:
        """Return the adapter of `fingerprint`: from the store if it is there and whole, otherwise trained now, once.

        `waiting` is called where another process has it in hand: what that one makes is then taken. `withheld` names environment variables that the training must not see.

        Raises:
            TrainingError: the training failed; nothing was published, and what was there before is set aside, not lost.
        """
        folder, notes = self.folder(fingerprint), []
        folder.parent.mkdir(parents=True, exist_ok=True)
        with held(folder.with_suffix(".lock"), waiting):
            if folder.exists():
                damage = self._damage(folder, fingerprint)
                if damage is None and not retrain:
                    return Entry(folder, _manifest(folder), True, ())
                aside = self._set_aside(folder)
                if damage:
                    notes.append(f"the stored adapter was refused and trained again: {damage} (set aside in {aside})")
            self._sweep()
            work = self.root / "jobs" / f"{folder.name}-{secrets.token_hex(4)}"
            # The sweep of another process spares a folder whose lock is held.
            with FileLock(work.with_suffix(".lock")):
                try:
                    write_job(work, recipe, rows, device)
                    with exclusive():
                        trace = run_job(work, progress, withheld)
                    manifest = self._finish(work, fingerprint, trace)
                    publish_folder(work, folder)
                except OSError as error:
                    raise TrainingError(f"recipe {recipe.name!r}: {error}. Nothing was kept; the next run starts clean.") from error
                except (TrainingError, AdapterError) as error:
                    raise TrainingError(f"recipe {recipe.name!r}: {error}") from error
                finally:
                    shutil.rmtree(work, ignore_errors=True)
            work.with_suffix(".lock").unlink(missing_ok=True)
            return Entry(folder, manifest, False, tuple(notes))

    def _finish(self, work: Path, fingerprint: str, trace: list[dict[str, Any]]) -> dict[str, Any]:
        check_adapter(work / "adapter")
        shutil.rmtree(work / "trainer", ignore_errors=True)
        facts = {key: value for event in trace for key, value in event.items()}
        manifest = {
            "schema": "pytest-distill/student/1",
            "fingerprint": fingerprint,
            "adapter": folder_digests(work / "adapter"),
            "trained_seconds": facts["seconds"],
            "rows": facts["rows"],
            "too_long": facts["too_long"],
            "too_long_ids": facts["too_long_ids"],
            "loss": facts.get("loss"),
            "validation_loss": facts.get("validation_loss"),
            "trained": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        write_json(work / "manifest.json", manifest)
        return manifest

    def _damage(self, folder: Path, fingerprint: str) -> str | None:
        """Return what is wrong with the entry in `folder`, or None."""
        try:
            manifest = _manifest(folder)
            if manifest.get("fingerprint") != fingerprint:
                return "its manifest names another fingerprint"
            stated, found = manifest["adapter"], folder_digests(folder / "adapter")
            wrong = sorted(name for name in {*stated, *found} if stated.get(name) != found.get(name))
            return f"adapter/{wrong[0]} does not match its digest" if wrong else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"its manifest cannot be read ({type(error).__name__})"

    def refuse(self, entry: Entry) -> Path:
        """Set an entry aside that turned out unusable when it was loaded; return where it lies now."""
        with FileLock(entry.folder.with_suffix(".lock")):
            return self._set_aside(entry.folder)

    def _set_aside(self, folder: Path) -> Path:
        target = self.root / "aside" / f"{folder.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
        return target

    def _sweep(self) -> None:
        """Remove the job folders of runs that were killed."""
        for lock in (self.root / "jobs").glob("*.lock"):
            with suppress(Timeout), FileLock(lock, timeout=0):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)

    def attempt(self, benchmark: str, heldout_digest: str, fingerprint: str) -> int:
        """Count this fingerprint among the students that a benchmark file judged on these held-out rows; return its number, from 1."""
        path = self.root / "attempts" / f"{digest([benchmark, heldout_digest]).removeprefix('sha256:')[:24]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            try:
                seen = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                seen = []
            if not isinstance(seen, list):
                seen = []
            if fingerprint not in seen:
                seen.append(fingerprint)
                write_json(path, seen)
            return int(seen.index(fingerprint)) + 1

    def replies_path(self, model_digest: str, device: str) -> Path:
        """Return where the replies that a local model gave on this build are kept."""
        return self.root / "replies" / f"{digest([model_digest, build(device)]).removeprefix('sha256:')[:24]}.jsonl"

    def timing_path(self, teacher: str, student: str, asked: str, device: str) -> Path:
        """Return where the timing of this pair, on what was `asked` (a digest) and this kind of device, is kept."""
        key = digest([teacher, student, asked, build(device)]).removeprefix("sha256:")[:24]
        return self.root / "timings" / f"{key}.json"


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    if not isinstance(manifest, dict):
        raise ValueError("no object")  # noqa: TRY004  (damaged data, like any other)
    return manifest
