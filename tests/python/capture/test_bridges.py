"""Bridges of small hybrids; those of real ones are in the contract test."""

import pytest
import torch
from torch import nn

from hybridquant.capture import capture, find_bridges

IMAGES = torch.zeros(2, 8, 8, 8)


class Local(nn.Module):
    def __init__(self, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, stride, 1)

    def forward(self, x):
        return self.conv(x).relu()


class Attention(nn.Module):
    """Attention over flattened rows and columns, back to an image."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).chunk(3, -1)
        tokens = tokens + self.proj((q @ k.transpose(1, 2)).softmax(-1) @ v)
        return tokens.transpose(1, 2).reshape_as(x)


class ImageAttention(nn.Module):
    """Projections are convolutions on images (EfficientFormerV2)."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Conv2d(8, 8, 1) for _ in range(3))
        self.proj = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        q, k, v = (layer(x).flatten(2) for layer in (self.q, self.k, self.v))
        mixed = (q.transpose(1, 2) @ k).softmax(-1) @ v.transpose(1, 2)
        return x + self.proj(mixed.transpose(1, 2).reshape_as(x))


CASES = [
    ("convolutions only", nn.Sequential(Local(), Local()), []),
    (
        "there and back",
        nn.Sequential(Local(), Attention(), Local()),
        [("to_tokens", "0.conv", ("1.qkv",)), ("to_local", "1.proj", ("2.conv",))],
    ),
    (
        "projections on images",
        nn.Sequential(Local(), ImageAttention(), Local()),
        [("to_tokens", "0.conv", ("1.q", "1.k", "1.v")), ("to_local", "1", ("1.proj",))],
    ),
    (
        "two in a row count once",
        nn.Sequential(Local(), ImageAttention(), ImageAttention()),
        [("to_tokens", "0.conv", ("1.q", "1.k", "1.v"))],
    ),
    (
        "again after a local block",
        nn.Sequential(Local(), Attention(), Local(2), Attention()),
        [
            ("to_tokens", "0.conv", ("1.qkv",)),
            ("to_local", "1.proj", ("2.conv",)),
            ("to_tokens", "2.conv", ("3.qkv",)),
        ],
    ),
    ("classifier", nn.Sequential(Local(), nn.Flatten(), nn.Linear(512, 2)), []),
]


@pytest.mark.parametrize(("model", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_bridges(model, expected):
    graph = capture(model.eval(), IMAGES)
    paths = {node.name: node.meta["path"] for node in graph.graph.nodes}
    found = find_bridges(graph)
    assert [
        (b.direction, paths[b.entry], tuple(paths[name] for name in b.exits)) for b in found
    ] == expected
    assert [b.index for b in found] == list(range(len(found)))


def test_bridge_holds_every_operator_between():
    graph = capture(nn.Sequential(Local(), Attention(), Local()).eval(), IMAGES)
    there = find_bridges(graph)[0]
    kinds = {node.name: node.meta["kind"] for node in graph.graph.nodes}
    assert [kinds[name] for name in there.nodes] == [
        "conv2d",
        "relu",
        "reshape",
        "permute",
        "linear",
    ]
    assert there.modules == ("0.conv", "1.qkv")


def test_nodes_are_marked():
    graph = capture(nn.Sequential(Local(), Attention(), Local()).eval(), IMAGES)
    marked = {
        b.index: [n.name for n in graph.graph.nodes if n.meta["bridge"] == b.index]
        for b in find_bridges(graph)
    }
    for bridge in find_bridges(graph):
        assert marked[bridge.index]
        assert set(marked[bridge.index]) <= set(bridge.nodes)
