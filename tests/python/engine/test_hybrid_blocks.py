"""Blocks of hybrids in integers, as docs/arithmetic.md composes them."""

import pytest
import torch
import torch.nn.functional as F
from engine_cases import CONFIG, NOISE, PHOTOGRAPHS, RECIPE, photographs
from torch import nn

import hybridquant as hq
from hybridquant.lower import simulate

IMAGES = torch.cat([photographs()[:2], NOISE[:1]])


class Heads(nn.Module):
    """Attention of two heads with biases of positions, mixed before and after the softmax."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(16, 48)
        self.bias = nn.Parameter(torch.randn(1, 2, 36, 36))
        self.before, self.after = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)

    def forward(self, x):
        tokens = x.flatten(2).mT
        q, k, v = self.qkv(tokens).reshape(-1, 36, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        scores = self.before(q @ k.mT * 8**-0.5 + self.bias)
        mixed = self.after(scores.softmax(-1)) @ v
        return tokens + mixed.transpose(1, 2).flatten(2)


class Separable(nn.Module):
    """Separable attention: one score a token, one context vector."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Conv2d(16, 33, 1)
        self.out = nn.Conv2d(16, 16, 1)

    def forward(self, x):
        score, key, value = self.qkv(x.flatten(2)[:, :, None]).split([1, 16, 16], 1)
        context = (score.softmax(-1) * key).sum(-1, keepdim=True)
        return self.out(value.relu() * context)


class Linear(nn.Module):
    """Attention with a ReLU kernel, and its quotient."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(16, 48)

    def forward(self, x):
        q, k, v = self.qkv(x.flatten(2).mT).chunk(3, -1)
        sums = q.relu() @ (k.relu().mT @ F.pad(v, (0, 1), value=1.0))
        return sums[..., :-1] / (sums[..., -1:] + 1e-3)


class DynamicReLU(nn.Module):
    """The larger of two lines, whose slopes and offsets depend on the image."""

    def __init__(self):
        super().__init__()
        self.lines = nn.Linear(16, 64)

    def forward(self, x):
        a1, a2, b1, b2 = (2 * self.lines(x.mean((2, 3))).sigmoid() - 1)[..., None, None].chunk(4, 1)
        return torch.maximum((1 + a1) * x + b1, a2 * x + b2)


class SqueezeExcite(nn.Module):
    """Channels times what a bottleneck makes of their means."""

    def __init__(self):
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)

    def forward(self, x):
        return (
            F.hardswish(x) * self.expand(self.reduce(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        )


BLOCKS = {block.__name__: block for block in (Heads, Separable, Linear, DynamicReLU, SqueezeExcite)}


@pytest.fixture(scope="module", params=BLOCKS)
def graph(request):
    torch.manual_seed(0)
    block = BLOCKS[request.param]()
    model = nn.Sequential(nn.Conv2d(3, 16, 8, 8), block, nn.Flatten(), nn.LazyLinear(5))
    with torch.no_grad():
        model(torch.zeros(1, 3, 48, 48))
    return hq.quantize(model.eval(), PHOTOGRAPHS, RECIPE)


def test_every_node_gives_the_codes_of_the_simulator(graph):
    model = hq.to_integer(graph, CONFIG)
    assert model.num_float_nodes == 0
    for image in IMAGES.split(1):
        wanted, found = simulate(model.graph, image), model.trace(image)
        for name, codes in found.items():
            assert torch.equal(codes.long(), wanted[name]), name


@torch.no_grad()
def test_integers_are_near_to_the_simulated_quantization(graph):
    model = hq.to_integer(graph, CONFIG)
    mean, std = (torch.tensor(v)[:, None, None] for v in (CONFIG.mean, CONFIG.std))
    images = (photographs() / 255 - mean) / std
    simulated = graph(images)
    with graph.fake_quant_off():
        exact = graph(images)
    # As near as that is to float, or twice as far: both are a matter of which codes fall where.
    assert (model(photographs()) - simulated).norm() <= 2 * (simulated - exact).norm()
