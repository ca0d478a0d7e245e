"""Slices of a product's channels are products of only these channels, with the same codes."""

import pytest
import torch
from integer_cases import BYTES, Model, integer_model
from torch import nn
from torch.nn import functional as F

import hybridquant.lower.nodes.move as moves
from hybridquant.lower import simulate


def attention(m, x):
    """As timm has it: queries, keys and values of all heads from one product."""
    qkv = m.qkv(x.flatten(2).mT).reshape(x.shape[0], -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    return ((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2)


def channels(m, x):
    """As MobileViTv2 has it."""
    query, key, value = m.project(x).flatten(2).split([1, 8, 15], 1)
    return (query.softmax(-1) * key).sum(-1, keepdim=True) * value[:, 7:].relu()


def interleaved(m, x):
    """As LeViT has it: the parts of each head are next to each other."""
    q, k, v = m.qkv(x.flatten(2).mT).reshape(x.shape[0], -1, 2, 12).split([3, 3, 6], 3)
    return (q * k).sum(-1, keepdim=True) * v


def every_second(m, x):
    return m.project(x)[:, 1::2] * 2


def rows(m, x):
    """Positions, not channels."""
    return F.silu(m.project(x)[:, :, 2:5])


def mixed(m, x):
    """Channels and pixels in one axis, which is cut across both."""
    return F.silu(m.project(x).flatten(1)[:, 5:900])


def whole(m, x):
    return F.silu(m.project(x)[:, :24])


def grouped(m, x):
    return F.silu(m.grouped(x)[:, 2:5])


# function, shapes of the weights of its product
FUNCTIONS = {
    "attention": (attention, [(8, 8)] * 3),
    "channels": (channels, [(1, 8, 1, 1), (8, 8, 1, 1), (15, 8, 1, 1)]),
    "interleaved": (interleaved, [(6, 8), (6, 8), (12, 8)]),
    "every_second": (every_second, [(12, 8, 1, 1)]),
    "rows": (rows, [(24, 8, 1, 1)]),
    "mixed": (mixed, [(24, 8, 1, 1)]),
    "whole": (whole, [(24, 8, 1, 1)]),
    "grouped": (grouped, [(8, 2, 3, 3)]),
}


class Wide(Model):
    """A model with products of many channels."""

    def __init__(self, function):
        super().__init__(lambda _, x: x)
        self.qkv, self.project = nn.Linear(8, 24), nn.Conv2d(8, 24, 1)
        self.grouped = nn.Conv2d(8, 8, 3, groups=4)
        self.head, self.function = nn.LazyLinear(5), function
        with torch.no_grad():
            self.forward(torch.zeros(2, 3, 16, 16))


@torch.no_grad()
@pytest.mark.parametrize("name", FUNCTIONS)
def test_products_of_parts(name, monkeypatch):
    function, shapes = FUNCTIONS[name]
    torch.manual_seed(0)
    model = Wide(function)
    torch.manual_seed(1)
    _, graph = integer_model(model)
    products = [node for node in graph.nodes if node.op in ("conv2d", "linear")][1:-1]
    assert sorted(tuple(n.constants["weight"].shape) for n in products) == sorted(shapes)
    monkeypatch.setattr(moves, "narrowed_product", lambda *_: None)
    torch.manual_seed(1)
    _, whole = integer_model(model)
    assert sum(len(n.constants["bias"]) for n in whole.nodes if n.op in ("conv2d", "linear")) >= (
        sum(len(n.constants["bias"]) for n in graph.nodes if n.op in ("conv2d", "linear"))
    )
    for image in BYTES.split(1):
        found, expected = simulate(graph, image)[graph.output], simulate(whole, image)[whole.output]
        assert torch.equal(found, expected)
