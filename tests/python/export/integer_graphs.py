"""Small integer graphs, one with every kind of node, that the tests of model files share."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

import hybridquant
from hybridquant.data import DataConfig
from hybridquant.lower import Codes, IntGraph, IntNode, IntTensor, lower

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
CONFIG = DataConfig((3, 16, 16), "bicubic", 0.9, "squash", MEAN, STD)
CLASSES = ("tench", "crane", "crane", 'a "b"', "Zürich")
BYTES = torch.randint(
    0, 256, (9, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
)
RECIPE = """
name: mine
description: Every input of every operator, weights in {bits} bits.
rules:
  - {{operators: "*", operand: activation, bits: 8}}
  - operators: [conv2d, linear]
    operand: weight
    bits: {bits}
    scheme: symmetric
    granularity: channel
{more}passes: [observe]
"""
# Shares of attention that are powers of the root of two.
LEVELS = "  - {operators: matmul, producers: softmax, bits: 4, quantizer: log_sqrt2}\n"
SUMS = "  - {operators: [div, add], operand: activation, skip: true}\n"


class Model(nn.Module):
    """A convolution, the function under test, and a classifier behind it."""

    def __init__(self, function, outputs=5):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.function = function
        self.norm = nn.LayerNorm(8)
        self.group_norm = nn.GroupNorm(2, 8)
        self.register_buffer("order", torch.tensor([7, 0, 3]))
        self.place = nn.Parameter(torch.randn(1, 8, 8, 8))
        self.head = nn.LazyLinear(outputs)
        with torch.no_grad():
            self.forward(torch.zeros(2, 3, 16, 16))

    def forward(self, images):
        return self.head(self.function(self, self.stem(images)).flatten(1))


def lowered(folder, function, bits=8, more=""):
    torch.manual_seed(0)
    recipe = folder / "mine.yaml"
    recipe.write_text(RECIPE.format(bits=bits, more=more))
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    images = (BYTES[:8].float() / 255 - mean) / std
    return lower(hybridquant.quantize(Model(function).eval(), images, recipe), MEAN, STD)


def attention(_, x):
    tokens = x.flatten(2).mT
    return (tokens @ tokens.mT * 0.3).softmax(-1) @ tokens


def linear_attention(_, x):
    tokens = x.flatten(2).mT.relu()
    sums = tokens @ (tokens.mT @ F.pad(tokens, (0, 1), value=1.0))
    return sums[..., :-1] / (sums[..., -1:] + 1e-5)


FUNCTIONS = {
    "norms": lambda m, x: m.group_norm(x) + m.norm(x.flatten(2).mT).mT.reshape(x.shape),
    "attention": attention,
    "place": lambda m, x: (x + m.place) * x.sigmoid(),
    "pools": lambda _, x: F.max_pool2d(x, 3, 2, 1) - F.avg_pool2d(x, 3, 2, 1),
    "extremes": lambda _, x: torch.maximum(x.amax(2), torch.minimum(x.amin(3), x[:, :, 0])),
    "pieces": lambda _, x: torch.cat([x, F.pad(x.sigmoid(), (1, 0), value=0.7)[..., :8]], 1),
    "roll": lambda _, x: x.roll((1, 2), (2, 3)).mean((2, 3)),
    "expand": lambda _, x: x[:, :1].expand(-1, 3, -1, -1) * 1.5,
    "select": lambda m, x: x[:, m.order],
    "up": lambda _, x: F.interpolate(x, size=(11, 5), mode="bilinear"),
}


def small_graph():
    """Return a graph by hand, with the kinds of nodes that no lowering makes yet."""
    generator = torch.Generator().manual_seed(2)
    graph = IntGraph(input="image", output="logits")

    def numbers(dtype, low, high, *shape):
        return torch.randint(low, high, shape, generator=generator).to(dtype)

    def tensor(name, dtype, shape, lowest, highest, value=None):
        zero_point = 0 if name == "v" else (lowest + highest + 1) // 2  # v: of softmax_log2
        codes = Codes(dtype, 0.05, zero_point, lowest, highest)
        graph.tensors[name] = IntTensor(name, shape, codes, value)

    def node(op, inputs, output, attributes=None, **constants):
        graph.nodes.append(IntNode(op, inputs, output, "a.b", attributes or {}, constants))

    def multipliers(count):
        shift = torch.full((count,), 38, dtype=torch.int32)
        return {"m": numbers(torch.int32, 2**30, 2**31, count), "shift": shift}

    image = (1, 2, 4, 4)
    tensor("image", "uint8", (1, 3, 4, 4), 0, 255)
    tensor("x", "uint8", (1, 3, 4, 4), 0, 255)
    node("channel_table", ("image",), "x", table=numbers(torch.uint8, 0, 256, 3, 256))
    tensor("y", "int8", image, -128, 127)
    window = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    weight, offset = numbers(torch.int8, -8, 8, 2, 3, 3, 3), numbers(torch.int32, -9, 9, 2, 3, 3)
    bias = numbers(torch.int32, -99, 99, 2)
    product = {"weight": weight, "bias": bias, **multipliers(2)}
    node("conv2d", ("x",), "y", window, **product, tap_offset=offset)
    tensor("place", "int16", (1, 1, 4, 4), -300, 300, numbers(torch.int16, -300, 300, 1, 1, 4, 4))
    tensor("z", "int8", image, -128, 127)
    node("add", ("y", "place"), "z", {"m": [2**30, -(2**28)], "shift": 30})
    tensor("u", "int16", image, -32768, 32767)
    beta = numbers(torch.int64, -(2**55), 2**55, 4)
    affine = {"m": numbers(torch.int32, -(2**31), 2**31, 4), "beta": beta}
    node("l2_norm", ("z",), "u", {"epsilon": 2**62, "shift": 44}, **affine)
    tensor("v", "uint8", image, 0, 15)
    node(
        "softmax_log2", ("u",), "v", {"form": "shift"}, table=torch.tensor([2**40, 2**39, 2**36, 1])
    )
    tensor("w", "uint8", image, 0, 255)
    exponentials = torch.tensor([65536, 8869, 1200, 162], dtype=torch.int32)
    node("softmax", ("v",), "w", {"form": "table", "m": 65280}, table=exponentials)
    tensor("wide", "uint8", (1, 2, 4, 5), 0, 255)
    node("pad", ("w",), "wide", {"amounts": [1, 0], "code": 7})
    tensor("flat", "uint8", (1, 40), 0, 255)
    node("reshape", ("wide",), "flat", {"shape": [1, 40]})
    tensor("logits", "int32", (1, 5), -(2**31), 2**31 - 1)
    weight = numbers(torch.int8, -127, 128, 5, 40)
    bias = numbers(torch.int32, -(2**30), 2**30, 5)
    node("linear", ("flat",), "logits", weight=weight, bias=bias, **multipliers(5))
    return graph


SMALL = replace(CONFIG, input_size=(3, 4, 4))
