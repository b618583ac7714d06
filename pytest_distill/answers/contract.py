"""What every answer contract offers to the rest of the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

DIGITS = 6


@dataclass(frozen=True)
class Malformed:
    """A reply that satisfies no value of the contract; `reason` says why in a few words."""

    reason: str


@dataclass(frozen=True)
class Grade:
    """How right an answer is.

    Attributes:
        score: 0 to 1.
        right: whether the answer as a whole counts as right.
        parts: the score of each of its parts by name, 0 to 1, where an answer has parts; a part that a row does not ask for is left out.
    """

    score: float
    right: bool
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A lock keeps as many digits, and must measure as the run did.
        object.__setattr__(self, "score", round(float(self.score), DIGITS))
        object.__setattr__(self, "parts", {name: round(float(score), DIGITS) for name, score in self.parts.items()})


class Answer(Protocol):
    """What a contract offers. Values and references are plain JSON values; what a value is, each contract says."""

    @property
    def reference_fields(self) -> tuple[str, ...]:
        """The fields of a row that may hold the reference; a person's label and a reply that stands in a row go to the first."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that an answer can be, where they are few; empty where they are not."""

    @property
    def several(self) -> bool:
        """Whether an answer is any number of `classes` at once, in place of one of them."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of an answer's parts; empty where it has none."""

    @property
    def json_schema(self) -> Mapping[str, Any] | None:
        """The JSON schema that a server should hold replies to, or None."""

    @property
    def tools(self) -> tuple[Mapping[str, Any], ...]:
        """The tools that a server should offer to its model, as it takes them; empty where the contract has none."""

    @property
    def misfit(self) -> str:
        """What a reply is that satisfies no value of the contract, in a few words."""

    def describe(self) -> Mapping[str, Any]:
        """Return everything that decides right and wrong, as plain JSON values (it enters the task's digest)."""

    def parse(self, reply: str) -> Any:
        """Return the value that the reply text gives, or the `Malformed` that says why it gives none."""

    def key(self, value: Any) -> str:
        """Return a text that is the same for values that say the same, which are always graded alike."""

    def written(self, value: Any) -> str:
        """Return the reply that gives `value`, in its plainest form: what a student is trained on."""

    def reference(self, given: Mapping[str, Any]) -> Any:
        """Return the reference that a row's fields give, of which `given` holds those named in `reference_fields`.

        Raises:
            ValueError: they give none; the text follows a field's name in a sentence.
        """

    def as_reference(self, value: Any) -> Any:
        """Return the reference that a parsed value is."""

    def shown(self, expected: Any) -> str:
        """Return a reference as people read it."""

    def completion(self, expected: Any) -> str | None:
        """Return the reply that a student can be trained on in place of the teacher's; None where the reference is only a condition."""

    def grade(self, value: Any, expected: Any) -> Grade:
        """Return how right a parsed value, or a `Malformed`, is."""
