"""Fine-tune the pretrained teacher on the references of all four tasks, or drill a base in what they take: all weights, no adapter.

    python -m training.finetune --base build/teacher --out training/checkpoints/reference-teacher --minutes 80
    python -m training.finetune --base build/student --out build/drilled --prompts-alone --drills 20000 --prompt-weight 1

The rows are those of each task's train.jsonl that carry a reference and those that only the teacher sees: `teacher.jsonl` of retrieval
routing, and further rows that the scripts in training/rows make (--extra, a folder with <task>/*.jsonl).
A part of them is held back as a validation split and printed as the training goes on (held-out rows are not read here). The schedule
follows the clock; a checkpoint is written every five minutes and a started run resumes from it. The loss counts the completion fully
and the prompt with --prompt-weight, which keeps a small model's language alive.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from pytest_distill import Example, Task
from tasks.bug_summary import bug_summary
from tasks.evidence_summarization import evidence_summarization
from tasks.query_rewriting import query_rewriting
from tasks.retrieval_routing import HERE, retrieval_routing
from training.learner import Learner
from training.rows.drills import copies, lookups

TASKS = (retrieval_routing, query_rewriting, evidence_summarization, bug_summary)
# Rows for the teacher alone: the student is distilled on train.jsonl, as much as fits its minutes.
TEACHER_ROWS = HERE / "teacher.jsonl"
GRID = 32  # sequences are padded to multiples of this, so that few shapes are compiled
PROMPT_SHARE = 8  # one in so many of a prompt's tokens is scored
VALIDATION = 150  # rows of each task that are held back


def learned_rows(task: Task, extra: Path | None = None) -> list[Example]:
    """Return all rows of a task that are not held out: those of train.jsonl, and those that only the teacher sees."""
    files = [TEACHER_ROWS] if task is retrieval_routing else sorted((extra / task.name).glob("*.jsonl")) if extra else []
    return [*task.train_examples, *(example for file in files for example in replace(task, train=file).train_examples)]


# A row as it is learned: its token ids, and the positions of those that a model should learn to say.
Row = tuple[list[int], list[int]]


def encoded(task: Task, examples: list[Example], tokenizer: Any, answers: bool = True) -> list[Row]:
    """Return each example that has a reference to learn from; without answers the prompt of each."""
    rows: list[Row] = []
    for example in examples:
        if not answers:
            rows.append((tokenizer(task.render(example))["input_ids"], []))
            continue
        completion = None if example.expected is None else task.answer.completion(example.expected)
        if completion is not None:
            prompt = tokenizer(task.render(example))["input_ids"]
            reply = tokenizer(f" {completion}", add_special_tokens=False)["input_ids"]
            ids = prompt + reply + [tokenizer.eos_token_id]
            rows.append((ids, list(range(len(prompt), len(ids)))))
    return rows


def drilled(rows: list[Example], count: int, tokenizer: Any, seed: int) -> list[Row]:
    """Return so many drills in looking up over the items of these rows, and as many in copying."""
    made: list[Row] = []
    bundles = [str(example.fields["items"]) for example in rows]
    for pieces in (*islice(lookups(bundles, seed), count), *islice(copies(bundles, seed), count)):
        ids: list[int] = tokenizer("")["input_ids"]
        learned: list[int] = []
        for text, learn in pieces:
            added = tokenizer(text, add_special_tokens=False)["input_ids"]
            learned += range(len(ids), len(ids) + len(added)) if learn else ()
            ids += added
        made.append((ids, learned))
    return made


def batches(rows: list[Row], tokens: int, seed: int) -> Iterator[list[Row]]:
    """Yield batches of rows of like length, about `tokens` tokens each, shuffled anew for each pass, without end."""
    for epoch in range(10**6):
        chance = random.Random(seed + epoch)
        made: list[list[Row]] = []
        room, last = 0, 0
        for row in sorted(rows, key=lambda row: (math.ceil(len(row[0]) / GRID), chance.random())):
            length = math.ceil(len(row[0]) / GRID) * GRID
            if length != last or room < length:
                made.append([])
                room, last = tokens, length
            made[-1].append(row)
            room -= length
        chance.shuffle(made)
        yield from made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=Path("build/teacher"))
    parser.add_argument("--out", type=Path, default=Path("build/reference-teacher"))
    parser.add_argument("--work", type=Path, default=Path("build"), help="where the resume checkpoint lies")
    parser.add_argument("--extra", type=Path, help="folder of <task>/*.jsonl with rows for the teacher alone")
    parser.add_argument("--drills", type=int, default=0, help="how many drills in looking up, and as many in copying, are mixed in")
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--rate", type=float, default=6e-4, help="peak learning rate")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens a step")
    # Its rows are short, and hold little to learn from each.
    parser.add_argument("--routing-passes", type=int, default=2, help="how often rows of routing are seen where the others are seen once")
    parser.add_argument("--prompt-weight", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompts-alone", action="store_true", help="learn the prompts of the tasks, and not their answers: for a base")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="do without a C++ compiler")
    options = parser.parse_args()

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.base)
    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.float32)
    rows: list[Row] = []
    kinds: dict[str, list[Row]] = {}
    held: dict[str, list[Row]] = {}
    counts: dict[str, int] = {}
    for task in TASKS:
        kinds[task.name] = encoded(task, learned_rows(task, options.extra), tokenizer, answers=not options.prompts_alone)
    if options.drills:
        kinds["drills"] = drilled(learned_rows(evidence_summarization, options.extra), options.drills, tokenizer, options.seed)
    for name, found in kinds.items():
        random.Random(options.seed).shuffle(found)
        # A prompt alone has nothing to be right about.
        if back := [row for row in found[:VALIDATION] if row[1]]:
            held[name] = back
        kept = found[VALIDATION:]
        rows += kept * (options.routing_passes if name == retrieval_routing.name else 1)
        counts[name] = len(kept)
        print(f"{name}: {len(kept)} rows, {sum(len(ids) for ids, _ in kept) / 1e6:.2f}M tokens", flush=True)

    def tensors(batch: list[Row]) -> tuple[Any, Any, Any]:
        """Return ids, mask and loss weights, padded on the right to the grid."""
        length = math.ceil(max(len(ids) for ids, _ in batch) / GRID) * GRID
        ids = torch.full((len(batch), length), tokenizer.pad_token_id)
        mask = torch.zeros((len(batch), length), dtype=torch.long)
        weights = torch.zeros((len(batch), length))
        for at, (row, learned) in enumerate(batch):
            ids[at, : len(row)] = torch.tensor(row)
            mask[at, : len(row)] = 1
            # Logits are dear: of the prompt's tokens one in eight is scored, and counts for eight.
            scored = (torch.rand(len(row) - 1) < 1 / PROMPT_SHARE).float() * PROMPT_SHARE
            weights[at, 1 : len(row)] = scored * options.prompt_weight / max(len(row) - len(learned) - 1, 1)
            # Of a long reply few tokens are hard: it counts for more than a short one, and for less than its length.
            weights[at, learned] = max(len(learned), 1) ** -0.5
        return ids, mask, weights

    def loss_of(ids: Any, at: Any, weights: Any) -> Any:
        # Padding stands on the right and the model is causal, so no real token sees it and no mask is needed.
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state.flatten(0, 1)[at - 1]
        losses = torch.nn.functional.cross_entropy(model.lm_head(hidden).float(), ids.flatten()[at], reduction="none")
        return (losses * weights.flatten()[at]).sum() / ids.shape[0]

    fast_loss = torch.compile(loss_of, dynamic=True) if options.compile else loss_of

    def accuracy() -> dict[str, float]:
        """Return for each task how many held-back rows get every completion token right under teacher forcing (what greedy decoding gives)."""
        found = {}
        with torch.inference_mode():
            for name, kept in held.items():
                right = 0
                for at in range(0, len(kept), 16):
                    ids, mask, _ = tensors(kept[at : at + 16])
                    best = model(input_ids=ids, attention_mask=mask).logits.argmax(-1)
                    for index, (row, learned) in enumerate(kept[at : at + 16]):
                        right += all(best[index, position - 1] == row[position] for position in learned)
                found[name] = round(right / len(kept), 4)
        return found

    checkpoint = options.work / "finetune.pt"
    learner = Learner(model, checkpoint, rate=options.rate, betas=(0.9, 0.98), weight_decay=options.weight_decay, warmup=100, floor=0.02)
    for batch in batches(rows, options.tokens, options.seed + learner.step):
        if (done := learner.done(options.minutes)) >= 1:
            break
        ids, _, weights = tensors(batch)
        with torch.autocast("cpu", torch.bfloat16):
            loss = fast_loss(ids, weights.flatten().nonzero()[:, 0], weights)
        learner.learn(loss, ids.numel(), done)
        if learner.due:
            learner.history.append(accuracy())
            learner.keep()
            print(f"validation, every token right: {learner.history[-1]}", flush=True)

    pretraining = json.loads((options.base / "pretraining.json").read_text())
    before = options.base / "finetuning.json"
    model.to(torch.bfloat16).save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    report = {
        "rows": counts,
        "tokens_seen": learner.tokens,
        "steps": learner.step,
        "validation_exact": [*learner.history, accuracy()],
        "seconds": round(learner.seconds),
        "learning_rate": options.rate,
        "routing_passes": options.routing_passes,
        "tokens_a_step": options.tokens,
        "prompt_weight": options.prompt_weight,
        "weight_decay": options.weight_decay,
        "threads": options.threads,
        "seed": options.seed,
        "torch": torch.__version__,
        "data_sha256": {task.name: hashlib.sha256(task.train.read_bytes()).hexdigest() for task in TASKS},
        "before": json.loads(before.read_text()) if before.exists() else None,
    }
    (options.out / "finetuning.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.out / "pretraining.json").write_text(json.dumps(pretraining, indent=2) + "\n")
    checkpoint.unlink(missing_ok=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
