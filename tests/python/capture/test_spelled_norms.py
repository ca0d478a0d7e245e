"""Norms that are spelled out."""

import pytest
import torch
from torch import nn

SCALES = torch.linspace(0.5, 2, 3)


class Norm(nn.Module):
    """A norm over axes as papers write it, with a weight and a bias for each channel."""

    def __init__(self, function, shape=(3, 1, 1)):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(SCALES.view(shape))
        self.bias = nn.Parameter(SCALES.flip(0).view(shape))

    def forward(self, x):
        return self.function(x) * self.weight + self.bias


def layer_norm(x, axes=1):
    deviation = x - x.mean(axes, keepdim=True)
    return deviation / (deviation.pow(2).mean(axes, keepdim=True) + 1e-3).sqrt()


def by_moments(x):
    variance, mean = torch.var_mean(x, dim=1, keepdim=True, unbiased=False)
    return (x - mean) * torch.rsqrt(variance + 1e-3)


def by_unbiased_variance(x):
    mean = x.mean(1, keepdim=True)
    return (x - mean) / torch.sqrt(x.var(1, keepdim=True) + 1e-3)


def rms_norm(x, axes=1):
    return x * torch.rsqrt((x * x).mean(axes, keepdim=True) + 1e-3)


def columns(x):
    return layer_norm(x.flatten(2).mT, -1).mT.unflatten(2, (8, 8))


NORM = ["permute", "layer_norm", "permute"]
CASES = [
    ("channels", Norm(layer_norm), NORM),
    ("moments", Norm(by_moments), NORM),
    ("unbiased", Norm(by_unbiased_variance), NORM),
    ("rows", lambda x: layer_norm(x, -1), ["layer_norm"]),
    ("image", lambda x: layer_norm(x, (1, 2, 3)) * 2 + 1, ["layer_norm"]),
    ("columns", columns, ["reshape", "permute", "layer_norm", "permute", "reshape"]),
    ("roots", Norm(rms_norm), ["permute", "rms_norm", "permute", "add"]),
    ("roots of rows", lambda x: rms_norm(x, 3) * 0.5, ["rms_norm"]),
    ("roots by division", lambda x: x / x.square().mean(-1, keepdim=True).sqrt(), ["rms_norm"]),
]


@pytest.mark.parametrize(("module", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_norms_are_found(check, module, expected):
    assert check(module).kinds == expected


def reused(x):
    deviation = x - x.mean(1, keepdim=True)
    variance = deviation.pow(2).mean(1, keepdim=True)
    return deviation / (variance + 1e-3).sqrt() * variance


OTHERS = [
    ("another root", lambda x: x / (x.exp().mean(1, keepdim=True) + 1e-3).sqrt()),
    ("other axes", lambda x: (x - x.mean(2, True)) / (x.var(1, keepdim=True) + 1).sqrt()),
    ("another's root", lambda x: x / ((x + 1).square().mean(1, keepdim=True) + 1e-3).sqrt()),
    ("epsilon outside", lambda x: (x - x.mean(1, True)) / (x.std(1, keepdim=True) + 1e-3)),
]


@pytest.mark.parametrize("function", [c[1] for c in OTHERS], ids=[c[0] for c in OTHERS])
def test_others_stay(check, function):
    assert not {"layer_norm", "rms_norm"} & set(check(function).kinds)


def test_what_is_read_elsewhere_stays(check):
    assert {"layer_norm", "mean", "mul"} <= set(check(reused).kinds)


def test_parameters_keep_their_names_and_stay_trainable(check):
    parameters = dict(check(Norm(layer_norm)).graph.named_parameters())
    assert {name: value.shape for name, value in parameters.items()} == {
        "weight": (3,),
        "bias": (3,),
    }
    assert all(value.requires_grad for value in parameters.values())
