"""A real engine for tests: `transformers serve` with a model folder, on this machine's CPU."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

PARTS = ("transformers", "torch", "fastapi", "uvicorn", "openai", "pydantic")
# About 5 seconds where nothing else runs; the rest is for machines that are busy.
START_SECONDS, END_SECONDS = 120, 20


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the model in `folder`, whose path is then the model's name, and yield the base URL (ending in /v1) once it answers.

    The server and whatever it started are gone afterwards. Skips the test where the extra is missing.

    Raises:
        RuntimeError: the server ended, or did not answer in time; with the end of what it said.
    """
    missing = [part for part in PARTS if find_spec(part) is None]
    if missing:
        pytest.skip(f"no engine here, {', '.join(missing)} missing: pip install -c constraints.txt 'transformers[serving]' torch")
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "said.txt"
        # Port 0: the server takes a free one and says which. In float32, as Checkpoint computes on a CPU.
        command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--dtype", "float32", "--device", "cpu"]
        command += ["--host", "127.0.0.1", "--port", "0"]
        # Nobody's hub cache is listed, no hub is asked, and a core stays free for the tests.
        surroundings = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": f"{scratch}/none", "OMP_NUM_THREADS": "1"}
        # Into a file: a pipe that nobody reads stops the server when it is full. A session of its own can be ended as a whole.
        with (
            said.open("wb") as output,
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=surroundings, start_new_session=True
            ) as process,
        ):
            try:
                yield _base_url(process, said)
            finally:
                _end(process)


def _base_url(process: subprocess.Popen[bytes], said: Path) -> str:
    """Return where the server is, once it answers."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        place = re.search(rb"running on http://127\.0\.0\.1:(\d+)", said.read_bytes())
        if place and _is_healthy(int(place[1])):
            return f"http://127.0.0.1:{int(place[1])}/v1"
        time.sleep(0.05)
    ended = "did not answer in time" if process.poll() is None else f"ended with status {process.returncode}"
    raise RuntimeError(f"`transformers serve` {ended}:\n{said.read_text(errors='replace')[-2000:]}")


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().read() == b'{"status":"ok"}'
    except OSError:
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its children: politely, and after a while not."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
