"""Models: anything that answers prompts, as teacher or as student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_distill.models.checkpoint import Checkpoint as Checkpoint


@dataclass(frozen=True)
class Answer:
    """What a model said to one prompt.

    Attributes:
        text: the reply, without special tokens.
        outcome: ``answered``, or ``cut`` where it ran into max_tokens.
        tokens_in, tokens_out: prompt and reply length in the model's own tokens.
    """

    text: str
    outcome: str
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True)
class Timed:
    """How long one prompt took, asked alone.

    Attributes:
        seconds: from text in to text out, above 0.
        first_token: seconds until the first token was there, or None where the model cannot say.
        tokens_out: how many tokens were generated, the one that ends a reply included: it takes time like the others.
    """

    seconds: float
    first_token: float | None
    tokens_out: int


class Model(Protocol):
    """What the rest of the package asks of a model."""

    @property
    def name(self) -> str:
        """The name that reports show."""

    @property
    def digest(self) -> str:
        """What identifies its replies: equal digests, equal model."""

    @property
    def revision(self) -> str | None:
        """The pinned revision where there is one."""

    @property
    def parameters(self) -> int | None:
        """The number of weights, or None where nobody can say."""

    @property
    def local(self) -> bool:
        """Whether it runs on this machine, so that whatever else runs here changes its times. Taken as true where it does not say."""

    def load(self, device: str) -> None:
        """Make ready to answer on `device`; does nothing where it is ready."""

    def unload(self) -> None:
        """Free what `load` took."""

    def answer(self, prompts: Sequence[str], max_tokens: int) -> list[Answer]:
        """Answer the prompts greedily, in batches."""

    def time_one(self, prompt: str, max_tokens: int) -> Timed:
        """Answer one prompt alone and say how long it took, synchronised with the device."""
