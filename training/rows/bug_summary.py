"""Makes the rows of the task bug_summary: small modules are broken in some fifty ways and run, and the real traceback is kept.

The banks hold modules of application code with calls that work (bug_summary_bank_*.py). A row is made in five steps: the names of a module
are varied with synonyms (its skin), one bug is put in at a place that the syntax tree names, sometimes a harmless change is made too, the
calls are run, and diff, error output and reference are written down. Bugs that raise nothing are dropped. Held-out rows come from other modules.

    python -m training.rows.bug_summary                             # writes tasks/data/bug_summary/{train,heldout}.jsonl
    python -m training.rows.bug_summary --out DIR --rows N --seed S # N further training rows for a teacher, in DIR/teacher.jsonl
    python -m training.rows.bug_summary --figures
"""

from __future__ import annotations

import argparse
import ast
import builtins
import difflib
import io
import json
import keyword
import linecache
import os
import random
import re
import signal
import sys
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from training.rows import bug_summary_bank_a, bug_summary_bank_b, bug_summary_bank_c, bug_summary_bank_d, bug_summary_bank_e, written
from training.rows import bug_summary_words as words

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "tasks" / "data" / "bug_summary"
TOKENIZER = HERE.parents[1] / "training" / "checkpoints" / "reference-teacher"
BANKS = (bug_summary_bank_a, bug_summary_bank_b, bug_summary_bank_c, bug_summary_bank_d, bug_summary_bank_e)
HELDOUT_ROWS, TRAIN_ROWS, MAX_TOKENS = 400, 3800, 400
HELDOUT_SHARE = 0.22
CONTEXT, LINE_LIMIT, ERROR_LIMIT = 3, 130, 14
COMMON = {"TypeError", "NameError", "AttributeError"}


# ---------------------------------------------------------------- the bank


@dataclass
class Module:
    """A module of the bank: its path, its source, and calls that work on it."""

    path: str
    source: str
    ordinary: list[str] = field(default_factory=list)
    edge: list[str] = field(default_factory=list)

    @property
    def stem(self) -> str:
        return Path(self.path).stem


def bank() -> list[Module]:
    """All modules, in the order they were written."""
    modules = []
    for part in BANKS:
        for text in part.MODULES.split("\n@@ ")[1:]:
            path, _, rest = text.partition("\n")
            code = [line for line in rest.splitlines() if not line.startswith((">> ", "?? "))]
            module = Module(path.strip(), "\n".join(code).strip() + "\n")
            module.ordinary = [line[3:] for line in rest.splitlines() if line.startswith(">> ")]
            module.edge = [line[3:] for line in rest.splitlines() if line.startswith("?? ")]
            modules.append(module)
    return modules


def synonyms() -> dict[str, list[str]]:
    found = {}
    for entry in re.split(r"[|\n]", words.SYNONYMS):
        word, _, others = entry.strip().partition(":")
        if others:
            found[word] = others.split()
    return found


SYNONYMS = synonyms()
LIBRARY = [
    "json",
    "date",
    "datetime",
    "timedelta",
    "math",
    "defaultdict",
    "Counter",
    "csv",
    "io",
    "re",
    "unicodedata",
    "Decimal",
    "deque",
    "random",
    "time",
    "html",
    "escape",
    "Path",
    "PurePosixPath",
    "heapq",
    "base64",
    "hashlib",
    "hmac",
    "sha256",
    "Fraction",
    "statistics",
    "textwrap",
    "itertools",
    "groupby",
    "operator",
    "itemgetter",
    "urljoin",
    "urlsplit",
    "netloc",
    "path",
    "suffix",
    "name",
    "stem",
    "with_name",
    "string",
    "Template",
    "substitute",
    "ipaddress",
    "ip_address",
    "bisect",
    "insort",
    "dataclass",
    "field",
    "dataclasses",
    "default_factory",
    "enum",
    "Enum",
    "value",
    "key",
    "reverse",
    "days",
    "minutes",
    "hours",
    "weeks",
    "seconds",
    "maxlen",
    "maxsplit",
    "delimiter",
    "default",
    "fieldnames",
    "args",
    "groups",
    "group",
    "strptime",
    "strftime",
    "NFKD",
    "total_seconds",
    "most_common",
    "mean",
    "median",
    "DictReader",
    "StringIO",
    "monotonic",
    "month",
    "year",
    "day",
    "hour",
    "collections",
    "html",
    "urllib",
    "parse",
    "pathlib",
    "fromkeys",
    "start",
    "end",
    "span",
    "second",
    "minute",
    "get",
    "count",
    "index",
    "title",
    "format",
    "read",
    "write",
    "id",
]


@lru_cache(maxsize=1)
def protected() -> frozenset[str]:
    """Names that a skin must leave alone: the language's, the library's, and the methods of the common types."""
    names = set(dir(builtins)) | set(keyword.kwlist) | set(LIBRARY) | {"self"}
    for kind in (str, bytes, list, dict, set, tuple, int, float, io.StringIO, Counter, re.Match, re.Pattern):
        names |= set(dir(kind))
    return frozenset(names)


IDENTIFIER = re.compile(r"(?<![\\%$A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_]*")


def reskin(module: Module, rng: random.Random) -> Module:
    """The module with some words of its names replaced by synonyms throughout, under some root folder."""
    everything = "\n".join([module.path, module.source, *module.ordinary, *module.edge])
    used = {word.lower() for name in IDENTIFIER.findall(everything) for word in re.findall(r"[A-Za-z][a-z]*", name)}
    used |= {name.lower() for name in IDENTIFIER.findall(everything)}
    mapping: dict[str, str] = {}
    for word in sorted(used & SYNONYMS.keys()):
        if rng.random() < 0.55:
            free = [
                other
                for other in SYNONYMS[word]
                if "_" not in other and other not in used and other not in mapping.values() and other not in protected()
            ]
            if free:
                mapping[word] = rng.choice(free)

    def swap(match: re.Match[str]) -> str:
        name = match.group(0)
        if name in protected():
            return name
        parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+|_+", name)
        if "".join(parts) != name:
            return name
        camel = any(char.isupper() for char in name) and any(char.islower() for char in name)
        out = []
        for part in parts:
            new = mapping.get(part.lower(), part)
            if new != part:
                new = "".join(piece.title() for piece in new.split("_")) if camel else new
                new = new.upper() if part.isupper() else new
            out.append(new)
        return "".join(out)

    def put(text: str) -> str:
        return IDENTIFIER.sub(swap, text)

    path = rng.choice(words.ROOTS) + put(module.path.removesuffix(".py")) + ".py"
    return Module(path, put(module.source), [put(call) for call in module.ordinary], [put(call) for call in module.edge])


