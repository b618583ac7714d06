"""ToolCall: the answer is the call of one of a few tools, or of none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_distill.answers.comparers import AsSet
from pytest_distill.answers.contract import Grade, Malformed
from pytest_distill.answers.plain import canonical, read_json, to_json
from pytest_distill.answers.schema import checked, json_checker, object_schema
from pytest_distill.errors import TaskError

if TYPE_CHECKING:
    from pydantic import BaseModel

EXPECTED, TOOL, ARGUMENTS = "expected", "expected_tool", "expected_args"
# A list of calls; other text that begins with a bracket is text.
_CALLS = re.compile(r"\[\s*[{\]]")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PAIRS = AsSet()

# Returns the arguments as they are kept, or raises ValueError.
Checker = Callable[[Mapping[str, Any]], dict[str, Any]]


class ToolCall:
    """A reply calls one of a few tools, as ``{"tool": name, "arguments": {…}}``, or none: ``{"tool": null}``, or plain text.

    ``name`` in place of ``tool``, a call in OpenAI's own form, arguments as a JSON text, and a list of one call are read as well. An answer
    with a tool is right where tool and arguments are; its score is the mean of both. The parts are ``call`` (whether the reply is valid),
    ``tool`` and ``arguments`` on rows where a tool is right (the F1 of the named values), and ``no_call`` on those where none is.

    Args:
        tools: function schemas as OpenAI takes them, or pydantic classes: the class's name, its docstring and its fields.

    Raises:
        TaskError: no tools, two of one name, or one whose schema is none.
    """

    reference_fields = (EXPECTED, TOOL, ARGUMENTS)
    classes = ()
    several = False
    parts = ("call", "tool", "arguments", "no_call")
    json_schema = None
    misfit = "no valid call"

    def __init__(self, tools: Sequence[Mapping[str, Any] | type[BaseModel]]) -> None:
        if not isinstance(tools, Sequence) or isinstance(tools, str) or not tools:
            raise TaskError(f"ToolCall takes a list of tools; seen {tools!r:.80}.")
        functions: list[dict[str, Any]] = []
        self._checkers: dict[str, Checker] = {}
        for tool in tools:
            function, checker = _function(tool)
            if function["name"] in self._checkers:
                raise TaskError(f"ToolCall: two tools are called {function['name']!r}. Give each a name of its own.")
            functions.append({"type": "function", "function": function})
            self._checkers[function["name"]] = checker
        self.tools = tuple(functions)
        self._named = re.compile(rf'"(?:tool|name)"\s*:\s*"(?:{"|".join(map(re.escape, self._checkers))})"')

    def __repr__(self) -> str:
        return f"ToolCall({', '.join(self._checkers)})"

    def describe(self) -> Mapping[str, Any]:
        """Return the contract as plain JSON values."""
        return {"kind": "tool_call", "tools": list(self.tools)}

    def parse(self, reply: str) -> dict[str, Any] | Malformed:
        """Return the call, ``{"tool": None}`` for none, or `Malformed` where a call is tried and is not valid."""
        text = reply.strip()
        if not text:
            return Malformed("empty reply")
        if not text.startswith("{") and not _CALLS.match(text):
            # In a fence, in tags or after words: whoever runs it either makes the call or fails, so it is not the answer without one.
            return Malformed("a call inside other text") if self._named.search(text) else {"tool": None}
        try:
            return self._call(read_json(text))
        except ValueError as error:
            return Malformed(str(error))

    def key(self, value: Mapping[str, Any]) -> str:
        """Return the call, whatever the order of its arguments."""
        return canonical(value)

    def written(self, value: Mapping[str, Any]) -> str:
        """Return the call as JSON on one line."""
        return to_json(value)

    def reference(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the call that a row expects: without ``arguments`` where the row names the tool alone.

        Raises:
            ValueError: it is no valid call, or its fields contradict each other.
        """
        if EXPECTED in given and len(given) > 1:
            raise ValueError(f"stand in one row; give the call in {EXPECTED!r} or its tool and arguments, not both")
        if EXPECTED not in given and TOOL not in given:
            raise ValueError(f"stands without {TOOL!r}; name the tool, or null where none is right")
        if given.get(TOOL) in (None, "") and given.get(ARGUMENTS):
            raise ValueError("contradict each other: arguments are given, and no tool")
        try:
            return self._wanted(given)
        except ValueError as error:
            raise ValueError(f"is {self.misfit}: {error}" if len(given) == 1 else f"are {self.misfit}: {error}") from None

    def _wanted(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if EXPECTED in given:
            call = given[EXPECTED]
            return self._call(read_json(call) if isinstance(call, str) else call)
        name, arguments = given[TOOL], given.get(ARGUMENTS)
        if name is None or name == "":
            return {"tool": None}
        if arguments is None:
            self._checker(name)
            return {"tool": name}
        return self._call({"tool": name, "arguments": arguments})

    def as_reference(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the call."""
        return value

    def shown(self, expected: Mapping[str, Any]) -> str:
        """Return the call as it is written."""
        return self.written(expected)

    def completion(self, expected: Mapping[str, Any]) -> str | None:
        """Return the call as it is written; None where a row names the tool alone."""
        return self.written(expected) if expected["tool"] is None or "arguments" in expected else None

    def grade(self, value: Mapping[str, Any] | Malformed, expected: Mapping[str, Any]) -> Grade:
        """Return how right the call is; one that is not valid is wrong, also where no tool is right."""
        valid = not isinstance(value, Malformed)
        called: Mapping[str, Any] = {} if isinstance(value, Malformed) else value
        same = valid and called["tool"] == expected["tool"]
        if expected["tool"] is None:
            return Grade(float(same), same, {"call": float(valid), "no_call": float(same)})
        asked = {"tool": float(same)}
        if "arguments" in expected:
            asked["arguments"] = (
                _PAIRS.compare(*([[*pair] for pair in each["arguments"].items()] for each in (called, expected)))[0] if same else 0.0
            )
        return Grade(sum(asked.values()) / len(asked), all(score == 1 for score in asked.values()), {"call": float(valid), **asked})

    def _call(self, call: Any) -> dict[str, Any]:
        """Return a checked call.

        Raises:
            ValueError: it is none.
        """
        if isinstance(call, list):
            if len(call) > 1:
                raise ValueError(f"{len(call)} calls, and one at most is right")
            call = call[0] if call else {"tool": None}
        if isinstance(call, dict) and isinstance(call.get("function"), dict):
            call = call["function"]
        if not isinstance(call, dict) or ("tool" in call) == ("name" in call):
            raise ValueError("no call: it does not name its tool")
        if unknown := sorted(call.keys() - {"tool", "name", "arguments"}):
            raise ValueError(f"no call: unknown key {unknown[0]!r}")
        name, arguments = call.get("tool", call.get("name")), call.get("arguments")
        if isinstance(arguments, str):
            arguments = read_json(arguments) if arguments.strip() else {}
        if name is None and not arguments:
            return {"tool": None}
        checker = self._checker(name)
        if not isinstance(arguments, dict | None):
            raise ValueError("the arguments are no JSON object")  # noqa: TRY004  (of a reply, which is text)
        return {"tool": name, "arguments": checker(arguments or {})}

    def _checker(self, name: object) -> Checker:
        if not isinstance(name, str) or name not in self._checkers:
            raise ValueError(f"no tool is called {name!r:.60}; the tools are {', '.join(self._checkers)}")
        return self._checkers[name]


def _function(tool: object) -> tuple[dict[str, Any], Checker]:
    """Return a tool as servers take it, and what checks its arguments."""
    if isinstance(tool, type):
        return _class_function(tool)
    function = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not _NAME.fullmatch(function["name"]):
        raise TaskError(
            f"ToolCall: a tool is a pydantic class or a function schema with a name of 1 to 64 a-z, 0-9, '_', '-'; seen {tool!r:.80}."
        )
    function = {name: value for name, value in function.items() if name != "type"}
    function.setdefault("parameters", {"type": "object", "properties": {}})
    return function, json_checker(f"ToolCall: the parameters of {function['name']!r}", function["parameters"])


def _class_function(tool: Any) -> tuple[dict[str, Any], Checker]:
    parameters = object_schema("ToolCall", tool)
    described = {"description": parameters.pop("description")} if "description" in parameters else {}
    return {"name": tool.__name__, **described, "parameters": parameters}, lambda arguments: checked(tool, arguments)
