"""A local transformers model, with or without a LoRA adapter, merged in memory as it would be served."""

from __future__ import annotations

import math
import os
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_distill.errors import ModelError
from pytest_distill.files import digest, file_digest, folder_digests
from pytest_distill.models.adapter import CONFIG, WEIGHTS, check_adapter, count_parameters
from pytest_distill.models.device import settle_threads
from pytest_distill.models.model import Answer, Timed

BATCH = 64
# What decides a model's replies; anything else in the folder (a model card, a training report) does not.
_MODEL_FILES = re.compile(r"config\.json|generation_config\.json|.*\.safetensors|.*\.safetensors\.index\.json|tokenizer.*|vocab.*|merges.*|"
                          r"special_tokens_map\.json|added_tokens\.json|chat_template\..*")  # fmt: skip


def base_digest(base: str, revision: str | None) -> str:
    """Return what identifies a base: the digest of a local folder's model files, or the hub id with its pinned revision.

    Raises:
        ModelError: the folder holds no safetensors model, or a hub id comes without a 40-hex revision.
    """
    folder = Path(base)
    if folder.is_dir():
        files = {name: sha for name, sha in folder_digests(folder).items() if _MODEL_FILES.fullmatch(name)}
        if "config.json" not in files or not any(name.endswith(".safetensors") for name in files):
            raise ModelError(f"{base}: no transformers model in safetensors there (config.json and *.safetensors are needed).")
        return digest(files)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base) and not base.startswith("."):
        if not revision or not re.fullmatch(r"[0-9a-f]{40}", revision):
            raise ModelError(
                f"base {base!r} needs revision='<40 hex digits>', the commit of the hub repository; seen {revision!r}."
                " Without it the same test could judge another model tomorrow."
            )
        return digest([base, revision])
    raise ModelError(f"base {base!r} is neither a folder here nor a hub id like 'owner/name'.")


def checked_price(price: object) -> tuple[float, float, float] | None:
    """Return a price as three numbers, or None where there is none.

    Raises:
        ModelError: it is neither.
    """
    if price is None:
        return None
    given = price if isinstance(price, (tuple, list)) else ()
    if len(given) == 3 and all(type(part) in (int, float) and 0 <= part < math.inf for part in given):
        return (float(given[0]), float(given[1]), float(given[2]))
    raise ModelError(f"price is (input, cached input, output) in US dollars a million tokens, for example (3, 0.3, 15); seen {price!r}.")