# ---------------------------------------------------------------- running


class Hangs(BaseException):
    """A broken module that does not end."""


def stop(*_: object) -> None:
    raise Hangs


@dataclass
class Failure:
    """What an import or a call raised: the lines of the error output, and where it surfaced."""

    lines: list[str]
    error_type: str
    surfaced: str
    chained: bool
    at_import: bool


def frames_of(exc: BaseException, path: str) -> list[traceback.FrameSummary]:
    """The frames in the module, and the last one of the library where the error came up there."""
    every = [frame for frame in traceback.extract_tb(exc.__traceback__) if frame.filename not in {__file__, "<call>"}]
    own = [frame for frame in every if frame.filename == path]
    return own[-3:] + ([every[-1]] if every and every[-1].filename != path else [])


def show(exc: BaseException, path: str, keep: int) -> list[str]:
    """A traceback in the form of `python -X no_debug_ranges`, without the frames of whoever called."""
    lines = ["Traceback (most recent call last):"]
    for frame in frames_of(exc, path)[-keep:]:
        name = re.sub(r"^.*/lib(/python3\.\d+/)", r"/usr/lib\1", frame.filename)
        lines += [f'  File "{name}", line {frame.lineno}, in {frame.name}', f"    {frame.line}"]
    last = [line for line in "".join(traceback.format_exception_only(exc)).splitlines() if not re.fullmatch(r"[ ^~]+", line)]
    if isinstance(exc, SyntaxError):
        return last
    return lines + [re.sub(r"\((/\S+)?/lib(/python3\.\d+/\S+)\)", r"(/usr/lib\2)", line) for line in last]


def failure(exc: BaseException, path: str, at_import: bool) -> Failure:
    frames = [frame for frame in frames_of(exc, path) if frame.filename == path]
    named = [frame.name for frame in frames if not frame.name.startswith("<") or frame.name == "<module>"]
    cause = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    lines = show(exc, path, keep=2 if cause is not None else 3)
    if cause is not None:
        link = "The above exception was the direct cause of the following exception:"
        if exc.__cause__ is None:
            link = "During handling of the above exception, another exception occurred:"
        lines = [*show(cause, path, keep=1)[-3:], "", link, "", *lines]
    return Failure(lines, type(exc).__name__, named[-1] if named else "<module>" if at_import else "", cause is not None, at_import)


