"""Where files lie, seen from the workspace: the only paths that GitHub knows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def in_workspace(*parts: str) -> str | None:
    """Return a path, its parts joined below the present folder, as seen from the workspace; None where it lies outside of it.

    The workspace is GITHUB_WORKSPACE, and outside GitHub the present folder.
    """
    here = os.path.realpath(Path.cwd())
    workspace = os.path.realpath(os.environ.get("GITHUB_WORKSPACE") or here)
    try:
        path = Path(os.path.relpath(os.path.normpath(os.path.join(here, *parts)), workspace))
    except ValueError:  # another drive, or a NUL in the path
        return None
    return None if path.parts[:1] == ("..",) else path.as_posix()


def source(result: Mapping[str, str], file: str | None) -> str | None:
    """Return where a file that a result names lies in the workspace, or None."""
    return in_workspace(result["root"], file) if file else None


def from_workspace(path: Path) -> str:
    """Return a path as seen from the workspace, or whole where it lies outside of it."""
    return in_workspace(str(path)) or str(path.absolute())
