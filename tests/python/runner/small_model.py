"""A small integer model on whose logits all ways of running it must agree."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import hybridquant as hq
from hybridquant import _C
from hybridquant.data import DataConfig
from hybridquant.export import save_integer_model
from hybridquant.lower import IntGraph, lower

CLASSES = ("tench", "crane", "crane", 'a "b"', "Zürich")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
RECIPE = """
name: integers
description: Every input of every operator.
rules:
  - {operators: "*", operand: activation, bits: 8}
  - operators: [conv2d, linear]
    operand: weight
    scheme: symmetric
    granularity: channel
passes: [observe]
"""


class Small(NamedTuple):
    """A model in a file, and the graph in it."""

    graph: IntGraph
    path: Path
    images: NDArray[np.uint8]  # [5, 3, 16, 16]

    def save(self, name: str, **fields: object) -> Path:
        """Return another file of the graph, with other preprocessing."""
        path = self.path.with_name(name)
        config = {"interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center", **fields}
        config = DataConfig((3, 16, 16), mean=MEAN, std=STD, **config)  # type: ignore[arg-type]
        save_integer_model(self.graph, path, config, CLASSES)
        return path

    @property
    def model(self) -> _C.Model:
        return _C.Model.load(str(self.path))

    @property
    def codes(self) -> NDArray[np.int32]:
        """Return what the Python package computes for the images, [5, logits]."""
        return _C.Session(self.model).run(self.images)


class Attention(nn.Module):
    """A convolution, one attention over tokens, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.qkv = nn.Linear(8, 24)
        self.head = nn.Linear(8, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = nn.functional.silu(self.stem(x)).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).chunk(3, dim=-1)
        return self.head((tokens + (q @ k.transpose(1, 2)).softmax(-1) @ v).mean(1))


def make_small(folder: Path) -> Small:
    """Return the model, whose files are in the folder."""
    (folder / "integers.yaml").write_text(RECIPE, encoding="utf-8")
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (5, 3, 16, 16), generator=generator, dtype=torch.uint8)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    torch.manual_seed(0)
    normalised = (images.float() / 255 - mean) / std
    graph = hq.quantize(Attention().eval(), normalised, folder / "integers.yaml")
    result = Small(lower(graph, MEAN, STD), folder / "model.hq.safetensors", images.numpy())
    result.save(result.path.name)
    return result
