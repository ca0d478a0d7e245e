"""Writes small integer models, and what every node of them computes, for golden_models_test.cpp.

Usage: make_models.py

Everything goes to the folder models beside this file: each model, NAME.safetensors, with its codes,
NAME.codes: the bytes of an image, then the output of every node as its type is stored, row-major
and little-endian. manifest.txt has the kinds of nodes of each model, and the hashes of the files.

The codes are those of hybridquant.lower.simulate, which shares no code with the C++ kernels. One
model is made by hand, the others by lowering; where lowering changes, so do they.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hybridquant
from hybridquant.data import DataConfig
from hybridquant.export import save_integer_model
from hybridquant.export.integer_ops import OPS
from hybridquant.lower import Codes, IntGraph, IntNode, IntTensor, lower, simulate
from hybridquant.lower.int_graph import DTYPES
from hybridquant.lower.rounding import with_rounding

FOLDER = Path(__file__).parent / "models"
SEED = 0
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
CLASSES = ("tench", "crane", "Zürich")
SIZE = 8
CHANNELS = 6
LARGEST_FILE = 20_000

# Sums that nothing rounds, and quotients of them.
EXACT = "  - {operators: [div, add], operand: activation, skip: true}\n"
# A scale for each channel of the inputs of depthwise convolutions and layer norms.
BY_CHANNEL = (
    '  - {operators: "*", modules: "@depthwise", operand: activation, granularity: channel}\n'
    "  - {operators: [layer_norm], operand: activation, granularity: channel}\n"
)
# Shares of attention that are powers of the root of two.
LEVELS = "  - {operators: matmul, producers: softmax, bits: 4, quantizer: log_sqrt2}\n"
RECIPE = """
name: golden
description: Every input of every operator, weights in {bits} bits.
rules:
  - {{operators: "*", operand: activation, bits: 8}}
{channels}  - operators: [conv2d, linear]
    operand: weight
    bits: {bits}
    scheme: symmetric
    granularity: channel
{more}passes: [observe]
"""


class Model(nn.Module):
    """A convolution, a function of it, and a classifier of three."""

    def __init__(self, function: Callable[[Model, Tensor], Tensor]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, 2, 1)
        self.depthwise = nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1, groups=CHANNELS)
        self.function = function
        self.norm = nn.LayerNorm(CHANNELS)
        self.group_norm = nn.GroupNorm(2, CHANNELS)
        self.mix = nn.Linear(CHANNELS, CHANNELS)
        self.place = nn.Parameter(torch.randn(1, CHANNELS, SIZE // 2, SIZE // 2))
        self.register_buffer("order", torch.tensor([5, 0, 3]))
        self.head = nn.LazyLinear(len(CLASSES))
        with torch.no_grad():
            self.forward(torch.zeros(2, 3, SIZE, SIZE))
            for parameter in (*self.norm.parameters(), *self.group_norm.parameters()):
                nn.init.normal_(parameter)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.head(self.function(self, self.stem(images)).flatten(1))
        return found


def attention(model: Model, x: Tensor) -> Tensor:
    """Return tokens mixed by softmax attention and a linear layer, and a residual sum."""
    x = F.silu(model.depthwise(x)) + x + model.place
    tokens = model.norm(x.flatten(2).mT)
    mixed = (tokens @ tokens.mT * 0.3).softmax(-1) @ tokens
    return tokens + F.gelu(model.mix(mixed))


def sums(_: Model, x: Tensor) -> Tensor:
    """Return linear attention, whose denominator is the last column of a product."""
    tokens = x.flatten(2).mT.relu()
    exact = tokens @ (tokens.mT @ F.pad(tokens, (0, 1), value=1.0))
    return exact[..., :-1] / (exact[..., -1:] + 1e-5)


def windows(model: Model, x: Tensor) -> Tensor:
    """Return what pools and a group norm make of an image, with its own sigmoid as a factor."""
    x = model.group_norm(x) * x.sigmoid()
    return F.max_pool2d(x, 3, 2, 1) - F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)


def moves(model: Model, x: Tensor) -> Tensor:
    """Return an image that was padded, rolled, resized, picked apart and joined."""
    rolled = F.pad(x.roll((1, 2), (2, 3)), (1, 0), value=0.7)[..., :4]
    picked = torch.cat([rolled[:, model.order], x.chunk(2, 1)[1]], 1)
    up = F.interpolate(picked, size=(5, 3), mode="bilinear")
    return up.mean((2, 3)) * x[:, :1, 0, 0].expand(-1, CHANNELS)


def channels(model: Model, x: Tensor) -> Tensor:
    """Return a depthwise convolution, and a norm of its tokens."""
    return model.norm(model.depthwise(F.silu(model.depthwise(x))).flatten(2).mT)


def lowered(
    function: Callable[[Model, Tensor], Tensor],
    bits: int = 8,
    more: str = "",
    by_channel: str = "",
) -> IntGraph:
    """Return the integer model of a function, with weights from the seed."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    images = (torch.rand(8, 3, SIZE, SIZE, generator=generator) - mean) / std
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "golden.yaml"
        recipe.write_text(RECIPE.format(bits=bits, more=more, channels=by_channel))
        return lower(hybridquant.quantize(Model(function).eval(), images, recipe), MEAN, STD)


