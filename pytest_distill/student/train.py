"""The trainer's child process: ``python -m pytest_distill.student.train JOB_FOLDER``.

Reads job.json, train.jsonl and validation.jsonl; writes trace.jsonl as it goes and, only when all went well, adapter/. It knows
nothing of tasks, limits or pytest, so that the same folder can be worked on anywhere.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_distill.student.recipe import Recipe


class Trace:
    """trace.jsonl: one event a line, flushed at once, so that whoever follows sees it live."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="ascii", buffering=1)

    def write(self, **event: Any) -> None:
        """Append one event."""
        self._file.write(json.dumps(event, allow_nan=False) + "\n")
        self._file.flush()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a JSONL file of the job."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def tokenised(rows: list[dict[str, str]], tokenizer: Any, max_length: int) -> tuple[list[dict[str, list[int]]], list[str]]:
    """Return input ids and labels (the completion and its end; -100 elsewhere), and the ids of rows that were too long and left out."""
    kept, dropped = [], []
    for row in rows:
        prompt, completion = row["prompt"], row["completion"]
        if tokenizer.chat_template:
            turns = [{"role": "user", "content": prompt}]
            asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            turns.append({"role": "assistant", "content": completion})
            whole = tokenizer.apply_chat_template(turns, tokenize=False)
            start = tokenizer(asked, add_special_tokens=False)["input_ids"]
            ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        else:
            # A blank belongs to the word that follows it in most vocabularies, so it is the completion that brings it.
            joint = "" if prompt[-1:].isspace() else " "
            start = tokenizer(prompt)["input_ids"]
            ids = start + tokenizer(joint + completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        if len(ids) > max_length:
            dropped.append(row["id"])
        else:
            kept.append({"input_ids": ids, "labels": [-100] * len(start) + ids[len(start) :]})
    return kept, dropped


def bf16_pays(torch: Any, device: str) -> bool:
    """Return whether mixed bf16 precision is faster than float32: on a GPU, and on CPUs with instructions for it."""
    if device == "cuda":
        return True
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def train(folder: Path) -> None:
    """Run the job in `folder`; raises whatever went wrong, with nothing published."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    recipe, device = Recipe.from_json(job["recipe"]), job["device"]
    trace = Trace(folder / "trace.jsonl")
    warnings.simplefilter("ignore")

    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    _score_labelled_tokens_alone()
    torch.set_num_threads(job["threads"])
    set_seed(recipe.seed)
    tokenizer = AutoTokenizer.from_pretrained(recipe.base, revision=recipe.revision)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    gpu, bf16 = device == "cuda", bf16_pays(torch, device)
    model = AutoModelForCausalLM.from_pretrained(
        recipe.base, revision=recipe.revision, dtype=torch.bfloat16 if gpu else torch.float32, use_safetensors=True
    )
    rows, dropped = tokenised(read_rows(folder / "train.jsonl"), tokenizer, recipe.max_length)
    validation, validation_dropped = tokenised(read_rows(folder / "validation.jsonl"), tokenizer, recipe.max_length)
    too_long = dropped + validation_dropped
    precision = "bf16" if bf16 else "fp32"
    trace.write(rows=len(rows), too_long=len(too_long), too_long_ids=too_long[:3], validation=len(validation), precision=precision)
    if not rows:
        raise ValueError(f"all {len(dropped)} training rows are longer than max_length={recipe.max_length} tokens")
    random.Random(recipe.seed).shuffle(rows)

    started = time.monotonic()
    parent = os.getppid()

    class Follow(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """Writes the trace, stops at a loss that is no number, and ends with the process that started this one."""

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            seconds = round(time.monotonic() - started, 2)
            if logs and "loss" in logs:
                if not math.isfinite(logs["loss"]):
                    raise FloatingPointError(f"the loss became {logs['loss']} at step {state.global_step}; lower the learning rate")
                trace.write(step=state.global_step, steps=state.max_steps, loss=round(logs["loss"], 5), seconds=seconds)
            if logs and "eval_loss" in logs:
                trace.write(step=state.global_step, validation_loss=round(logs["eval_loss"], 5), seconds=seconds)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if os.getppid() != parent:
                os._exit(3)

    steps = math.ceil(len(rows) / recipe.batch * recipe.epochs)
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(validation) if validation else None,
        peft_config=LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules=recipe.targets if isinstance(recipe.targets, str) else list(recipe.targets),
            modules_to_save=list(recipe.train_whole) or None,
            # A base that reads and writes with one table of embeddings does so still when the table is trained.
            ensure_weight_tying=_trains_tied(model, recipe.train_whole),
            task_type="CAUSAL_LM",
        ),
        args=SFTConfig(
            output_dir=str(folder / "trainer"),
            per_device_train_batch_size=recipe.batch,
            per_device_eval_batch_size=64,
            max_steps=steps,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=recipe.warmup,
            weight_decay=recipe.weight_decay,
            max_length=recipe.max_length,
            dataset_kwargs={"skip_prepare_dataset": True},
            train_sampling_strategy="group_by_length",
            logging_steps=max(1, min(10, steps // 20)),
            # The filter replaces a loss that is no number by 0 in the logs, and so hides it.
            logging_nan_inf_filter=False,
            eval_strategy="no",
            save_strategy="no",
            report_to="none",
            use_cpu=not gpu,
            bf16=bf16,
            activation_checkpointing=gpu,
            seed=recipe.seed,
            disable_tqdm=True,
        ),
        callbacks=[Follow()],
    )
    trainer.train()
    if validation:
        trainer.evaluate()
    for name, tensor in trainer.model.named_parameters():
        if tensor.requires_grad and not bool(torch.isfinite(tensor).all()):
            raise FloatingPointError(f"the trained weights {name} are not finite; lower the learning rate")
    partial = folder / "adapter.partial"
    trainer.model.save_pretrained(str(partial), safe_serialization=True)
    os.rename(partial, folder / "adapter")
    trace.write(done=True, seconds=round(time.monotonic() - started, 2))


def _trains_tied(model: Any, train_whole: Sequence[str]) -> bool:
    """Return whether embeddings that are the output's as well are among the modules that are trained whole."""
    names = {name.rpartition(".")[2] for name, module in model.named_modules() if module is model.get_input_embeddings()}
    return bool(getattr(model.config, "tie_word_embeddings", False)) and not names.isdisjoint(train_whole)


def _score_labelled_tokens_alone() -> None:
    """Let TRL score the tokens that have a label, of all the vocabulary, and no others: on a CPU too.

    TRL does so where Triton is. Elsewhere it scores the prompt's tokens as well and drops them, for devices that compile anew for each
    shape: on a CPU that is most of a small student's training, for the same loss. No setting of TRL's says so.
    """
    from trl.trainer import utils

    if hasattr(utils, "_use_triton"):
        utils._use_triton = lambda _device: True  # noqa: SLF001


def main() -> int:
    """Run the job named on the command line; a failure is written to the trace and is the exit status 1."""
    folder = Path(sys.argv[1])
    try:
        train(folder)
    except Exception as error:
        Trace(folder / "trace.jsonl").write(error=f"{type(error).__name__}: {error}"[:2000])
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
