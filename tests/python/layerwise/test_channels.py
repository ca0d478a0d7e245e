"""Which channels may be rescaled: found in small models, and the function stays the same."""

import pytest
import torch
from torch import Tensor, nn

from hybridquant.capture import capture
from hybridquant.layerwise import products_of
from hybridquant.layerwise.channels import ChannelGroup, find_channel_groups
from hybridquant.layerwise.rescale import rescale
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import QuantSpec


class Linear(nn.Module):
    """Linear attention, with its divisors made by a column of ones."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Conv2d(8, 24, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        v = nn.functional.pad(v, (0, 1), value=1.0)
        out = q.relu() @ (k.relu().transpose(1, 2) @ v)
        out = out[..., :-1] / (out[..., -1:] + 1e-5)
        return self.proj(out.transpose(1, 2).reshape_as(x))


class Gated(nn.Module):
    """Two branches of one layer, multiplied: either may be rescaled, each on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.out = nn.Conv2d(8, 16, 1), nn.Conv2d(8, 8, 3, padding=1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.both(x).chunk(2, dim=1)
        return self.out(a.relu() * b.mean((2, 3), keepdim=True))


class Norms(nn.Module):
    """A norm read by two layers, one of them behind a pool; a residual sum ends the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, 8)
        self.a, self.b = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1, stride=2)
        self.act, self.c = nn.SiLU(), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        down = self.b(nn.functional.avg_pool2d(y, 2))
        return self.c(self.act(self.a(y))) + nn.functional.interpolate(down, scale_factor=4.0) + x


class Picked(nn.Module):
    """Channels in another order, and one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.register_buffer("order", torch.tensor([7, 0, 1, 2, 3, 4, 5, 5]))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x)[:, self.order])


class TiedBias(nn.Module):
    """Two convolutions with one bias: neither may be rescaled alone."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(8, 8, 1) for _ in range(3))
        self.b.bias = self.a.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(self.a(x)))


def model_of(part: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GELU(), part, nn.GELU()).eval()
    for norm in (m for m in model.modules() if isinstance(m, nn.GroupNorm)):
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.uniform_(norm.bias, -1.0, 1.0)
    return nn.Sequential(model, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()


def groups_of(model: nn.Module, images: Tensor) -> tuple[QuantGraph, list[ChannelGroup]]:
    graph = prepare(capture(model, images), lambda edges: [QuantSpec()] * len(edges))
    return graph, find_channel_groups(graph, products_of(graph))


def summary(groups: list[ChannelGroup]) -> list[tuple[str, int, list[str]]]:
    return [
        (
            g.producer.meta["path"].rpartition(".")[2],
            int(g.is_legal.sum()),
            [r.product.name.rpartition(".")[2] for r in g.readers],
        )
        for g in groups
    ]


@pytest.mark.parametrize(
    ("part", "found"),
    [
        (Linear(), [("qkv", 8, ["proj"])]),
        (Gated(), [("both", 8, ["out"]), ("both", 8, ["out"])]),
        (Norms(), [("norm", 8, ["b", "a"])]),
        (Picked(), [("a", 7, ["b"])]),  # nobody reads one channel
        (TiedBias(), []),
    ],
)
def test_channels_are_found_and_may_be_rescaled(
    part: nn.Module, found: list[tuple[str, int, list[str]]], images: Tensor
) -> None:
    graph, groups = groups_of(model_of(part), images)
    assert [(p, n, sorted(r)) for p, n, r in summary(groups)] == [
        (p, n, sorted(r)) for p, n, r in found
    ]
    with graph.fake_quant_off():
        before = graph(images)
        for group in groups:
            size = len(group.is_legal)
            factors = 2.0 ** torch.randint(
                -4, 5, [size], generator=torch.Generator().manual_seed(1)
            )
            weight = graph.original(group.readers[0].product.weight).clone()
            rescale(graph, group, factors)
            assert not torch.equal(graph.original(group.readers[0].product.weight), weight)
        torch.testing.assert_close(graph(images), before, rtol=1e-5, atol=1e-5)


def test_values_of_attention_and_what_a_norm_makes(tiny_model: nn.Module, images: Tensor) -> None:
    _, groups = groups_of(tiny_model, images)
    # The stem's channels end in a sum, those of the values in the head, behind a mean.
    assert summary(groups) == [("norm", 8, ["qkv"]), ("qkv", 8, ["head"])]
    assert groups[1].is_legal.tolist() == [False] * 16 + [True] * 8
