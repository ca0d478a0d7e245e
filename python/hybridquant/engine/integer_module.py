"""IntegerModule: an integer model as an nn.Module that TorchScript and torch.export take."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from hybridquant import _C
from hybridquant.export.files import check_file_path, write_atomically
from hybridquant.export.torchscript import write_torchscript

# The batch sizes at which a file must equal the engine.
_CHECKED_BATCHES = (1, 2, 3)


class IntegerModule(nn.Module):
    """An integer model as a module: bytes of images go in, logits come out.

    It holds the model file as a buffer and hands it to ``hybridquant::run_integer_model``, which
    runs the same engine as ``IntegerModel``, with torch's threads, and keeps the sessions of the
    models used last. So the module can be scripted, exported, copied, pickled and shared by
    threads; its logits equal ``IntegerModel``'s bit for bit.

    Args:
        file: The bytes of a model file (docs/format.md).

    Raises:
        ValueError: If the file is damaged or of another format; the text names the field.
    """

    def __init__(self, file: bytes) -> None:
        super().__init__()
        facts = _C.Model.parse(file).describe()
        self.takes_bytes = True
        self.num_logits = int(facts["num_logits"])
        self.scale = float(facts["logit_scale"])
        self.zero_point = int(facts["logit_zero_point"])
        self.input_size = list(facts["image_shape"])
        self.register_buffer("program", torch.frombuffer(bytearray(file), dtype=torch.uint8))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Args:
            images: uint8 [images, *input_size], red first, on the CPU.

        Returns:
            float32 [images, logits].

        Raises:
            RuntimeError: If ``images`` is not as above.
        """
        codes = torch.ops.hybridquant.run_integer_model(self.program, images, self.num_logits)
        return dequantize(codes, self.scale, self.zero_point)


def dequantize(codes: Tensor, scale: float, zero_point: int) -> Tensor:
    """Return what codes stand for: ``scale * (code - zero_point)``, rounded once to float32.

    Args:
        codes: int32, any shape.
        scale: Step between two codes.
        zero_point: The code of 0.

    Example:
        >>> dequantize(torch.tensor([0, 3, 7], dtype=torch.int32), 0.5, 3)
        tensor([-1.5000,  0.0000,  2.0000])
    """
    return ((codes.double() - zero_point) * scale).float()


def save_scripted(
    module: IntegerModule,
    path: str | Path,
    metadata: Mapping[str, Any],
    reference: Callable[[Tensor], Tensor],
) -> None:
    """Write ``module`` as a TorchScript file.

    Args:
        module: What to write.
        path: The file.
        metadata: Plain data stored in it.
        reference: Maps images to the logits that they must have.

    Raises:
        OSError: If the folder of ``path`` does not exist or cannot be written.
        RuntimeError: If the logits differ.
    """
    check_file_path("IntegerModel.save_torchscript", path)
    scripted: torch.jit.ScriptModule = torch.jit.script(module)
    for x in (_example(module, batch) for batch in _CHECKED_BATCHES):
        if not torch.equal(scripted(x), reference(x)):
            msg = f"IntegerModel.save_torchscript: the module differs at batch {len(x)}"
            raise RuntimeError(msg)
    write_torchscript(scripted, path, metadata)


def save_exported(module: IntegerModule, path: str | Path) -> None:
    """Write ``module`` as a file of ``torch.export`` with a dynamic batch.

    Raises:
        OSError: If the folder of ``path`` does not exist or cannot be written.
    """
    check_file_path("IntegerModel.save_exported", path)
    shapes = ({0: Dim.DYNAMIC},)
    program = torch.export.export(module, (_example(module, 2),), dynamic_shapes=shapes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_atomically(Path(path), buffer.getvalue())


def _example(module: IntegerModule, batch: int) -> Tensor:
    """Return images to try ``module`` on, uint8 [batch, *input_size], always the same."""
    values = torch.arange(batch * math.prod(module.input_size)) * 37 % 256
    return values.byte().reshape(batch, *module.input_size)
