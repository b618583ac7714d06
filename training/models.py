"""The models of this repository's benchmarks."""

from __future__ import annotations

from pathlib import Path

from pytest_distill import Checkpoint

CHECKPOINTS = Path(__file__).parent / "checkpoints"

reference_teacher = Checkpoint(CHECKPOINTS / "reference-teacher", name="reference")
