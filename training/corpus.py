"""Collect the text on which the reference family is pretrained.

    python -m training.corpus --out build/corpus.txt

Three kinds of English technical prose, all under licences that allow it: the Python documentation as Debian ships it (package
python3.11-doc, PSF licence), the documentation folders and docstrings of the permissively licensed packages in SOURCES
(downloaded as source archives through pip, pinned), and the docstrings of the running Python's standard library. Paragraphs are
deduplicated. Documents are separated by a NUL byte, so that the pretraining knows where one ends.

    python -m training.corpus --questions --out build/questions.txt

writes the text of the student base's second stage: the messages of the routing task's training files, without their labels.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import random
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

PYTHON_DOCS = Path("/usr/share/doc/python3.11/html/_sources")

# Package, version, licence as stated in the package's own metadata.
SOURCES = (
    ("aiohttp", "3.14.5", "Apache-2.0"),
    ("alembic", "1.20.1", "MIT"),
    ("attrs", "26.1.0", "MIT"),
    ("bokeh", "3.9.2", "BSD-3-Clause"),
    ("celery", "5.7.0", "BSD-3-Clause"),
    ("click", "8.5.1", "BSD-3-Clause"),
    ("dask", "2026.8.0", "BSD-3-Clause"),
    ("distributed", "2026.8.0", "BSD-3-Clause"),
    ("django", "5.2.19", "BSD-3-Clause"),
    ("elasticsearch", "9.5.1", "Apache-2.0"),
    ("fastapi", "0.165.0", "MIT"),
    ("flask", "3.1.3", "BSD-3-Clause"),
    ("gunicorn", "27.0.1", "MIT"),
    ("httpx", "0.28.1", "BSD-3-Clause"),
    ("jinja2", "3.1.6", "BSD-3-Clause"),
    ("kombu", "5.7.0", "BSD-3-Clause"),
    ("mkdocs", "1.6.1", "BSD-2-Clause"),
    ("networkx", "3.6.1", "BSD-3-Clause"),
    ("nltk", "3.10.4", "Apache-2.0"),
    ("pip", "26.3", "MIT"),
    ("poetry", "2.5.1", "MIT"),
    ("pydantic", "2.14.3", "MIT"),
    ("pytest", "9.2.0", "MIT"),
    ("requests", "2.34.2", "Apache-2.0"),
    ("rich", "15.0.0", "MIT"),
    ("salt", "3008.5", "Apache-2.0"),
    ("scrapy", "2.19.0", "BSD-3-Clause"),
    ("setuptools", "84.2.1", "MIT"),
    ("sphinx", "9.0.4", "BSD-2-Clause"),
    ("starlette", "1.10.0", "BSD-3-Clause"),
    ("sympy", "1.14.0", "BSD-3-Clause"),
    ("textual", "8.2.8", "MIT"),
    ("tornado", "6.6.1", "Apache-2.0"),
    ("trio", "0.35.0", "MIT OR Apache-2.0"),
    ("twisted", "26.10.0", "MIT"),
    ("urllib3", "2.8.0", "MIT"),
    ("werkzeug", "3.1.9", "BSD-3-Clause"),
    ("zulip", "0.9.1", "Apache-2.0"),
)

PROSE = (".rst", ".md", ".rst.txt")
MARKUP = re.compile(r"^\s*(\.\. |:[\w-]+:|```|===|---|~~~|\^\^\^|\*\*\*|\|)")


def docstrings(source: str) -> Iterator[str]:
    """Yield the docstrings of a module's text; nothing where it is not Python of this version."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text and len(text) > 80:
                yield text


def clean(text: str) -> str:
    """Drop markup lines and anything beyond ASCII; keep the paragraphs."""
    lines = [line.rstrip() for line in text.splitlines() if not MARKUP.match(line)]
    text = "\n".join(lines).encode("ascii", "ignore").decode()
    text = re.sub(r":[\w:+-]+:`~?\.?([^`<]*)(?:<[^`]*>)?`", r"\1", text)
    text = text.replace("``", "`").replace("**", "")
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def archive_texts(archive: Path) -> Iterator[str]:
    """Yield the prose files and the docstrings of a source archive."""
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.lower()
            if not member.isfile() or member.size > 300_000 or "/locale/" in name or "changelog" in name:
                continue
            if not name.endswith((*PROSE, ".py", ".txt")) or (name.endswith(".txt") and "/doc" not in name):
                continue
            file = tar.extractfile(member)
            text = file.read().decode("utf-8", "ignore") if file else ""
            if name.endswith(".py"):
                if "/test" not in name:
                    yield "\n\n".join(docstrings(text))
            else:
                yield text


def texts(cache: Path) -> Iterator[str]:
    """Yield every raw document, downloading the archives that the cache lacks."""
    for page in sorted(PYTHON_DOCS.rglob("*.rst.txt")):
        if "whatsnew/changelog" not in str(page):
            yield page.read_text(encoding="utf-8")
    for module in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if not {"site-packages", "test", "idlelib"} & set(module.parts):
            yield "\n\n".join(docstrings(module.read_text(encoding="utf-8", errors="ignore")))
    for package, version, _licence in SOURCES:
        found = list(cache.glob(f"{package}-{version}.tar.gz"))
        if not found:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
            subprocess.run([*command, "-d", str(cache), f"{package}=={version}"], check=True)
            found = list(cache.glob(f"{package}-{version}.tar.gz"))
        yield from archive_texts(found[0])


def questions() -> list[str]:
    """Return the messages of the training files with their context, without their labels; held-out rows are not read."""
    from tasks.retrieval_routing import retrieval_routing
    from training.finetune import learned_rows

    found = []
    for example in learned_rows(retrieval_routing):
        context = example.fields.get("conversation_context", "")
        found.append(f"{context}\n> {example.fields['question']}" if context else f"> {example.fields['question']}")
    random.Random(0).shuffle(found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/corpus.txt"))
    parser.add_argument("--questions", action="store_true", help="the routing messages that models learn from instead, without labels")
    parser.add_argument("--cache", type=Path, default=Path("build/archives"), help="where the source archives are kept")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.questions:
        documents = questions()
        options.out.write_text("\0".join(documents), encoding="ascii", errors="ignore")
        print(f"{options.out}: {len(documents)} messages")
        return
    seen: set[bytes] = set()
    documents = []
    for raw in texts(options.cache):
        kept = []
        for paragraph in clean(raw).split("\n\n"):
            digest = hashlib.blake2b(paragraph.strip().encode(), digest_size=8).digest()
            if len(paragraph) > 30 and digest not in seen:
                seen.add(digest)
                kept.append(paragraph)
        if sum(map(len, kept)) > 200:
            documents.append("\n\n".join(kept))
    random.Random(0).shuffle(documents)
    options.out.write_text("\0".join(documents), encoding="ascii")
    print(f"{options.out}: {len(documents)} documents, {options.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
