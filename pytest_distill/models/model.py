"""What a model is to the rest of the package, what it answers, and how long that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to one prompt.

    Attributes:
        text: the reply, without special tokens.
        outcome: ``answered``, ``cut`` where it ran into the token limit, or why it is no answer; see `recording.Reply`.
        tokens_in, tokens_out: prompt and reply length in the model's own tokens.
        tokens_cached: how many of `tokens_in` the server had cached.
        counted: whether anybody counted the tokens; where not, they are 0.
        detail: why it is no answer, in words.
        answered_by: the model that answered, as the server names it.
        seconds: from sending to the last byte, for an answer over the wire.
        first_token: seconds until the first token, for a streamed one.
        logprobs: for each token ``[token, logprob, [[token, logprob], …]]``; None where none came.
    """

    text: str
    outcome: str
    tokens_in: int
    tokens_out: int
    tokens_cached: int = 0
    counted: bool = True
    detail: str = ""
    answered_by: str = ""
    seconds: float | None = None
    first_token: float | None = None
    logprobs: Sequence[Any] | None = None


@dataclass(frozen=True)
class Timed:
    """How long one prompt took, asked alone.

    Attributes:
        seconds: from text in to text out, above 0.
        first_token: seconds until the first token was there, or None where the model cannot say.
        tokens_out: how many tokens were generated, the one that ends a reply included: it takes time like the others. None where
            nobody counted.
    """

    seconds: float
    first_token: float | None
    tokens_out: int | None


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
