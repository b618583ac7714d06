"""The rooms of the package: who may import whom, what stays unloaded, what is public."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import pytest_distill
from tests.fakes import ROOT

PACKAGE = ROOT / "pytest_distill"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Each room imports itself and rooms of rows above it.
ROWS = [
    ("errors",),
    ("stats", "files"),
    ("answers",),
    ("rows",),
    ("task",),
    ("recording",),
    ("models",),
    ("ask",),
    ("curate",),
    ("student",),
    ("evaluate", "judge"),
    ("artefacts",),
    ("verdict",),
    ("measures",),
    ("compare",),
    ("results", "lock"),
    ("report",),
    ("github",),
    ("plugin",),
]
RANK = {room: rank for rank, row in enumerate(ROWS) for room in row}
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "safetensors"}
HEAVY_ROOMS = {"models", "student", "artefacts"}
STANDARD_ONLY = {"stats", "files"}
UNLOADED = ("torch", "transformers", "openai", "jinja2", "numpy", "trl", "peft", "datasets", "filelock", "pydantic", "jsonschema")
PUBLIC = [
    "Checkpoint",
    "Comparison",
    "Curation",
    "DistillError",
    "Endpoint",
    "Example",
    "Json",
    "Judge",
    "Judgement",
    "Labels",
    "Recipe",
    "Serving",
    "Task",
    "Text",
    "ToolCall",
]
MOST_LINES = 400


@dataclass(frozen=True)
class Import:
    """One imported module, with where it stands."""

    module: str
    line: int
    in_function: bool
    for_types: bool


def imports(source: str) -> Iterator[Import]:
    """Find the imports of a source, wherever they stand; ``from a import b`` counts as both a and a.b."""

    def walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            names = [start, *(f"{start}.{alias.name}" for alias in node.names)]
        else:
            names = []
        yield from (Import(name, node.lineno, in_function, for_types) for name in names)
        inside = in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        guarded = node.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" else []
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside, for_types or child in guarded)

    yield from walk(ast.parse(source), False, False)


def room_of(path: Path) -> str:
    """Name the room that a source file belongs to; the package's own ``__init__`` is a room that imports none."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def violations(room: str, source: str) -> list[str]:
    """Say which imports of a source in `room` break the rules."""
    found = []
    for item in imports(source):
        top, *rest = item.module.split(".")
        if top == "":
            found.append(f"{item.line}: relative import {item.module}")
        elif top == "pytest_distill" and not item.for_types:
            # A name that is no room is taken from the lazy package root, which would reach any room.
            if rest and rest[0] != room and RANK.get(rest[0], len(ROWS)) >= RANK.get(room, -1):
                found.append(f"{item.line}: {room} imports {item.module}")
        elif top in HEAVY and (room not in HEAVY_ROOMS or not (item.in_function or item.for_types)):
            found.append(f"{item.line}: {room} imports {item.module} {'in a function' if item.in_function else 'on loading'}")
        elif (top in {"pytest", "_pytest"} and room != "plugin") or (
            room in STANDARD_ONLY and top != "pytest_distill" and top not in sys.stdlib_module_names
        ):
            found.append(f"{item.line}: {room} imports {item.module}")
    return sorted(set(found))


def ids(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_a_module_imports_only_what_its_room_may(path):
    """A module imports its own room and rows above it; heavy libraries, pytest and others only where the table allows them."""
    assert violations(room_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_every_module_stands_in_a_room_of_the_table(path):
    """A new file or folder of the package has a row in the table before it is imported anywhere."""
    assert room_of(path) in {*RANK, "__init__"}


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("stats", "import pytest_distill.measures"),
        ("stats", "from pytest_distill.files import digest"),
        ("stats", "import numpy"),
        ("files", "def f():\n    import filelock"),
        ("files", "from pytest_distill.errors import DistillError\nfrom pytest_distill import task"),
        ("models", "def f():\n    from pytest_distill.student import Recipe"),
        ("models", "import torch"),
        ("models", "try:\n    from transformers import AutoTokenizer\nexcept ImportError:\n    pass"),
        ("models", "class A:\n    import safetensors.torch"),
        ("models", "if TYPE_CHECKING:\n    pass\nelse:\n    import peft"),
        ("measures", "def f():\n    import torch"),
        ("measures", "if TYPE_CHECKING:\n    from torch import Tensor"),
        ("results", "import pytest"),
        ("results", "from pytest_distill.report import page"),
        ("report", "def f():\n    from _pytest.terminal import TerminalReporter"),
        ("compare", "from pytest_distill import Task"),
        ("compare", "from .task import Task"),
        ("compare", "from pytest_distill import measures, results"),
        ("__init__", "from pytest_distill.errors import DistillError"),
    ],
)
def test_a_forbidden_import_is_found(room, source):
    """Each way to break the table is noticed, also inside functions, classes, try and else."""
    assert violations(room, source)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("stats", "import math\nfrom pytest_distill.errors import DistillError"),
        ("files", "import os.path"),
        ("models", "from pytest_distill.models.device import pick\ndef f():\n    import torch"),
        ("models", "if TYPE_CHECKING:\n    from torch import Tensor\n    from pytest_distill.student import Recipe"),
        ("student", "from pytest_distill.models.adapter import check_adapter"),
        ("plugin", "import pytest\nfrom pytest_distill import results\nfrom pytest_distill.plugin.run import Run"),
        ("recording", "from filelock import FileLock"),
    ],
)
def test_an_allowed_import_is_let_through(room, source):
    """Rows above, the own room, the standard library and imports for types are no violation."""
    assert violations(room, source) == []


def test_modules_are_imported_by_name_outside_the_lazy_root():
    """Only the package's own __init__ imports by a computed name, so the table cannot be gone round."""
    dynamic = [ids(path) for path in SOURCES if re.search(r"\bimport_module\(|\b__import__\(", path.read_text(encoding="utf-8"))]
    assert dynamic == ["__init__.py"]


def test_loading_the_plugin_loads_nothing_heavy():
    """A fresh interpreter that has loaded the plugin has none of the heavy libraries in sys.modules."""
    code = f"import sys, pytest_distill.plugin; print([name for name in {UNLOADED!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_the_public_names_are_these():
    """The public names are pinned: adding or losing one is a decision, not an accident."""
    assert pytest_distill.__all__ == PUBLIC
    assert dir(pytest_distill) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_resolves_and_is_documented(name):
    """Each public name can be had from the package and carries a docstring of its own."""
    found = getattr(pytest_distill, name)
    assert found.__name__ == name
    text = found.__dict__["__doc__"]
    assert text
    assert not text.startswith(f"{name}(")  # what @dataclass writes where nobody did


def test_type_checkers_see_the_same_public_names():
    """What __init__ imports for type checkers is what it hands out at run time, from the same modules."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    seen = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_distill")
        for alias in node.names
    }
    assert seen == pytest_distill._HOME


def test_an_unknown_public_name_is_an_attribute_error():
    """A name that the package does not have raises AttributeError naming it."""
    with pytest.raises(AttributeError, match="'Recipes'"):
        _ = pytest_distill.Recipes


def test_no_text_is_ever_marked_as_safe():
    """Neither templates nor code use a way round escaping."""
    files = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".j2", ".html", ".css", ".js"}]
    assert any(path.suffix == ".j2" for path in files)
    ways_round = re.compile(r"\|\s*safe\b|Markup|autoescape\s+false|innerHTML|__html__", re.IGNORECASE)
    assert [ids(path) for path in files if ways_round.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_a_room_that_outgrows_400_lines_becomes_a_folder(path):
    """No source file of the package has more than 400 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
