"""Recipes for students. A hub model takes one line: Recipe(name="qwen3-1.7b", base="Qwen/Qwen3-1.7B", revision="<40 hex>")."""

from __future__ import annotations

from pathlib import Path

from pytest_distill import Recipe

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
