"""Hashes of what a cell's figures depend on."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

import torch
from torch import nn

from hybridquant.ops.library import LIBRARY

# Their versions are part of a key already.
_LIBRARIES = {"torch", "timm", "torchvision"}


def weights_sha256(module: nn.Module) -> str:
    """Return the hash of a model's parameters and buffers, with their names and shapes."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def structure_sha256(module: nn.Module) -> str:
    """Return the hash of what a model is made of, and of the source files that define it.

    Those of torch, timm and torchvision are left out: their versions stand for them.
    """
    digest = hashlib.sha256(str(module).encode())
    files = {_source(type(layer)) for layer in module.modules()} - {None}
    for content in sorted(file.read_bytes() for file in files if file is not None):
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def ops_sha256() -> str:
    """Return the hash of the compiled operators."""
    return hashlib.sha256(LIBRARY.read_bytes()).hexdigest()


def code_sha256() -> str:
    """Return the hash of the package's Python sources, which one version has many of in the making.

    It is no part of a key, but cells say it, so that a table of several can be told.
    """
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _source(kind: type) -> Path | None:
    if kind.__module__.partition(".")[0] in _LIBRARIES:
        return None
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:  # of a class that was typed in
        return None
    return Path(file) if file is not None and Path(file).is_file() else None
