"""Adapters as files: a whole one is taken, and every kind of damage is named before anything is loaded."""

from __future__ import annotations

import json
import struct

import pytest

from pytest_distill.errors import AdapterError
from pytest_distill.models.adapter import CONFIG, WEIGHTS, check_adapter, count_parameters, safetensors_header

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file


@pytest.fixture
def folder(tmp_path):
    """A whole adapter of two small tensors."""
    (tmp_path / CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 2}))
    save(tmp_path)
    return tmp_path


def save(folder, **changed):
    tensors = {"a.lora_A.weight": torch.ones(2, 8), "a.lora_B.weight": torch.zeros(4, 2, dtype=torch.bfloat16)}
    save_file({**tensors, **changed}, folder / WEIGHTS, metadata={"format": "pt"})


def refused(folder) -> str:
    with pytest.raises(AdapterError) as caught:
        check_adapter(folder)
    return str(caught.value)


def test_a_whole_adapter_is_taken(folder):
    """An adapter as the library writes it passes, and its header tells tensors and weights without loading them."""
    check_adapter(folder)
    header = safetensors_header(folder / WEIGHTS)
    assert {name: (tensor["dtype"], tensor["shape"]) for name, tensor in header.items()} == {
        "a.lora_A.weight": ("F32", [2, 8]), "a.lora_B.weight": ("BF16", [4, 2]),
    }  # fmt: skip
    assert count_parameters(folder / WEIGHTS) == 24


def test_a_file_cut_anywhere_is_refused(folder):
    """Of every length below its own, the file is refused as cut short or no safetensors."""
    data = (folder / WEIGHTS).read_bytes()
    for length in range(len(data)):
        (folder / WEIGHTS).write_bytes(data[:length])
        with pytest.raises(AdapterError, match=r"cut short|cannot be read as safetensors"):
            safetensors_header(folder / WEIGHTS)


def test_trailing_bytes_are_refused(folder):
    """A file that is longer than its header says is refused with both sizes."""
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data + b"\0")
    assert refused(folder).endswith(f"{len(data) + 1} bytes where its header says {len(data)}; the file is cut short or altered.")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_must_be_finite(folder, value, dtype):
    """One NaN or infinity among the weights refuses the adapter and names the tensor."""
    tensor = torch.zeros(4, 2, dtype=dtype)
    tensor[3, 1] = value
    save(folder, **{"a.lora_B.weight": tensor})
    assert "tensor a.lora_B.weight holds NaN or infinite weights" in refused(folder)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "cannot be read"),
        (b"", "cannot be read"),
        (b'{"peft_type": "LO', "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[]", "only plain LoRA adapters are loaded"),
        (b"{}", "only plain LoRA adapters are loaded"),
        (b'{"peft_type": "PREFIX_TUNING"}', "only plain LoRA adapters are loaded"),
        (b'{"peft_type": "LORA", "auto_mapping": {"parent_library": "os"}}', "auto_mapping is set"),
    ],
)
def test_the_configuration_must_be_plain_lora(folder, config, words):
    """A missing, torn or foreign configuration refuses the adapter and names the file."""
    (folder / CONFIG).unlink()
    if config is not None:
        (folder / CONFIG).write_bytes(config)
    message = refused(folder)
    assert message.startswith(str(folder / CONFIG))
    assert words in message


def test_pickled_weights_are_never_read(folder):
    """An adapter with nothing but adapter_model.bin is refused: weights come from safetensors only."""
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    assert refused(folder) == f"{folder / WEIGHTS}: there is no such file. Weights are read from safetensors only."


def test_a_pickle_under_the_right_name_is_refused(folder):
    """A file that torch.save wrote is no safetensors file, whatever it is called."""
    torch.save({"a": torch.ones(2)}, folder / WEIGHTS)
    assert "cut short or no safetensors file" in refused(folder)


def test_a_folder_in_the_place_of_weights(folder):
    """Where the weights cannot be opened as a file, the error says so."""
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()
    assert "cannot be read as safetensors" in refused(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"5",
        b'{"w": 5}',
        b'{"w": {}}',
        b'{"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, "16"]}}',
        b"[" * 100_000,
        b"\xff{}",
    ],
    ids=lambda header: header.decode("latin-1")[:24],
)
def test_a_header_of_another_form_is_refused(folder, header):
    """A file whose header is JSON, but no safetensors header, is refused like any other damage."""
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(AdapterError):
        safetensors_header(folder / WEIGHTS)


@pytest.mark.parametrize(("old", "new"), [(b"[2,8]", b"[2,9]"), (b'"F32"', b'"F64"'), (b'"shape":[4,2]', b'"sHape":[4,2]')])
def test_an_altered_header_is_refused(folder, old, new):
    """A shape or dtype that does not match the tensor's bytes refuses the adapter, naming its file."""
    data = (folder / WEIGHTS).read_bytes()
    assert old in data
    (folder / WEIGHTS).write_bytes(data.replace(old, new))
    assert refused(folder).startswith(str(folder / WEIGHTS))


def test_an_adapter_without_weights_is_refused(folder):
    """An adapter that holds no tensor at all is incomplete."""
    save_file({}, folder / WEIGHTS)
    assert str(folder / WEIGHTS) in refused(folder)
