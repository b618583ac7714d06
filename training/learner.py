"""What pretraining and fine-tuning share: AdamW, a cosine of the share done, and a checkpoint from which a stopped run resumes."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any


class Learner:
    """Changes a model's weights step by step and keeps them now and then, so that hours of learning may be broken off at any time."""

    def __init__(
        self, model: Any, checkpoint: Path, *, rate: float, betas: tuple[float, float], weight_decay: float, warmup: int, floor: float
    ) -> None:
        """Resume from the checkpoint where there is one.

        Args:
            model: the transformers model to train, all of it.
            checkpoint: file that `keep` writes.
            rate: peak learning rate.
            betas: of AdamW.
            weight_decay: of the matrices; what has one dimension is not decayed.
            warmup: steps until the peak.
            floor: share of the peak at which the cosine ends.
        """
        import torch

        self.model, self.checkpoint = model, checkpoint
        self.rate, self.warmup, self.floor = rate, warmup, floor
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.history: list[dict[str, float]] = []
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": weight_decay},
                {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=rate,
            betas=betas,
            fused=True,
        )
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step, self.tokens, self.seconds, self.history = saved["state"]
            print(f"resumed at step {self.step}, {self.tokens / 1e6:.1f}M tokens", flush=True)
        self._began = time.monotonic() - self.seconds
        self._kept = time.monotonic()

    def done(self, minutes: float, tokens: int = 0) -> float:
        """Return the share of the run that is done, by the clock, or by tokens where a number of them is given; 1 is the end."""
        self.seconds = time.monotonic() - self._began
        return self.tokens / tokens if tokens else self.seconds / 60 / minutes

    def learn(self, loss: Any, tokens: int, done: float) -> None:
        """Take one step down the gradient of `loss`, which was computed over so many tokens."""
        import torch

        cosine = self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1.0, (self.step + 1) / self.warmup) * cosine
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.tokens += tokens
        if self.step % 100 == 0:
            print(f"{done:5.1%} step {self.step} loss {loss.item():.3f} {self.tokens / max(self.seconds, 1):.0f} tokens/s", flush=True)

    @property
    def due(self) -> bool:
        """Whether five minutes have passed since the weights were kept."""
        return time.monotonic() - self._kept > 300

    def keep(self) -> None:
        """Write the checkpoint, whole or not at all."""
        import torch

        self._kept = time.monotonic()
        state = (self.step, self.tokens, self.seconds, self.history)
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "state": state}, temporary)
        os.replace(temporary, self.checkpoint)
