"""Pretrain one model of the reference family from nothing, on the text that training/corpus.py collected.

    python -m training.pretrain tokenizer --corpus build/corpus.txt
    python -m training.pretrain student --corpus build/corpus.txt --minutes 30
    python -m training.pretrain teacher --corpus build/corpus.txt --minutes 60
    python -m training.pretrain student --start build/student --corpus build/questions.txt --minutes 6    # second stage

A plain causal language model, AdamW under bf16 autocast, linear warm-up, then a cosine down to a tenth. The schedule follows the
clock (--minutes) or a token count (--tokens), so that a run ends when it was meant to on any machine. A checkpoint is written every
five minutes and a started run resumes from it. At the end the model goes to --out in bf16 safetensors, with pretraining.json
beside it (tokens seen, loss on a held-back part, seconds, machine, seed, digest of the corpus).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

from training.learner import Learner

VOCABULARY = 8192
# Width, feed-forward width, layers, heads; embeddings are tied. 10.06M and 2.24M parameters.
SHAPES = {"teacher": (320, 864, 6, 5), "student": (160, 432, 3, 4)}


def train_tokenizer(corpus: Path, out: Path) -> None:
    """Train the byte-level BPE that the whole family shares and write it to `out`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|end|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus.read_text(encoding="ascii").split("\0"), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>", model_max_length=512, padding_side="left"
    )
    fast.save_pretrained(out)
    print(f"{out}: {len(fast)} tokens")


def tokens_of(corpus: Path, tokenizer: Any) -> Any:
    """Return the corpus as one int32 tensor, documents joined by the end token; cached beside the corpus."""
    import numpy as np
    import torch

    cache = corpus.with_suffix(".npy")
    if not cache.exists():
        ids: list[int] = []
        for document in corpus.read_text(encoding="ascii").split("\0"):
            ids.extend(tokenizer(document, verbose=False)["input_ids"])
            ids.append(tokenizer.eos_token_id)
        np.save(cache, np.array(ids, dtype=np.int32))
    return torch.from_numpy(np.load(cache))


def pretrain(name: str, options: argparse.Namespace) -> None:
    """Train the model called `name` until its clock or its token count runs out; see the module's docstring."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    width, feed, layers, heads = SHAPES[name]
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=feed,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM.from_pretrained(options.start, dtype=torch.float32) if options.start else LlamaForCausalLM(config)
    parameters = sum(p.numel() for p in model.parameters())
    text = tokens_of(options.corpus, tokenizer)
    blocks = text[: len(text) // options.length * options.length].view(-1, options.length)
    held, blocks = blocks[:256].long(), blocks[256:]

    checkpoint = options.work / f"{name}.pt"
    learner = Learner(model, checkpoint, rate=options.rate, betas=(0.9, 0.95), weight_decay=0.1, warmup=200, floor=0.1)

    def loss_of(batch: Any) -> Any:
        hidden = model.model(input_ids=batch, use_cache=False).last_hidden_state[:, :-1]
        return torch.nn.functional.cross_entropy(model.lm_head(hidden).flatten(0, 1), batch[:, 1:].flatten())

    def held_loss() -> float:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return sum(float(loss_of(part)) for part in held.split(16)) / 16

    fast_loss = torch.compile(loss_of) if options.compile else loss_of
    order = torch.randperm(len(blocks), generator=torch.Generator().manual_seed(options.seed))
    while (done := learner.done(options.minutes, options.tokens)) < 1:
        at = learner.step * options.batch % (len(blocks) - options.batch)
        batch = blocks[order[at : at + options.batch]].long()
        with torch.autocast("cpu", torch.bfloat16):
            loss = fast_loss(batch)
        learner.learn(loss, batch.numel(), done)
        if learner.due:
            learner.keep()
            print(f"{name} held-back loss {held_loss():.3f} at {learner.tokens / 1e6:.1f}M tokens", flush=True)

    final = held_loss()
    before = json.loads((options.start / "pretraining.json").read_text()) if options.start else None
    model.to(torch.bfloat16).save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    report = {
        "model": name,
        "first_stage": before,
        "parameters": parameters,
        "tokens_seen": learner.tokens,
        "corpus_tokens": len(text),
        "corpus_sha256": hashlib.sha256(options.corpus.read_bytes()).hexdigest(),
        "held_back_loss": round(final, 4),
        "seconds": round(learner.seconds),
        "threads": options.threads,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "seed": options.seed,
        "learning_rate": options.rate,
        "batch": options.batch,
        "length": options.length,
    }
    (options.out / "pretraining.json").write_text(json.dumps(report, indent=2) + "\n")
    checkpoint.unlink(missing_ok=True)
    print(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tokenizer", *SHAPES])
    parser.add_argument("--corpus", type=Path, default=Path("build/corpus.txt"))
    parser.add_argument("--tokenizer", type=Path, default=Path("build/tokenizer"))
    parser.add_argument("--start", type=Path, help="go on from this model, with a schedule of its own")
    parser.add_argument("--out", type=Path, help="default: build/<what>")
    parser.add_argument("--work", type=Path, default=Path("build"), help="where the resume checkpoint lies")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=0, help="end after this many tokens instead of --minutes")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=128, help="tokens a row of the batch")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="do without a C++ compiler")
    options = parser.parse_args()
    options.out = options.out or Path("build") / options.what
    options.work.mkdir(parents=True, exist_ok=True)
    if options.what == "tokenizer":
        train_tokenizer(options.corpus, options.tokenizer)
    else:
        pretrain(options.what, options)


if __name__ == "__main__":
    main()
