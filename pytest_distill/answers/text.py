"""Text: the answer is free text, held against accepted texts or against a condition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_distill.answers.comparers import check_right
from pytest_distill.answers.contract import Grade, Malformed
from pytest_distill.answers.plain import read_json
from pytest_distill.answers.words import folded, rouge_l, token_f1, words
from pytest_distill.errors import TaskError

METRICS = ("exact", "token_f1", "rouge_l")
EXPECTED, ANY, SUBSTR, REFUSAL = "expected", "expected_any", "expected_substr", "expected_refusal"
# How a refusal begins: what is said of the speaker's own will or power in the first two sentences. "We" may well be a team with a locked file.
_CANNOT = r"(?:can ?not|cant|could not|couldnt|wont|will not|would not)"
_REFUSAL = re.compile(
    rf"\bsorry (?:but |however |unfortunately )*(?:i|we) (?:really |just |simply )*(?:{_CANNOT}|(?:am |are )?unable)\b"
    rf"|\bi (?:simply |just )?{_CANNOT} (?:\w+ )?(?:do|write(?! to\b)|create|tell(?! you how\b)|recommend)\b"
    rf"|\b(?:i|we) (?:simply |just )?{_CANNOT} (?:\w+ )?"
    r"(?:help(?! but\b)|assist|answer|provide|give|share|comply|fulfil|fulfill|support|discuss|disclose|reveal)\b"
    r"|\b(?:i am|im|we are|were) (?:\w+ )?(?:unable|not able|not allowed|not permitted|not going|not comfortable)\b"
    r"|\bi (?:do not|dont) feel comfortable\b"
    r"|\bi (?:must|have to|need to|will) (?:\w+ )?(?:decline|refuse)\b|\bi (?:decline|refuse)\b|\bas an ai\b"
)


def is_refusal(reply: str) -> bool:
    """Whether an English reply declines to answer: in its first two sentences the speaker says not to be able, allowed or willing to."""
    start = " ".join(re.split(r"(?<=[.!?]) ", folded(reply))[:2])
    return bool(_REFUSAL.search(" ".join(words(start, articles=True))))


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(text: str) -> list[str]:
    """Return the list of texts that a cell of a table holds as JSON; other text is itself the only one."""
    try:
        found = read_json(text)
    except ValueError:
        return [text]
    return found if isinstance(found, list) and found and all(isinstance(each, str) for each in found) else [text]


class Text:
    """A reply is free text; it is scored against the best of the accepted texts, or against a condition that a row sets.

    Before texts are compared the case of letters, punctuation, English articles and blanks are set aside.

    Args:
        metric: ``exact`` (1 where nothing differs, else 0), ``token_f1`` (the words that both have) or ``rouge_l`` (in the same order).
        right: the score, above 0 to 1, from which a reply counts as right.
        case: whether the case of letters counts.
        articles: whether English articles count.

    Raises:
        TaskError: another metric, or a `right` out of range.
    """

    reference_fields = (EXPECTED, ANY, SUBSTR, REFUSAL)
    classes = ()
    several = False
    parts = ()
    tools = ()
    json_schema = None
    misfit = "no text"

    def __init__(self, metric: str = "exact", right: float = 1.0, *, case: bool = False, articles: bool = False) -> None:
        if metric not in METRICS:
            raise TaskError(f"Text(metric=…) is one of {', '.join(METRICS)}; seen {metric!r}.")
        check_right("Text", right)
        for name, value in (("case", case), ("articles", articles)):
            if not isinstance(value, bool):
                raise TaskError(f"Text({name}=…) says whether it counts, True or False; seen {value!r}.")
        self.metric, self.right, self.case, self.articles = metric, float(right), case, articles

    def __repr__(self) -> str:
        more = "".join(f", {name}=True" for name in ("case", "articles") if getattr(self, name))
        return f"Text({self.metric!r}, right={self.right:g}{more})"

    def describe(self) -> Mapping[str, Any]:
        """Return the contract as plain JSON values."""
        return {"kind": "text", "metric": self.metric, "right": self.right, "case": self.case, "articles": self.articles}

    def parse(self, reply: str) -> str | Malformed:
        """Return the reply without blanks at its ends; an empty one, or one that cannot be written as UTF-8, is `Malformed`."""
        text = reply.strip()
        return (text if _is_whole(text) else Malformed("half of a surrogate pair")) if text else Malformed("empty reply")

    def key(self, value: str) -> str:
        """Return the text with single blanks, and in one case where case does not count: a row may ask for any part of it."""
        return folded(value, case=self.case)

    def written(self, value: str) -> str:
        """Return the text."""
        return value

    def reference(self, given: Mapping[str, Any]) -> list[str] | dict[str, Any]:
        """Return the accepted texts of a row as a list, or its condition as ``{"substr": […]}`` or ``{"refusal": true}``.

        Raises:
            ValueError: they are no texts, or the row gives more than one kind of reference.
        """
        # Exported tables have every column in each row.
        given = {name: value for name, value in given.items() if value is not None} or given
        if len(given) > 1:
            raise ValueError("stand in one row; a row has one kind of reference")
        ((name, value),) = given.items()
        if name == REFUSAL:
            if isinstance(value, str) and value.strip().casefold() in {"true", "false"}:
                value = value.strip().casefold() == "true"
            if not isinstance(value, bool):
                raise ValueError(f"must be true (the reply refuses) or false (it does not); seen {value!r}")
            return {"refusal": value}
        if name == EXPECTED and not isinstance(value, str):
            raise ValueError(f"must be a text; seen {value!r}. Give several accepted texts as a list in {ANY!r}")
        texts = value if not isinstance(value, str) else [value] if name == EXPECTED else _listed(value)
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError(f"must be a text or a list of texts, none of them empty; seen {value!r}")
        if not all(map(_is_whole, texts)):
            raise ValueError(f"holds half of a surrogate pair, which is no text; seen {value!r}")
        return {"substr": texts} if name == SUBSTR else [text.strip() for text in texts]

    def as_reference(self, value: str) -> list[str]:
        """Return the text as the only one that is accepted."""
        return [value]

    def shown(self, expected: list[str] | Mapping[str, Any]) -> str:
        """Return the accepted texts, or the condition in words."""
        if isinstance(expected, list):
            return " | ".join(expected)
        if "substr" in expected:
            return "a reply with " + " and ".join(map(repr, expected["substr"]))
        return "a refusal" if expected["refusal"] else "no refusal"

    def completion(self, expected: list[str] | Mapping[str, Any]) -> str | None:
        """Return the first of the accepted texts; None for a condition."""
        return expected[0] if isinstance(expected, list) else None

    def grade(self, value: str | Malformed, expected: list[str] | Mapping[str, Any]) -> Grade:
        """Return the score against the best of the accepted texts, or 1 where the condition holds and 0 where not."""
        if isinstance(value, Malformed):
            return Grade(0.0, right=False)
        if isinstance(expected, list):
            ours = self._words(value)
            score = max(self._score(ours, self._words(text)) for text in expected)
            return Grade(score, score >= self.right)
        if "substr" in expected:
            held = all(folded(part, case=self.case) in folded(value, case=self.case) for part in expected["substr"])
        else:
            held = is_refusal(value) == expected["refusal"]
        return Grade(float(held), held)

    def _words(self, text: str) -> tuple[str, ...]:
        return words(text, case=self.case, articles=self.articles)

    def _score(self, ours: tuple[str, ...], theirs: tuple[str, ...]) -> float:
        if self.metric == "exact":
            return float(ours == theirs)
        return token_f1(ours, theirs) if self.metric == "token_f1" else rouge_l(ours, theirs)
