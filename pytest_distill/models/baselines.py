"""The cheap rungs below a trained student: the commonest completion, a linear model, and the base that was only prompted."""

from __future__ import annotations

import hashlib
import os
import re
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pytest_distill.errors import ModelError
from pytest_distill.files import digest
from pytest_distill.models.checkpoint import Checkpoint
from pytest_distill.models.model import Answer, Timed

# Chosen by 4-fold cross-validation on the training rows of retrieval routing (83.4 %). Punctuation and the beginning of the text count
# as words. Pieces that fewer than one prompt in 5,000 has cost time and generalise worse; small training sets keep every piece.
WORDS = {"ngram_range": (1, 3), "token_pattern": r"\A|\w+|[^\w\s]", "sublinear_tf": True, "min_df": 2e-4}
CHARACTERS = {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True, "min_df": 2e-4}
CLASSIFIER = {"C": 0.6, "random_state": 0}
# One weight vector is fitted for each completion: thousands would take hours and gigabytes. More than FEW are a choice only where they
# recur, on average RECURRING times; else they are texts.
FEW, MOST, RECURRING = 100, 500, 2


class _Chooser:
    """A model that chooses among the completions of its training rows; it reads no tokens and generates none."""

    revision: str | None = None
    local = True

    def __init__(self, rows: Sequence[tuple[str, str]]) -> None:
        self._rows = tuple(rows)
        self._commonest = Counter(completion for _, completion in self._rows).most_common(1)[0][0]

    def _choose(self, prompts: Sequence[str]) -> list[str]:
        return [self._commonest] * len(prompts)

    def answer(self, prompts: Sequence[str], max_tokens: int) -> list[Answer]:
        """Answer the prompts in the order given; completions are whole, so `max_tokens` cuts none of them."""
        return [Answer(text, "answered", 0, 0) for text in self._choose(prompts)]

    def time_one(self, prompt: str, max_tokens: int) -> Timed:
        """Answer one prompt alone and say how long it took; there is no first token."""
        started = time.perf_counter()
        self.answer([prompt], max_tokens)
        return Timed(time.perf_counter() - started, None, 0)


class Majority(_Chooser):
    """Answers every prompt with the most frequent completion of the training set (of equally frequent ones the first seen).

    Args:
        rows: (prompt, completion) of the training set, one or more.
    """

    name = "majority"
    parameters: int | None = 0

    @cached_property
    def digest(self) -> str:
        """What identifies its replies: the completion."""
        return digest(["majority", self._commonest])

    def load(self, device: str) -> None:
        """Do nothing: there is nothing to load."""

    def unload(self) -> None:
        """Do nothing: there is nothing to free."""


