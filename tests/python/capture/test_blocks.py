"""Blocks of small models built like the real ones."""

import pytest
import torch
from torch import nn

from hybridquant.capture import capture

IMAGES = torch.zeros(2, 8, 8, 8)


class Residual(nn.Module):
    def __init__(self, *parts):
        super().__init__()
        self.body = nn.Sequential(*parts)

    def forward(self, x):
        return x + self.body(x)


class Plain(nn.Module):
    """A block without a residual; also one that is no different from a chain."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return self.second(self.first(x).relu())


class Down(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 2, stride=2)

    def forward(self, x):
        return self.conv(x)


class Stage(nn.Module):
    def __init__(self, depth=2, block=Plain):
        super().__init__()
        self.downsample = Down()
        self.blocks = nn.Sequential(*[block() for _ in range(depth)])
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x):
        return self.norm(self.blocks(self.downsample(x)).relu())


class Sandwich(nn.Module):
    """Weights before and after an inner list, as in MobileViT."""

    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.inner = nn.Sequential(Plain(), Plain())

    def forward(self, x):
        return self.leave(self.inner(self.enter(x)))


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Plain(), Plain()])

    def forward(self, x):
        first = self.layers[0](x)
        return x + self.layers[1](first) + first


def conv_norm():
    return nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU())


CASES = [
    ("no lists", Plain(), []),
    ("leaves", nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU()), []),
    ("chain", nn.Sequential(Plain(), Plain()), ["0", "1"]),
    (
        "stages",
        nn.Sequential(Stage(2), Stage(1)),
        ["0.downsample", "0.blocks.0", "0.blocks.1", "1.downsample", "1.blocks.0"],
    ),
    ("residual closes", nn.Sequential(Residual(conv_norm(), conv_norm())), ["0"]),
    (
        "class is judged as one",
        nn.Sequential(nn.Sequential(Residual(Plain()), Residual(Plain())), Residual(Plain())),
        ["0.0", "0.1", "1"],
    ),
    ("weights on both sides", nn.Sequential(Plain(), Sandwich()), ["0", "1"]),
    ("dense", nn.Sequential(Dense(), Dense()), ["0", "1"]),
    ("sequential entries", nn.Sequential(conv_norm(), conv_norm()), ["0", "1"]),
]


@pytest.mark.parametrize(("model", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_blocks(model, expected):
    graph = capture(model.eval(), IMAGES)
    found = [node.meta["block"] for node in graph.graph.nodes]
    assert list(dict.fromkeys(block for block in found if block)) == expected


def test_nodes_of_a_stage_itself_are_outside():
    graph = capture(nn.Sequential(Stage(), Stage()).eval(), IMAGES)
    outside = [n.meta for n in graph.graph.nodes if n.op == "call_function" and not n.meta["block"]]
    assert {meta["path"] for meta in outside} == {"0", "1", "1.norm"}
