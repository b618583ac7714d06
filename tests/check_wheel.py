"""Build the sdist and the wheel from it, install that wheel into a clean environment, first without extras, and use it there.

``python tests/check_wheel.py [FOLDER]`` needs the package `build`; what is built stays in FOLDER, where one is given.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FEWER_PACKAGES, FEWER_BYTES = 15, 20_000_000
ABSENT = ("torch", "transformers", "openai", "numpy", "sklearn", "pydantic")
TOOLS = {"pip", "setuptools"}  # a new environment has them before anything is installed
# What this repository's benchmark needs beside the package: the clean environment must not find the checkout's own.
BENCHMARK = ("benchmarks", "tasks", "training", "distill.lock.json", "pyproject.toml")
INSTALLED = """
import importlib.util, json, sys
from importlib.metadata import distributions
def size(files):
    return sum(path.stat().st_size for path in map(lambda file: file.locate(), files) if path.is_file())
sizes = {each.name: size(each.files) for each in distributions()}
print(json.dumps([sizes, [name for name in sys.argv[1:] if importlib.util.find_spec(name)]]))
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without what the surroundings could change of it; stop with what it said where it fails."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept | {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def main() -> None:
    """Check what would be published; end with status 1 and the reason where it is not as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        built = Path(sys.argv[1]).resolve() if sys.argv[1:] else work / "dist"
        run(sys.executable, "-m", "build", "--outdir", built, ROOT, cwd=work)
        (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
        run(sys.executable, "-m", "venv", work / "clean", cwd=work)
        python = work / "clean" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        run(python, "-m", "pip", "install", "--quiet", wheel, cwd=work)
        sizes, found = json.loads(run(python, "-P", "-c", INSTALLED, *ABSENT, cwd=work))
        core = {name: size for name, size in sizes.items() if name not in TOOLS}
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB; {sdist.name}: {sdist.stat().st_size / 1e6:.2f} MB")
        print(f"installed: {len(core)} packages, {sum(core.values()) / 1e6:.1f} MB: {', '.join(sorted(core))}")
        if len(core) >= FEWER_PACKAGES or sum(core.values()) >= FEWER_BYTES or found:
            sys.exit(
                f"too much: allowed are fewer than {FEWER_PACKAGES} packages and {FEWER_BYTES / 1e6:.0f} MB, and none of"
                f" {', '.join(ABSENT)}; found {found}"
            )
        run(python, "-P", "-c", "import pytest_distill as p; [getattr(p, name) for name in p.__all__]", cwd=work)
        # Two of this repository's tasks declare their answers with pydantic; nothing else is added for judging from the lock.
        run(python, "-m", "pip", "install", "--quiet", f"{wheel}[json]", cwd=work)
        project = work / "project"
        project.mkdir()
        for name in BENCHMARK:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, project / name)
        began = time.monotonic()
        print(run(python, "-P", "-m", "pytest", "--distill", "--distill-locked", cwd=project))
        print(f"judged from the lock in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