class Linear(_Chooser):
    """A linear support vector machine over TF-IDF of words and of pieces of words, one against the rest (scikit-learn's LinearSVC).

    It is fitted when first loaded, on the CPU whatever the device: a few seconds of one core for 15,000 short prompts. The order in which rows
    are visited is seeded, so equal rows and an equal scikit-learn give equal replies. What all prompts begin with is not read: an
    instruction tells none of them apart.

    Args:
        rows: (prompt, completion) of the training set, one or more.

    Attributes:
        parameters: the number of coefficients; None until it has been fitted.
    """

    name = "linear"

    def __init__(self, rows: Sequence[tuple[str, str]]) -> None:
        super().__init__(rows)
        self.parameters: int | None = None
        self._pipeline: Any = None
        self._start = os.path.commonprefix([prompt for prompt, _ in self._rows])  # noqa: RUF071  (texts, no paths)
        self._start = self._start[: self._start.rfind("\n") + 1]

    @cached_property
    def digest(self) -> str:
        """What identifies its replies: rows, settings and the version of scikit-learn, which is not imported for it."""
        try:
            build = version("scikit-learn")
        except PackageNotFoundError:
            build = "none"
        return digest(["linear", self._rows, WORDS, CHARACTERS, CLASSIFIER, build])

    def load(self, device: str) -> None:
        """Fit on the training rows; does nothing where that is done.

        Raises:
            ModelError: scikit-learn is not installed, or there are more distinct completions than it chooses among.
        """
        if self._pipeline is not None:
            return
        self.check()
        if len({completion for _, completion in self._rows}) == 1:
            self.parameters = 0
            return
        with warnings.catch_warnings():
            # A fit that stops short of convergence is judged by its replies like any other.
            warnings.simplefilter("ignore")
            self._fit()

    def check(self) -> None:
        """Refuse rows that are no choice among a few, before anything is fitted.

        Raises:
            ModelError: there are more distinct completions than it chooses among.
        """
        distinct = len({completion for _, completion in self._rows})
        most = max(FEW, min(MOST, len(self._rows) // RECURRING))
        if distinct > most:
            raise ModelError(
                f"the linear rung chooses among at most {most} completions; the training set has {distinct} distinct ones."
                " Leave this rung out: the task is not a choice among a few."
            )

    def _fit(self) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
            from sklearn.pipeline import make_pipeline, make_union
            from sklearn.svm import LinearSVC
        except ModuleNotFoundError:
            raise ModelError(
                "scikit-learn is not installed, and the linear rung must be fitted. Run: pip install 'pytest-distill[train]'"
            ) from None
        classifier = LinearSVC(**CLASSIFIER)
        # Two separate TF-IDFs: each is brought to length 1, so the many pieces of words do not drown the words.
        pipeline = make_pipeline(make_union(TfidfVectorizer(**WORDS), TfidfVectorizer(**CHARACTERS)), classifier)
        prompts, completions = zip(*self._rows, strict=True)
        self._pipeline = pipeline.fit(self._read(prompts), list(completions))
        self.parameters = classifier.coef_.size

    def unload(self) -> None:
        """Drop the fitted model."""
        self._pipeline = None

    def _choose(self, prompts: Sequence[str]) -> list[str]:
        if self._pipeline is None or not prompts:
            return super()._choose(prompts)
        return [str(completion) for completion in self._pipeline.predict(self._read(prompts))]

    def _read(self, prompts: Sequence[str]) -> list[str]:
        return [prompt.removeprefix(self._start) for prompt in prompts]


class Prompted:
    """The student's base without any training: asked with the bare prompt, or with solved examples above it.

    The bare prompt asks it exactly as the trained student is asked, so that reply is left as it came. Below examples a base goes on
    with the next one: that reply ends at the first line break after some text (at the first blank line where an example's completion
    holds line breaks itself, nowhere where one holds blank lines), and such a reply is ``answered`` though the generation ran on.

    Args:
        base: the student's base; several rungs may share one, which is loaded once.
        shots: (prompt, completion) of the examples shown, in this order; `choose_shots` picks some.
    """

    local = True

    def __init__(self, base: Checkpoint, shots: Sequence[tuple[str, str]] = ()) -> None:
        self.base = base
        self.shots = tuple(shots)
        # Prompt and completion are joined as in training.
        self._above = "".join(f"{prompt}{'' if prompt[-1:].isspace() else ' '}{completion}\n\n" for prompt, completion in self.shots)
        self._break = next((mark for mark in ("\n", "\n\n") if not any(mark in completion for _, completion in self.shots)), None)

    @property
    def name(self) -> str:
        """``base``, with the number of examples where some are shown."""
        count = len(self.shots)
        return f"base, {count} example{'s' if count > 1 else ''}" if count else "base"

    @cached_property
    def digest(self) -> str:
        """What identifies its replies: the base and the examples."""
        return digest(["prompted", self.base.digest, self.shots])

    @property
    def revision(self) -> str | None:
        """The pinned revision of the base where there is one."""
        return self.base.revision

    @property
    def parameters(self) -> int | None:
        """The number of weights of the base."""
        return self.base.parameters

    def load(self, device: str) -> None:
        """Load the base; does nothing where that is done.

        Raises:
            ModelError: as `Checkpoint.load` does.
        """
        self.base.load(device)

    def unload(self) -> None:
        """Drop the base's weights."""
        self.base.unload()

    def answer(self, prompts: Sequence[str], max_tokens: int) -> list[Answer]:
        """Answer the prompts greedily, in batches; `load` comes first.

        Raises:
            ModelError: examples, prompt and `max_tokens` exceed the base's context; no prompt has been answered then.
        """
        return [self._ended(answer) for answer in self.base.answer(self._texts(prompts, max_tokens), max_tokens)]

    def time_one(self, prompt: str, max_tokens: int) -> Timed:
        """Answer one prompt alone and say how long it took, the tokens after the reply's end included.

        Raises:
            ModelError: as `answer` does.
        """
        return self.base.time_one(self._texts([prompt], max_tokens)[0], max_tokens)

    def _texts(self, prompts: Sequence[str], max_tokens: int) -> list[str]:
        texts = [self._above + prompt for prompt in prompts]
        if self.shots and texts:
            self._check_context(texts, max_tokens)
        return texts

    def _check_context(self, texts: list[str], max_tokens: int) -> None:
        context = self.base.context
        if context is None:
            return
        asked = max(self.base.lengths(texts)) + max_tokens
        if asked > context:
            raise ModelError(
                f"{self.name}: the prompt does not fit: {asked} tokens asked, context is {context}"
                f" (base {self.base.base!r}, {max_tokens} tokens of reply included). Show fewer or shorter examples."
            )

    def _ended(self, answer: Answer) -> Answer:
        if not self.shots or self._break is None:
            return answer
        found = re.match(rf"\s*\S.*?(?={self._break})", answer.text, re.DOTALL)
        return replace(answer, text=found[0], outcome="answered") if found else answer


def choose_shots(rows: Sequence[tuple[str, str]], k: int) -> list[tuple[str, str]]:
    """Return up to `k` of the (prompt, completion) rows as examples to show: one per distinct completion in turn, the commonest first.

    Within a completion the rows are drawn by the SHA-256 of their prompt, and so are equally frequent completions: the choice depends
    neither on chance nor on the order of the rows. All rows are returned where there are no more than `k`.
    """
    by_completion: dict[str, list[tuple[str, str]]] = {}
    for row in sorted(rows, key=lambda row: hashlib.sha256(row[0].encode()).digest()):
        by_completion.setdefault(row[1], []).append(row)
    groups = sorted(by_completion.values(), key=len, reverse=True)
    turns = [group[turn] for turn in range(max(map(len, groups), default=0)) for group in groups if turn < len(group)]
    return turns[:k]
