"""What pretraining and fine-tuning share: a run that was broken off goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training.learner import Learner

torch = pytest.importorskip("torch")


def made(checkpoint: Path) -> tuple[Any, Learner]:
    """A model of two weights, the same each time, and its learner."""
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.bias.fill_(0.0)
    return model, Learner(model, checkpoint, rate=0.1, betas=(0.9, 0.95), weight_decay=0.1, warmup=5, floor=0.1)


def learn(model: Any, learner: Learner, steps: int) -> None:
    """Take so many steps of a run of twenty."""
    for _ in range(steps):
        learner.learn((model(torch.ones(1, 2)) ** 2).sum(), 3, learner.step / 20)


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path):
    """Stopped after eight steps and resumed from its checkpoint, a model has the weights of one that learned twenty steps at once."""
    whole, learner = made(tmp_path / "none.pt")
    learn(whole, learner, 20)
    first, learner = made(tmp_path / "kept.pt")
    learn(first, learner, 8)
    learner.history.append({"task": 0.5})
    learner.keep()
    learn(first, learner, 2)  # lost
    again, learner = made(tmp_path / "kept.pt")
    assert (learner.step, learner.tokens, learner.history) == (8, 24, [{"task": 0.5}])
    learn(again, learner, 12)
    assert torch.equal(whole.weight, again.weight)
    assert float(whole.weight.detach()[0, 0]) < 1


def test_what_is_done_follows_the_clock_or_the_tokens(tmp_path):
    """The share done is that of the minutes, or of the tokens where a number of them is given."""
    model, learner = made(tmp_path / "none.pt")
    learn(model, learner, 10)
    assert learner.done(minutes=60) < 0.01
    assert learner.done(minutes=60, tokens=60) == 0.5
