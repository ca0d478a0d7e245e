"""Quantizes the embedded default model and writes, for torchscript_test.cpp, its TorchScript files,
fake-quantized and in integers, photographs, and what Python computes for them.

Usage: make_torchscript_fixture.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import hybridquant as hq

DATA = Path(__file__).parents[1] / "data"
RECIPE = "baseline/w8a8-minmax"
INTEGER_RECIPE = "integer/w8a8"
CALIBRATION_IMAGES = 20
# The file is traced at batch 2; 5 is another.
BATCHES = (2, 5)
THREADS = (1, 2)


class Holder(nn.Module):
    """A tensor in a form that C++ reads without more code."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)


def save_tensor(value: Tensor, path: Path) -> None:
    torch.jit.script(Holder(value)).save(path)


def main() -> None:
    """Write the fixture to the folder that is the only argument."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = hq.load_model(hq.default_model_name())
    calib = hq.load_data(
        DATA / "imagenette_calib.tar", model.data_config, num_images=CALIBRATION_IMAGES
    )
    test = hq.load_data(DATA / "imagenette_val.tar", model.data_config, num_images=max(BATCHES))
    images = next(iter(test.batches(max(BATCHES))))[0]
    graph = hq.quantize(model.module, calib, RECIPE)
    hq.save_torchscript(graph, folder / "model.pt", images)
    with torch.inference_mode():
        for batch in BATCHES:
            save_tensor(images[:batch], folder / f"input_batch{batch}.pt")
            for threads in THREADS:
                torch.set_num_threads(threads)
                expected = graph(images[:batch])
                save_tensor(expected, folder / f"expected_batch{batch}_threads{threads}.pt")
    torch.set_num_threads(1)
    write_integer_model(hq.quantize(model.module, calib, INTEGER_RECIPE), model.data_config, folder)


def write_integer_model(graph: nn.Module, config: hq.DataConfig, folder: Path) -> None:
    """Write the integer model, the photographs' bytes, and the engine's logits for them."""
    model = hq.to_integer(graph, config)
    model.save_torchscript(folder / "integer.pt")
    test = hq.load_data(DATA / "imagenette_val.tar", config, num_images=max(BATCHES))
    images = next(iter(test.byte_batches(max(BATCHES))))[0]
    for batch in BATCHES:
        save_tensor(images[:batch], folder / f"bytes_batch{batch}.pt")
        save_tensor(model(images[:batch]), folder / f"integer_batch{batch}.pt")


if __name__ == "__main__":
    main()
