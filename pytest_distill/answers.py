"""Answer contracts: what a reply may be, and how right it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_distill.errors import TaskError


@dataclass(frozen=True)
class Malformed:
    """A reply that satisfies no value of the contract; `reason` says why in a few words."""

    reason: str


class Answer(Protocol):
    """What a contract offers to the rest of the package."""

    @property
    def reference_field(self) -> str:
        """The field of a row that holds the reference."""

    @property
    def json_schema(self) -> Mapping[str, Any] | None:
        """The JSON schema that a server should hold replies to, or None."""

    @property
    def misfit(self) -> str:
        """What a reply is that satisfies no value of the contract, in a few words."""

    def describe(self) -> Mapping[str, Any]:
        """Return everything that decides right and wrong, as plain JSON values (it enters the task's digest)."""

    def parse(self, reply: str) -> str | Malformed:
        """Return the value that the reply text gives, or why it gives none."""

    def check_reference(self, value: object) -> str | None:
        """Return what is wrong with a row's reference, or None."""

    def score(self, value: str | Malformed, expected: str) -> float:
        """Return how right a parsed value is, 0 to 1."""


class Labels:
    """A reply is exactly one of a few labels; blanks around it and the case of letters do not count.

    Args:
        labels: two or more distinct, non-empty labels without blanks at their ends.

    Raises:
        TaskError: fewer than two labels, a repeated or an empty one.
    """

    reference_field = "expected_label"
    json_schema = None

    def __init__(self, *labels: str) -> None:
        folded = [label.casefold() for label in labels if isinstance(label, str)]
        if len(labels) < 2 or len(folded) != len(labels):
            raise TaskError(f"Labels needs two or more strings; seen {labels!r}. Write Labels('yes', 'no').")
        if len(set(folded)) != len(folded):
            raise TaskError(f"Labels are repeated: {', '.join(labels)}. Name each once; case does not tell them apart.")
        if any(not label or label != label.strip() for label in labels):
            raise TaskError(f"Labels may not be empty or begin or end with a blank; seen {labels!r}.")
        self.labels = labels
        self._by_folded = dict(zip(folded, labels, strict=True))

    @property
    def misfit(self) -> str:
        """What a reply is that is no label."""
        return f"none of {', '.join(self.labels)}"

    def __repr__(self) -> str:
        return f"Labels({', '.join(map(repr, self.labels))})"

    def describe(self) -> Mapping[str, Any]:
        """Return the contract as plain JSON values."""
        return {"kind": "labels", "labels": list(self.labels)}

    def parse(self, reply: str) -> str | Malformed:
        """Return the label that `reply` is, or `Malformed`."""
        label = self._by_folded.get(reply.strip().casefold())
        if label is not None:
            return label
        return Malformed(self.misfit if reply.strip() else "empty reply")

    def check_reference(self, value: object) -> str | None:
        """Return what is wrong with `value` as a reference, or None: it must be one of the labels to the letter."""
        if value in self.labels:
            return None
        return f"{value!r} is none of {', '.join(self.labels)}"

    def score(self, value: str | Malformed, expected: str) -> float:
        """Return 1.0 where `value` is the expected label, else 0.0."""
        return float(value == expected)
