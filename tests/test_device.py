"""Taking turns: what one process holds, the others wait for, and say so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from filelock import FileLock

from pytest_distill.models.device import held


def test_a_lock_that_is_held_elsewhere_is_waited_for_and_said_once(tmp_path):
    """Who waits is told so once and goes on when the lock is free; who finds it free is told nothing."""
    path, told, waits = tmp_path / "one.lock", [], Event()

    def waiting() -> None:
        told.append("waiting")
        waits.set()

    def take() -> str:
        with held(path, waiting):
            return "done"

    assert (take(), told) == ("done", [])
    with ThreadPoolExecutor(1) as pool:
        with FileLock(path):
            late = pool.submit(take)
            assert waits.wait(60)
            assert not late.done()
        assert late.result(60) == "done"
    assert told == ["waiting"]
