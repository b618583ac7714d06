"""Checkpoints: loading, merging, answering, and what is refused."""

from __future__ import annotations

import shutil

import pytest

from pytest_distill.errors import AdapterError, ModelError
from pytest_distill.models import Checkpoint
from tests.tiny import make_base

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

# What PEFT and transformers say to each other while a test uses them directly.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

PROMPTS = ["train row=1 want=no", "held row=22 want=yes, and a longer line than the others", "x"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random base model."""
    return make_base(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    """A random adapter on it, large enough to change replies."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = peft.LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    folder = tmp_path_factory.mktemp("adapters") / "a"
    model.save_pretrained(folder)
    return folder


def test_batched_and_single_replies_agree(base):
    """Left padding does not change a reply: a batch says what each prompt alone would get."""
    model = Checkpoint(base)
    model.load("cpu")
    together = model.answer(PROMPTS, 5)
    assert together == [model.answer([prompt], 5)[0] for prompt in PROMPTS]
    assert [answer.tokens_in for answer in together] == [len(model._tokenizer(prompt)["input_ids"]) for prompt in PROMPTS]
    assert all(answer.tokens_out <= 5 for answer in together)


def test_an_adapter_is_merged_and_changes_replies(base, adapter):
    """The merged model has no adapter left, as many parameters as its base, and other replies and another digest."""
    plain, merged = Checkpoint(base), Checkpoint(base, adapter=adapter)
    plain.load("cpu")
    merged.load("cpu")
    assert not any("lora" in name for name, _ in merged._model.named_parameters())
    assert merged.parameters == plain.parameters == sum(p.numel() for p in plain._model.parameters())
    assert merged.answer(PROMPTS, 5) != plain.answer(PROMPTS, 5)
    assert merged.digest != plain.digest


def test_merged_weights_are_those_of_the_attached_adapter(base, adapter):
    """Merging in memory gives the logits of the base with its adapter attached."""
    from transformers import AutoModelForCausalLM

    attached = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter)).eval()
    merged = Checkpoint(base, adapter=adapter)
    merged.load("cpu")
    ids = merged._tokenizer(PROMPTS[1], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        torch.testing.assert_close(merged._model(ids).logits, attached(ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_time_one_says_when_the_first_and_the_last_token_came(base, prompt):
    """A single prompt takes some time, less of it to the first token, and every generated token is counted."""
    model = Checkpoint(base)
    model.load("cpu")
    (answer,) = model.answer([prompt], 3)
    timed = model.time_one(prompt, 3)
    assert 0 < timed.first_token < timed.seconds < 60
    assert timed.tokens_out == answer.tokens_out + (answer.outcome == "answered")


def test_a_reply_that_ends_at_once_is_one_token(base, monkeypatch):
    """The token that ends a reply counts: it takes as long as the others."""
    model = Checkpoint(base)
    model.load("cpu")
    first = model._model.generate(**model._tokenizer(PROMPTS[0], return_tensors="pt"), max_new_tokens=1, do_sample=False)[0, -1]
    monkeypatch.setattr(model._model.generation_config, "eos_token_id", int(first))
    assert (model.answer([PROMPTS[0]], 5)[0].tokens_out, model.time_one(PROMPTS[0], 5).tokens_out) == (0, 1)


def test_timing_does_not_change_a_reply(base, adapter, monkeypatch):
    """Whoever watches the tokens neither stops nor alters them."""
    for model in (Checkpoint(base), Checkpoint(base, adapter=adapter)):
        model.load("cpu")
        alone = [model.answer([prompt], 9) for prompt in PROMPTS]
        watched, generate = [], model._generate
        monkeypatch.setattr(model, "_generate", lambda *args, to=watched, by=generate: to.append(by(*args)) or to[-1])
        for prompt in PROMPTS:
            model.time_one(prompt, 9)
        assert watched == alone


def test_a_gpu_is_waited_for_before_the_clock_is_read(base, monkeypatch):
    """On CUDA the start, the first token and the end are synchronised, and nothing in between."""
    model = Checkpoint(base)
    model.load("cpu")
    waits = []
    monkeypatch.setattr(model, "_synchronise", lambda: waits.append("wait"))
    model.time_one(PROMPTS[0], 5)
    assert len(waits) == 3


def test_a_folder_without_a_model_is_refused(tmp_path):
    """A base folder without safetensors weights is named."""
    with pytest.raises(ModelError, match="no transformers model in safetensors there"):
        _ = Checkpoint(tmp_path).digest


def test_a_hub_id_needs_its_commit():
    """A hub id without a 40-hex revision is refused, and one with it needs no file."""
    with pytest.raises(ModelError, match="needs revision='<40 hex digits>'"):
        _ = Checkpoint("Qwen/Qwen3-1.7B", revision="main").digest
    assert Checkpoint("Qwen/Qwen3-1.7B", revision="0" * 40).digest.startswith("sha256:")


def test_the_digest_follows_weights_and_not_notes(base, tmp_path):
    """A model card does not change a checkpoint's digest; a changed weight does."""
    copy = shutil.copytree(base, tmp_path / "copy")
    (copy / "README.md").write_text("a card")
    assert Checkpoint(copy).digest == Checkpoint(base).digest
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert Checkpoint(copy).digest != Checkpoint(base).digest


def test_an_adapter_for_another_base_is_refused(adapter, tmp_path):
    """An adapter whose shapes do not fit its base is an error that names both."""
    other = make_base(tmp_path / "other", width=64)
    with pytest.raises(ModelError, match="does not fit base"):
        Checkpoint(other, adapter=adapter).load("cpu")


def test_an_adapter_with_infinite_weights_is_refused(base, adapter, tmp_path):
    """Non-finite weights are found before the adapter is used."""
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(adapter, tmp_path / "broken")
    tensors = load_file(broken / "adapter_model.safetensors")
    tensors[min(tensors)][0, 0] = float("inf")
    save_file(tensors, broken / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="holds NaN or infinite weights"):
        Checkpoint(base, adapter=broken).load("cpu")