class Hand:
    """A graph that is built node by node, with random constants."""

    def __init__(self) -> None:
        self.graph = IntGraph(input="image", output="logits")
        self.generator = torch.Generator().manual_seed(SEED)

    def numbers(self, dtype: torch.dtype, low: int, high: int, *shape: int) -> Tensor:
        """Return random numbers from ``low`` to ``high`` - 1."""
        return torch.randint(low, high, shape, generator=self.generator).to(dtype)

    def tensor(
        self, name: str, dtype: str, shape: tuple[int, ...], codes: tuple[int, int, int]
    ) -> None:
        """Add a tensor; codes are the lowest, that of 0, and the highest."""
        lowest, zero_point, highest = codes
        meaning = Codes(dtype, 0.05, zero_point, lowest, highest)
        self.graph.tensors[name] = IntTensor(name, shape, meaning)

    def node(
        self,
        op: str,
        inputs: tuple[str, ...],
        output: str,
        attributes: dict[str, object] | None = None,
        **constants: Tensor,
    ) -> None:
        """Add a node whose output is a tensor that was added."""
        node = IntNode(op, inputs, output, f"by.hand.{op}", attributes or {}, constants)
        self.graph.nodes.append(node)

    def multipliers(self, count: int, shift: int) -> dict[str, Tensor]:
        """Return factors of 1/2 to 1, over 2^(shift - 31)."""
        shifts = torch.full((count,), shift, dtype=torch.int32)
        return {"m": self.numbers(torch.int32, 2**30, 2**31, count), "shift": shifts}


