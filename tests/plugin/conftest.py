"""Runs of pytest inside tests, in the modes that must not differ."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.fakes import ROOT

MODES = {"plain": (), "n0": ("-n", "0"), "n2": ("-n", "2"), "no-xdist": ("-p", "no:xdist")}


@pytest.fixture(autouse=True, scope="session")
def _loaded_before() -> None:
    """After each test pytester takes away the modules that the test imported; libraries that cannot be loaded twice must be there before."""
    for library in ("numpy", "scipy.sparse", "torch"):
        with suppress(ImportError):
            importlib.import_module(library)


@pytest.fixture(autouse=True)
def _importable(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Where runs take turns at the device: the workers of this run need not wait for each other, for the models here only say how fast they are.
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.getbasetemp()))
    pytester.makeini("[pytest]\nfilterwarnings = error\ndistill_ladder = off\n")


@pytest.fixture(params=MODES.values(), ids=MODES.keys())
def mode(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Plain, -n 0, -n 2, and with xdist absent."""
    return request.param


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run pytest in a process of its own, under --distill unless told otherwise."""

    def run(*args: str, distill: bool = True) -> pytest.RunResult:
        # Hypothesis would be imported by each of these runs, which have no use for it.
        lean = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
        return pytester.runpytest_subprocess(*(["--distill"] if distill else []), *lean, *args, timeout=170)

    return run


@pytest.fixture
def result(pytester: pytest.Pytester) -> Callable[[], dict[str, Any]]:
    """Read the result that a run left."""
    return lambda: json.loads((pytester.path / ".distill" / "results.json").read_text())
