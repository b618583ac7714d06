"""pytest-distill: decides whether a small student model can replace a large teacher on a bounded task."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_distill.answers import Json as Json
    from pytest_distill.answers import Labels as Labels
    from pytest_distill.answers import Text as Text
    from pytest_distill.answers import ToolCall as ToolCall
    from pytest_distill.compare import Comparison as Comparison
    from pytest_distill.curate import Curation as Curation
    from pytest_distill.errors import DistillError as DistillError
    from pytest_distill.judge import Judge as Judge
    from pytest_distill.measures import Serving as Serving
    from pytest_distill.models import Checkpoint as Checkpoint
    from pytest_distill.models import Endpoint as Endpoint
    from pytest_distill.student import Recipe as Recipe
    from pytest_distill.task import Example as Example
    from pytest_distill.task import Task as Task
    from pytest_distill.verdict import Judgement as Judgement

# Where each public name lives; imported when first used, so that loading the plugin stays cheap.
_HOME = {
    "Checkpoint": "pytest_distill.models",
    "Comparison": "pytest_distill.compare",
    "Curation": "pytest_distill.curate",
    "DistillError": "pytest_distill.errors",
    "Endpoint": "pytest_distill.models",
    "Example": "pytest_distill.task",
    "Judge": "pytest_distill.judge",
    "Judgement": "pytest_distill.verdict",
    "Json": "pytest_distill.answers",
    "Labels": "pytest_distill.answers",
    "Recipe": "pytest_distill.student",
    "Serving": "pytest_distill.measures",
    "Task": "pytest_distill.task",
    "Text": "pytest_distill.answers",
    "ToolCall": "pytest_distill.answers",
}
__all__ = sorted(_HOME)  # noqa: PLE0605  (a list of strings, sorted from the table above)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
