"""Weights from a file into a model."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from hybridquant.models.errors import reject

StateDict = Mapping[str, Tensor]

# Where training scripts put the weights in what they save.
_WRAPPERS = ("state_dict", "model")
_TORCH_SUFFIXES = (".pt", ".pth", ".pth.tar")


def read_state_dict(path: Path) -> StateDict:
    """Return the tensors of a checkpoint file by their names.

    A dictionary inside ``{"state_dict": ...}`` or ``{"model": ...}`` is unwrapped, and the
    ``module.`` that DistributedDataParallel puts before every name is taken off. Files are read
    as weights only: code in them is not run.

    Args:
        path: A ``.safetensors``, ``.pth``, ``.pth.tar`` or ``.pt`` file.

    Raises:
        OSError: If the file is missing or cannot be read.
        ValueError: If it holds no state dictionary.
    """
    if not path.is_file():
        msg = f"load_model: checkpoint must be an existing file, got {path}"
        raise FileNotFoundError(msg)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        reject("checkpoint", "hold a state dictionary", f"{path} with {_kind(content)}")
    strange = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        got = f"{path} where {strange[0]!r} is {_kind(content[strange[0]])}"
        reject("checkpoint", "hold tensors only", got)
    if all(name.startswith("module.") for name in content):
        return {name.removeprefix("module."): value for name, value in content.items()}
    return content


def load_into(module: nn.Module, state: StateDict, path: Path, what: str) -> None:
    """Copy all weights of ``state`` into ``module``.

    Args:
        module: The model.
        state: Must have the model's names and shapes, no more and no less.
        path: Where ``state`` comes from, for error texts.
        what: What the model is, for error texts.

    Raises:
        ValueError: If names or shapes differ; the text has the first few.
    """
    own = module.state_dict()
    shapes = [
        f"{name} {list(state[name].shape)} instead of {list(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    result = None if shapes else module.load_state_dict(dict(state), strict=False)
    missing = result.missing_keys if result else []
    unexpected = result.unexpected_keys if result else []
    found = [("with another shape", shapes), ("missing", missing), ("unexpected", unexpected)]
    texts = [f"{len(names)} {kind}: {_few(names)}" for kind, names in found if names]
    if texts:
        reject("checkpoint", f"fit {what}", f"{path} with {', '.join(texts)}")


def _read_safetensors(path: Path) -> StateDict:
    try:
        tensors: StateDict = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        reject("checkpoint", "be a whole safetensors file", f"{path} ({error})")
    return tensors


def _read_torch(path: Path) -> Any:
    if not path.name.endswith(_TORCH_SUFFIXES):
        reject("checkpoint", "end in .safetensors, .pth, .pth.tar or .pt", str(path))
    try:
        # timm's training script saves its arguments beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # A damaged pickle raises whatever its bytes lead to.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):
            # torch's own text advises to run the code in the file.
            reason = "it is damaged, or holds more than tensors"
        reject(
            "checkpoint",
            "be a whole torch file of weights only",
            f"{path} ({reason})",
            "save it again with torch.save(model.state_dict(), path)",
        )


def _kind(value: object) -> str:
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return "nothing in it" if value == {} else f"{article} {name}"


def _few(names: list[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
