"""Adapters as files: whether a folder holds a whole, finite LoRA adapter; nothing is executed to find out."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from pytest_distill.errors import AdapterError

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
_HEADER_LIMIT = 100_000_000


def safetensors_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file: dtype, shape and offsets by tensor name.

    Raises:
        AdapterError: the file is missing, cut short, empty of tensors, or no safetensors file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else _HEADER_LIMIT
            if length > min(_HEADER_LIMIT, size):
                raise AdapterError(f"{path}: the file is cut short or no safetensors file.")
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise AdapterError(f"{path}: there is no such file. Weights are read from safetensors only.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterError(f"{path}: cannot be read as safetensors: {error}.") from None
    tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"} if isinstance(header, dict) else {}
    if not tensors or not all(_is_tensor(tensor) for tensor in tensors.values()):
        raise AdapterError(f"{path}: its header names no tensors with dtype, shape and offsets; no safetensors file.")
    end = max(tensor["data_offsets"][1] for tensor in tensors.values())
    if size != 8 + length + end:
        raise AdapterError(f"{path}: {size} bytes where its header says {8 + length + end}; the file is cut short or altered.")
    return tensors


def _is_tensor(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    whole = all(isinstance(part, list) and all(type(number) is int and number >= 0 for number in part) for part in (shape, offsets))
    return whole and offsets is not None and len(offsets) == 2


def count_parameters(path: Path) -> int:
    """Return the number of weights in a safetensors file; errors as `safetensors_header`."""
    return sum(math.prod(tensor["shape"]) for tensor in safetensors_header(path).values())


def check_adapter(folder: Path) -> None:
    """Refuse a folder that is no whole LoRA adapter in safetensors with finite weights (imports torch).

    Raises:
        AdapterError: naming the file and what is wrong with it.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder / CONFIG}: cannot be read: {error}. An adapter folder holds {CONFIG} and {WEIGHTS}.") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA" or config.get("auto_mapping"):
        raise AdapterError(f"{folder / CONFIG}: only plain LoRA adapters are loaded; peft_type is not LORA or auto_mapping is set.")
    safetensors_header(folder / WEIGHTS)
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise AdapterError(f"{folder / WEIGHTS}: cannot be read as safetensors: {error}.") from None
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise AdapterError(f"{folder / WEIGHTS}: tensor {name} holds NaN or infinite weights. Train or fetch the adapter again.")
