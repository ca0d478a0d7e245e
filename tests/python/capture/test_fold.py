"""Folding of BatchNorm, LayerScale and offsets into weights."""

import pytest
import torch
from torch import nn

GAMMA = torch.linspace(0.2, 1.4, 4)


def randomized(module):
    generator = torch.Generator().manual_seed(5)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
            if part.affine:
                part.weight.data.uniform_(0.5, 2, generator=generator)
                part.bias.data.normal_(generator=generator)
    return module


class Scaled(nn.Module):
    """``layer``, ``change``, a scale, and the result used once more where asked."""

    def __init__(self, layer, change=lambda x: x, shape=(4, 1, 1), is_reused=False):
        super().__init__()
        self.layer, self.change, self.is_reused = layer, change, is_reused
        self.gamma = nn.Parameter(GAMMA.view(shape))

    def forward(self, x):
        x = self.change(self.layer(x))
        return x * self.gamma + x if self.is_reused else x * self.gamma


class TokenNorm(nn.Module):
    """Linear, BatchNorm over merged tokens (LeViT)."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(8, 4), nn.BatchNorm1d(4)

    def forward(self, x):
        x = self.linear(x)
        return self.norm(x.flatten(0, 2)).reshape_as(x)


CASES = [
    ("conv, bn", nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), ["conv2d"]),
    (
        "bn without weights",
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)),
        ["conv2d"],
    ),
    ("depthwise", nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)), ["conv2d"]),
    (
        "transposed",
        nn.Sequential(nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4)),
        ["conv_transpose2d"],
    ),
    (
        "bn twice",
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)),
        ["conv2d"],
    ),
    ("tokens", TokenNorm(), ["linear"]),
    ("layer scale", Scaled(nn.Conv2d(3, 4, 1)), ["conv2d"]),
    ("layer scale of tokens", Scaled(nn.Linear(8, 4), shape=(4,)), ["linear"]),
    (
        "layer scale behind a permute",
        Scaled(nn.Conv2d(3, 4, 1), lambda x: x.permute(0, 2, 3, 1), (4,)),
        ["conv2d", "permute"],
    ),
    ("one factor", Scaled(nn.Conv2d(3, 4, 1), lambda x: x * 0.5), ["conv2d"]),
    ("offset", Scaled(nn.Conv2d(3, 4, 1), lambda x: x - 3), ["conv2d"]),
    ("read twice", Scaled(nn.Conv2d(3, 4, 1), is_reused=True), ["conv2d", "mul", "add"]),
    (
        "not per channel",
        Scaled(nn.Linear(8, 4), shape=(4, 1, 1), change=lambda x: x.repeat(1, 4, 1, 1)[:, :4]),
        None,
    ),
    (
        "behind relu",
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
        ["conv2d", "relu", "batch_norm"],
    ),
    (
        "before conv",
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)),
        ["relu", "conv2d"],
    ),
    (
        "before padding",
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)),
        ["relu", "batch_norm", "conv2d"],
    ),
    (
        "before pooling and linear",
        nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)),
        ["mean", "reshape", "linear"],
    ),
]


@pytest.mark.parametrize(("module", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_fold(check, module, expected):
    found = check(randomized(module)).kinds
    assert found == expected or expected is None


def test_folded_weights_keep_their_names(check):
    module = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
    assert set(check(randomized(module)).graph.state_dict()) == {"0.weight", "0.bias"}


def test_shared_weights_are_folded_apart(check):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.norm(self.conv(x)) + self.conv(x.relu())

    names = set(check(randomized(Shared())).graph.state_dict())
    assert {"conv.weight", "conv.bias"} < names
    assert len(names) == 4
