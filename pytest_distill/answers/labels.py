"""Labels: the answer is one of a few words, or several of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pytest_distill.answers.contract import Grade, Malformed
from pytest_distill.answers.plain import read_json, to_json
from pytest_distill.errors import TaskError

NONE = "none"
MOST_NAMED = 12  # labels in a message; of more it tells their number
_BETWEEN = re.compile(r"[,;\n]")
_SPACES = re.compile(r"[\s_-]+")


class Labels:
    """A reply is exactly one of a few labels; blanks around it do not count, and the case of letters only where it is to.

    Args:
        labels: two or more distinct, non-empty labels without blanks at their ends.
        aliases: other words for labels, such as ``{"documentation": "docs"}``.
        case: whether the case of letters counts.
        spaces: whether blanks, '_' and '-' inside a label count; where not, ``not found`` is ``not_found`` and ``Not-Found``.
        several: whether a reply lists any number of labels: separated by commas, semicolons or line ends, or as a JSON array; ``none`` or
            ``[]`` is none of them. The score is then the F1 of both sets, and a reply is right where they are equal.

    Raises:
        TaskError: fewer than two labels, a repeated or an empty one, or an alias that is a label or stands for none.
    """

    reference_fields = ("expected_label", "expected")
    json_schema = None
    parts = ()
    tools = ()

    def __init__(
        self, *labels: str, aliases: Mapping[str, str] | None = None, case: bool = False, spaces: bool = True, several: bool = False
    ) -> None:
        if len(labels) < 2 or not all(isinstance(label, str) for label in labels):
            raise TaskError(f"Labels needs two or more strings; seen {labels!r}. Write Labels('yes', 'no').")
        for name, value in (("case", case), ("spaces", spaces), ("several", several)):
            if not isinstance(value, bool):
                raise TaskError(f"Labels({name}=…) is True or False; seen {value!r}.")
        if not isinstance(aliases, Mapping | None):
            raise TaskError(f"Labels(aliases=…) is a label by alias, such as {{'documentation': 'docs'}}; seen {aliases!r:.80}.")
        self.labels, self.aliases = labels, dict(aliases or {})
        self.case, self.spaces, self.several = case, spaces, several
        self._by_folded = {self._folded(label): label for label in labels}
        if len(self._by_folded) != len(labels):
            folded = Counter(map(self._folded, labels))
            twice = [label for label in labels if folded[self._folded(label)] > 1]
            raise TaskError(f"Labels are repeated: {', '.join(twice)}. Name each once; {self._alike} does not tell them apart.")
        if padded := [label for label in labels if not label or label != label.strip()]:
            raise TaskError(f"Labels may not be empty or begin or end with a blank; seen {padded[0]!r}.")
        for alias, label in self.aliases.items():
            if label not in labels:
                raise TaskError(f"Labels(aliases=…): {alias!r} stands for {label!r}, which is {self.misfit}{self._nearest(label)}.")
            if not isinstance(alias, str) or not alias.strip():
                raise TaskError(f"Labels(aliases=…): an alias is a text with letters in it; seen {alias!r}.")
            if self._by_folded.setdefault(self._folded(alias), label) != label:
                raise TaskError(f"Labels(aliases=…): {alias!r} stands for {self._by_folded[self._folded(alias)]!r} already.")
        self._none = NONE if several and self._folded(NONE) not in self._by_folded else "[]"
        if several and any(_BETWEEN.search(name) or name.startswith("[") for name in (*labels, *self.aliases)):
            raise TaskError("Labels(several=True) takes no label with a comma, a semicolon or a line end, or that begins with '['.")

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, of which an answer is one, or a list of some."""
        return self.labels

    @property
    def misfit(self) -> str:
        """What a reply is that is no label."""
        return f"none of {', '.join(self.labels)}" if len(self.labels) <= MOST_NAMED else f"none of the {len(self.labels)} labels"

    def __repr__(self) -> str:
        told = {name: value for name, value in self.describe().items() if name not in ("kind", "labels")}
        return f"Labels({', '.join([*map(repr, self.labels), *(f'{name}={value!r}' for name, value in told.items())])})"

    def describe(self) -> Mapping[str, Any]:
        """Return the contract as plain JSON values, without options that are as they are by default."""
        options = {
            "aliases": (self.aliases, {}),
            "case": (self.case, False),
            "spaces": (self.spaces, True),
            "several": (self.several, False),
        }
        told = {name: value for name, (value, usual) in options.items() if value != usual}
        return {"kind": "labels", "labels": list(self.labels), **told}

    def parse(self, reply: str) -> Any:
        """Return the label that `reply` is, or the list of labels in the order of the contract; or `Malformed`."""
        if not reply.strip():
            return Malformed("empty reply")
        if not self.several:
            return self._by_folded.get(self._folded(reply), Malformed(self.misfit))
        try:
            named = [self._by_folded.get(self._folded(name)) for name in self._listed(reply)]
        except ValueError as error:
            return Malformed(str(error))
        return Malformed(self.misfit) if None in named else self._ordered(named)

    def key(self, value: str | list[str]) -> str:
        """Return the label, or the labels as they are written."""
        return self.written(value)

    def written(self, value: str | list[str]) -> str:
        """Return the label, or the labels with commas between them."""
        return value if isinstance(value, str) else ", ".join(value) or self._none

    def reference(self, given: Mapping[str, Any]) -> str | list[str]:
        """Return what a row expects: each label to the letter, or as its alias is written; several as a list or as a reply lists them.

        Raises:
            ValueError: it names no label, or two fields say different things.
        """
        value, *others = given.values()
        if any(other != value for other in others):
            raise ValueError(f"say different things, {value!r} and {others[0]!r}")
        if not self.several:
            return self._to_the_letter(value)
        try:
            named = self._listed(value) if isinstance(value, str) and value.strip() else value
        except ValueError:
            named = None
        if not isinstance(named, list):
            raise ValueError(f"{value!r} is no list of labels")  # noqa: TRY004  (of a row, as the others)
        return self._ordered(self._to_the_letter(each) for each in named)

    def as_reference(self, value: str | list[str]) -> str | list[str]:
        """Return the value."""
        return value

    def shown(self, expected: str | list[str]) -> str:
        """Return the reference as it is written."""
        return self.written(expected)

    def completion(self, expected: str | list[str]) -> str:
        """Return the reference as it is written."""
        return self.written(expected)

    def grade(self, value: str | list[str] | Malformed, expected: str | list[str]) -> Grade:
        """Return the score 1 where `value` is what is expected, else 0, or the F1 of both sets."""
        right = value == expected
        if not isinstance(value, list) or right:
            return Grade(float(right), right)
        return Grade(2 * len({*value} & {*expected}) / (len(value) + len(expected)), right)

    def _folded(self, text: str) -> str:
        text = text.strip()
        if not self.spaces:
            text = _SPACES.sub(" ", text).strip()
        return text if self.case else text.casefold()

    @property
    def _alike(self) -> str:
        return " or ".join(name for name, counts in (("case", self.case), ("blanks, '_' and '-'", self.spaces)) if not counts) or "nothing"

    def _to_the_letter(self, value: object) -> str:
        if isinstance(value, str):
            if value in self.labels:
                return value
            if value in self.aliases:
                return self.aliases[value]
        raise ValueError(f"{value!r} is {self.misfit}{self._nearest(value)}")

    def _nearest(self, value: object) -> str:
        """Return a question for the label that may be meant, where messages do not name them all."""
        near = get_close_matches(str(value), self.labels, n=1) if len(self.labels) > MOST_NAMED else ()
        return f" (did you mean {near[0]!r}?)" if near else ""

    def _listed(self, text: str) -> list[str]:
        """Return the names in a text that lists labels."""
        text = text.strip()
        if not text.startswith("["):
            named = [name for part in _BETWEEN.split(text) if (name := part.strip())]
            if not named:
                raise ValueError(self.misfit)
            return [] if self._none == NONE and [name.casefold() for name in named] == [NONE] else named
        named = read_json(text)
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise ValueError(f"no list of labels: {to_json(named):.60}")
        return named

    def _ordered(self, labels: Iterable[str | None]) -> list[str]:
        chosen = {*labels}
        return [label for label in self.labels if label in chosen]