def run(module: Module, calls: list[str]) -> Failure | None:
    """Imports the module and runs the calls until something raises; what it was, None when nothing did."""
    linecache.cache[module.path] = (len(module.source), None, module.source.splitlines(keepends=True), module.path)
    dotted = re.sub(r"^(src|lib)\.", "", module.path.removesuffix(".py").replace("/", "."))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with redirect_stdout(io.StringIO()):
            namespace: dict = {"__name__": dotted}
            sys.modules[dotted] = type(sys)(dotted)  # dataclasses look their module up
            try:
                exec(compile(module.source, module.path, "exec"), namespace)
            except Exception as exc:
                return failure(exc, module.path, at_import=True)
            for call in calls:
                try:
                    eval(compile(call, "<call>", "eval"), dict(namespace))
                except RecursionError:
                    raise Hangs from None
                except Exception as exc:
                    return failure(exc, module.path, at_import=False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.modules.pop(dotted, None)
    return None


# ---------------------------------------------------------------- the bugs


@dataclass
class Bug:
    """A change of the source: what to put where, in which function, and what to say about it."""

    kind: str
    symbol: str
    edits: list[tuple[int, int, str]]
    summary: str
    weight: float = 1.0


def quoted(text: str) -> str:
    """A piece of code inside a summary."""
    return text.replace('"', "'") if '"' in text or "'" in text else f"'{text}'"


def short(text: str) -> bool:
    return len(text) <= 34 and len(text.split()) <= 5 and "\n" not in text


class Breaker:
    """Lists the bugs that can be put into a module."""

    def __init__(self, source: str, rng: random.Random) -> None:
        self.source = source
        self.rng = rng
        self.tree = ast.parse(source)
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.functions = {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}
        self.imported = {alias.asname or alias.name for node in self.tree.body if isinstance(node, ast.Import) for alias in node.names}
        self.known = set(IDENTIFIER.findall(source))

    def at(self, node: ast.AST) -> tuple[int, int]:
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.AST) -> str:
        start, end = self.at(node)
        return self.source[start:end]

    def function(self, node: ast.AST) -> ast.FunctionDef | None:
        while node is not None and not isinstance(node, ast.FunctionDef):
            node = self.parents.get(node)
        return node

    def symbol(self, node: ast.AST) -> str:
        function = self.function(node)
        if function is None:
            return "<module>"
        owner = self.parents[function]
        return f"{owner.name}.{function.name}" if isinstance(owner, ast.ClassDef) else function.name

    def within_class_only(self, node: ast.AST) -> bool:
        """In the body of a class but in none of its methods."""
        if self.function(node) is not None:
            return False
        while node is not None and not isinstance(node, ast.ClassDef):
            node = self.parents.get(node)
        return node is not None

    def other(self, name: str) -> str:
        """A name that someone could have written for this one."""
        rng = self.rng
        parts = name.split("_")
        options = [name[:-1] if name.endswith("s") and len(name) > 3 else name + ("S" if name.isupper() else "s")]
        if len(name) > 3:
            spot = rng.randrange(1, len(name) - 1)
            options.append(name[:spot] + name[spot + 1 :])
            options.append(name[:spot] + name[spot + 1] + name[spot] + name[spot + 2 :])
        if name not in protected():  # a name of one's own is also remembered as another word, with more or with less
            for index, part in enumerate(parts):
                for new in SYNONYMS.get(part.lower(), []):
                    fitting = new.upper() if part.isupper() else new
                    options += ["_".join([*parts[:index], fitting, *parts[index + 1 :]])] * 2
            if len(parts) > 1:
                options += ["_".join(parts[1:]), "_".join(parts[:-1])]
            else:
                longer = [
                    f"{name}_{rng.choice(['id', 'list', 'raw', 'value', 'name'])}",
                    f"{rng.choice(['new', 'old', 'my', 'the', 'cur'])}_{name}",
                ]
                options += [word.upper() if name.isupper() else word for word in longer]
        options = [
            option
            for option in options
            if option not in self.known and option.isidentifier() and not keyword.iskeyword(option) and not hasattr(builtins, option)
        ]
        return rng.choice(options) if options else name + "_2"

    def who(self, node: ast.AST) -> str:
        symbol = self.symbol(node)
        return "the module" if symbol == "<module>" else symbol

    def bug(self, kind: str, node: ast.AST, new: str, summary: str, whole: ast.AST | None = None) -> Bug:
        start, end = self.at(whole or node)
        return Bug(kind, self.symbol(node), [(start, end, new)], self.who(node) + " " + summary)

    def swap(self, kind: str, node: ast.AST, new: str) -> Iterator[Bug]:
        old = self.text(node)
        if short(old) and short(new):
            yield self.bug(kind, node, new, f"now has {quoted(new)} in place of {quoted(old)}")

    def without_lines(self, kind: str, node: ast.stmt, summary: str) -> Bug:
        return Bug(
            kind, self.symbol(node), [(self.starts[node.lineno - 1], self.starts[node.end_lineno], "")], self.who(node) + " " + summary
        )

    def all(self) -> list[Bug]:
        found: list[Bug] = []
        for node in ast.walk(self.tree):
            if not hasattr(node, "lineno") or self.within_class_only(node) or not self.plain(node):
                continue
            for name in (f"see_{type(node).__name__.lower()}", "see_any"):
                maker = getattr(self, name, None)
                for bug in maker(node) if maker is not None else ():
                    bug.weight = 10.0 if self.tried(node) else 1.0
                    found.append(bug)
        return found

    def tried(self, node: ast.AST) -> bool:
        """In a try statement: where one exception may follow on another."""
        while node is not None and not isinstance(node, ast.Try):
            node = self.parents.get(node)
        return node is not None

    def plain(self, node: ast.AST) -> bool:
        """Not inside an f-string, where Python 3.11 knows no places."""
        while node is not None and not isinstance(node, ast.stmt):
            if isinstance(node, ast.JoinedStr):
                return False
            node = self.parents.get(node)
        return True

    # names, attributes, keys

    def see_name(self, node: ast.Name) -> Iterator[Bug]:
        if self.symbol(node) == "<module>" or node.id in {"self", "_"} or (len(node.id) < 3 and self.rng.random() < 0.7):
            return
        new = self.other(node.id)
        if isinstance(node.ctx, ast.Load):
            yield self.bug("undefined-name", node, new, f"uses the name '{new}', which is not defined anywhere")
        else:
            body = self.function(node)
            uses = [other for other in ast.walk(body) if isinstance(other, ast.Name) and other.id == node.id and other is not node]
            if any(isinstance(other.ctx, ast.Load) for other in uses):
                yield self.bug("half-renamed", node, new, f"renames '{node.id}' to '{new}' but still uses '{node.id}'")

    def see_arg(self, node: ast.arg) -> Iterator[Bug]:
        function = self.function(node)
        if node.arg == "self" or isinstance(self.parents.get(self.parents.get(node)), ast.Lambda) or function is None:
            return
        if any(isinstance(other, ast.Name) and other.id == node.arg for other in ast.walk(function)):
            new = self.other(node.arg)
            said = f"renames the parameter '{node.arg}' to '{new}' but still uses '{node.arg}'"
            yield self.bug("half-renamed-parameter", node, new, said)

    def see_subscript(self, node: ast.Subscript) -> Iterator[Bug]:
        base = self.text(node.value)
        loaded = isinstance(node.ctx, ast.Load)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            old, new = node.slice.value, self.other(node.slice.value)
            if not old.isidentifier():
                return
            if not loaded:
                yield self.bug("wrong-key-written", node.slice, f'"{new}"', f"writes the key '{new}' where others read '{old}'")
                return
            yield self.bug("wrong-key", node.slice, f'"{new}"', f"reads the key '{new}' where the data has '{old}'")
            if short(base):
                yield self.bug("attribute-for-key", node, f"{base}.{old}", f"reads '{old}' as an attribute where {quoted(base)} is a dict")
        elif isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int) and loaded:
            yield from self.swap("index", node.slice, str(node.slice.value + 1))
        elif isinstance(node.slice, ast.UnaryOp):
            yield from self.swap("index", node.slice, self.rng.choice(["-2", "1"]))
        elif isinstance(node.slice, (ast.Name, ast.BinOp)) and loaded:
            old = self.text(node.slice)
            yield from self.swap("index", node.slice, old[:-1] + "2" if old.endswith("+ 1") else f"{old} + 1")
            if isinstance(node.slice, ast.Name) and short(base):
                said = f"reads '{old}' as an attribute where {quoted(base)} is a dict or list"
                yield self.bug("attribute-for-key", node, f"{base}.{old}", said)

    def see_attribute(self, node: ast.Attribute) -> Iterator[Bug]:
        parent = self.parents[node]
        called = isinstance(parent, ast.Call) and parent.func is node
        base = self.text(node.value)
        if base.startswith("super") or not short(base):
            return
        new = self.rng.choice(words.MIXED_UP[node.attr]) if node.attr in words.MIXED_UP else self.other(node.attr)
        place = self.at(node)[1]
        edit = [(place - len(node.attr), place, new)]
        who, symbol = self.who(node), self.symbol(node)
        if base in self.imported:
            yield Bug("wrong-library-name", symbol, edit, f"{who} uses '{base}.{new}', which the module '{base}' does not have")
        elif called:
            yield Bug("wrong-method", symbol, edit, f"{who} calls the method '{new}' where the object has '{node.attr}'")
            if not parent.args and not parent.keywords:
                yield self.bug("not-called", node, self.text(node), f"leaves out the parentheses after '{node.attr}'", whole=parent)
        elif isinstance(node.ctx, ast.Store):
            yield Bug("wrong-attribute-set", symbol, edit, f"{who} sets the attribute '{new}' where others read '{node.attr}'")
        else:
            yield Bug("wrong-attribute", symbol, edit, f"{who} reads the attribute '{new}' where the object has '{node.attr}'")
            yield self.bug("called", node, self.text(node) + "()", f"calls '{node.attr}' as if it were a method")
            if base == "self":
                said = f"reads '{node.attr}' as a key where self has it as an attribute"
                yield self.bug("key-for-attribute", node, f'self["{node.attr}"]', said)
        if base == "self" and isinstance(node.ctx, ast.Load):
            yield self.bug("no-self", node, node.attr, f"leaves out 'self.' before '{node.attr}'")

    # calls

    def see_call(self, node: ast.Call) -> Iterator[Bug]:
        callee = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else None
        if callee is None:
            return
        who, symbol = self.who(node), self.symbol(node)
        everything = [*node.args, *(kw.value for kw in node.keywords)]
        own = callee in self.functions or any(isinstance(other, ast.ClassDef) and other.name == callee for other in self.tree.body)
        if callee in {"int", "float", "str", "Decimal", "list", "tuple", "set", "Fraction"} and len(node.args) == len(everything) == 1:
            inner = self.text(node.args[0])
            if short(inner):
                yield self.bug("no-conversion", node, inner, f"no longer converts {quoted(inner)} with {callee}")
        elif callee in {"len", "sorted", "sum", "min", "max", "enumerate"} and len(everything) == 1:
            yield from self.swap("no-call", node, self.text(everything[0]))
        elif isinstance(node.func, ast.Attribute) and not everything and callee in words.DROPPED_CALLS:
            base = self.text(node.func.value)
            if short(base):
                yield self.bug("no-method-call", node, base, f"no longer calls '{callee}' on {quoted(base)}")
        if callee == "get" and node.args:
            key = self.text(node.args[0])
            if len(node.args) == 2 and short(self.text(node.args[1])):
                default = quoted(self.text(node.args[1]))
                edit = [(self.at(node.args[0])[1], self.at(node.args[1])[1], "")]
                yield Bug("no-default", symbol, edit, f"{who} drops the default {default} when it gets {quoted(key)}")
                yield self.bug("none-default", node.args[1], "None", f"makes the default for {quoted(key)} None in place of {default}")
            direct = f"{self.text(node.func.value)}[{key}]"
            yield self.bug("no-get", node, direct, f"reads {quoted(key)} without get, so a missing key raises")
        if everything and (own or len(everything) > 1) and callee != "get":
            place = node.keywords[-1] if node.keywords else everything[-1]
            last = self.text(place)
            start = self.at(everything[-2])[1] if len(everything) > 1 else self.at(place)[0]
            if short(last):
                said = f"{who} calls '{callee}' without the argument {quoted(last)}"
                yield Bug("argument-left-out", symbol, [(start, self.at(place)[1], "")], said)
        if own and node.args and not node.keywords:
            extra = self.rng.choice(["None", "True", "0", self.text(node.args[0])])
            if short(extra):
                end = self.at(node.args[-1])[1]
                said = f"{who} passes the extra argument {quoted(extra)} to '{callee}'"
                yield Bug("argument-too-many", symbol, [(end, end, f", {extra}")], said)
        if len(node.args) >= 2 and own and self.text(node.args[0]) != self.text(node.args[1]):
            first, second = node.args[:2]
            edits = [(*self.at(first), self.text(second)), (*self.at(second), self.text(first))]
            said = f"{who} passes the first two arguments of '{callee}' in the wrong order"
            yield Bug("arguments-swapped", symbol, edits, said)
        for kw in node.keywords:
            if kw.arg:
                new, start = self.other(kw.arg), self.at(kw)[0]
                said = f"{who} passes the keyword '{new}' where '{callee}' expects '{kw.arg}'"
                yield Bug("wrong-keyword", symbol, [(start, start + len(kw.arg), new)], said)

    # expressions and statements

    def see_if(self, node: ast.If) -> Iterator[Bug]:
        if node.orelse or len(node.body) != 1 or not isinstance(node.body[0], (ast.Return, ast.Continue, ast.Break, ast.Raise)):
            return
        test = self.text(node.test)
        match = re.fullmatch(r"([\w.]+) is None", test)
        if match:
            yield self.without_lines("no-none-check", node, f"no longer handles the case that '{match.group(1)}' is None")
        elif short(test):
            yield self.without_lines("no-guard", node, f"no longer guards against the case {quoted(test)}")

    def see_compare(self, node: ast.Compare) -> Iterator[Bug]:
        text = self.text(node)
        flips = [(" is not None", " is None"), (" is None", " is not None"), (" not in ", " in "), (" in ", " not in "), (" == ", " != ")]
        flips += [(" != ", " == "), (" <= ", " > "), (" >= ", " < "), (" < ", " > "), (" > ", " < ")]
        for old, new in flips:
            if old in text:
                yield from self.swap("condition", node, text.replace(old, new, 1))
                return

    def see_unaryop(self, node: ast.UnaryOp) -> Iterator[Bug]:
        if isinstance(node.op, ast.Not):
            yield from self.swap("condition", node, self.text(node.operand))

    def see_boolop(self, node: ast.BoolOp) -> Iterator[Bug]:
        text = self.text(node)
        old, new = (" and ", " or ") if isinstance(node.op, ast.And) else (" or ", " and ")
        yield from self.swap("condition", node, text.replace(old, new, 1))
        if isinstance(node.op, ast.Or) and len(node.values) == 2:
            yield from self.swap("no-fallback", node, self.text(node.values[0]))

    def see_binop(self, node: ast.BinOp) -> Iterator[Bug]:
        signs = {
            ast.FloorDiv: (" // ", " / "),
            ast.Mult: (" * ", " + "),
            ast.Add: (" + ", " - "),
            ast.Sub: (" - ", " + "),
            ast.Mod: (" % ", " // "),
        }
        pair = signs.get(type(node.op))
        if pair and short(self.text(node)) and self.source[self.at(node.left)[1] : self.at(node.right)[0]] == pair[0]:
            yield from self.swap("operator", node, self.text(node.left) + pair[1] + self.text(node.right))
        if isinstance(node.op, ast.Mod) and isinstance(node.right, ast.Tuple):
            *_, before, last = node.right.elts
            if short(self.text(last)):
                said = f"{self.who(node)} leaves {quoted(self.text(last))} out of the values it formats"
                yield Bug("format-value-left-out", self.symbol(node), [(self.at(before)[1], self.at(last)[1], "")], said)

    def see_constant(self, node: ast.Constant) -> Iterator[Bug]:
        parent = self.parents.get(node)
        value = node.value
        if isinstance(value, str):
            if isinstance(parent, (ast.Expr, ast.JoinedStr)):
                return
            if value in words.TEXT_SWAPS:
                yield from self.swap("wrong-text", node, f'"{words.TEXT_SWAPS[value]}"')
            elif "%H" in value or "%d" in value:
                options = [(old, new) for old, new in words.FORMAT_SWAPS if old in value]
                if options:
                    old, new = self.rng.choice(options)
                    yield from self.swap("wrong-text", node, self.text(node).replace(old, new))
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and isinstance(parent, ast.Assign):
            name = self.text(parent.targets[0])
            if self.symbol(node) == "<module>":
                yield self.bug("text-for-number", node, f'"{value}"', f"makes '{name}' a string in place of a number")
            else:
                yield from self.swap("wrong-start", node, self.rng.choice(["None", '""', "[]"]))
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and isinstance(parent, ast.BinOp) and value in {1, 2}:
            yield from self.swap("wrong-number", parent, self.text(parent).replace(str(value), f'"{value}"'))

    def see_dict(self, node: ast.Dict) -> Iterator[Bug]:
        for index, key in enumerate(node.keys):
            if not (isinstance(key, ast.Constant) and isinstance(key.value, str)) or not key.value.isidentifier():
                continue
            new = self.other(key.value)
            yield self.bug("wrong-key-written", key, f'"{new}"', f"writes the key '{new}' where others read '{key.value}'")
            if index:
                edit = [(self.at(node.values[index - 1])[1], self.at(node.values[index])[1], "")]
                said = f"{self.who(key)} no longer writes the key '{key.value}', which others read"
                yield Bug("key-left-out", self.symbol(key), edit, said)

    def see_tuple(self, node: ast.Tuple) -> Iterator[Bug]:
        if not isinstance(node.ctx, ast.Store) or any(isinstance(part, (ast.Starred, ast.Tuple)) for part in node.elts):
            return
        count = len(node.elts)
        names = [self.text(part) for part in node.elts]
        fresh = self.rng.choice(["rest", "flag", "extra_part", "unit_name", "comment", "position_no", "origin_id"])
        for kept in ([*names, fresh], names[:-1] if count > 2 else None):
            if kept:
                yield self.bug("wrong-unpacking", node, ", ".join(kept), f"unpacks into {len(kept)} names in place of {count}")

    def see_return(self, node: ast.Return) -> Iterator[Bug]:
        if node.value is None or (isinstance(self.parents[node], ast.If) and isinstance(node.value, ast.Constant)):
            return
        function = self.function(node)
        value = self.text(node.value)
        what = f"'{value}'" if re.fullmatch(r"[\w.]+", value) else "its result"
        said = f"no longer returns {what}, so its caller gets None"
        if self.rng.random() < 0.5 and "\n" not in value and function.body[-1] is node and len(function.body) > 1:
            yield self.without_lines("no-return", node, said)
        else:
            yield self.bug("no-return", node, value, said)
        local = [arg.arg for arg in function.args.args if arg.arg not in {"self", value}]
        if re.fullmatch(r"[\w.]+", value) and local:
            both = f"{value}, {self.rng.choice(local)}"
            yield self.bug("returns-tuple", node.value, both, f"now returns '{both}' where its caller expects '{value}'")

    def see_assign(self, node: ast.Assign) -> Iterator[Bug]:
        target = self.text(node.targets[0])
        if self.symbol(node) == "<module>":
            new = self.other(target)
            yield self.bug(
                "constant-renamed", node.targets[0], new, f"renames '{target}' to '{new}' but {{surfaced}} still uses '{target}'"
            )
            yield self.without_lines("constant-removed", node, f"no longer defines '{target}', which {{surfaced}} still uses")
        elif re.fullmatch(r"[\w.]+", target) and len(getattr(self.parents[node], "body", [])) > 1:
            yield self.without_lines("not-set", node, f"no longer sets '{target}', which is still used")

    def see_functiondef(self, node: ast.FunctionDef) -> Iterator[Bug]:
        args, defaults = node.args.args, node.args.defaults
        owner = self.parents[node]
        place = self.source.index(node.name, self.at(node)[0])
        symbol = self.symbol(node)
        if not node.name.startswith("__"):
            new = self.other(node.name)
            renamed = f"{owner.name}.{new}" if isinstance(owner, ast.ClassDef) else new
            said = f"{renamed} was renamed from '{node.name}', which {{surfaced}} still uses"
            yield Bug("function-renamed", renamed, [(place, place + len(node.name), new)], said)
        required = args[: len(args) - len(defaults)]
        extra = self.rng.choice(words.NEW_ARGUMENTS)
        if required and extra not in self.known:
            end = self.at(required[-1])[1]
            said = f"{symbol} now requires the argument '{extra}', which its callers do not pass"
            yield Bug("new-argument", symbol, [(end, end, f", {extra}")], said)
        if len(required) > 1:
            gone = required[-1]
            said = f"{symbol} no longer takes the argument '{gone.arg}', which is still needed"
            yield Bug("argument-gone", symbol, [(self.at(required[-2])[1], self.at(gone)[1], "")], said)
        for arg, default in zip(args[::-1], defaults[::-1], strict=False):
            said = f"{symbol} no longer has a default for '{arg.arg}', which callers leave out"
            yield Bug("default-gone", symbol, [(self.at(arg)[1], self.at(default)[1], "")], said)
            if not isinstance(default, ast.Constant) or default.value is not None:
                said = f"{symbol} makes the default for '{arg.arg}' None in place of {quoted(self.text(default))}"
                yield Bug("none-default", symbol, [(*self.at(default), "None")], said)
        if args and args[0].arg == "self":
            end = self.at(args[1])[0] if len(args) > 1 else self.at(args[0])[1]
            said = f"{symbol} no longer takes self as its first parameter"
            yield Bug("no-self-parameter", symbol, [(self.at(args[0])[0], end, "")], said)
        for decorator in node.decorator_list:
            line = self.starts[decorator.lineno - 1], self.starts[decorator.lineno]
            what = {"property": "a property", "staticmethod": "a static method"}.get(self.text(decorator))
            if what:
                yield Bug("decorator-gone", symbol, [(*line, "")], f"{symbol} is no longer {what} but is still used as one")

    def see_excepthandler(self, node: ast.ExceptHandler) -> Iterator[Bug]:
        if isinstance(node.type, ast.Tuple):
            kept, gone = (self.text(part) for part in node.type.elts[:2])
            yield self.bug("catches-less", node.type, kept, f"no longer catches {gone}, which goes on to the caller")
        elif node.type is not None:
            old = self.text(node.type)
            options = [name for name in ("KeyError", "ValueError", "TypeError", "OSError", "IndexError", "AttributeError") if name != old]
            new = self.rng.choice(options)
            yield self.bug("catches-other", node.type, new, f"now catches {new} in place of {old}")

    def see_import(self, node: ast.Import) -> Iterator[Bug]:
        name = node.names[0].name
        new = self.other(name)
        yield self.bug("wrong-import", node.names[0], new, f"imports '{new}' in place of '{name}', and '{new}' does not exist")
        yield self.without_lines("import-gone", node, f"no longer imports '{name}', which {{surfaced}} still uses")

    def see_importfrom(self, node: ast.ImportFrom) -> Iterator[Bug]:
        names = [alias.name for alias in node.names]
        name = self.rng.choice(names)
        new = name.lower() if name.lower() != name and self.rng.random() < 0.4 else self.other(name)
        target = node.names[names.index(name)]
        yield self.bug("wrong-import", target, new, f"imports '{new}' from '{node.module}', which does not have it")
        said = f"no longer imports '{name}', which {{surfaced}} still uses"
        if len(names) == 1:
            yield self.without_lines("import-gone", node, said)
        else:
            kept = ", ".join(other for other in names if other != name)
            yield self.bug("import-gone", node, f"from {node.module} import {kept}", said)

    def see_any(self, node: ast.AST) -> Iterator[Bug]:
        """Slips of the keyboard: a colon or bracket forgotten, a line moved by a space."""
        if not isinstance(node, ast.stmt) or self.symbol(node) == "<module>":
            return
        who, symbol = self.who(node), self.symbol(node)
        start = self.starts[node.lineno - 1]
        line = self.source[start : self.starts[node.lineno]].rstrip("\n")
        end = start + len(line)
        if line.endswith(":") and isinstance(node, (ast.If, ast.For, ast.While, ast.FunctionDef, ast.Try)):
            first = line.split()[0].rstrip(":")
            yield Bug("no-colon", symbol, [(end - 1, end, "")], f"{who} lacks the colon at the end of its '{first}' line")
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.Return, ast.Expr)) and node.end_lineno == node.lineno:
            if line.endswith((")", "]", "}")):
                said = f"{who} leaves out the closing '{line[-1]}' at the end of a line"
                yield Bug("open-bracket", symbol, [(end - 1, end, "")], said)
            yield Bug("indentation", symbol, [(start, start, " ")], f"{who} indents one line by one space too much")


