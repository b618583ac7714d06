"""Whether a result is to be believed: what is missing, torn, incomplete or at odds with itself is an error, never a pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_distill import results
from pytest_distill.errors import DistillError
from pytest_distill.github.places import from_workspace
from pytest_distill.github.shape import RESULT

MODES = ("locked", "gpu", "record", "drift")
MOST_BYTES = 512 * 1024 * 1024
# What a mode leaves in place of gates, and which outcomes of it stand beside no pass.
INSTEAD = {"record": ("recorded", {"error"}), "drift": ("drift", {"error", "moved"})}
ENDINGS = {"1": "a gate was missed", "2": "interrupted, or collection failed", "3": "an internal error", "4": "wrong usage", "5": "no gate"}
WAY_OUT = "The log of the step that runs the gates says more."


@dataclass(frozen=True)
class Checked:
    """A result after the check.

    Attributes:
        result: as read, or None where it cannot be shown.
        verdict: pass, fail, inconclusive or error; cause: why, as text from outside.
        doubted: whether the verdict is an error that the result itself does not tell.
    """

    result: dict[str, Any] | None
    verdict: str
    cause: str
    doubted: bool = False


def checked(path: Path, mode: str, status: str) -> Checked:
    """Return the result at `path` with the verdict that it bears out.

    Args:
        path: of results.json.
        mode: one of MODES; status: pytest's exit status in decimal, or nothing where pytest did not come to its end.
    """
    status = status.strip()
    if not status:  # then nobody knows which run has left what lies there
        return Checked(None, "error", f"the gates did not run to their end: there is no exit status of pytest. {WAY_OUT}", doubted=True)
    ended = f"pytest ended with exit status {status}" + (f" ({ENDINGS[status]})" if status in ENDINGS else "")
    try:
        result = _read(path)
    except (DistillError, OSError, RecursionError, MemoryError) as error:
        said = str(error) or type(error).__name__
        return Checked(None, "error", f"{said.rstrip('.')}. {ended}. {WAY_OUT}", doubted=True)
    if result["verdict"] == "error":  # its own cause says more than what is missing in consequence
        return Checked(result, "error", result["cause"])
    fault = _at_odds(result) or _of_mode(result, mode)
    if not fault and result["verdict"] == "pass":
        fault = _passes(result, mode) or ("" if status == "0" else f"the verdict is pass, and {ended}")
    return Checked(result, "error", f"{fault}. {WAY_OUT}", doubted=True) if fault else Checked(result, result["verdict"], result["cause"])


def _read(path: Path) -> dict[str, Any]:
    """Return the result at `path`.

    Raises:
        DistillError: it is missing, too large, torn, of another schema or not of the shape of a result.
    """
    if path.exists() and not path.is_file():
        raise DistillError(f"{path} is not a file")
    if path.is_file() and (size := path.stat().st_size) > MOST_BYTES:
        raise DistillError(f"{path} has {size:,} bytes; at most {MOST_BYTES:,} are read")
    result = results.read(path)
    fault = RESULT(result, "")
    if fault:
        raise DistillError(f"{path} is not a result: {fault}. Run both steps with one version of pytest-distill")
    return result


def _at_odds(result: Mapping[str, Any]) -> str:
    """Return in which way a result is incomplete or contradicts itself, or nothing."""
    gates, counts = result["gates"], Counter(gate["outcome"] for gate in result["gates"])
    numbers = {"collected": result["collected"], "reported": result["reported"], "listed": len(gates)}
    if not result["complete"]:
        return f"the run is not complete: {result['cause']}"
    if len(set(numbers.values())) > 1 or len({gate["id"] for gate in gates}) != len(gates):
        return "the counts of gates disagree: " + ", ".join(f"{number} {name}" for name, number in numbers.items())
    for name in ("passed", "failed", "inconclusive"):
        if result["summary"][name] != counts[name]:
            return f"the summary counts {result['summary'][name]} gates {name}, and {counts[name]} are listed"
    return ""


def _of_mode(result: Mapping[str, Any], mode: str) -> str:
    """Return in which way a result is not one of `mode`, or nothing."""
    for name, (key, _) in INSTEAD.items():
        held = result["gates"] or result["changes"]
        if mode == name and (held or not result[key]):
            return f"the mode is {mode}, and the result holds " + ("gates" if held else f"nothing under {key!r}")
        if mode != name and result[key]:
            return f"the mode is {mode}, and the result is one of mode {name}"
    if mode in INSTEAD:
        return ""
    if result["locked"] != (mode == "locked"):
        return f"the mode is {mode}, and the result was {'judged' if result['locked'] else 'not judged'} from the lock"
    if result["root"] != ".":  # then the lock that was read, and the base commit's that it was compared with, are of two folders
        here, root = from_workspace(Path()), from_workspace(Path(result["root"]))
        return (
            f"the project is said to lie in {here!r}, and pytest's root folder, whose lock holds, is {root!r}. Give the root folder as"
            f" the input path, or put a pytest.ini into {here!r}"
        )
    return ""


def _passes(result: Mapping[str, Any], mode: str) -> str:
    """Return what stands beside a pass and cannot, or nothing."""
    if mode in INSTEAD:
        key, fatal = INSTEAD[mode]
        words = [entry["words"] for entry in result[key] if entry["outcome"] in fatal]
        many = f"{len(words)} of {len(result[key])} models"
        return f"the verdict is pass, and {many} are not as that says; first: {words[0]}" if words else ""
    verdict, cause = results.verdict(result["gates"], result["collected"], result["comparisons"], "", result["changes"])
    return "" if verdict == "pass" else f"the verdict is pass, and the gates say {verdict}: {cause}"
