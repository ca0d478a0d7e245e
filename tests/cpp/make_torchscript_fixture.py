"""Writes a traced model and what Python computes with it, for torchscript_test.cpp.

Usage: make_torchscript_fixture.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from hybridquant.quantizers.affine import AffineFakeQuant

TRACED_BATCH = 2


class Holder(nn.Module):
    """A tensor in a form that C++ reads without more code."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)


def make_model() -> nn.Module:
    """Return a convolution between a per-tensor and a per-channel fake-quantization."""
    before, after = (
        AffineFakeQuant(0, 255),
        AffineFakeQuant(-128, 127, channel_axis=1, num_channels=8),
    )
    before.set_parameters(torch.tensor([0.02]), torch.tensor([128.0]))
    after.set_parameters(0.003 * torch.arange(1, 9), torch.zeros(8))
    return nn.Sequential(before, nn.Conv2d(3, 8, 3), after).eval()


def write(folder: Path, model: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Trace ``model``, save it, and save each input with the output of eager ``model``."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        for suffix, x in inputs.items():
            torch.jit.script(Holder(x)).save(folder / f"input{suffix}.pt")
            torch.jit.script(Holder(model(x))).save(folder / f"expected{suffix}.pt")
    torch.jit.trace(model, inputs[""]).save(folder / "model.pt")


def main() -> None:
    """Write the fixture to the folder that is the only argument."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x = torch.randn(5, 3, 20, 20)
    write(Path(sys.argv[1]), make_model(), {"": x[:TRACED_BATCH], "2": x})


if __name__ == "__main__":
    main()