# how often a kind of bug is drawn, where not as often as the others
RARE = {"no-colon": 0.35, "open-bracket": 0.3, "indentation": 0.25, "wrong-import": 0.7, "half-renamed": 0.8}


# ---------------------------------------------------------------- rows


def edited(source: str, edits: list[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        source = source[:start] + new + source[end:]
    return source


def harmless(source: str, symbol: str, rng: random.Random) -> str:
    """The source with a comment, a docstring or an unused constant more, mostly in another function than the broken one."""
    lines = source.splitlines()
    broken = symbol.rsplit(".", maxsplit=1)[-1]
    heads = [index for index, line in enumerate(lines) if re.match(r"\s*def ", line) and f"def {broken}(" not in line]
    if not heads or rng.random() < 0.12:
        top = next(index for index, line in enumerate(lines) if re.match(r"(def|class|@)", line))
        return "\n".join([*lines[:top], rng.choice(words.UNUSED), "", *lines[top:]]) + "\n"
    head = rng.choice(heads)
    indent = re.match(r"\s*", lines[head]).group(0) + "    "
    if rng.random() < 0.35:
        lines.insert(head + 1, f'{indent}"""{rng.choice(words.DOCSTRINGS)}"""')
    else:
        body = [index for index in range(head + 1, len(lines)) if lines[index].startswith(indent)][:5]
        spot = rng.choice(body)
        if rng.random() < 0.3 and not lines[spot].endswith((":", ",", "(")):
            lines[spot] += f"  # {rng.choice(words.COMMENTS)}"
        else:
            lines.insert(spot, re.match(r"\s*", lines[spot]).group(0) + f"# {rng.choice(words.COMMENTS)}")
    return "\n".join(lines) + "\n"


def diff_of(path: str, old: str, new: str, method: str | None) -> tuple[str, int] | None:
    """A unified diff as git writes it, and its number of hunks; for a method the context reaches up to its `def`."""
    before, after = old.splitlines(), new.splitlines()
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    out = [f"--- a/{path}", f"+++ b/{path}"]
    groups = list(matcher.get_grouped_opcodes(CONTEXT))
    for group in groups:
        first, last = group[0], group[-1]
        start, new_start = first[1], first[3]
        if method is not None and len(groups) == 1:
            changed = min(next(code[1] for code in group if code[0] != "equal"), len(before) - 1)
            head = next((index for index in range(changed, -1, -1) if re.match(r"    def ", before[index])), None)
            owner = next((index for index in range(changed, -1, -1) if re.match(r"\S", before[index])), 0)
            if head is not None and owner < head < start:
                up = start - head
                if up > 6:
                    return None
                group.insert(0, ("equal", head, start, new_start - up, new_start))
                start, new_start = head, new_start - up
        above = [line for line in before[:start] if re.match(r"[A-Za-z_$]", line)]
        size, new_size = last[2] - start, last[4] - new_start
        out.append(f"@@ -{start + 1},{size} +{new_start + 1},{new_size} @@" + (f" {above[-1][:70]}" if above else ""))
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                out += [" " + line for line in before[i1:i2]]
            else:
                out += ["-" + line for line in before[i1:i2]] + ["+" + line for line in after[j1:j2]]
    return "\n".join(out), len(groups)


def first_line(module: Module, call: str, at_import: bool, edge: bool, rng: random.Random) -> tuple[str, str]:
    """The first line of the error output, and the severity that it stands for."""
    names = [name for name in re.findall(r"\w+", call) if re.search(rf"def {name}\(", module.source)]
    entry = names[0] if names else module.stem
    if at_import:
        dotted = module.path.removesuffix(".py").replace("/", ".")
        forms = [f"of {dotted}", f"({module.stem})", f", {rng.choice(['web', 'api', 'jobs'])} worker {rng.randint(1, 8)} did not start"]
        return f"ERROR during import {rng.choice(forms)}".replace(" ,", ","), "high"
    pick = rng.random()
    if pick < 0.25:
        ending = f"_{rng.choice(words.EDGE_TESTS)}" if edge else rng.choice(words.PLAIN_TESTS)
        return f"FAILED tests/test_{module.stem}.py::test_{entry}{ending}", "low"
    user = pick < 0.64
    where = rng.choice(words.USER_FACING if user else words.BACKGROUND).format(stem=module.stem, entry=entry)
    calls = rng.choice([rng.randint(3, 40), rng.randint(40, 900)])
    if edge:
        return f"ERROR in {where}, {rng.randint(1, max(1, calls // 4))} of {calls} failed", "medium" if user else "low"
    return f"ERROR in {where}, all of {calls} failed", "high" if user else "medium"


def first_failure(module: Module, skin: Module) -> tuple[Failure | None, str, bool]:
    """What goes wrong first in the broken module, in which call, and whether only in an edge call."""
    for edge, calls in ((False, skin.ordinary), (True, skin.edge)):
        for call in calls:
            failed = run(module, [call])
            if failed is not None:
                return failed, call, edge
    return None, "", False


def parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def row(skin: Module, bug: Bug, rng: random.Random) -> dict | None:
    """A row for one bug, None where it raises nothing or says too little or too much."""
    broken = edited(skin.source, bug.edits)
    decorated = harmless(broken, bug.symbol, rng) if parses(broken) and rng.random() < 0.42 else broken
    try:
        failed, call, edge = first_failure(Module(skin.path, decorated), skin)
    except Hangs:
        return None
    if failed is None or not failed.surfaced or not re.match(rf"([\w.]+\.)?{failed.error_type}\b", failed.lines[-1]):
        return None
    if failed.error_type in COMMON and not edge and not failed.chained and rng.random() < 0.6:
        return None
    method = bug.symbol if "." in bug.symbol else None
    made = diff_of(skin.path, skin.source, decorated, method)
    if made is None:
        return None
    diff, hunks = made
    head, severity = first_line(skin, call, failed.at_import, edge, rng)
    error = "\n".join([head, *failed.lines])
    summary = bug.summary.replace("{surfaced}", "the module" if failed.surfaced == "<module>" else failed.surfaced)
    if failed.error_type == "IndexError" and bug.kind == "index":
        summary += " and runs past the end"
    if failed.error_type == "SyntaxError" and bug.kind == "default-gone":
        summary = summary.replace(", which callers leave out", ", but one before it has a default")
    if failed.error_type == "RuntimeError" and bug.kind == "no-conversion":
        summary = f"{bug.symbol} changes {summary.split('converts ')[1].split(' with')[0]} while it iterates over it"
    if method and (f"class {method.split('.')[0]}" not in diff or f"def {method.split('.')[1]}(" not in diff):
        return None
    fits = 6 <= len(summary.split()) <= 16 and "0x" not in error and len(failed.lines) <= ERROR_LIMIT and (diff + error).isascii()
    if not fits or any(len(line) > LINE_LIMIT for line in [*diff.splitlines(), *error.splitlines()]):
        return None
    given = {
        "elsewhere": failed.surfaced not in {bug.symbol.split(".")[-1], "<module>"},
        "chained": failed.chained,
        "import-time": failed.at_import,
        "edge-input": edge,
        "method": method is not None,
        "two-hunks": hunks > 1,
    }
    expected = {"file": skin.path, "symbol": bug.symbol, "error_type": failed.error_type, "summary": summary, "severity": severity}
    return {"diff": diff, "error": error, "expected": expected, "tags": sorted(tag for tag in given if given[tag]), "kind": bug.kind}


def names_in(module: Module) -> set[str]:
    """Functions, methods and classes that a module defines, and its file."""
    kinds = re.findall(r"^class (\w+)", module.source, re.MULTILINE)
    return {f"/{module.stem}", *kinds, *re.findall(r"^ *def ((?!__)\w+)", module.source, re.MULTILINE)}


class Maker:
    """Draws rows from modules: a module, a skin of it, a kind of bug, a place."""

    def __init__(self, modules: list[Module], seed: str, skins: int, shun: set[str]) -> None:
        self.rng = random.Random(seed)
        self.shun = shun
        self.seen: set[tuple[str, str]] = set()
        self.names: set[str] = set()
        self.kinds: Counter[str] = Counter()
        self.pools: dict[str, list[tuple[Module, dict[str, list[Bug]]]]] = {}
        self.counter = load_counter()
        for module in modules:
            pool = []
            for turn in range(skins * 2):
                skin = reskin(module, self.rng) if turn else module
                if names_in(skin) & shun or len(pool) == skins or not self.works(skin):
                    continue
                kinds = defaultdict(list)
                for bug in Breaker(skin.source, self.rng).all():
                    kinds[bug.kind].append(bug)
                pool.append((skin, dict(kinds)))
                self.names |= names_in(skin)
            if pool:
                self.pools[module.path] = pool

    @staticmethod
    def works(skin: Module) -> bool:
        try:
            return first_failure(skin, skin)[0] is None
        except Hangs:
            return False

    def rows(self, count: int) -> list[dict]:
        made: list[dict] = []
        paths = list(self.pools)
        for _ in range(count * 40):
            if len(made) == count:
                break
            skin, bugs = self.rng.choice(self.pools[self.rng.choice(paths)])
            options = sorted(bugs)
            weights = [min(len(bugs[kind]), 4) ** 0.5 * RARE.get(kind, 1.0) / (1 + self.kinds[kind]) for kind in options]
            kind = self.rng.choices(options, weights)[0]
            found = row(skin, self.rng.choices(bugs[kind], [bug.weight for bug in bugs[kind]])[0], self.rng)
            if found is None or self.shun & set(found["expected"]["symbol"].split(".")):
                continue
            key = (found["diff"].split("\n", 2)[2], found["error"].split("\n", 1)[1])
            if key in self.seen or self.counter(prompt_of(found), reply_of(found)) > MAX_TOKENS:
                continue
            self.seen.add(key)
            self.kinds[found.pop("kind")] += 1
            made.append(found)
        return made


def prompt_of(example: dict) -> str:
    return f"{example['diff']}\n---\n{example['error']}\nJSON:"


def reply_of(example: dict) -> str:
    return " " + json.dumps(example["expected"])


def load_counter() -> Callable[..., int]:
    """Counts the tokens of a prompt and its reply, with the reference teacher's tokenizer."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(TOKENIZER / "tokenizer.json"))
    return lambda *texts: sum(len(tokenizer.encode(text).ids) for text in texts)


def split(modules: list[Module]) -> tuple[list[Module], list[Module]]:
    """The modules for training and those held out, drawn at random."""
    order = sorted(modules, key=lambda module: module.path)
    random.Random("bug_summary split").shuffle(order)
    cut = round(len(order) * HELDOUT_SHARE)
    return order[cut:], order[:cut]


def write(path: Path, name: str, digits: int, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="ascii") as out:
        for number, example in enumerate(rows, 1):
            line = {"id": f"{name}-{number:0{digits}}", "diff": example["diff"], "error": example["error"], "expected": example["expected"]}
            if example["tags"]:
                line["tags"] = example["tags"]
            out.write(json.dumps(line) + "\n")


def figures() -> None:
    """Prints what the data card says about sizes, tags, severities, error types and tokens."""
    counter = load_counter()
    for name in ("heldout", "train"):
        rows = written(OUT / f"{name}.jsonl")
        answers = [example["expected"] for example in rows]
        lengths = sorted(counter(prompt_of(example), reply_of(example)) for example in rows)
        middle, most = lengths[len(lengths) // 2], lengths[int(len(lengths) * 0.95)]
        print(f"{name}: {len(rows)} rows; tokens 50 % {middle}, 95 % {most}, max {lengths[-1]}")
        print("  files", len({answer["file"] for answer in answers}), "symbols", len({answer["symbol"] for answer in answers}))
        print("  tags", dict(Counter(tag for example in rows for tag in example.get("tags", [])).most_common()))
        for key in ("severity", "error_type"):
            print(f"  {key}", dict(Counter(answer[key] for answer in answers).most_common()))
    closest_pairs()


def shingles(text: str) -> frozenset[str]:
    parts = re.findall(r"\w+|[^\w\s]", text)
    return frozenset(" ".join(parts[index : index + 3]) for index in range(max(1, len(parts) - 2)))


def closest_pairs() -> None:
    """Prints how alike the likest pair of a held-out and a training row is: the smaller Jaccard similarity of its two fields."""
    held, learned = (
        [(shingles(example["diff"]), shingles(example["error"])) for example in written(OUT / f"{name}.jsonl")]
        for name in ("heldout", "train")
    )
    top = 0.0
    for diff, error in held:
        for other_diff, other_error in learned:
            alike = len(error & other_error) / len(error | other_error)
            if alike > top:
                top = max(top, min(alike, len(diff & other_diff) / len(diff | other_diff)))
    print(f"likest pair across the split: {top:.2f} (Jaccard of 3-word shingles, the smaller of diff and error)")


def main() -> None:
    """Writes the files or prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=int, default=TRAIN_ROWS)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--figures", action="store_true")
    options = parser.parse_args()
    if options.figures:
        figures()
        return
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets must not change what a broken module raises
        os.execve(sys.executable, [sys.executable, "-m", "training.rows.bug_summary", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
    signal.signal(signal.SIGALRM, stop)
    training, held_out = split(bank())
    judged = Maker(held_out, "heldout", 5, {name for module in training for name in names_in(module)})
    held = judged.rows(HELDOUT_ROWS)
    used = {part for example in held for part in example["expected"]["symbol"].split(".") if part.isidentifier() and "__" not in part}
    learned = Maker(training, f"train {options.seed}", 14, judged.names | {name for module in held_out for name in names_in(module)} | used)
    rows = learned.rows(options.rows)
    print(f"{len(training)} + {len(held_out)} modules, {len(rows)} + {len(held)} rows")
    print(dict(learned.kinds.most_common()))
    if options.out is None:
        write(OUT / "heldout.jsonl", "heldout", 4, held)
    write(options.out / "teacher.jsonl" if options.out else OUT / "train.jsonl", "train", 5, rows)


if __name__ == "__main__":
    main()
