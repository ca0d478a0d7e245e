"""Small models in integers, and images for them, that the tests of the engine share.

They are just large enough for two threads to share their convolutions, products and norms.
"""

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import hybridquant as hq

TESTS = Path(__file__).parents[2]
RECIPE = "integer/w8a8"
CONFIG = hq.DataConfig((3, 48, 48), "bicubic", 0.9, "squash", (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
CLASSES = ("tench", "springer", "player", "saw", "church")
PHOTOGRAPHS = hq.load_data(TESTS / "data" / "imagenette_val.tar", CONFIG, num_images=8)
NOISE = torch.randint(
    0, 256, (8, 3, 48, 48), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
)


class Hybrid(nn.Module):
    """A convolution, what is under test, and a classifier behind it."""

    def __init__(self, function):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.norm = nn.LayerNorm(16)
        self.group_norm = nn.GroupNorm(2, 16)
        self.qkv = nn.Linear(16, 48)
        self.function = function
        self.head = nn.LazyLinear(len(CLASSES))
        with torch.no_grad():
            self.forward(torch.zeros(1, 3, 48, 48))

    def forward(self, images):
        return self.head(self.function(self, self.stem(images)).flatten(1))


def softmax_attention(model, x):
    q, k, v = model.qkv(model.norm(x.flatten(2).mT)).chunk(3, dim=-1)
    return x.flatten(2).mT + (q @ k.mT * 0.25).softmax(-1) @ v


def linear_attention(model, x):
    q, k, v = model.qkv(x.flatten(2).mT).chunk(3, dim=-1)
    sums = q.relu() @ (k.relu().mT @ F.pad(v, (0, 1), value=1.0))
    return sums[..., :-1] / (sums[..., -1:] + 1e-3)


FUNCTIONS = {
    "convolutions": lambda m, x: (x + F.silu(m.depthwise(x))).mean((2, 3)),
    "attention": softmax_attention,
    "linear_attention": linear_attention,
    "norms": lambda m, x: m.group_norm(x) * x.sigmoid(),
    "pools": lambda _, x: F.max_pool2d(x, 3, 2, 1) - F.avg_pool2d(x, 3, 2, 1),
    "moves": lambda _, x: (
        torch.cat([x.roll(1, 2), F.gelu(x)], 1).unflatten(1, (2, 16)).transpose(1, 2)
    ),
    "resized": lambda m, x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear") + x,
}


@cache
def photographs():
    """Return the eight photographs as bytes."""
    return next(PHOTOGRAPHS.byte_batches(8))[0]


@cache
def integer_model(name="convolutions", recipe=RECIPE):
    """Return a model, quantized and in integers."""
    torch.manual_seed(0)
    model = Hybrid(FUNCTIONS[name]).eval()
    return hq.to_integer(hq.quantize(model, PHOTOGRAPHS, recipe), CONFIG, CLASSES)
