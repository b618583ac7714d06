"""Which batches run for a recording: in a file beside it, so that none is lost, or paid for twice, whenever a process ends."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_distill.ask.collect import StopError
from pytest_distill.errors import RecordingError
from pytest_distill.files import digest, sync_folder, write_json
from pytest_distill.task import shown_path


@dataclass
class Batch:
    """What is known of a batch that was submitted, or is about to be.

    Attributes:
        tag: unique; it stands in the batch's metadata, so that the batch is found again.
        at: UTC time of its submission to the second, ISO 8601.
        origin: the server that it was sent to.
        file: the id of the file with its requests.
        keys: of the replies that it shall bring.
        id: the server's name for it; empty where none has come back: it may exist all the same.
    """

    tag: str
    at: str
    origin: str
    file: str
    keys: list[str]
    id: str = ""


class Notes:
    """The batches of a recording that are not collected yet.

    Args:
        recording: the recording's path; the notes lie beside it.

    Raises:
        StopError: the file is not what was written.
    """

    def __init__(self, recording: Path) -> None:
        self.path = recording.with_name(recording.name + ".batches.json")
        self.batches: list[Batch] = []
        try:
            noted = json.loads(self.path.read_bytes())
            if noted["digest"] != digest(noted["batches"]):
                raise ValueError
            self.batches = [Batch(**each) for each in noted["batches"]]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise StopError(
                f"{shown_path(self.path)} is damaged, or of another version. It says which batches run; without it they would be submitted, and paid for,"
                " a second time. Restore it; or see that the provider lists no batch of this recording (their metadata name it) that has"
                " something to collect, and delete the file"
            ) from None

    def save(self) -> None:
        """Make durable what is noted; no file is left where that is nothing.

        Raises:
            RecordingError: the file cannot be written; what it said before stands.
        """
        try:
            if self.batches:
                batches = [asdict(batch) for batch in self.batches]
                write_json(self.path, {"batches": batches, "digest": digest(batches)})
            else:
                self.path.unlink(missing_ok=True)
                sync_folder(self.path.parent)
        except OSError as error:
            raise RecordingError(
                f"{shown_path(self.path)}: which batches run could not be written: {error.strerror}. What it said before stands."
            ) from error

    def add(self, batch: Batch) -> None:
        """Note a batch; errors as `save`."""
        self.batches.append(batch)
        self.save()

    def remove(self, batch: Batch) -> None:
        """Forget a batch; errors as `save`."""
        self.batches.remove(batch)
        self.save()
