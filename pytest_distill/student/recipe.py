"""Recipe: everything a person decides about a student's training, as plain data."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from pytest_distill.errors import TrainingError
from pytest_distill.models.checkpoint import base_digest

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make a student: a LoRA adapter on a base model, trained on the teacher's curated replies.

    Attributes:
        name: what reports and ``-k`` call the student; letters, digits, '.', '_' and '-'.
        base: a folder with a transformers model, or a hub id.
        revision: for a hub id, its 40-hex commit.
        rank: LoRA rank, 1 or more.
        alpha: LoRA scale; the update is multiplied by alpha / rank.
        dropout: LoRA dropout, 0 up to 1.
        targets: names of the linear modules that get a LoRA, or ``all-linear``: all of them but the head.
        train_whole: names of modules that are trained whole beside the LoRA and stored whole in the adapter, for example
            ``embed_tokens``; worth it for bases of a few million weights, where a LoRA saves little.
        learning_rate: peak rate, above 0; 2e-4 suits LoRA on hub models, tiny bases take more.
        epochs: passes over the training set, above 0.
        batch: examples a step, 1 or more.
        max_length: longest prompt plus completion in tokens; longer rows are dropped and counted.
        warmup: share of the steps with rising rate, 0 up to 1; afterwards the rate falls as a cosine.
        weight_decay: AdamW's decay, 0 or more.
        seed: of initialisation, row order and dropout.
        seeds: how many students are trained, with `seed` and the numbers after it, 1 to 20. Any of them may be shipped, so each is
            judged more strictly: at alpha / seeds.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        TrainingError: a value outside its range.
    """

    name: str
    base: str | os.PathLike[str]
    revision: str | None = None
    rank: int = 16
    alpha: float = 32
    dropout: float = 0.0
    targets: str | Sequence[str] = "all-linear"
    train_whole: Sequence[str] = ()
    learning_rate: float = 2e-4
    epochs: float = 3
    batch: int = 16
    max_length: int = 1024
    warmup: float = 0.05
    weight_decay: float = 0.0
    seed: int = 0
    seeds: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", os.fspath(self.base))
        if self.targets != "all-linear":
            object.__setattr__(self, "targets", _names(self.targets))
        object.__setattr__(self, "train_whole", _names(self.train_whole))
        rules: Mapping[str, tuple[bool, str]] = {
            "name": (
                isinstance(self.name, str) and bool(re.fullmatch(r"[\w-][\w.-]{0,63}", self.name)),
                "1 to 64 letters, digits, '.', '_', '-'",
            ),
            "rank": (_whole(self.rank, 1), "a whole number of 1 or more"),
            "alpha": (_number(self.alpha) and self.alpha > 0, "above 0"),
            "dropout": (_number(self.dropout) and 0 <= self.dropout < 1, "from 0 to below 1"),
            "targets": (self.targets == "all-linear" or bool(self.targets), "'all-linear' or a list of module names"),
            "train_whole": (self.train_whole is not None, "a list of module names"),
            "learning_rate": (_number(self.learning_rate) and 0 < self.learning_rate < 1, "above 0 and below 1"),
            "epochs": (_number(self.epochs) and self.epochs > 0, "above 0"),
            "batch": (_whole(self.batch, 1), "a whole number of 1 or more"),
            "max_length": (_whole(self.max_length, 8), "a whole number of 8 or more"),
            "warmup": (_number(self.warmup) and 0 <= self.warmup < 1, "from 0 to below 1"),
            "weight_decay": (_number(self.weight_decay) and self.weight_decay >= 0, "0 or more"),
            "seed": (_whole(self.seed, 0), "a whole number of 0 or more"),
            "seeds": (_whole(self.seeds, 1) and self.seeds <= 20, "a whole number from 1 to 20"),
            "device": (self.device in DEVICES, "one of " + ", ".join(DEVICES)),
        }
        for name, (fine, allowed) in rules.items():
            if not fine:
                raise TrainingError(f"recipe {self.name!r}: {name} must be {allowed}; seen {getattr(self, name)!r}.")

    def members(self) -> list[Recipe]:
        """Return the recipe of each declared seed, named ``<name>-seed0`` and so on; the recipe itself where only one is declared."""
        if self.seeds == 1:
            return [self]
        return [replace(self, name=f"{self.name}-seed{k}", seed=self.seed + k, seeds=1) for k in range(self.seeds)]

    def decided(self) -> dict[str, Any]:
        """Return what decides the trained weights, as plain JSON values: all fields but name, device and the number of seeds, and the base's digest.

        Raises:
            ModelError: the base is missing or not pinned.
        """
        values = asdict(self)
        del values["name"], values["device"], values["base"], values["seeds"]
        return {**values, "base_digest": base_digest(str(self.base), self.revision)}

    def to_json(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_json` wrote, ignoring unknown keys."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def _names(value: object) -> tuple[str, ...] | None:
    """Return a list of names as a tuple, or None where it is none."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) and name for name in value):
        return None
    return tuple(value)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
