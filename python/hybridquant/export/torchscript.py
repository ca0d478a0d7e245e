"""TorchScript files: the quantized graph, traced, runnable from Python and from C++ LibTorch."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_METADATA = "hybridquant.json"
# The batch sizes at which the traced file must equal the graph; it is traced at 2.
_CHECKED_BATCHES = (1, 2, 3)


def save_torchscript(
    graph: nn.Module, path: str | Path, example: Tensor, metadata: Mapping[str, Any] | None = None
) -> None:
    """Trace ``graph`` and write it as a TorchScript file.

    The file needs the ops library to be loaded (``import hybridquant`` in Python,
    ``dlopen("libhybridquant_ops.so")`` in C++). Before it is written the traced module is run at
    several batch sizes and must equal ``graph`` bit for bit. The same graph saved first in a fresh
    process gives the same bytes; within one process torch numbers the traced classes on.

    Args:
        graph: A FloatGraph or QuantGraph in eval mode.
        path: The file to write; written under a temporary name, then renamed.
        example: float32 [batch, channels, height, width]; fixes all sizes but the batch.
        metadata: Plain data stored in the file, e.g. model name and preprocessing.

    Raises:
        OSError: If the folder of ``path`` does not exist or cannot be written.
        TypeError: If ``example`` is no float tensor.
        ValueError: If ``graph`` is in training mode, or ``example`` has another size than it.
        RuntimeError: If the traced module differs from ``graph``.
    """
    if graph.training:
        msg = "save_torchscript: graph must be in eval mode, got training mode; call graph.eval()"
        raise ValueError(msg)
    path = Path(path)
    if not path.parent.is_dir() or path.is_dir():
        msg = f"save_torchscript: path must be a file in an existing folder, got {path}"
        raise FileNotFoundError(msg)
    batches = [_resized(example, size) for size in _CHECKED_BATCHES]
    with torch.no_grad():
        expected = [graph(x) for x in batches]
        traced = torch.jit.trace(graph, _resized(example, 2), check_trace=False)
        for x, y in zip(batches, expected, strict=True):
            if not torch.equal(traced(x), y):
                msg = f"save_torchscript: the traced module differs from graph at batch {len(x)}"
                raise RuntimeError(msg)
    buffer = io.BytesIO()
    extra = {_METADATA: json.dumps(dict(metadata or {}), sort_keys=True)}
    # Through a buffer, so that the bytes do not depend on the file's name.
    torch.jit.save(traced, buffer, _extra_files=extra)
    _write_atomically(path, buffer.getvalue())


def load_torchscript(path: str | Path) -> tuple[torch.jit.ScriptModule, dict[str, Any]]:
    """Return the module of a TorchScript file and the metadata stored with it.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no TorchScript file.
    """
    extra = {_METADATA: ""}
    data = Path(path).read_bytes()
    try:
        module = torch.jit.load(io.BytesIO(data), map_location="cpu", _extra_files=extra)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        msg = f"load_torchscript: path must be a TorchScript file, got {path} ({reason})"
        raise ValueError(msg) from error
    text = extra[_METADATA]
    return module, json.loads(text) if text else {}


def _resized(example: Tensor, batch: int) -> Tensor:
    """Return ``example`` repeated or cut to ``batch`` images."""
    index = torch.arange(batch, device=example.device) % len(example)
    return example.index_select(0, index)


def _write_atomically(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
