"""Fine-tune the pretrained teacher on the reference labels of retrieval routing: all weights, no adapter.

    python -m training.finetune_teacher --base build/teacher --out training/checkpoints/reference-teacher

The rows are those of train.jsonl that carry a reference, and those of teacher.jsonl; a twentieth of them is held back as a validation split and printed after each
epoch (held-out rows are not read here). A checkpoint is written after each epoch and a started run resumes from it. The loss counts
the completion fully and the prompt with --prompt-weight, which keeps a small model's language alive.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_distill import Example
from tasks.retrieval_routing import HERE, retrieval_routing

# Rows for the teacher alone: the student is distilled on train.jsonl, as much as fits its minutes.
TEACHER_ROWS = HERE / "teacher.jsonl"
GRID = 16  # sequences are padded to multiples of this, so that few shapes are compiled


def learned_rows() -> list[Example]:
    """Return all rows that are not held out: those of train.jsonl and of teacher.jsonl."""
    return [*retrieval_routing.train_examples, *replace(retrieval_routing, train=TEACHER_ROWS).train_examples]


def reference_rows() -> list[Example]:
    """Return the rows that the teacher learns from: those with a reference."""
    return [example for example in learned_rows() if example.expected is not None]


def encoded(tokenizer: Any) -> list[tuple[list[int], int]]:
    """Return (ids, length of the prompt) of each row that the teacher learns from."""
    rows = []
    for example in reference_rows():
        prompt = tokenizer(retrieval_routing.render(example))["input_ids"]
        completion = tokenizer(f" {example.expected}", add_special_tokens=False)["input_ids"]
        rows.append((prompt + completion + [tokenizer.eos_token_id], len(prompt)))
    return rows


def batches(rows: list[tuple[list[int], int]], size: int, chance: random.Random) -> list[list[tuple[list[int], int]]]:
    """Return shuffled batches of rows of like length."""
    shuffled = sorted(rows, key=lambda row: (math.ceil(len(row[0]) / GRID), chance.random()))
    made = [shuffled[at : at + size] for at in range(0, len(shuffled), size)]
    chance.shuffle(made)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=Path("build/teacher"))
    parser.add_argument("--out", type=Path, default=Path("build/reference-teacher"))
    parser.add_argument("--work", type=Path, default=Path("build"), help="where the resume checkpoint lies")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=6e-4, help="peak learning rate")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--prompt-weight", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="do without a C++ compiler")
    options = parser.parse_args()

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.base)
    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.float32)
    rows = encoded(tokenizer)
    chance = random.Random(options.seed)
    chance.shuffle(rows)
    held, rows = rows[: len(rows) // 20], rows[len(rows) // 20 :]
    steps = math.ceil(len(rows) / options.batch) * options.epochs
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": options.weight_decay},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=options.rate,
        betas=(0.9, 0.98),
        fused=True,
    )

    def tensors(batch: list[tuple[list[int], int]]) -> tuple[Any, Any, Any]:
        """Return ids, mask and loss weights, padded on the right to the grid."""
        length = math.ceil(max(len(ids) for ids, _ in batch) / GRID) * GRID
        ids = torch.full((len(batch), length), tokenizer.pad_token_id)
        mask = torch.zeros((len(batch), length), dtype=torch.long)
        weights = torch.zeros((len(batch), length))
        for at, (row, start) in enumerate(batch):
            ids[at, : len(row)] = torch.tensor(row)
            mask[at, : len(row)] = 1
            weights[at, 1 : len(row)] = options.prompt_weight / max(start - 1, 1)
            weights[at, start : len(row)] = 1.0 / (len(row) - start)
        return ids, mask, weights

    def loss_of(ids: Any, weights: Any) -> Any:
        # Padding stands on the right and the model is causal, so no real token sees it and no mask is needed.
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        losses = torch.nn.functional.cross_entropy(model.lm_head(hidden).flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
        return (losses * weights[:, 1:].flatten()).sum() / ids.shape[0]

    fast_loss = torch.compile(loss_of, dynamic=False) if options.compile else loss_of
    if options.compile:
        import torch._dynamo

        torch._dynamo.config.recompile_limit = 64

    def accuracy() -> float:
        """Return how many held-back rows get every completion token right under teacher forcing (what greedy decoding gives)."""
        right = 0
        with torch.inference_mode():
            for at in range(0, len(held), 64):
                ids, mask, _ = tensors(held[at : at + 64])
                best = model(input_ids=ids, attention_mask=mask).logits.argmax(-1)
                for index, (row, start) in enumerate(held[at : at + 64]):
                    right += best[index, start - 1 : len(row) - 1].tolist() == row[start:]
        return right / len(held)

    epoch, step, seconds, history = 0, 0, 0.0, []
    checkpoint = options.work / "finetune_teacher.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        epoch, step, seconds, history = saved["epoch"], saved["step"], saved["seconds"], saved["history"]
        print(f"resumed after epoch {epoch}")
    started = time.monotonic() - seconds
    while epoch < options.epochs:
        for batch in batches(rows, options.batch, random.Random(options.seed + epoch)):
            rate = options.rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            ids, _, weights = tensors(batch)
            with torch.autocast("cpu", torch.bfloat16):
                loss = fast_loss(ids, weights)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if step % 50 == 0:
                pace = (time.monotonic() - started) / step
                print(f"step {step}/{steps} loss {loss.item():.3f}, {pace * (steps - step):.0f} s left", flush=True)
        epoch += 1
        seconds = time.monotonic() - started
        history.append(round(accuracy(), 4))
        print(f"epoch {epoch}: validation accuracy {history[-1]:.3f}, {seconds:.0f} s", flush=True)
        temporary = checkpoint.with_suffix(".tmp")
        torch.save(
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "epoch": epoch,
                "step": step,
                "seconds": seconds,
                "history": history,
            },
            temporary,
        )
        os.replace(temporary, checkpoint)

    model.to(torch.bfloat16).save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    report = {
        "rows": len(rows),
        "epochs": options.epochs,
        "validation_accuracy": history,
        "seconds": round(seconds),
        "learning_rate": options.rate,
        "batch": options.batch,
        "prompt_weight": options.prompt_weight,
        "weight_decay": options.weight_decay,
        "seed": options.seed,
        "torch": torch.__version__,
        "data_sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (retrieval_routing.train, TEACHER_ROWS)},
    }
    (options.out / "finetuning.json").write_text(json.dumps(report, indent=2) + "\n")
    checkpoint.unlink(missing_ok=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