class Checkpoint:
    """A transformers causal language model on this machine.

    Args:
        base: a folder with config, tokenizer and safetensors weights, or a hub id.
        revision: for a hub id, the 40-hex commit; required then.
        adapter: a folder with a LoRA adapter (adapter_config.json, adapter_model.safetensors), merged on loading.
        name: what reports call it; by default the last part of `base` or of `adapter`.
        price: what its tokens cost where it is served: US dollars a million input, cached input and output tokens, each 0 or more.

    Raises:
        ModelError: a wrong price; when first used, where files are missing, damaged or not pinned.
    """

    local = True

    def __init__(
        self,
        base: str | os.PathLike[str],
        *,
        revision: str | None = None,
        adapter: str | os.PathLike[str] | None = None,
        name: str | None = None,
        price: tuple[float, float, float] | None = None,
    ) -> None:
        self.base = os.fspath(base)
        self.revision = revision
        self.adapter = Path(adapter) if adapter is not None else None
        self.name = name or (self.adapter or Path(self.base)).name
        self.price = checked_price(price)
        self._model: Any = None
        self._tokenizer: Any = None
        self._device = "cpu"

    def __repr__(self) -> str:
        adapter = f", adapter={str(self.adapter)!r}" if self.adapter else ""
        return f"Checkpoint({self.base!r}{adapter}, name={self.name!r})"

    @cached_property
    def digest(self) -> str:
        """What identifies its replies: the files of base and adapter."""
        base = base_digest(self.base, self.revision)
        if self.adapter is None:
            return base
        weights = self.adapter / WEIGHTS
        count_parameters(weights)  # a missing or torn file is refused before it is hashed
        return digest([base, file_digest(weights), file_digest(self.adapter / CONFIG)])

    @cached_property
    def parameters(self) -> int | None:
        """The number of weights as served (an adapter merges into its base); None for a hub model not on this machine."""
        folder = Path(self.base)
        if not folder.is_dir():
            return None
        return sum(count_parameters(path) for path in sorted(folder.glob("*.safetensors")))

    def load(self, device: str) -> None:
        """Load base and adapter and merge them; does nothing where that is done.

        Raises:
            ModelError: naming what is missing or damaged; also where the extra `train` is not installed.
        """
        if self._model is not None:
            return
        _ = self.digest
        if self.adapter is not None:
            check_adapter(self.adapter)
        torch = import_torch()
        settle_threads()
        with quiet_libraries():
            self._load(torch, device)

    def _load(self, torch: Any, device: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        # On a CPU float32 is both the fastest and the reproducible choice; a GPU serves bf16.
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.base, revision=self.revision, padding_side="left")
            model = AutoModelForCausalLM.from_pretrained(self.base, revision=self.revision, dtype=dtype, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise ModelError(f"base {self.base!r} cannot be loaded: {error}") from error
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        if self.adapter is not None:
            from peft import PeftModel

            try:
                model = PeftModel.from_pretrained(model, str(self.adapter)).merge_and_unload()
            except (OSError, ValueError, RuntimeError, KeyError) as error:
                raise ModelError(f"adapter {self.adapter} does not fit base {self.base!r}: {error}") from error
        self._model, self._tokenizer, self._device = model.to(device).eval(), tokenizer, device

    def unload(self) -> None:
        """Drop the weights."""
        self._model = self._tokenizer = None
        if self._device == "cuda":
            import torch

            torch.cuda.empty_cache()

    def answer(self, prompts: Sequence[str], max_tokens: int) -> list[Answer]:
        """Answer greedily, in left-padded batches, in the order given; `load` comes first."""
        return [answer for start in range(0, len(prompts), BATCH) for answer in self._generate(prompts[start : start + BATCH], max_tokens)]

    def time_one(self, prompt: str, max_tokens: int) -> Timed:
        """Answer one prompt alone and say how long it took, synchronised with the device."""
        import torch
        from transformers import StoppingCriteria

        synchronise, first, tokens = self._synchronise, 0.0, 0

        class Watch(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped
            """Asked after every token; stops nothing."""

            def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
                nonlocal first, tokens
                tokens += 1
                if tokens == 1:
                    synchronise()
                    first = time.perf_counter()
                return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

        synchronise()
        started = time.perf_counter()
        self._generate([prompt], max_tokens, Watch())
        synchronise()
        return Timed(time.perf_counter() - started, first - started, tokens)

    @property
    def context(self) -> int | None:
        """How many tokens prompt and reply may have together, once loaded; None where the model does not say."""
        found: int | None = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        return found

    def lengths(self, prompts: Sequence[str]) -> list[int]:
        """Return how many tokens each prompt is when asked; `load` comes first."""
        # What is too long is for the caller to say, not for the tokenizer.
        return [len(ids) for ids in self._tokens(prompts, verbose=False)["input_ids"]]

    def _tokens(self, prompts: Sequence[str], **options: Any) -> Any:
        """Return the tokenizer's output for the prompts as they are asked: as one turn of a user where there is a chat template."""
        tokenizer = self._tokenizer
        if not tokenizer.chat_template:
            return tokenizer(list(prompts), **options)
        turns = [[{"role": "user", "content": prompt}] for prompt in prompts]
        texts = [tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) for turn in turns]
        return tokenizer(texts, add_special_tokens=False, **options)

    def _synchronise(self) -> None:
        if self._device == "cuda":
            import torch

            torch.cuda.synchronize()

    def _generate(self, prompts: Sequence[str], max_tokens: int, *watch: Any) -> list[Answer]:
        import torch
        from transformers import GenerationConfig, StoppingCriteriaList

        tokenizer, model = self._tokenizer, self._model
        inputs = self._tokens(prompts, return_tensors="pt", padding=True)
        inputs = {name: inputs[name].to(self._device) for name in ("input_ids", "attention_mask")}
        ends = model.generation_config.eos_token_id or tokenizer.eos_token_id
        # A configuration of our own: sampling defaults that a hub model ships must not reach a judged reply.
        greedy = GenerationConfig(max_new_tokens=max_tokens, do_sample=False, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = model.generate(**inputs, generation_config=greedy, stopping_criteria=StoppingCriteriaList(watch))
        end_ids = set(ends if isinstance(ends, list) else [ends])
        answers = []
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        for length, row in zip(lengths, output[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
            stop = next((at for at, token in enumerate(row) if token in end_ids), None)
            reply = row if stop is None else row[:stop]
            text = tokenizer.decode(reply, skip_special_tokens=True)
            answers.append(Answer(text, "cut" if stop is None else "answered", length, len(reply)))
        return answers


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the warnings and progress bars that model libraries aim at each other from failing or littering a run."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def import_torch() -> Any:
    """Return the torch module.

    Raises:
        ModelError: it is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise ModelError("torch is not installed, and a local model must be loaded. Run: pip install 'pytest-distill[train]'") from None
    return torch
