"""TorchScript files: the quantized graph, traced, runnable from Python and from C++ LibTorch."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridquant.export.files import check_file_path, write_atomically

_METADATA = "hybridquant.json"
# The batch sizes at which the traced file must equal the graph; it is traced at 2.
_CHECKED_BATCHES = (1, 2, 3)


def save_torchscript(
    graph: nn.Module, path: str | Path, example: Tensor, metadata: Mapping[str, Any] | None = None
) -> None:
    """Trace ``graph`` and write it as a TorchScript file.

    The file needs the ops library to be loaded (``import hybridquant`` in Python,
    ``dlopen("libhybridquant_ops.so")`` in C++). It refuses images of another size than ``example``.
    Before it is written the traced module is run at several batch sizes and must equal ``graph``
    bit for bit. The same graph saved first in a fresh process gives the same bytes, whatever
    called it; within one process torch numbers the traced classes on.

    Args:
        graph: A FloatGraph or QuantGraph in eval mode that returns one tensor.
        path: The file to write; written under a temporary name, then renamed.
        example: float32 [batch, channels, height, width], at least one image, finite; fixes all
            sizes but the batch.
        metadata: Plain data stored in the file, e.g. model name and preprocessing.

    Raises:
        OSError: If the folder of ``path`` does not exist or cannot be written.
        TypeError: If ``graph`` is no module or returns no tensor, or ``example`` is no float
            tensor.
        ValueError: If ``graph`` is in training mode, or ``example`` is empty, not finite, or of
            another size than ``graph``, or the outputs for it are not finite.
        RuntimeError: If the traced module differs from ``graph``.
    """
    _check_graph(graph)
    _check_example(example)
    check_file_path("save_torchscript", path)
    write_torchscript(_traced(graph, example), path, metadata)


def write_torchscript(
    module: torch.jit.ScriptModule, path: str | Path, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a module as a file that ``load_torchscript`` reads, with no paths of this machine.

    Args:
        module: The module.
        path: As for ``save_torchscript``.
        metadata: As for ``save_torchscript``.

    Raises:
        OSError: If the folder of ``path`` cannot be written.
    """
    buffer = io.BytesIO()
    extra = {_METADATA: json.dumps(dict(metadata or {}), sort_keys=True)}
    # Through a buffer, so that the bytes do not depend on the file's name.
    torch.jit.save(module, buffer, _extra_files=extra)
    write_atomically(Path(path), _without_call_stacks(buffer.getvalue()))


def load_torchscript(path: str | Path) -> tuple[torch.jit.ScriptModule, dict[str, Any]]:
    """Return the module of a TorchScript file and the metadata stored with it.

    Calling the module with images of another size than the file's raises ``torch.jit.Error``.

    Raises:
        OSError: If the file does not exist or cannot be read.
        ValueError: If it is no TorchScript file.
    """
    extra = {_METADATA: ""}
    if not Path(path).is_file():
        msg = f"load_torchscript: path must be an existing file, got {path}"
        raise FileNotFoundError(msg)
    data = Path(path).read_bytes()
    try:
        module = torch.jit.load(io.BytesIO(data), map_location="cpu", _extra_files=extra)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        msg = f"load_torchscript: path must be a TorchScript file, got {path} ({reason})"
        raise ValueError(msg) from error
    text = extra[_METADATA]
    return module, json.loads(text) if text else {}


class _SizeChecked(nn.Module):
    """A traced graph behind a check of its input's size, which a trace cannot record."""

    def __init__(self, graph: nn.Module, sizes: list[int]) -> None:
        super().__init__()
        self.graph = graph
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        """Return what the graph returns; TorchScript compiles this."""
        sizes = list(x.shape)
        if sizes[1:] != self.sizes:
            msg = f"x must have shape [batch] + {self.sizes}, got {sizes}; resize the images"
            raise ValueError(msg)
        result: Tensor = self.graph(x)
        return result


def _check_graph(graph: object) -> None:
    if not isinstance(graph, nn.Module):
        msg = f"save_torchscript: graph must be an nn.Module, got {type(graph).__name__}"
        raise TypeError(msg)
    if graph.training:
        msg = "save_torchscript: graph must be in eval mode, got training mode; call graph.eval()"
        raise ValueError(msg)


def _check_example(example: object) -> None:
    if not isinstance(example, Tensor) or not example.is_floating_point():
        got = example.dtype if isinstance(example, Tensor) else type(example).__name__
        msg = f"save_torchscript: example must be a float tensor, got {got}"
        raise TypeError(msg)
    if example.ndim < 1 or example.numel() == 0:
        shape = list(example.shape)
        msg = f"save_torchscript: example must hold at least one image, got shape {shape}"
        raise ValueError(msg)
    bad = example.numel() - int(torch.isfinite(example).sum())
    if bad:
        msg = (
            f"save_torchscript: example must be finite, got {bad} of {example.numel()} values "
            "that are not"
        )
        raise ValueError(msg)


@torch.no_grad()
def _traced(graph: nn.Module, example: Tensor) -> torch.jit.ScriptModule:
    """Return ``graph`` as TorchScript, checked against ``graph`` at several batch sizes."""
    batches = [_resized(example, size) for size in _CHECKED_BATCHES]
    expected = [graph(x) for x in batches]
    if not isinstance(expected[0], Tensor):
        got = type(expected[0]).__name__
        msg = f"save_torchscript: graph must return one tensor, got {got}; wrap it in a module"
        raise TypeError(msg)
    bad = sum(y.numel() - int(torch.isfinite(y).sum()) for y in expected)
    if bad:
        total = sum(y.numel() for y in expected)
        msg = (
            f"save_torchscript: graph must return finite numbers, got {bad} of {total} that are "
            "not; a division by a quantized zero gives them"
        )
        raise ValueError(msg)
    traced = torch.jit.trace(graph, _resized(example, 2), check_trace=False)
    module: torch.jit.ScriptModule = torch.jit.script(
        _SizeChecked(traced, list(example.shape[1:])).eval()
    )
    for x, y in zip(batches, expected, strict=True):
        if not torch.equal(module(x), y):
            msg = f"save_torchscript: the traced module differs from graph at batch {len(x)}"
            raise RuntimeError(msg)
    return module


def _without_call_stacks(data: bytes) -> bytes:
    """Return a TorchScript file without the paths and line numbers that a trace records.

    They name folders of this machine and the lines that called the export, so the bytes would
    depend on both.
    """
    reader = torch._C.PyTorchFileReader(io.BytesIO(data))
    buffer = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(buffer)
    for name in reader.get_all_records():
        if not name.endswith((".debug_pkl", "serialization_id")):  # the writer makes the second
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return buffer.getvalue()


def _resized(example: Tensor, batch: int) -> Tensor:
    """Return ``example`` repeated or cut to ``batch`` images."""
    index = torch.arange(batch, device=example.device) % len(example)
    return example.index_select(0, index)
