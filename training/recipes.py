"""Recipes for students. A hub model takes one line: Recipe(name="qwen3-1.7b", base="Qwen/Qwen3-1.7B", revision="<40 hex>")."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_distill import Recipe
from pytest_distill.models.device import pick

CHECKPOINTS = Path(__file__).parent / "checkpoints"

# A base of two million weights learns a new task slowly through low-rank updates alone: the attention gets a LoRA, and the rest is
# trained whole beside it. Chosen on the 3,000 rows of teacher.jsonl, which the student never sees. Small batches: steps are what it lacks.
tiny = Recipe(
    name="tiny",
    base=CHECKPOINTS / "reference-student-base",
    rank=32,
    alpha=64,
    targets=["q_proj", "k_proj", "v_proj", "o_proj"],
    train_whole=["embed_tokens", "mlp", "input_layernorm", "post_attention_layernorm", "norm"],
    learning_rate=4e-4,
    epochs=1.3,
    batch=8,
    max_length=192,
)

# Where the answer is written out rows are longer, and most of it is copied: the base is the one of `tiny`, drilled in that, and steps are
# lacking even more. Chosen on 300 other bugs in the modules of bug summary's training rows: two passes in batches of four reached 0.928 there,
# three in batches of eight 0.905, at half as much cost again.
tiny_writer = replace(tiny, base=CHECKPOINTS / "reference-writer-base", learning_rate=8e-4, epochs=2, batch=4, max_length=512)

# Three times as long, 25 minutes of a CPU core at bug summary; what it reaches there stands beside the tiny one's in checkpoints/README.md.
long_writer = replace(tiny_writer, name="tiny-long", epochs=6)


def wants_gpu(why: str) -> pytest.MarkDecorator:
    """Return the mark that skips a benchmark where no GPU is, with this reason."""
    return pytest.mark.skipif(pick("auto", "the benchmark") == "cpu", reason=f"needs a GPU: {why}")