def by_hand() -> IntGraph:
    """Return a graph with what no lowering makes of the models above."""
    hand = Hand()
    image, numbers = (1, 4, SIZE, SIZE), hand.numbers
    hand.tensor("image", "uint8", (1, 3, SIZE, SIZE), (0, 0, 255))
    hand.tensor("x", "uint8", (1, 3, SIZE, SIZE), (3, 100, 250))
    hand.node("channel_table", ("image",), "x", table=numbers(torch.uint8, 3, 251, 3, 256))
    hand.tensor("conv", "int8", image, (-128, 7, 127))
    window = {"stride": [1, 1], "padding": [2, 1], "dilation": [2, 1], "groups": 1}
    product = {
        "weight": numbers(torch.int8, -8, 8, 4, 3, 3, 3),
        "bias": numbers(torch.int32, -99, 99, 4),
        "tap_offset": numbers(torch.int32, -300, 300, 4, 3, 3),
    }
    hand.node("conv2d", ("x",), "conv", window, **product, **hand.multipliers(4, 38))
    hand.tensor("groups", "int16", image, (-3000, 0, 3000))
    window = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 2}
    product = {
        "weight": numbers(torch.int8, -127, 128, 4, 2, 1, 1),
        "bias": numbers(torch.int32, -99, 99, 4),
    }
    hand.node("conv2d", ("conv",), "groups", window, **product, **hand.multipliers(4, 35))
    hand.tensor("lengths", "int16", image, (-32768, 0, 32767))
    affine = {
        "m": numbers(torch.int32, -(2**31) + 1, 2**31, SIZE),
        "beta": numbers(torch.int64, -(2**51), 2**51, SIZE),
    }
    hand.node("l2_norm", ("groups",), "lengths", {"epsilon": 2**20, "shift": 44}, **affine)
    hand.tensor("root", "uint8", image, (0, 128, 255))
    norm = {"is_centred": False, "count": SIZE, "epsilon": 1, "shift": 47}
    hand.node("layer_norm", ("lengths",), "root", norm, **affine)
    hand.tensor("shares", "uint8", image, (0, 0, 15))
    table = torch.tensor([2**40 * 97**i // 100**i for i in range(200)])
    hand.node("softmax_log2", ("root",), "shares", {"form": "shift"}, table=table)
    hand.tensor("product", "int32", image, (-(2**30), 5, 2**30))
    hand.node("mul", ("groups", "lengths"), "product", {"m": 2**31 - 1, "shift": 31})
    hand.tensor("ratio", "int16", image, (-32768, -9, 32767))
    hand.node("div", ("product", "conv"), "ratio", {"m": 2**14 + 77, "shift": 14})
    hand.tensor("joined", "int8", image, (-128, 0, 127))
    hand.node("add", ("ratio", "shares"), "joined", {"m": [2**29, -(2**30)], "shift": 32})
    hand.tensor("flat", "int8", (1, 4, SIZE * SIZE), (-128, 0, 127))
    hand.node("reshape", ("joined",), "flat", {"shape": [1, 4, SIZE * SIZE]})
    hand.tensor("tokens", "int8", (1, SIZE * SIZE, 4), (-128, 0, 127))
    hand.node("permute", ("flat",), "tokens", {"axes": [0, 2, 1]})
    hand.tensor("some", "int8", (1, 7, 4), (-128, 0, 127))
    places = {"axis": 1, "start": 3, "stop": SIZE * SIZE, "step": 9}
    hand.node("slice", ("tokens",), "some", places)
    hand.tensor("one", "int8", (1, 1, 4), (-128, 0, 127))
    hand.node("slice", ("tokens",), "one", {"axis": 1, "start": 5, "stop": 6, "step": 1})
    hand.tensor("repeated", "int8", (1, 7, 4), (-128, 0, 127))
    hand.node("expand", ("one",), "repeated", {"shape": [1, 7, 4]})
    hand.tensor("difference", "int8", (1, 7, 4), (-128, 0, 127))
    hand.node("add", ("some", "repeated"), "difference", {"m": [2**30, -(2**30)], "shift": 31})
    reduced: dict[str, object] = {"axes": [1], "keepdim": True, "m": 2**30, "shift": 31}
    extremes: dict[str, object] = {"m": [2**30, 2**29], "shift": 30}
    for reduction, join, before, after in (
        ("amax", "minimum", "difference", "below"),
        ("amin", "maximum", "below", "between"),
    ):
        hand.tensor(reduction, "int16", (1, 1, 4), (-32768, 300, 32767))
        hand.node(reduction, ("some",), reduction, reduced)
        hand.tensor(after, "int8", (1, 7, 4), (-128, 0, 127))
        hand.node(join, (before, reduction), after, extremes)
    hand.tensor("logits", "int32", (1, 7, len(CLASSES)), (-(2**31), 0, 2**31 - 1))
    product = {
        "weight": numbers(torch.int8, -127, 128, len(CLASSES), 4),
        "bias": numbers(torch.int32, -(2**20), 2**20, len(CLASSES)),
    }
    hand.node("linear", ("between",), "logits", **product, **hand.multipliers(len(CLASSES), 31))
    return hand.graph


def models() -> dict[str, IntGraph]:
    """Return all models by name."""
    return {
        "attention": lowered(attention),
        "attention_4bit": lowered(attention, bits=4),
        "attention_levels": lowered(attention, more=LEVELS),
        "by_hand": by_hand(),
        "by_hand_double": with_rounding(by_hand(), "double"),
        "by_hand_half_even": with_rounding(by_hand(), "half_even"),
        "channels": lowered(channels, by_channel=BY_CHANNEL),
        "moves": lowered(moves),
        "sums": lowered(sums, more=EXACT),
        "windows": lowered(windows),
        "windows_double": with_rounding(lowered(windows), "double"),
    }


def codes(graph: IntGraph) -> bytes:
    """Return an image and what every node makes of it."""
    generator = torch.Generator().manual_seed(SEED + 1)
    shape = graph.tensors[graph.input].shape
    image = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    values = simulate(graph, image)
    parts = [image.numpy().tobytes()]
    for node in graph.nodes:
        dtype = DTYPES[graph.tensors[node.output].codes.dtype]
        parts.append(values[node.output].to(dtype).numpy().tobytes())
    return b"".join(parts)


def main() -> None:
    """Write the folder anew."""
    FOLDER.mkdir(exist_ok=True)
    config = DataConfig((3, SIZE, SIZE), "bicubic", 0.9, "center", MEAN, STD)
    lines = []
    graphs = models()
    assert {node.op for graph in graphs.values() for node in graph.nodes} == set(OPS) - {"external"}
    for name, graph in graphs.items():
        save_integer_model(graph, FOLDER / f"{name}.safetensors", config, CLASSES)
        (FOLDER / f"{name}.codes").write_bytes(codes(graph))
        lines.append(f"model {name} {' '.join(sorted({node.op for node in graph.nodes}))}")
    for file in sorted(FOLDER.iterdir()):
        if file.suffix in (".safetensors", ".codes"):
            content = file.read_bytes()
            assert len(content) <= LARGEST_FILE, (file.name, len(content))
            lines.append(f"file {file.name} {hashlib.sha256(content).hexdigest()}")
    versions = ", ".join(f"{name} {version(name)}" for name in ("hybridquant", "torch"))
    head = [
        f"# Written by tests/golden/make_models.py, seed {SEED}, with {versions}.",
        "# model: name, kinds of its nodes",
        "# file: name, sha256",
    ]
    (FOLDER / "manifest.txt").write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
